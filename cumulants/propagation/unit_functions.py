"""Functions that act on each unit of a layer by itself, as the closures and the quadrature want them."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from .network import Nonlinearity
from .pieces import RANGE, REACH, Array, Found, Pieces, TooFastError, find_pieces, search, windows_of

KNOWN: dict[tuple[str, float], tuple[Found, Pieces | None]] = {}  # by name and reach, of one unit
FAST = 0.25  # of a standard deviation: what changes within it is looked for
MOST_ENDS = 512
FAR = 8.0  # breaks beyond it are what polynomials are about


@dataclass(frozen=True)
class Group:
    """Units that one function acts on, element by element.

    Args:
        function: acts on tensors of the shape; which unit is which may matter to it.
        shape: shape of the units.
        device: where the function computes.
        known_as: what functions of this name are made of is found once; for those without parameters.
        name: what the function is called in messages.
        windows: where the law of the input is, as :func:`windows_of` has it; None where it is not known.

    Example:
        >>> relus = Group(torch.relu, (1, 3))
        >>> relus.breaks, relus.pieces.coefficients.shape
        ([0.0], torch.Size([1, 3, 2, 2]))
    """

    function: Callable[[Tensor], Tensor]
    shape: tuple[int, ...]
    device: torch.device | str = "cpu"
    known_as: str | None = None
    name: str = "the function"
    windows: Array | None = None

    def under(self, mean: Tensor, std: Tensor) -> Group:
        """The same for units of these means and standard deviations, which say where to look at the function."""
        if self.known_as is None:
            return replace(self, windows=windows_of(mean, std))
        # what PyTorch has is found from afar
        far = float((mean.abs() + REACH * std).nan_to_num(0, 0, 0).max())
        return replace(self, windows=np.array([[-far, far]])) if far > RANGE else self

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
        found, pieces = self._made_of
        # polynomials on both sides say better where they meet
        return found.breaks if pieces is None else pieces.breaks.tolist()

    @property
    def fast(self) -> list[tuple[float, float]]:
        """Where the function changes fast, and within which width."""
        return self._made_of[0].fast

    @property
    def pieces(self) -> Pieces | None:
        """The function as polynomials between its breaks; None where it is not."""
        pieces = self._made_of[1]
        return pieces and pieces._replace(coefficients=pieces.coefficients.expand(-1, self.units, -1, -1))

    @functools.cached_property
    def _made_of(self) -> tuple[Found, Pieces | None]:
        if self.known_as is None:
            return self._found()
        key = (self.known_as, 0.0 if self.windows is None else math.ceil(math.log2(float(self.windows.max()))))
        if key not in KNOWN:
            KNOWN[key] = replace(self, shape=(1,), known_as=None)._found()
        found, pieces = KNOWN[key]
        return found, pieces and Pieces(*(table.to(self.device) for table in pieces))

    def _found(self) -> tuple[Found, Pieces | None]:
        try:
            found = search(self._on_many, self.windows)
        except TooFastError as error:
            raise TooFastError(str(error).replace("the function", self.name, 1)) from None
        except InputError as error:
            raise InputError(str(error).replace("the function", self.name, 1)) from None
        if found.fast:  # no polynomial of low degree meets it there, whatever a few points say
            return found, None
        return found, find_pieces(self.on_numbers, found.breaks, found.reach)

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
            raise InputError(f"{self.name} grows faster than any power of z", "closures at every layer")
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
        self._members: slice | list[int] = slice(None)
        self._scale = 0.0

    @functools.cached_property
    def pieces(self) -> Pieces | None:
        """The pieces of all units, which take a search."""
        pieces = self._joined_pieces()
        return pieces and pieces._replace(coefficients=pieces.coefficients[self._members])

    def part(self, members: slice | list[int]) -> UnitFunctions:
        """The same functions for some of the members."""
        part = UnitFunctions(self.groups)
        part._members, part._scale = members, self._scale
        return part

    def under(self, mean: Tensor, std: Tensor) -> UnitFunctions:
        """The same functions, looked at where the law of their input is."""
        sizes = [group.units for group in self.groups]
        laws = zip(self.groups, torch.split(mean, sizes, dim=1), torch.split(std, sizes, dim=1), strict=True)
        located = UnitFunctions([group.under(centre, spread) for group, centre, spread in laws])
        located._members = self._members
        located._scale = float(std.nan_to_num(0, 0, 0).max())
        return located

    def named(self, unit: int) -> str:
        """The name of the unit's group."""
        ends = itertools.accumulate(group.units for group in self.groups)
        return next(group.name for group, end in zip(self.groups, ends, strict=True) if unit < end)

    def polynomial(self) -> Tensor | None:
        """Coefficients; None where the function has breaks, or is none."""
        try:
            return super().polynomial()
        except InputError:  # it changes too fast, which the law of its input may mend
            return None

    @functools.cached_property
    def ends(self) -> list[float]:
        """Where panels end: at breaks, and where the function changes fast."""
        fast = {end for group in self.groups for end, width in group.fast if width <= FAST * self._scale}
        return sorted({*self.breaks, *(fast if len(fast) <= MOST_ENDS else ())})

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
        return _about_breaks(Pieces(breaks, breaks.new_zeros(len(breaks) + 1), torch.cat(rows, dim=1)))


def _about_breaks(pieces: Pieces) -> Pieces:
    """Polynomials about the ends of their cells where these are far from 0, because powers of large numbers lose digits."""
    breaks, origins, coefficients = pieces
    if not len(breaks):
        return pieces
    nearest = torch.cat(
        [breaks[:1], torch.where(breaks[:-1].abs() < breaks[1:].abs(), breaks[:-1], breaks[1:]), breaks[-1:]]
    )
    origins = torch.where(nearest.abs() > FAR, nearest, origins)
    if not bool(origins.any()):
        return pieces
    degree = coefficients.shape[-1] - 1
    shifted = [
        sum(math.comb(q, p) * origins ** (q - p) * coefficients[..., q] for q in range(p, degree + 1))
        for p in range(degree + 1)
    ]
    return Pieces(breaks, origins, torch.stack([torch.as_tensor(row) for row in shifted], dim=-1))
