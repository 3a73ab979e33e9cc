"""A run that is killed, however often and wherever, and resumed, is in the end the run that nobody killed, bit by bit."""

from __future__ import annotations

import functools
import os
import random
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from .runs import assert_equal, events, load, run

# every table, figure and scalar that a fit can write, in short epochs
FIT = [
    *("fit", "--config", "mlp_leaky_relu_free", "--name", "run", "--model.replicas", "3"),
    *("--data.steps_per_epoch", "30", "--data.val_samples", "64", "--data.held_out_laws", '["gaussian()"]'),
    *("--trainer.max_epochs", "4", "--trainer.log_every_n_steps", "2", "--trainer.enable_progress_bar", "false"),
    *("--cumulants.every_n_epochs", "1", "--cumulants.samples", "64", "--cumulants.figure_every_n_epochs", "0"),
    *("--symmetry_breaking.every_n_epochs", "1"),
    *("--rg_flow.every_n_epochs", "4", "--rg_flow.samples", "64", "--rg_flow.steps", "2"),
    *("--last_checkpoint.every_n_steps", "3"),
]
# files of no run in particular: where it was and when it was written
NOT_THE_RUNS = ("renorm_events", "hparams_name")


def last(root: Path) -> Path:
    return root / "run" / "version_0" / "checkpoints" / "last.ckpt"


def fit(root: Path, *words: str, prepare: Callable[[], None] | None = None) -> int:
    """Start a run, or go on with it if it has a checkpoint."""
    if last(root).exists():
        words = (*words, "--ckpt_path", "last")
    elif root.exists():
        shutil.rmtree(root)  # killed before its first checkpoint: nothing to go on with
    root.parent.mkdir(parents=True, exist_ok=True)
    code = run([*FIT, *words, "--trainer.default_root_dir", root], root.parent / f"{root.name}.log", prepare)
    assert code in (0, -signal.SIGKILL), (root.parent / f"{root.name}.log").read_text()
    return code


def assert_same_run(whole: Path, parts: Path) -> None:
    """Weights, optimiser, progress, callbacks, scalars, figures and tables."""
    one, other = (root / "run" / "version_0" for root in (whole, parts))
    for name in ("last", "best"):
        checkpoints = [load(folder / "checkpoints" / f"{name}.ckpt") for folder in (one, other)]
        assert_equal(*({k: v for k, v in relevant(c).items() if k not in NOT_THE_RUNS} for c in checkpoints), name)
    logged, again = Counter(events(one)), Counter(events(other))
    layout = [key for key in again if key[0].startswith("custom_scalars")]  # written once by every process
    for key in layout:
        assert key in logged
        again[key] = logged[key]
    assert sorted(key[:2] for key in (logged - again)) == [], "lost"
    assert sorted(key[:2] for key in (again - logged)) == [], "logged twice"
    tables = [path.relative_to(one) for path in sorted(one.rglob("*.parquet"))]
    assert len(tables) == 9
    for table in tables:
        assert (other / table).read_bytes() == (one / table).read_bytes(), table
    for folder in {table.parent for table in tables}:
        assert len(pq.read_table(other / folder)) == len(pq.read_table(one / folder))


