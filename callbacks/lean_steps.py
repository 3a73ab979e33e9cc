"""Optimiser steps that skip Lightning's hooks when none is used."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from ..training.lean_loop import LeanEpochLoop


class LeanSteps(Callback):
    """Give the trainer a loop that takes lean steps whenever that changes nothing, see :mod:`renorm.training.lean_loop`.

    Every fit of a stacked model has this callback; ``Trainer(callbacks=[LeanSteps(False)])`` keeps Lightning's own loop.
    A loop that is not Lightning's own is not replaced.

    Args:
        enabled: whether to replace Lightning's loop.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Replace the loop, before counters are restored from a checkpoint."""
        if self.enabled and stage == "fit" and type(trainer.fit_loop.epoch_loop) is _TrainingEpochLoop:
            trainer.fit_loop.epoch_loop = LeanEpochLoop.in_place_of(trainer.fit_loop.epoch_loop)
