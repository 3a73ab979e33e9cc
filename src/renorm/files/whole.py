"""Files that are whole or not there, whenever the process is killed and however full the disk is."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import NO_SPACE, InputError, RunError

LOCK = ".lock"  # of a folder; only who holds it may write there


@contextlib.contextmanager
def whole_file(path: Path, durable: bool = False) -> Iterator[Path]:
    """A path beside ``path`` to write to, which takes its place once all is written; until then the earlier file stays.

    Args:
        path: the file to write.
        durable: wait until the disk has it, some milliseconds, so that it also outlives a loss of power.

    Raises:
        RunError: where the disk is full.
    """
    partial = path.with_name(f".{path.name}.partial")  # hidden: readers of a folder of tables pass it over
    try:
        yield partial
        if durable:
            _synchronise(partial)
        os.replace(partial, path)
        if durable:
            _synchronise(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            kept = "; the file written before it is kept" if path.exists() else ""
            raise RunError(f"{str(path)!r} cannot be written ({error.strerror}){kept}") from error
        raise


def checksum(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(2**20):
            found.update(part)
    return found.hexdigest()


@contextlib.contextmanager
def one_writer(folder: Path, argument: str = "out", wait: float = 0, keep: bool = True) -> Iterator[None]:
    """Be the only process that writes to a folder; the system lets go of the lock when the process dies, however it does.

    Args:
        folder: made where it is missing.
        argument: what it was given as, for the message.
        wait: seconds to wait for another process.
        keep: whether the lock's file stays; else it goes before the lock does, for folders that are shown to others.

    Raises:
        ValueError: where another process writes there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        raise InputError(
            f"{argument}={str(folder)!r} is being written by another process", "another folder, or to wait for it"
        ) from None
    try:
        yield
    finally:
        if not keep:
            # whoever opened it before finds a file without a name, which is not a lock
            with contextlib.suppress(OSError):  # Windows: an open file has to stay
                (folder / LOCK).unlink()
        lock.release()


def is_unused(folder: Path, besides: tuple[str, ...] = ()) -> bool:
    """Whether a folder is missing or empty, but for what a killed process left of its first file, and for files ``besides``."""
    return not folder.is_dir() or all(
        path.name in (LOCK, *besides) or (path.name.startswith(".") and path.suffix == ".partial")
        for path in folder.iterdir()
    )


def _synchronise(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # folders have no descriptor there
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_writable(folder: Path, name: str = "trainer.default_root_dir") -> None:
    """Make a folder, and refuse one that cannot be written to.

    Raises:
        ValueError: naming the folder and the reason.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-test-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{name}: cannot write to {str(folder)!r} ({reason})") from None
