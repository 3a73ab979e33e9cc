"""TensorBoard's HParams tab: one row per run, with the worst held-out errors and the validation loss."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard.summary import hparams

from ..datamodules.blocks import short_text
from ..training.recipe import constructor_arguments
from .figures import shorten

# settings that the tab always has a column for; others only where they are not the default
ALWAYS = ("activation", "symmetry", "width", "depth", "block_size", "replicas", "seed", "map", "train_laws")
LONGEST = 60  # letters of a list of laws
METRICS = ("held_out/relative_mse", "extrapolation/relative_mse", "interpolation/relative_mse", "loss/val")


class LogHyperparameters(Callback):
    """Log the hyperparameters of model and data once, at the first validation, together with what was measured there."""

    def __init__(self) -> None:
        self._logged = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log once per run; a resumed run has logged them already."""
        if self._logged or trainer.sanity_checking or "loss/val" not in trainer.callback_metrics:
            return
        self._logged = True
        values = flat("model", dict(pl_module.hparams))
        values |= flat("data", dict(getattr(trainer.datamodule, "hparams", {})))  # type: ignore[attr-defined]
        for logger in trainer.loggers:
            logger.log_hyperparams(values)
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                # the tab then shows the existing curves; logged through the logger, a value would be one more point of them
                known = trainer.callback_metrics
                measured = {name: float(known[name]) for name in METRICS if name in known}
                shown = shown_settings(pl_module, getattr(trainer, "datamodule", None))
                for summary in hparams(shown, measured):  # type: ignore[no-untyped-call]
                    logger.experiment.file_writer.add_summary(summary)

    def state_dict(self) -> dict[str, Any]:
        """Return whether they have been logged."""
        return {"logged": self._logged}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore whether they have been logged."""
        self._logged = state_dict["logged"]


def shown_settings(model: Any, data: Any) -> dict[str, bool | int | float | str]:
    """The settings that tell runs apart: some always, others where they are not the default; laws by their short texts.

    Args:
        model: the stack.
        data: its data.

    Example:
        >>> from renorm.datamodules import CLTDataModule
        >>> from renorm.zoo import MLP
        >>> shown = shown_settings(MLP(activation="relu", loss="energy"), CLTDataModule(held_out_laws=["gaussian()"]))
        >>> [shown[key] for key in ("model/activation", "model/loss", "data/train_laws", "data/held_out_laws")]
        ['relu', 'energy', 'uniform()', 'gaussian()']
        >>> "model/compile" in shown, "data/eval_batch_size" in shown
        (False, False)
    """
    return flat("model", _telling(model)) | flat("data", _telling(data))


def _telling(owner: Any) -> dict[str, Any]:
    known, settings = constructor_arguments(type(owner)), dict(getattr(owner, "hparams", {}))
    telling = {key: value for key, value in settings.items() if key in ALWAYS or value != known.get(key)}
    for key in ("train_laws", "held_out_laws"):
        if isinstance(telling.get(key), list):
            telling[key] = shorten(", ".join(map(short_text, telling[key])), LONGEST)
    return telling


def flat(prefix: str, values: dict[str, Any]) -> dict[str, bool | int | float | str]:
    """Keep numbers and strings, with the same keys in every run: lists become text, and None an empty text.

    Example:
        >>> flat("model", {"width": 8, "alpha": None})
        {'model/width': 8, 'model/alpha': ''}
    """
    return {
        f"{prefix}/{key}": value if isinstance(value, bool | int | float | str) else "" if value is None else str(value)
        for key, value in values.items()
    }
