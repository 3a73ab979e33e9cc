"""What a fit says at its end: the loss, the time, and which members diverged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

from ..callbacks.diverged_members import DIVERGED_FILE
from ..training.metrics import quantiles
from ..training.stack import StackedModel


def summary(model: StackedModel, trainer: Trainer, seconds: float, folder: Path) -> list[str]:
    """Lines about loss, time and members.

    Args:
        model: the trained stack.
        trainer: of the fit.
        seconds: that the fit took.
        folder: of the run.
    """
    lines = [loss_line(model)]
    lines.append(f"time:   {duration(seconds)}, {trainer.global_step} steps")
    diverged = len(model.divergence.steps)
    where = folder / "checkpoints" / DIVERGED_FILE
    listed = f", listed in {where}" if diverged and where.exists() else ""
    return [*lines, f"members: {model.num_members}, {diverged or 'none'} diverged{listed}"]


def loss_line(model: StackedModel) -> str:
    """The median and the worst validation loss over members that have not diverged, and whose the worst is."""
    if model.validated is None:
        return "loss:   not measured, as the fit ended before its first validation"
    losses, step = model.validated
    finite = losses.isfinite()
    if not finite.any():
        return "loss:   none is finite"
    median = float(quantiles(losses, (0.5,))[0])
    if len(losses) == 1:
        return f"loss:   {median:.3g} in the validation at step {step}"
    worst = int(losses.masked_fill(~finite, -torch.inf).argmax())
    extremes = f"median {median:.3g}, worst {float(losses[worst]):.3g} ({member(model, worst)})"
    return f"loss:   {extremes} in the validation at step {step}"


def member(model: StackedModel, position: int) -> str:
    """The number of a member and, in a grid, its point."""
    row: dict[str, Any] = model.member_table[position]
    point = ", ".join(f"{axis}={row[axis]}" for axis in model.grid_axes)
    return f"member {position}, {point}" if point else f"member {position}"


def duration(seconds: float) -> str:
    """A time in seconds, or in minutes where it is long.

    Example:
        >>> duration(3.21), duration(59.6), duration(300)
        ('3.2 s', '60 s', '5 min')
    """
    return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s" if seconds < 180 else f"{seconds / 60:.0f} min"
