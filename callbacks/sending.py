"""How scalars and figures reach each logger, and where the files of a run go whose loggers have no folder."""

from __future__ import annotations

import hashlib
import re
import weakref
from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_info
from matplotlib.figure import Figure

LONGEST = 250  # characters that MLflow takes for a name
_TOLD: weakref.WeakSet[Trainer] = weakref.WeakSet()  # where their files are


def tag_for(logger: Logger, tag: str) -> str:
    """A tag as a logger takes it: for MLflow without brackets, commas and signs, as Lightning's logger also writes it.

    Args:
        logger: any.
        tag: such as ``cumulants/gaussian(mean=0, std=1)/out/k2``.

    Example:
        >>> from lightning.pytorch.loggers import CSVLogger
        >>> tag_for(CSVLogger("runs"), "k(a=1)")
        'k(a=1)'
        >>> mlflow_name("cumulants/gaussian(mean=0, std=1)/out/k2")
        'cumulants/gaussianmean0 std1/out/k2'
    """
    return mlflow_name(tag) if isinstance(logger, MLFlowLogger) else tag


def mlflow_name(tag: str) -> str:
    """The name of a metric in MLflow; a long one is cut, and ends with a checksum of the whole."""
    name = re.sub(r"[^\w/. -]", "", tag, flags=re.ASCII)
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 9]}.{hashlib.sha256(tag.encode()).hexdigest()[:8]}"


def send_figure(logger: Logger, tag: str, figure: Figure, step: int) -> bool:
    """Send a figure in the logger's own way; False if it takes none.

    Args:
        logger: any.
        tag: of the figure.
        figure: drawn by matplotlib.
        step: optimiser step.
    """
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_figure(tag, figure, global_step=step, close=False)
    elif isinstance(logger, WandbLogger):
        logger.log_image(re.sub(r'[<>:"\\|?*]', "_", tag), [figure], step=step)  # it is a file's name, too
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_figure(logger.run_id, figure, f"figures/{file_name(tag, step)}")
    else:
        return False
    return True


def file_name(tag: str, step: int) -> str:
    """The name of a figure's file.

    Example:
        >>> file_name("rg_flow/uniform(low=-1, high=1)", 16)
        'rg_flow_uniform_low=-1,_high=1_step0000016.png'
    """
    name = re.sub(r"[^\w.=,-]+", "_", tag)[:100].strip("_")
    return f"{name}_step{step:07d}.png"


def folder_without(logger: Logger, trainer: Trainer) -> Path:
    """The folder of a run whose loggers have none: named as the logger names the run, in ``trainer.default_root_dir``."""
    return Path(trainer.default_root_dir, *(str(part) for part in (logger.name, logger.version) if part))


def say_where(trainer: Trainer, folder: Path) -> None:
    """Say once, in a line, where the tables of a run are, if none of its loggers has a folder."""
    if trainer not in _TOLD and not any(getattr(logger, "log_dir", None) for logger in trainer.loggers):
        _TOLD.add(trainer)
        rank_zero_info(f"tables: {folder}, as {type(trainer.loggers[0]).__name__} has no folder for them")
