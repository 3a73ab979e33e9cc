"""A soft constraint: training that draws weights to a symmetric subspace, and does not force them into it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..layers import Projection
from .orbits import Orbits


class SymmetryPenalty(nn.Module):
    r"""Strength times squared distance to a symmetric subspace, :math:`\lambda_m \sum_l |W_{ml} - P_l W_{ml}|^2`.

    Args:
        strengths: :math:`\lambda_m`, one number a member.
        subspace: orbits of each layer's weight under the symmetry, whose projectors are :math:`P_l`.

    Shapes:
        One weight a layer, ``(M, out, in)`` -> ``(M,)``.

    Example:
        >>> from renorm.zoo.symmetry.symmetry import subspaces
        >>> penalty = SymmetryPenalty([0.0, 0.5], subspaces([2, 1, 1])["input"])
        >>> first = torch.tensor([[[1.0, 3.0]], [[1.0, 3.0]]])
        >>> penalty([first, torch.ones(2, 1, 1)])
        tensor([0., 1.])
    """

    def __init__(self, strengths: list[float], subspace: list[Orbits]) -> None:
        super().__init__()
        self.register_buffer("strengths", torch.tensor(strengths, dtype=torch.get_default_dtype()), persistent=False)
        self.strengths: Tensor
        self.projections = nn.ModuleList(Projection(orbits) for orbits in subspace)

    def forward(self, weights: list[Tensor]) -> Tensor:
        """The penalty of each member."""
        # the gradient of |W - PW|^2 / 2 is W - PW for an orthogonal projector: nothing need be differentiated through it
        rests = [w - projection(w.detach()) for w, projection in zip(weights, self.projections, strict=True)]
        distances = torch.stack([rest.flatten(1).square().sum(dim=1) for rest in rests]).sum(dim=0)
        return self.strengths.to(distances) * distances


def check_strength(value: Any) -> None:
    """Refuse what is not the strength of a penalty, or a grid of them.

    Raises:
        ValueError: naming the value and what is allowed.

    Example:
        >>> check_strength([0.0, -1.0])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        renorm.errors.InputError: symmetry_penalty=[0.0, -1.0] is out of range; allowed: a finite number >= 0, or a list ...
    """
    points = value if isinstance(value, list) else [value]
    numbers = all(isinstance(point, int | float) and not isinstance(point, bool) for point in points)
    if not points or not numbers or not all(0 <= point < math.inf for point in points):
        raise InputError(
            f"symmetry_penalty={value!r} is out of range", "a finite number >= 0, or a list of one or more"
        )
