"""Loggers other than TensorBoard's: where they write, under which name, and how to look at what they wrote."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from .options import take_option

OPTION = "--trainer.logger"
# what a logger of Lightning's calls the name of a run
NAMES = {"TensorBoardLogger": "name", "CSVLogger": "name", "WandbLogger": "name", "MLFlowLogger": "run_name"}


def with_places(flags: list[str], root: str, name: str) -> list[str]:
    """The flags, with folder and name of the run for a logger that is named on the command line and not told of them.

    Args:
        flags: of a fit.
        root: folder of all runs.
        name: of the run.

    Example:
        >>> with_places(["--trainer.logger", "CSVLogger"], "runs", "slopes")[2:]
        ['--trainer.logger.save_dir', 'runs', '--trainer.logger.name', 'slopes']
    """
    logger, _ = take_option(flags, OPTION)
    key = NAMES.get((logger or "").rpartition(".")[2])
    if key is None:
        return flags
    told = {flag.partition("=")[0].rpartition(".")[2] for flag in flags if flag.startswith(f"{OPTION}.")}
    places = {"save_dir": root, key: name}
    return [*flags, *(word for k, value in places.items() if k not in told for word in (f"{OPTION}.{k}", value))]


def check_named(name: str, logger: Any) -> None:
    """Refuse a name that no logger of the run would take.

    Args:
        name: of the run, as asked for.
        logger: the trainer's.

    Raises:
        ValueError: where the run would not bear that name.
    """
    loggers = logger if isinstance(logger, list) else [logger]
    named = [vars(one).get(key) for one in loggers for key in ("_name", "_run_name") if isinstance(one, Logger)]
    if name not in named:
        what = ", ".join(type(one).__name__ if isinstance(one, Logger) else str(one).lower() for one in loggers)
        raise ValueError(
            f"name={name!r} is not the name of trainer.logger={what}; allowed: the logger's own name, or none"
        )


def where_to_look(trainer: Trainer) -> list[str]:
    """For each logger of a run, a line that says how to look at what it wrote."""
    lines = []
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            # beside a run are those that one compares it with, also for a resumed one, which logs into its own folder
            root = Path(trainer.default_root_dir)
            folder = root if root.resolve() in Path(logger.log_dir).resolve().parents else logger.save_dir
            lines.append(f"watch:  {shlex.join(['tensorboard', '--logdir', str(folder)])}")
        elif isinstance(logger, CSVLogger):
            lines.append(f"watch:  {Path(logger.log_dir) / 'metrics.csv'}")
    return lines
