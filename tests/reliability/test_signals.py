"""Ctrl-C and SIGTERM: what was trained is saved, the command that goes on is printed, and it goes on."""

from __future__ import annotations

import functools
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from .runs import assert_equal, load, run, scalars

FIT = [
    *("fit", "--config", "mlp_leaky_relu_full", "--name", "two words", "--model.replicas", "2"),
    *("--data.steps_per_epoch", "12", "--data.val_samples", "64", "--trainer.max_epochs", "2"),
    *("--trainer.log_every_n_steps", "5", "--trainer.enable_progress_bar", "false", "--cumulants.every_n_epochs", "0"),
    *("--symmetry_breaking.every_n_epochs", "0", "--rg_flow.every_n_epochs", "0"),
    *("--generalization.figure_every_n_validations", "0"),
]


def send(number: int, hook: str, step: int, times: int = 1) -> None:
    """Have the process send itself a signal in a hook of the callbacks, at a step."""
    from renorm.callbacks import EventFiles

    original = getattr(EventFiles, hook)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run in the background it is ignored

    def called(self: Any, trainer: Any, *arguments: Any, **keywords: Any) -> None:
        original(self, trainer, *arguments, **keywords)
        if trainer.global_step == step:
            for _ in range(times):
                os.kill(os.getpid(), number)

    setattr(EventFiles, hook, called)


def fit(root: Path, *words: str, **sending: Any) -> tuple[int, str]:
    """Exit code and what was printed."""
    root.parent.mkdir(exist_ok=True)
    log = root.with_suffix(".log")
    prepare = functools.partial(send, **sending) if sending else None
    code = run([*FIT, "--trainer.default_root_dir", root, *words], log, prepare)
    return code, log.read_text()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("signals") / "whole"
    assert fit(root)[0] == 0
    return root / "two words" / "version_0"


def go_on(printed: str) -> None:
    """Run the command that was printed."""
    (line,) = [line for line in printed.splitlines() if line.startswith("go on:  ")]
    words = shlex.split(line.removeprefix("go on:  renorm "))
    log = Path(words[words.index("--trainer.default_root_dir") + 1]).with_suffix(".resumed.log")
    assert run(words, log) == 0, log.read_text()


def assert_same_end(whole: Path, root: Path) -> None:
    other = root / "two words" / "version_0"
    checkpoints = [load(folder / "checkpoints" / "last.ckpt") for folder in (whole, other)]
    for key in ("state_dict", "optimizer_states", "loops"):
        assert_equal(*(checkpoint[key] for checkpoint in checkpoints), key)
    assert scalars(whole) == scalars(other)
    assert [path.name for path in other.parent.iterdir()] == ["version_0"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize(
    ("hook", "step", "saved"),
    [
        ("on_train_batch_start", 17, 18),  # the step is finished first
        ("on_train_batch_end", 18, 18),
        ("on_validation_start", 12, 12),  # and so is the validation
    ],
)
def test_stopped_and_resumed(whole: Path, tmp_path: Path, number: int, hook: str, step: int, saved: int) -> None:
    code, printed = fit(tmp_path / "run", number=number, hook=hook, step=step)
    assert code == 128 + number, printed
    assert f"stopped: the run is saved up to step {saved}\n" in printed
    assert "Traceback" not in printed
    assert load(tmp_path / "run/two words/version_0/checkpoints/last.ckpt")["global_step"] == saved
    go_on(printed)
    assert_same_end(whole, tmp_path / "run")


def test_before_the_first_step_there_is_nothing_to_save(tmp_path: Path) -> None:
    for hook in ("setup", "on_train_start"):
        code, printed = fit(tmp_path / hook, number=signal.SIGTERM, hook=hook, step=0)
        assert code == 143
        assert "stopped: nothing is saved yet" in printed
        assert "Traceback" not in printed
        assert "--ckpt_path" not in printed
        assert not [*(tmp_path / hook).rglob("*.ckpt")]


def test_asked_twice_it_stops_at_once_and_keeps_the_last_checkpoint(whole: Path, tmp_path: Path) -> None:
    code, printed = fit(tmp_path / "run", number=signal.SIGINT, hook="on_validation_start", step=24, times=2)
    assert code == 130
    assert "stopped: the run is saved up to step 12\n" in printed
    assert "Traceback" not in printed
    go_on(printed)
    assert_same_end(whole, tmp_path / "run")


def test_a_resumed_run_that_is_stopped_at_once_keeps_its_checkpoint(tmp_path: Path) -> None:
    code, _ = fit(tmp_path / "run", number=signal.SIGTERM, hook="on_train_batch_end", step=5)
    assert code == 143
    last = tmp_path / "run/two words/version_0/checkpoints/last.ckpt"
    before = last.read_bytes()
    code, printed = fit(tmp_path / "run", "--ckpt_path", "last", number=signal.SIGTERM, hook="setup", step=0)
    assert code == 143
    assert "stopped: the run is saved up to step 5\n" in printed
    assert last.read_bytes() == before


def test_a_signal_in_the_last_validation_changes_nothing(whole: Path, tmp_path: Path) -> None:
    code, printed = fit(tmp_path / "run", number=signal.SIGTERM, hook="on_validation_start", step=24)
    assert code == 0
    assert "stopped" not in printed
    assert_same_end(whole, tmp_path / "run")


@pytest.mark.slow
def test_from_a_terminal(tmp_path: Path) -> None:
    """The real program: while Python imports, in training, and two processes of which one is asked."""
    words = [sys.executable, "-m", "renorm", *FIT, "--data.steps_per_epoch", "100000"]
    two = ["--trainer.devices", "2", "--trainer.accelerator", "cpu", "--trainer.strategy", "ddp"]
    default = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell ignores it in the background
    for name, more, number in (
        ("imports", [], signal.SIGINT),
        ("one", [], signal.SIGINT),
        ("two", two, signal.SIGTERM),
    ):
        process = subprocess.Popen(
            [*words, *more, "--last_checkpoint.every_n_steps", "20"],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=default,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        if name == "imports":
            time.sleep(1.5)
        else:
            wait_for(tmp_path / "runs/two words", process)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
        # interrupted inside code that a module compiled from a string, Python ends by the signal itself: 130 to every shell
        died = process.returncode == -number and name == "imports"
        assert process.returncode == 128 + number or died, error
        assert "Traceback" not in error
        if name != "imports":
            assert error.count("stopped: the run is saved up to step ") == 1
            assert error.count("go on:  renorm fit --config") == 1
            version = sorted((tmp_path / "runs/two words").iterdir())[-1]
            assert load(version / "checkpoints/last.ckpt")["global_step"] > 0


def wait_for(folder: Path, process: subprocess.Popen[str]) -> None:
    """Until a new run has a checkpoint."""
    known = len([*folder.rglob("last.ckpt")])
    deadline = time.monotonic() + 120
    while len([*folder.rglob("last.ckpt")]) == known:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
