r"""Learnable B-spline activations.

On increasing breakpoints ``t_0 < ... < t_K`` a B-spline of degree ``d`` is a linear combination of ``K + d`` basis functions
(de Boor, A Practical Guide to Splines, 1978, ch. IX). It is evaluated in its piecewise-polynomial form: a constant
linear map takes the spline's coefficients to the polynomial on each cell, and two more cells extend it to the line.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...errors import InputError
from .base import Activation, Piecewise

Extension = Literal["affine", "constant", "zero"]
DEFAULT_RANGE = 3.0  # a number of knots is spread over [-3, 3], three standard deviations of the standardised laws


def breakpoints(knots: int | list[float]) -> NDArray[np.float64]:
    """The grid of knots: a number of them, spread over [-3, 3], or the positions themselves.

    Raises:
        ValueError: where the positions do not increase, or are fewer than two.
    """
    if isinstance(knots, int):
        if knots < 2:
            raise InputError(f"knots={knots} is too few", "two or more")
        return np.linspace(-DEFAULT_RANGE, DEFAULT_RANGE, knots)
    numbers = isinstance(knots, list) and all(isinstance(knot, int | float) for knot in knots)
    positions = np.array(knots if numbers else [], dtype=np.float64)
    if len(positions) < 2 or not np.isfinite(positions).all() or (np.diff(positions) <= 0).any():
        raise InputError(f"knots={knots!r} is not a grid", "a number >= 2, or two or more increasing positions")
    return positions


def cell_map(positions: NDArray[np.float64], degree: int, extension: Extension) -> NDArray[np.float64]:
    r"""The linear map from B-spline coefficients to polynomials on cells.

    Args:
        positions: breakpoints ``t_0 < ... < t_K``.
        degree: degree ``d``.
        extension: outside the grid, continue by the tangent, by the boundary value, or by zero.

    Returns:
        Shape ``(K + 2, d + 1, K + d)``: cell (the first and last are the extensions), power of ``z - origin``, basis
        function. Origins are ``t_0, t_0, t_1, ..., t_K``.
    """
    from scipy.interpolate import BSpline, PPoly

    clamped = np.concatenate([[positions[0]] * degree, positions, [positions[-1]] * degree])
    size = len(clamped) - degree - 1
    cells = slice(degree, len(clamped) - 1 - degree)  # those of positive length
    basis = [PPoly.from_spline(BSpline(clamped, row, degree).tck).c[::-1, cells] for row in np.eye(size)]
    inside = np.stack(basis, axis=-1).swapaxes(0, 1)  # (cell, power, basis)
    ends = np.zeros((2, degree + 1, size))
    if extension != "zero":
        # at the ends of a clamped spline one basis function is 1 and the rest vanish
        ends[0, 0, 0] = ends[1, 0, -1] = 1.0
    if extension == "affine":
        ends[0, 1] = inside[0, 1]
        width = positions[-1] - positions[-2]
        ends[1, 1] = sum(p * inside[-1, p] * width ** (p - 1) for p in range(1, degree + 1))
    return np.concatenate([ends[:1], inside, ends[1:]])


class Spline(Activation):
    r"""B-spline with trained coefficients.

    Each unit has its own, or a layer shares one.
    It starts as a smooth ReLU plus a little noise, so that a linear result is something it learned.

    Args:
        members: number of members.
        units: orbit of each unit, shape ``(units,)``; tied units share a spline.
        degree: degree of the B-spline, 1 to 5.
        knots: number of breakpoints on [-3, 3], or their positions.
        extension: ``affine``, ``constant`` or ``zero`` outside the knots.
        per_unit: one spline for each unit, or one for each layer.
        spline: ``trained``, or ``fixed`` at its initial shape.

    Raises:
        ValueError: for a degree, a grid or an option out of range.
    """

    name = "spline"

    def __init__(
        self,
        members: int,
        units: Tensor,
        degree: int = 3,
        knots: int | list[float] = 9,
        extension: str = "affine",
        per_unit: bool = True,
        spline: str = "trained",
    ) -> None:
        super().__init__(members, units if per_unit else torch.zeros_like(units))
        if type(degree) is not int or degree not in range(1, 6):
            raise InputError(f"degree={degree} is out of range", "1 to 5")
        if extension not in get_args(Extension):
            raise InputError(f"extension={extension!r} is unknown", ", ".join(get_args(Extension)))
        if spline not in ("trained", "fixed"):
            raise InputError(f"spline={spline!r} is unknown", "trained, fixed")
        if not isinstance(per_unit, bool):
            raise InputError(f"per_unit={per_unit!r} is unknown", "True, False")
        positions = breakpoints(knots)
        self.degree = degree
        to_cells = cell_map(positions, degree, extension)  # type: ignore[arg-type]
        self._constants = {
            "breaks": torch.from_numpy(positions),
            "origins": torch.from_numpy(np.concatenate([positions[:1], positions])),
            "to_cells": torch.from_numpy(to_cells),
        }
        for key, value in self._constants.items():
            self.register_buffer(key, value.to(torch.get_default_dtype()), persistent=False)
        self.breaks: Tensor
        self.origins: Tensor
        self.to_cells: Tensor
        clamped = np.concatenate([[positions[0]] * (degree - 1), positions, [positions[-1]] * (degree - 1)])
        # coefficients equal to f at the Greville points make the variation-diminishing approximation of f, exact for lines
        self.greville = torch.from_numpy(np.array([clamped[i : i + degree].mean() for i in range(to_cells.shape[-1])]))
        shape = (members, int(self.units.max()) + 1, to_cells.shape[-1])
        self.theta = nn.Parameter(torch.zeros(shape), requires_grad=spline == "trained")

    def reset_parameters(self, uniform: Callable[[tuple[int, ...]], Tensor]) -> None:
        """A ReLU drawn by the spline, plus uniform noise of standard deviation 0.1."""
        noise = (uniform(tuple(self.theta.shape[1:])) - 0.5) * (0.1 * math.sqrt(12))
        with torch.no_grad():
            self.theta.copy_(self.greville.clamp(min=0.0) + noise)

    def forward(self, z: Tensor) -> Tensor:
        """Find each value's cell, then evaluate that cell's polynomial by Horner's rule."""
        cells = torch.einsum("kpb,mub->mukp", self.to_cells, self.theta.to(self.to_cells.dtype))
        z = z.to(cells.dtype)  # autocast may hand over half precision, in which neighbouring knots coincide
        index = torch.bucketize(z.detach().contiguous(), self.breaks, right=True)
        offset = z - self.origins[index]
        # one lookup table a member and unit: (M, units, cells * powers), read at cell * powers + power
        tables = cells.index_select(1, self.units).flatten(2)
        position = (index * (self.degree + 1)).flatten(2)
        value = torch.zeros_like(z)
        for power in range(self.degree, -1, -1):
            value = value * offset + tables.gather(2, position + power).view_as(z)
        return value

    def piecewise(self) -> Piecewise:
        """The cells, those of the extension included, for each unit."""
        exact = {key: value.to(self.theta.device) for key, value in self._constants.items()}
        cells = torch.einsum("kpb,mub->mukp", exact["to_cells"], self.theta.double())
        return Piecewise(exact["breaks"], exact["origins"], cells.index_select(1, self.units))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Spline:
        super()._apply(fn, recurse)
        for key, value in self._constants.items():
            rounded = getattr(self, key)
            setattr(self, key, value.to(device=rounded.device, dtype=rounded.dtype))
        return self
