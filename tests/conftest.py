"""What all tests share: a way to run the command line as a user does, in a process of its own."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings

from .composing import composed_only

# many examples for those tests that leave their number open
settings.register_profile("thorough", max_examples=350)

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def denormal_numbers() -> Iterator[None]:
    """The command line, run in this process, flushes denormal numbers to zero, which other tests must not notice."""
    import torch  # here, as the process that only hands tests out needs it not

    yield
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True)
def figures_are_composed_only(request: pytest.FixtureRequest) -> Iterator[None]:
    """Figures for TensorBoard are drawn in tests that are marked ``draws``."""
    with contextlib.nullcontext() if request.node.get_closest_marker("draws") else composed_only():
        yield


@pytest.fixture(autouse=True)
def commands_are_not_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test expects on the screen does not depend on whether the machine is busy."""
    from renorm import progress

    monkeypatch.setattr(progress, "QUIET", 3600.0)


@pytest.fixture(scope="session", autouse=True)
def forked_workers() -> Iterator[None]:
    """Workers of sweeps and reports are forked from the server, too; a sweep in a process of its own starts its own anew."""
    if os.name == "nt":  # which forks no processes
        yield
        return
    from renorm.sweep import local_engine

    from .forked import Forked

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_engine, "multiprocessing", SimpleNamespace(get_context=lambda method: Forked))
        yield


def pytest_collection_finish() -> None:
    """What was imported and collected stays: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def renorm() -> Run:
    """Run ``python -m renorm ...``, or a script, in a process of its own; return what it printed and its exit code."""

    def run(*words: str | Path, cwd: Path, script: Path | None = None) -> subprocess.CompletedProcess[str]:
        from .forked import run_forked

        return run_forked([str(word) for word in words], cwd, script)

    return run


@pytest.fixture
def zoo_copy(tmp_path: Path) -> Path:
    """A folder with two entries of the pretrained zoo, the first with its trajectory, to be spoilt at will."""
    from renorm.pretrained.manifest import FOLDER, find_entry
    from renorm.pretrained.train import write_manifest

    folder = tmp_path / "zoo_copy"
    folder.mkdir()
    entries = {name: find_entry(name) for name in ("mlp_quadratic_full.uniform", "mlp_relu_free.uniform")}
    for entry in entries.values():
        for file in (entry["file"], entry.get("trajectory")):
            if file is not None:
                shutil.copy(FOLDER / file["name"], folder)
    write_manifest(folder / "manifest.json", entries)
    return folder


NO_FIGURES = (
    *("--generalization.figure_every_n_validations", "0", "--cumulants.figure_every_n_epochs", "0"),
    *("--symmetry_breaking.figure_every_n_epochs", "0"),
)
QUICK = ("--data.steps_per_epoch", "8", "--data.val_samples", "256", "--data.test_samples", "512")
QUICK += ("--rg_flow.samples", "64")


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small run of ``renorm fit``, shared by tests that only read it."""
    from renorm.cli import main

    root = tmp_path_factory.mktemp("trained")
    words = ["fit", "--config", "mlp_quadratic_free", "--model.replicas", "3", "--trainer.max_epochs", "2", *QUICK]
    assert main([*words, "--trainer.log_every_n_steps", "4", "--trainer.default_root_dir", str(root)]) == 0
    return root / "mlp_quadratic_free" / "version_0"
