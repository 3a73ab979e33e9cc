"""TensorBoard's HParams tab: one row per run, with the worst held-out errors and the validation loss."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard.summary import hparams

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
                for summary in hparams(values, measured):  # type: ignore[no-untyped-call]
                    logger.experiment.file_writer.add_summary(summary)

    def state_dict(self) -> dict[str, Any]:
        """Return whether they have been logged."""
        return {"logged": self._logged}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore whether they have been logged."""
        self._logged = state_dict["logged"]


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
