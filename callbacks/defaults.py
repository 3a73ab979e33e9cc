"""The callbacks that every run has, a plain Trainer's too; ``renorm fit`` adds those of ``cli/fit.py``."""

from __future__ import annotations

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from ..datamodules.blocks import has_blocks
from .cumulant_diagnostics import CumulantDiagnostics
from .generalization import Generalization
from .lean_steps import LeanSteps
from .results import TestReport
from .rg_flow import RGFlow
from .symmetry_breaking import SymmetryBreaking
from .threads import ChooseThreads


def default_callbacks(trainer: Trainer) -> list[Callback]:
    """Return the callbacks that measure a run, choose its threads and make its steps lean, without those that the trainer has.

    Diagnostics send their results to loggers: a fit without a logger has no diagnostics.

    Args:
        trainer: a trainer that is about to run.
    """
    kinds: list[type[Callback]] = [ChooseThreads, *([LeanSteps] if trainer.state.fn == TrainerFn.FITTING else [])]
    if has_blocks(trainer):
        kinds += _measuring(trainer)
    present = trainer.callbacks  # type: ignore[attr-defined]
    return [kind() for kind in kinds if not any(isinstance(callback, kind) for callback in present)]


def _measuring(trainer: Trainer) -> list[type[Callback]]:
    if trainer.state.fn == TrainerFn.FITTING:
        return [Generalization, *([CumulantDiagnostics, SymmetryBreaking, RGFlow] if trainer.loggers else [])]
    if trainer.state.fn in (TrainerFn.VALIDATING, TrainerFn.TESTING):
        return [Generalization, TestReport]
    return []
