"""Which callbacks a run has without being asked."""

from __future__ import annotations

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from ..datamodules import CLTDataModule
from .cumulant_diagnostics import CumulantDiagnostics
from .generalization import Generalization
from .results import TestReport
from .rg_flow import RGFlow
from .symmetry_breaking import SymmetryBreaking


def default_callbacks(trainer: Trainer) -> list[Callback]:
    """The callbacks that measure a run, less those of the same kind that the trainer has.

    Diagnostics send what they find to loggers: a fit without a logger has none.

    Args:
        trainer: about to run.
    """
    if not isinstance(getattr(trainer, "datamodule", None), CLTDataModule):
        return []
    kinds: list[type[Callback]] = [Generalization]
    if trainer.state.fn == TrainerFn.FITTING:
        kinds += [CumulantDiagnostics, SymmetryBreaking, RGFlow] if trainer.loggers else []
    elif trainer.state.fn in (TrainerFn.VALIDATING, TrainerFn.TESTING):
        kinds += [TestReport]
    else:
        return []
    present = trainer.callbacks  # type: ignore[attr-defined]
    return [kind() for kind in kinds if not any(isinstance(callback, kind) for callback in present)]
