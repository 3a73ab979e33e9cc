"""What a run writes before it has begun, to be taken back where it is refused: a refusal leaves nothing behind."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from .whole import check_writable


class Footprint(Callback):
    """Folders and files that only this run can have made; after its first step they are kept, whatever happens.

    In a folder that was there before, other processes may write at the same time: there only files of the run's own name
    are taken back.
    """

    def __init__(self) -> None:
        self._made: list[Path] = []  # folders that this run made: with all that is in them
        self._parents: list[Path] = []  # folders that it made on the way: where nothing else is in them
        self._files: list[Path] = []
        self._loggers: list[TensorBoardLogger] = []
        self._began = False

    def claim(self, root: Path) -> Path:
        """Make the folder of a new run, ``root/version_<n>``, which no other process takes: one that makes it has it.

        Raises:
            ValueError: where it cannot be written to.
        """
        self.will_make(root)
        check_writable(root)
        taken = [path.name.removeprefix("version_") for path in root.glob("version_*")]
        number = max((int(name) for name in taken if name.isdecimal()), default=-1) + 1
        while True:
            folder = root / f"version_{number}"
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                self._made.append(folder)
                return folder

    def will_make(self, folder: Path) -> None:
        """Note which folders on the way to one are missing."""
        self._parents += [path for path in (folder, *folder.parents) if not path.exists()]

    def will_write(self, path: Path) -> None:
        """Note a file that is not there yet."""
        self._files.append(path)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Note the event files, whose names are of this process."""
        self._loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        for logger in self._loggers if trainer.is_global_zero else []:
            writer: Any = logger.experiment.file_writer
            self._files.append(Path(writer.event_writer._file_name))  # no public name

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """From here on there is something to lose."""
        self._began = True

    def take_back(self) -> None:
        """Remove what the run has written, unless it has begun."""
        if self._began:
            return
        for logger in self._loggers:
            if logger._experiment is not None:
                logger._experiment.close()  # its thread would write the file again
        for path in self._files:
            with contextlib.suppress(OSError):
                path.unlink()
        for folder in self._made:
            shutil.rmtree(folder, ignore_errors=True)
        for folder in self._parents:  # the innermost first
            with contextlib.suppress(OSError):
                folder.rmdir()
