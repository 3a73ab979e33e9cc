"""Optimisers, schedules and gradient clipping that leave the members of a stack independent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ..errors import InputError

OptimizerCallable = Callable[[Iterable[Any]], Optimizer]
LRSchedulerCallable = Callable[[Optimizer], LRScheduler]

# these mix the elements of a tensor, or all tensors, in one update: members would no longer train as if alone
COUPLING_OPTIMIZERS = ("LBFGS", "Adafactor", "Muon", "SparseAdam")


class RestoredKinds(NamedTuple):
    """The kinds of optimiser and schedule in a checkpoint, whose state Lightning is about to restore.

    Attributes:
        optimizers: names of the optimisers' classes; None where it is not known.
        has_schedule: whether there is a schedule; None where it is not known.
    """

    optimizers: list[str] | None = None
    has_schedule: bool | None = None

    def check(self, optimizer: Optimizer, has_schedule: bool) -> None:
        """Refuse an optimiser or a schedule of another kind: Lightning would put the checkpoint's state into it.

        Raises:
            ValueError: naming what the checkpoint has.
        """
        name = type(optimizer).__name__
        if self.optimizers is not None and self.optimizers != [name]:
            raise InputError(f"model.optimizer={name} contradicts the checkpoint", ", ".join(self.optimizers))
        if self.has_schedule is not None and self.has_schedule != has_schedule:
            saved = "one, which its recipe does not know" if self.has_schedule else "none"
            raise InputError(
                f"model.lr_scheduler contradicts the checkpoint, which has {saved}", "the same as trained with"
            )


def check_optimizer(optimizer: Optimizer, members: int) -> None:
    """Refuse an optimiser that couples the members of a stack.

    Raises:
        ValueError: naming the optimiser.
    """
    if members > 1 and type(optimizer).__name__ in COUPLING_OPTIMIZERS:
        raise InputError(
            f"optimizer={type(optimizer).__name__} couples the members of a stack",
            "element-wise ones (Adam, AdamW, SGD, RMSprop, ...), or one member",
        )


def schedule_settings(scheduler: LRScheduler, interval: str, members: int) -> dict[str, Any]:
    """A schedule as Lightning's ``configure_optimizers`` returns it.

    Args:
        scheduler: the schedule.
        interval: ``step`` or ``epoch``; a ``ReduceLROnPlateau`` always steps after an epoch's validation.
        members: number of members.

    Raises:
        ValueError: for a schedule that couples the members of a stack.
    """
    if not isinstance(scheduler, ReduceLROnPlateau):
        return {"scheduler": scheduler, "interval": interval}
    if members > 1:
        raise InputError(
            "lr_scheduler=ReduceLROnPlateau gives all members one learning rate that depends on all of them",
            "schedules fixed in advance, or one member",
        )
    return {"scheduler": scheduler, "monitor": "loss/val", "interval": "epoch"}


def clip_gradients(parameters: list[nn.Parameter], limit: float, by_value: bool) -> None:
    """Clip gradients in place, those of each member by themselves: a norm over the stack would couple the members.

    Args:
        parameters: of the stack, each of shape ``(M, ...)``.
        limit: the largest norm of a member's gradient, or the largest absolute value of an element.
        by_value: whether to limit each element instead of the norm.

    Example:
        >>> weight = nn.Parameter(torch.zeros(2, 2))
        >>> weight.grad = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
        >>> clip_gradients([weight], 1.0, by_value=False)
        >>> weight.grad
        tensor([[0.6000, 0.8000],
                [0.3000, 0.4000]])
    """
    if by_value:
        nn.utils.clip_grad_value_(parameters, limit)
        return
    gradients: list[Tensor] = [p.grad for p in parameters if p.grad is not None]
    squares = torch.stack([g.flatten(1).square().sum(dim=1) for g in gradients])
    factor = (limit / (squares.sum(dim=0).sqrt() + 1e-6)).clamp(max=1.0)
    for g in gradients:
        g.mul_(factor.view(-1, *[1] * (g.ndim - 1)))
