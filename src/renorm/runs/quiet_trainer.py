"""Fits that say nothing: of a point of a sweep, of an entry of the zoo, of a test."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Any

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Trainer

LOGGERS = ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero", "lightning.pytorch")
EXPECTED_WARNINGS = (
    # a test needs no checkpoint callbacks, though the checkpoint remembers them
    "Be aware that when using `ckpt_path`",
    # between Lightning and newer PyTorch, nothing to do with us
    "`isinstance\\(treespec, LeafSpec\\)` is deprecated",
    # batches are drawn in microseconds; worker processes would only slow them down
    "The '.*' does not have many workers",
    # a resumed run goes on in its own folder
    "Checkpoint directory .* exists and is not empty",
    # what we log is reduced already, and the same on every process
    "It is recommended to use `self.log",
    # predictions are written with their blocks, no index is needed
    "Couldn't infer the batch indices",
    # short epochs are people's own choice
    "The number of training batches .* is smaller than the logging interval",
    # names of laws have brackets
    "MLFlow only allows",
)


def ignore_expected_warnings() -> None:
    """Keep warnings off the screen that are about what renorm does on purpose."""
    for message in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message)


class _Screen(logging.Handler):
    """Writes to what is the standard error output at that moment: notebooks and tests put another in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:  # of many types: as all handlers of logging do
            self.handleError(record)


def show_log() -> None:
    """Print what renorm itself has to say of a run, on stderr, once."""
    log = logging.getLogger("renorm")
    if not log.handlers:
        handler = _Screen()
        log.addHandler(handler)
        log.setLevel(logging.INFO)


def quieten() -> None:
    """Keep what Lightning says about every fit off the screen."""
    for logger in LOGGERS:
        logging.getLogger(logger).setLevel(logging.ERROR)
    ignore_expected_warnings()


def quiet_trainer(steps: int, **settings: Any) -> Trainer:
    """A trainer that trains for some steps, and neither prints nor writes nor validates.

    It is no part of the SLURM job that it may run in: it takes up no checkpoint that such a job has left where it was started,
    writes none when the job is about to end, and runs in one process whatever the job has.

    Args:
        steps: how many.
        settings: more arguments of ``Trainer``, which win.

    Example:
        >>> from renorm.datamodules import CLTDataModule
        >>> from renorm.zoo import MLP
        >>> trainer = quiet_trainer(2, accelerator="cpu")
        >>> trainer.fit(MLP(), CLTDataModule(steps_per_epoch=2))
        >>> trainer.global_step
        2
    """
    silent: dict[str, Any] = {
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "limit_val_batches": 0,
        "default_root_dir": os.devnull,
        "plugins": [LightningEnvironment()],
    }
    return Trainer(max_steps=steps, **(silent | settings))
