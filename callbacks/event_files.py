"""TensorBoard's files of a run that was killed: a resumed run logs no step twice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

FIT_SUFFIX = ".fit"  # of the event files of a fit; those of a test in the same folder are let alone
POSITIONS_KEY = "renorm_events"  # of a checkpoint


class EventFiles(Callback):
    """Remember in each checkpoint how far the event files are; take out what lies behind it when a run goes on from there.

    A run that is killed has logged more than its last checkpoint knows, and logs that again when it is resumed.
    """

    def __init__(self) -> None:
        self._positions: dict[str, int] | None = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note the size of every event file."""
        if not trainer.is_global_zero:
            return
        positions = dict(self._positions or {})  # of files that another folder has
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.flush()
                positions |= {path.name: path.stat().st_size for path in event_files(Path(logger.log_dir))}
        checkpoint[POSITIONS_KEY] = positions

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take up the sizes."""
        self._positions = checkpoint.get(POSITIONS_KEY)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Cut the files; only now, as until here the run may have been refused."""
        if self._positions is None or not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                own = logger.experiment.file_writer.event_writer._file_name  # no public name
                cut(Path(logger.log_dir), self._positions, Path(own).name)
        self._positions = None


def event_files(folder: Path) -> list[Path]:
    """The event files of fits in a folder."""
    return sorted(folder.glob(f"events.out.tfevents.*{FIT_SUFFIX}"))


def cut(folder: Path, positions: dict[str, int], own: str) -> None:
    """Take out what was logged after a checkpoint.

    Args:
        folder: of the run.
        positions: size of every file at the checkpoint; files that it does not name were begun later.
        own: name of the file that is being written.
    """
    for path in event_files(folder):
        if path.name == own:
            continue
        if path.name not in positions:
            path.unlink()
        elif path.stat().st_size > positions[path.name]:
            os.truncate(path, positions[path.name])
