"""Files that are whole or not there, whenever the process is killed and however full the disk is."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from ..zoo.failures import NO_SPACE, RunFailed


@contextlib.contextmanager
def whole_file(path: Path, durable: bool = False) -> Iterator[Path]:
    """A path beside ``path`` to write to, which takes its place once all is written; until then the earlier file stays.

    Args:
        path: the file to write.
        durable: wait until the disk has it, some milliseconds, so that it also outlives a loss of power.

    Raises:
        RunFailed: where the disk is full.
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
            raise RunFailed(f"{str(path)!r} cannot be written ({error.strerror}){kept}") from error
        raise


def _synchronise(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # folders have no descriptor there
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class WholeCheckpointIO(TorchCheckpointIO):
    """Write checkpoints whole or not at all.

    Lightning's own way writes to the system's folder for temporary files and moves the file from there, which between two
    file systems copies: a process killed meanwhile leaves half a checkpoint in place of the earlier one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write beside the earlier file, wait for the disk, and take its place; a place elsewhere is left to Lightning."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target, durable=True) as partial:
            partial.write_bytes(buffer.getbuffer())
