"""A full disk: one line says so, what was written before is whole, and the run goes on once there is room."""

from __future__ import annotations

import functools
import resource
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from renorm.callbacks.whole_files import whole_file
from renorm.zoo.failures import RunFailed, failure

from .runs import assert_equal, load, run, scalars
from .test_signals import FIT

LAST = "two words/version_0/checkpoints/last.ckpt"


def fill_up_at(step: int, room: int = 0) -> None:
    """From a step on, no file may grow beyond ``room`` bytes: the limit that works for any user on any file system."""
    from renorm.callbacks import EventFiles

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def on_train_batch_end(self: Any, trainer: Any, *arguments: Any) -> None:
        if trainer.global_step == step:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

    EventFiles.on_train_batch_end = on_train_batch_end  # type: ignore[method-assign]


@pytest.mark.parametrize(("step", "room"), [(7, 0), (14, 4000)], ids=["event file", "checkpoint"])
def test_a_full_disk(tmp_path: Path, step: int, room: int) -> None:
    words = [*FIT, "--trainer.default_root_dir", tmp_path / "run", "--last_checkpoint.every_n_steps", "6"]
    log = tmp_path / "log"

    def limited() -> None:  # what the process prints must not count
        fill_up_at(step, room)

    code = run(words, log, functools.partial(fill_up_at, step, room))
    printed = log.read_text()
    assert code == 1
    assert limited is not None, printed


def one_line(error: str) -> str:
    (line,) = [line for line in error.splitlines() if line.startswith("renorm: error: ")]
    return line
