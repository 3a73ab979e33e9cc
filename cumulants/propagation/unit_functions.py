"""Functions that act on each unit of a layer by itself, as the closures and the quadrature want them."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import InputError
from .network import Nonlinearity
from .pieces import RANGE, Pieces, find_breaks, find_pieces


@dataclass(frozen=True)
class Group:
    """Units that one function acts on, element by element.

    Args:
        function: acts on tensors of the shape; which unit is which may matter to it.
        shape: shape of the units.
        device: where the function computes.

    Example:
        >>> relus = Group(torch.relu, (1, 3))
        >>> relus.breaks, relus.pieces.coefficients.shape
        ([0.0], torch.Size([1, 3, 2, 2]))
    """

    function: Callable[[Tensor], Tensor]
    shape: tuple[int, ...]
    device: torch.device | str = "cpu"

    @property
    def units(self) -> int:
        """How many."""
        return math.prod(self.shape)

    def __call__(self, z: Tensor) -> Tensor:
        """Values at ``(P, units)``."""
        return by_row(self.function, z.reshape(len(z), *self.shape)).reshape(len(z), -1)

    def on_numbers(self, z: Tensor) -> Tensor:
        """All units at the same numbers, ``(P,) -> (units, P)``."""
        return self(z.to(self.device).unsqueeze(1).expand(-1, self.units)).mT

    def _on_many(self, z: Tensor) -> Tensor:
        """The same without derivatives, in one row where all units are alike."""
        if not self._are_alike:
            return self.on_numbers(z)
        rows = -(-len(z) // self.units)
        filled = torch.nn.functional.pad(z.to(self.device), (0, rows * self.units - len(z)))
        return self(filled.view(rows, self.units)).flatten()[: len(z)].unsqueeze(0)

    @functools.cached_property
    def _are_alike(self) -> bool:
        z = torch.cat([torch.linspace(-3, 3, 24), RANGE * torch.linspace(-1, 1, 8)]).double().to(self.device)
        values = self(z.unsqueeze(1).expand(-1, self.units)).detach()
        return bool(torch.isclose(values, values[:, :1], rtol=1e-14, atol=0, equal_nan=True).all())

    @functools.cached_property
    def breaks(self) -> list[float]:
        """Where the function is not smooth, in increasing order."""
        found = find_breaks(self._on_many)
        # polynomials on both sides say better where they meet
        pieces = find_pieces(self._on_many, found)
        return found if pieces is None else pieces.breaks.tolist()

    @functools.cached_property
    def pieces(self) -> Pieces | None:
        """The function as polynomials between its breaks; None where it is not."""
        pieces = find_pieces(self.on_numbers, self.breaks)
        return pieces and pieces._replace(coefficients=pieces.coefficients.expand(-1, self.units, -1, -1))

    @functools.cached_property
    def growth(self) -> int:
        """The power of z that bounds the function far out.

        Raises:
            ValueError: for a function that grows faster than any power.
        """
        z = torch.tensor([-RANGE, -RANGE / 2, RANGE / 2, RANGE], dtype=torch.float64)
        values = self.on_numbers(z).detach().abs()
        far, near = values[:, [0, 3]], values[:, [1, 2]]
        power = torch.where(far > near, far / near, 1.0).log2().amax()
        if not bool(power.isfinite()):
            raise InputError("an activation grows faster than any power of z", "closures at every layer")
        return max(1, math.ceil(float(power) - 0.01))


def by_row(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """Apply a function of one row to each, all at once where PyTorch can."""
    try:
        mapped: Tensor = torch.func.vmap(function)(rows)
    except RuntimeError:
        mapped = torch.stack([function(row) for row in rows])
    return mapped


class UnitFunctions(Nonlinearity):
    """One layer's activation whose units may have functions of their own.

    Args:
        groups: functions and their units, in the order of the layer's units.

    Example:
        >>> layer = UnitFunctions([Group(torch.relu, (2,)), Group(torch.square, (1,))])
        >>> layer(torch.tensor([[[-1.0], [2.0], [3.0]]])).flatten()
        tensor([0., 2., 9.])
        >>> layer.is_piecewise_affine, layer.growth
        (False, 2)
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = list(groups)
        self.nodes = 1
        self.pieces = self._joined_pieces()

    def part(self, members: slice | list[int]) -> UnitFunctions:
        """The same functions for some of the members."""
        part = copy.copy(self)
        if self.pieces is not None:
            part.pieces = self.pieces._replace(coefficients=self.pieces.coefficients[members])
        return part

    def __call__(self, z: Tensor) -> Tensor:
        """Apply to ``(M, d, P)``."""
        parts = []
        for group, part in zip(self.groups, torch.split(z, [group.units for group in self.groups], dim=1), strict=True):
            rows = part.mT.flatten(0, 1)
            parts.append(group(rows).view(part.mT.shape).mT)
        return torch.cat(parts, dim=1)

    @functools.cached_property
    def breaks(self) -> list[float]:
        """Where the function of some unit is not smooth."""
        return sorted({at for group in self.groups for at in group.breaks})

    @property
    def growth(self) -> int:
        """The power of z that bounds all functions far out."""
        return max(group.growth for group in self.groups)

    def _joined_pieces(self) -> Pieces | None:
        """The pieces of all units, on the cells between all breaks."""
        by_group = []
        for group in self.groups:
            if group.pieces is None:
                return None
            by_group.append(group.pieces)
        breaks = by_group[0].breaks.new_tensor(self.breaks)
        degree = max(pieces.coefficients.shape[-1] for pieces in by_group)
        rows = []
        for pieces in by_group:
            # the cell of the group that each of the smaller cells lies in
            upper = torch.cat([breaks, breaks.new_full((1,), math.inf)])
            cell = torch.bucketize(upper, pieces.breaks)
            coefficients = pieces.coefficients[:, :, cell]
            rows.append(torch.nn.functional.pad(coefficients, (0, degree - coefficients.shape[-1])))
        return Pieces(breaks, breaks.new_zeros(len(breaks) + 1), torch.cat(rows, dim=1))
