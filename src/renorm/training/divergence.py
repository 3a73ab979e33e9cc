"""Detect members that diverge and freeze them at their last finite weights, without any effect on the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ..errors import RunError
from .rows import parts_of, row_of

Agree = Callable[[Tensor], Tensor]


class AllDivergedError(RunError):
    """All members have diverged."""


class Divergence:
    r"""The members of a stack that have diverged; their weights are kept from changing.

    A member diverges at the first step whose loss is NaN or infinite, or whose update makes a weight so. Its weights stay: those
    of that loss where they are finite, else those before the update. Members share no arithmetic, so that setting
    its gradients to zero and restoring its old weights changes no bit of any other member.

    On a CPU every step is checked, which takes some microseconds. On other devices only logged steps are checked, because they
    wait for the device anyway, and the restored weights are those of the previous logged step.

    Args:
        members: number of members.

    Attributes:
        steps: position of every diverged member -> number of updates that its weights have had.
    """

    def __init__(self, members: int) -> None:
        self.steps: dict[int, int] = {}
        self._members = members
        self._parameters: list[Tensor] = []
        self._kept_row = torch.empty(0)  # the parameters before the last update, one after the other
        self._kept: list[Tensor] = []  # views of it, one a parameter
        self._kept_step = 0
        self._optimizers: list[Optimizer] = []
        self._hooks: list[Any] = []

    def start(self, parameters: Sequence[Tensor], optimizers: list[Optimizer], step: int) -> None:
        """Start watching a training; members that diverged earlier stay frozen."""
        self.stop()
        self._parameters, self._optimizers = list(parameters), optimizers
        self._kept_row = row_of(parameters)
        self._kept = parts_of(self._kept_row, parameters)
        self._kept_step = step
        if self.steps:
            self._freeze()

    def stop(self) -> None:
        """Release the parameters."""
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._parameters, self._kept, self._optimizers = [], [], [], []
        self._kept_row = torch.empty(0)

    @property
    def mask(self) -> Tensor:
        """Which members have diverged, shape ``(M,)``."""
        mask = torch.zeros(self._members, dtype=torch.bool)
        mask[list(self.steps)] = True
        return mask

    def exclude(self, values: Tensor, dim: int = 0) -> Tensor:
        """Values of all members along an axis, with NaN for those that have diverged, which no median counts."""
        if not self.steps:
            return values
        shape = [1] * values.ndim
        shape[dim] = self._members
        return values.masked_fill(self.mask.to(values.device).view(shape), torch.nan)

    def watch(self, losses: Tensor, step: int, agree: Agree | None = None) -> Tensor:
        """Look for members that diverge before a step is taken, and keep the weights that it starts from.

        Args:
            losses: of all members, shape ``(M,)``.
            step: number of updates so far.
            agree: from this process's flags, one a member, to those of all processes.

        Returns:
            The losses, 0 for members that have diverged.

        Raises:
            AllDivergedError: where all have diverged.
        """
        if agree is not None or self.steps or not math.isfinite(losses.detach().sum().item()):
            broken = ~losses.detach().isfinite()
            self._add((broken if agree is None else agree(broken)).cpu(), step)
            if self.steps:
                losses = losses.masked_fill(self.mask.to(losses.device), 0.0)
        self.keep(step)
        return losses

    def keep(self, step: int, row: Tensor | None = None) -> None:
        """Keep the weights that a step starts from.

        Args:
            step: number of updates so far.
            row: all parameters, one after the other, where they are at hand like that.
        """
        if row is None:
            torch._foreach_copy_(self._kept, [parameter.detach() for parameter in self._parameters])
        else:
            self._kept_row.copy_(row)
        self._kept_step = step

    def settle(self) -> None:
        """Look at the weights after an update, before anybody else does: they may be measured, or saved."""
        if self._parameters:
            self._add(~self._finite(), self._kept_step)

    def _add(self, broken: Tensor, step: int) -> None:
        new = broken & ~self.mask
        if not new.any():
            return
        finite = self._finite()
        for member in new.nonzero().flatten().tolist():
            self.steps[member] = step if finite[member] else self._kept_step
        self._put_back(new & ~finite)
        self._freeze()
        if len(self.steps) == self._members:
            last = max(self.steps.values())
            which = "the only member has" if self._members == 1 else f"all {self._members} members have"
            raise AllDivergedError(f"{which} diverged by step {last}; a smaller learning rate may help")

    def _finite(self) -> Tensor:
        """Whether all weights of each member are finite, shape ``(M,)``."""
        each = [parameter.detach().isfinite().flatten(1).all(dim=1) for parameter in self._parameters]
        return torch.stack(each).all(dim=0).cpu()

    def _freeze(self) -> None:
        if self._hooks:
            return
        self._hooks = [p.register_hook(self._without_gradient) for p in self._parameters]  # type: ignore[no-untyped-call]
        for optimizer in self._optimizers:
            self._hooks.append(optimizer.register_step_post_hook(lambda *_: self._put_back(self.mask)))

    def _without_gradient(self, gradient: Tensor) -> Tensor:
        mask = self.mask.to(gradient.device)
        return gradient.masked_fill(mask.view(-1, *[1] * (gradient.ndim - 1)), 0.0)

    def _put_back(self, mask: Tensor) -> None:
        """The kept weights of some members: momentum and weight decay move weights that have no gradient."""
        positions = mask.nonzero().flatten()
        for parameter, kept in zip(self._parameters, self._kept, strict=True):
            rows = positions.to(parameter.device)
            parameter.data[rows] = kept[rows]
