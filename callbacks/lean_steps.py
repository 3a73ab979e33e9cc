"""Optimiser steps without Lightning's ceremony, for a fit that does not need it."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from ..training.lean_loop import LeanEpochLoop


class LeanSteps(Callback):
    """Give the trainer a loop whose steps are lean where that changes nothing, see :mod:`renorm.training.lean_loop`.

    Every fit of a stacked model has this callback; ``Trainer(callbacks=[LeanSteps(False)])`` keeps Lightning's own loop.
    A loop that is not Lightning's own is left alone.

    Args:
        enabled: whether to do so.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put the loop in its place: before counters are restored from a checkpoint."""
        if self.enabled and stage == "fit" and type(trainer.fit_loop.epoch_loop) is _TrainingEpochLoop:
            trainer.fit_loop.epoch_loop = LeanEpochLoop.in_place_of(trainer.fit_loop.epoch_loop)
