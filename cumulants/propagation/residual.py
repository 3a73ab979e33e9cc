"""A residual block for networks that are made of blocks."""

from __future__ import annotations

from torch import Tensor, nn


class Residual(nn.Module):
    r"""Adds to a branch what went into it, :math:`x + f(x)`, or its image under a shortcut, :math:`s(x) + f(x)`.

    Args:
        branch: layers, one after the other.
        shortcut: in place of the identity, where the branch changes the number of units.

    Example:
        >>> import torch
        >>> block = Residual(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3))
        >>> block(torch.zeros(5, 3)).shape
        torch.Size([5, 3])
    """

    def __init__(self, *branch: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)
        self.shortcut = shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Shortcut and branch, added."""
        total: Tensor = self.shortcut(x) + self.branch(x)
        return total
