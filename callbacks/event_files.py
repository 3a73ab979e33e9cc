"""TensorBoard's event files of a resumed run: no step is logged twice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

FIT_SUFFIX = ".fit"  # of the event files of a fit; those of a test in the same folder are not touched
POSITIONS_KEY = "renorm_events"  # of a checkpoint


class EventFiles(Callback):
    """Store the sizes of the event files in each checkpoint; cut the files to these sizes when a run resumes from it.

    A killed run has logged steps after its last checkpoint, and logs them again when it is resumed.
    """

    def __init__(self) -> None:
        self._positions: dict[str, int] | None = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Store the size of every event file."""
        if not trainer.is_global_zero:
            return
        positions = dict(self._positions or {})  # files in another folder keep theirs
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.flush()
                positions |= {path.name: path.stat().st_size for path in event_files(Path(logger.log_dir))}
        checkpoint[POSITIONS_KEY] = positions

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restore the sizes."""
        self._positions = checkpoint.get(POSITIONS_KEY)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Cut the files; not earlier, because the run could still have been rejected."""
        if self._positions is None or not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                current = logger.experiment.file_writer.event_writer._file_name  # there is no public name
                cut(Path(logger.log_dir), self._positions, Path(current).name)
        self._positions = None


def event_files(folder: Path) -> list[Path]:
    """Return the event files of fits in a folder."""
    return sorted(folder.glob(f"events.out.tfevents.*{FIT_SUFFIX}"))


def cut(folder: Path, positions: dict[str, int], current: str) -> None:
    """Remove what was logged after a checkpoint.

    Args:
        folder: the run's folder.
        positions: size of every file at the checkpoint; other files were begun later.
        current: name of the file that is being written.
    """
    for path in event_files(folder):
        if path.name == current:
            continue
        if path.name not in positions:
            path.unlink()
        elif path.stat().st_size > positions[path.name]:
            os.truncate(path, positions[path.name])
