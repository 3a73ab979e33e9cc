"""A full disk: one line says so, what was written before is whole, and the run goes on once there is room."""

from __future__ import annotations

import errno
import functools
import resource
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from renorm.errors import RunError, failure
from renorm.files.whole import whole_file

from .runs import assert_equal, load, run, scalars
from .test_signals import FIT

LAST = "two words/version_0/checkpoints/last.ckpt"


def fill_up_at(step: int, room: int) -> None:
    """From a step on, no file may grow beyond ``room`` bytes: the limit that works for any user on any file system."""
    from renorm.callbacks import EventFiles

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def on_train_batch_end(self: Any, trainer: Any, *arguments: Any) -> None:
        if trainer.global_step == step:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

    EventFiles.on_train_batch_end = on_train_batch_end  # type: ignore[method-assign]


def one_error(printed: str) -> str:
    """The one line that says what is wrong."""
    assert "Traceback" not in printed
    assert "Exception in thread" not in printed
    (line,) = [line for line in printed.splitlines() if "error" in line.lower()]
    assert line.startswith("renorm: error: ")
    return line


@pytest.mark.parametrize(
    ("step", "room", "what", "saved"),
    [(5, 9000, "last.ckpt' cannot be written", 4), (9, 20000, "nothing more can be written", 10)],
    ids=["checkpoint", "event file"],
)
def test_a_full_disk(tmp_path: Path, step: int, room: int, what: str, saved: int) -> None:
    words = [*FIT, "--trainer.default_root_dir", str(tmp_path / "run"), "--last_checkpoint.every_n_steps", "2"]
    log = tmp_path / "log"
    assert run(words, log, functools.partial(fill_up_at, step, room)) == 1
    printed = log.read_text()
    error = one_error(printed)
    assert error.startswith(f"renorm: error: run '{tmp_path}/run/two words/version_0' cannot go on: ")
    assert "File too large" in error
    assert what in error
    assert f"stopped: the run is saved up to step {saved}\n" in printed
    assert load(tmp_path / "run" / LAST)["global_step"] == saved
    assert not [*tmp_path.rglob("*.partial")]
    # there is room again
    (line,) = [line for line in printed.splitlines() if line.startswith("go on:  ")]
    assert run(shlex.split(line.removeprefix("go on:  renorm ")), log) == 0, log.read_text()
    words[words.index(str(tmp_path / "run"))] = str(tmp_path / "whole")
    assert run(words, log) == 0
    one, other = (tmp_path / name / LAST for name in ("whole", "run"))
    assert_equal(load(one)["state_dict"], load(other)["state_dict"])
    assert scalars(one.parent.parent) == scalars(other.parent.parent)


@pytest.mark.slow
def test_a_full_file_system(tmp_path: Path) -> None:
    """A real one, where one may mount it; the limit above stands in for it elsewhere."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("may not mount a file system")
    try:
        words = [*FIT, "--trainer.default_root_dir", str(disk), "--trainer.max_epochs", "100", "--model.width", "64"]
        assert run(words, tmp_path / "log") == 1
        assert "No space left on device" in one_error((tmp_path / "log").read_text())
        assert load(disk / LAST)["global_step"] > 0
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def write(path: Path, error: OSError) -> None:
    with whole_file(path) as partial:
        partial.write_text("half")
        raise error


def test_the_earlier_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("earlier")
    with pytest.raises(RunError, match=r"file' cannot be written \(no room\); the file written before it is kept"):
        write(path, OSError(errno.ENOSPC, "no room"))
    with pytest.raises(PermissionError):
        write(path, PermissionError())
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "earlier")]


def test_the_reason_is_found_behind_what_libraries_make_of_it() -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device", "events.out")
        except OSError as cause:
            raise ValueError("you tried to log 3") from cause
    except ValueError as error:
        found = failure(error)
    assert isinstance(found, RunError)
    assert str(found).startswith("nothing more can be written to 'events.out' (No space left on device)")
    assert failure(ValueError("other")) is None
