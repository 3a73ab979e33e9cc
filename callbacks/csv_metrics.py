"""``metrics.csv`` of a resumed run: no row is lost, and no step appears twice."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from ..files.whole import whole_file

ROWS_KEY = "renorm_csv_rows"  # of a checkpoint


class KeepingCSVLogger(CSVLogger):
    """Append to an existing ``metrics.csv``, which Lightning's own logger would delete.

    Args: see :class:`lightning.pytorch.loggers.CSVLogger`.
    """

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer of the file."""
        if self._experiment is None:
            self._experiment = KeepingWriter(self.log_dir)
        return self._experiment


class KeepingWriter(ExperimentWriter):
    """Append to the existing rows; rewrite the file atomically if there are new columns."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        path = Path(self.metrics_file_path)
        self.metrics_keys = read_rows(path)[0] if path.is_file() else []

    def _check_log_dir_exists(self) -> None:
        """Leave existing files as they are."""

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        header, rows = read_rows(path)
        named = [dict(zip(header, row, strict=False)) for row in rows]
        write_rows(path, fieldnames, [[row.get(key, "") for key in fieldnames] for row in named])


class CSVRows(Callback):
    """Store the number of rows of ``metrics.csv`` in each checkpoint; remove later rows when a run resumes from it.

    Buffered rows are written first, so that a killed run has logged everything up to its last checkpoint.
    """

    def __init__(self) -> None:
        self._rows: int | None = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Write buffered rows, and store the number of rows."""
        for logger in _loggers(trainer):
            logger.save()
            path = Path(logger.experiment.metrics_file_path)
            checkpoint[ROWS_KEY] = len(read_rows(path)[1]) if path.is_file() else 0

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restore the number of rows."""
        rows = checkpoint.get(ROWS_KEY)
        self._rows = rows if type(rows) is int and rows >= 0 else None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove later rows; not earlier, because the run could still have been rejected."""
        rows, self._rows = self._rows, None
        for logger in _loggers(trainer):
            path = Path(logger.experiment.metrics_file_path)
            if rows is not None and path.is_file():
                header, written = read_rows(path)
                if len(written) > rows:
                    write_rows(path, header, written[:rows])


def _loggers(trainer: Trainer) -> list[KeepingCSVLogger]:
    """The loggers of this kind, on the first process only."""
    return [one for one in trainer.loggers if isinstance(one, KeepingCSVLogger)] if trainer.is_global_zero else []


def read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return (rows[0], rows[1:]) if rows else ([], [])


def write_rows(path: Path, header: list[str], rows: list[list[str]]) -> None:
    """Replace the file, whole or not at all."""
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
