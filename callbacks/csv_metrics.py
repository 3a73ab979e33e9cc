"""``metrics.csv`` of a run that goes on: nothing in it is lost, and no step stands there twice."""

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
    """Lightning's logger, which deletes the ``metrics.csv`` that a folder has; this one appends to it.

    Args: see :class:`lightning.pytorch.loggers.CSVLogger`.
    """

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """What writes the file."""
        if self._experiment is None:
            self._experiment = KeepingWriter(self.log_dir)
        return self._experiment


class KeepingWriter(ExperimentWriter):
    """Writes behind the rows that are there, and a file with new columns whole or not at all."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        path = Path(self.metrics_file_path)
        self.metrics_keys = read_rows(path)[0] if path.is_file() else []

    def _check_log_dir_exists(self) -> None:
        """Leave everything as it is."""

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        header, rows = read_rows(path)
        named = [dict(zip(header, row, strict=False)) for row in rows]
        write_rows(path, fieldnames, [[row.get(key, "") for key in fieldnames] for row in named])


class CSVRows(Callback):
    """Remember in each checkpoint how many rows ``metrics.csv`` has; take out those behind when a run goes on from there.

    What waits to be written is written first, so that a run that is killed has logged all that its last checkpoint knows.
    """

    def __init__(self) -> None:
        self._rows: int | None = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Write what waits, and count."""
        for logger in _loggers(trainer):
            logger.save()
            path = Path(logger.experiment.metrics_file_path)
            checkpoint[ROWS_KEY] = len(read_rows(path)[1]) if path.is_file() else 0

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take up the count."""
        rows = checkpoint.get(ROWS_KEY)
        self._rows = rows if type(rows) is int and rows >= 0 else None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Cut the file; only now, as until here the run may have been refused."""
        rows, self._rows = self._rows, None
        for logger in _loggers(trainer):
            path = Path(logger.experiment.metrics_file_path)
            if rows is not None and path.is_file():
                header, found = read_rows(path)
                if len(found) > rows:
                    write_rows(path, header, found[:rows])


def _loggers(trainer: Trainer) -> list[KeepingCSVLogger]:
    """The loggers of this kind, on the process that writes."""
    return [one for one in trainer.loggers if isinstance(one, KeepingCSVLogger)] if trainer.is_global_zero else []


def read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a file of comma-separated values."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return (rows[0], rows[1:]) if rows else ([], [])


def write_rows(path: Path, header: list[str], rows: list[list[str]]) -> None:
    """Write the file anew, whole or not at all."""
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