def relevant(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint without the paths of its folder."""
    for state in checkpoint["callbacks"].values():
        for key in [key for key in state if "path" in key or key == "best_k_models"]:
            del state[key]
    return checkpoint


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody kills."""
    root = tmp_path_factory.mktemp("whole") / "whole"
    assert fit(root) == 0
    return root


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_after(steps: int, seconds: float) -> None:
    """Kill the process so many steps after training starts and so long after that, wherever it is by then."""
    from renorm.training.stack import StackedModel

    member_losses, count = StackedModel._member_losses, 0

    def counted(self: StackedModel, *arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == steps:
            timer = threading.Timer(seconds, kill)
            timer.daemon = True
            timer.start()
        return member_losses(self, *arguments)

    StackedModel._member_losses = counted  # type: ignore[method-assign]


@pytest.mark.slow
def test_killed_at_twenty_random_moments(whole: Path, tmp_path: Path) -> None:
    parts, random_moments, killed_at = tmp_path / "parts", random.Random(0), list[int]()
    while len(killed_at) < 20:
        # most soon after a step, some in what follows an epoch or the run
        life = random_moments.randint(1, 40), 0.5 * random_moments.random() ** 3
        if fit(parts, prepare=functools.partial(kill_after, *life)) == 0:
            assert_same_run(whole, parts)  # it ended before that: once more
            shutil.rmtree(parts)
        else:
            killed_at.append(load(last(parts))["global_step"] if last(parts).exists() else 0)
    assert len(set(killed_at)) > 6, "the point of the test is to be killed at many places"
    assert fit(parts) == 0
    assert_same_run(whole, parts)


def kill_in(where: str, number: int) -> None:
    """Kill the process while it writes its checkpoint of that number."""
    from renorm.files import whole as whole_files

    count = 0
    write_bytes, replace, synchronise = Path.write_bytes, os.replace, whole_files._synchronise

    def half(self: Path, data: Any) -> int:
        nonlocal count
        count += 1
        if count < number:
            return write_bytes(self, data)
        if where == "half":
            write_bytes(self, bytes(data)[: len(data) // 2])
            kill()
        written = write_bytes(self, data)
        if where == "before rename":
            os.replace = lambda *_: kill()  # type: ignore[assignment]
        if where == "after rename":
            os.replace = lambda *paths: (replace(*paths), kill())  # type: ignore[assignment,func-returns-value]
        if where == "while synchronising":
            whole_files._synchronise = lambda path: kill()
        return written

    Path.write_bytes = half  # type: ignore[method-assign,assignment]
    assert synchronise is not kill


@pytest.mark.slow
def test_killed_while_checkpoints_are_written(whole: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    for number, where in enumerate(("half", "before rename", "while synchronising", "after rename"), start=5):
        before = load(last(parts))["global_step"] if last(parts).exists() else 0
        assert fit(parts, prepare=functools.partial(kill_in, where, number)) == -signal.SIGKILL
        assert load(last(parts))["global_step"] > before  # whole, and of this process
    assert fit(parts) == 0
    assert not [*parts.rglob("*.partial")], "what a killed process leaves is overwritten by the next"
    assert_same_run(whole, parts)


def kill_at(step: int) -> None:
    """Kill the process just before a step."""
    from renorm.callbacks import StopBetweenSteps

    def on_train_batch_start(self: Any, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == step:
            kill()

    StopBetweenSteps.on_train_batch_start = on_train_batch_start  # type: ignore[method-assign]


SCHEDULER = ("--model.lr_scheduler", "torch.optim.lr_scheduler.StepLR", "--model.lr_scheduler.step_size", "5")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "kills"),
    [
        (("--trainer.val_check_interval", "0.5", *SCHEDULER, "--model.lr_scheduler_interval", "step"), (16, 100)),
        (("--trainer.accumulate_grad_batches", "5", "--trainer.gradient_clip_val", "0.5"), (8, 20)),
    ],
    ids=["validation within the epoch, learning rate by the step", "accumulated gradients, clipped"],
)
def test_killed_with_options(tmp_path: Path, words: tuple[str, ...], kills: tuple[int, ...]) -> None:
    assert fit(tmp_path / "whole", *words) == 0
    for step in kills:
        assert fit(tmp_path / "parts", *words, prepare=functools.partial(kill_at, step)) == -signal.SIGKILL
    assert fit(tmp_path / "parts", *words) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.slow
def test_trained_in_parts(whole: Path, tmp_path: Path) -> None:
    """``max_steps`` in the middle of an epoch, at a step that is logged, and at one that is not."""
    for limit in ("38", "75"):
        assert fit(tmp_path / "parts", "--trainer.max_steps", limit) == 0
    assert fit(tmp_path / "parts") == 0
    assert_same_run(whole, tmp_path / "parts")
