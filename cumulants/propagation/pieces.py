r"""What a function of one number is made of, found by trying it: where it is not smooth, and its polynomials in between."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InputError

RANGE = 1024.0  # the function is tried on [-RANGE, RANGE] at least
REACH = 11.0  # standard deviations about a mean beyond which nothing matters to double precision
SHARE = 8  # and in intervals of this part of a standard deviation
NODES = 12  # of the polynomial that must meet the function on an interval
SMOOTH = 1e-12  # of the function's size: what a smooth function may miss it by
ROUNDING = 2.0**-48  # of an argument, with what interpolation makes of it
NARROW = 2.0**-12  # an interval narrower than this is not smooth because of a break
NARROWEST = 2.0**-47
PARTS = 16  # that an interval is split into
MOST_BREAKS = 64
MOST_INTERVALS = 2**15
PLACED = 1e-9  # a break is found to this many of its size, or better
MAX_DEGREE = 4  # of polynomials that are recognised
EXACT = 1e-13  # of the function's size: what a polynomial may miss it by
TOO_FAST = "the function varies too fast to be integrated"
SMOOTHER = "functions that change more slowly where the law of their input is"

Array = NDArray[np.float64]


class Pieces(NamedTuple):
    r"""Polynomials on cells, :math:`\sum_p a_{cp} z^p` on cell ``c``.

    Attributes:
        breaks: where the cells meet, increasing, shape ``(cells - 1,)``.
        origins: zeros, shape ``(cells,)``.
        coefficients: :math:`a_{cp}`, shape ``(1, units, cells, degree + 1)``.
    """

    breaks: Tensor
    origins: Tensor
    coefficients: Tensor


class Found(NamedTuple):
    """What a search for breaks has found.

    Attributes:
        breaks: where the function is not smooth, increasing.
        fast: ends of the smallest intervals that no polynomial met, where it is smooth but changes fast; with their widths.
        reach: the function was looked at up to this size of its argument.
    """

    breaks: list[float]
    fast: list[tuple[float, float]]
    reach: float


class TooFastError(InputError):
    """A function that changes too fast to be looked at."""


def find_breaks(function: Callable[[Tensor], Tensor], windows: Array | None = None) -> list[float]:
    """Where a function is not smooth: jumps, kinks, and jumps of the second derivative.

    Intervals are split until a polynomial of degree 11 meets the function on them. Narrow ones on which none does hold a break,
    which is taken to be the shortest decimal number on the narrowest.

    Args:
        function: numbers ``(P,)`` -> values of one or more units, ``(units, P)``.
        windows: intervals that are looked at besides those of all sizes about 0, shape ``(windows, 2)``.

    Raises:
        ValueError: for more than 64 breaks.

    Example:
        >>> find_breaks(lambda z: torch.nn.functional.hardtanh(z, -1.0, 0.3).unsqueeze(0))
        [-1.0, 0.3]
        >>> find_breaks(lambda z: torch.tanh(z).unsqueeze(0))
        []
    """
    return search(function, windows).breaks


def windows_of(mean: Tensor, std: Tensor) -> Array:
    r"""Intervals about :math:`\sigma / 8` wide within :math:`\mu \pm 11 \sigma` of all units.

    Args:
        mean: of units, any shape.
        std: their standard deviations.

    Example:
        >>> windows_of(torch.zeros(3), torch.full((3,), 8.0))[[0, -1]].tolist()
        [[-88.0, -87.0], [87.0, 88.0]]
    """
    centre, spread = (table.detach().double().cpu().flatten().numpy() for table in (mean, std))
    real = np.isfinite(centre) & np.isfinite(spread) & (spread > ROUNDING * np.abs(centre)) & (spread > 0)
    centre, spread = centre[real], spread[real]
    width = 2.0 ** np.floor(np.log2(spread / SHARE))
    first = np.floor((centre - REACH * spread) / width)
    rows = np.unique(np.stack([width, first, np.ceil((centre + REACH * spread) / width)], axis=1), axis=0)
    parts = [w * np.arange(low, high) for w, low, high in rows]
    lower = np.concatenate([np.zeros(0), *parts])
    upper = lower + np.concatenate(
        [np.zeros(0), *(np.full(len(p), w) for p, (w, _, _) in zip(parts, rows, strict=True))]
    )
    return np.asarray(np.unique(np.stack([lower, upper], axis=1), axis=0))


def search(function: Callable[[Tensor], Tensor], windows: Array | None = None) -> Found:
    """Where a function is not smooth, or changes fast; see :func:`find_breaks`.

    A function that changes too fast for all that is about 0 is looked at on the windows alone.
    """
    extra = np.zeros((0, 2)) if windows is None else windows
    reach = max(RANGE, 2.0 ** math.ceil(math.log2(np.abs(extra).max()))) if extra.any() else RANGE
    ends = 2.0 ** np.arange(round(math.log2(reach)), -10, -1)
    shells = np.concatenate([np.stack([ends / 2, ends], 1), np.stack([-ends, -ends / 2], 1)])
    everywhere = np.concatenate([np.stack([-ends, ends], 1), shells])  # of all sizes: none hides in a larger one
    try:
        return _search(function, np.concatenate([everywhere, extra]), reach)
    except TooFastError:
        if not len(extra):
            raise
        return _search(function, extra, float(np.abs(extra).max()))


def _search(function: Callable[[Tensor], Tensor], intervals: Array, reach: float) -> Found:
    nodes, tests, matrix = _interpolation()
    suspects: list[tuple[float, float]] = []
    levels: list[Array] = []
    while len(intervals):
        middle, half = intervals.mean(axis=1, keepdims=True), (intervals[:, 1:] - intervals[:, :1]) / 2
        z = torch.from_numpy(middle + half * np.concatenate([nodes, tests]))
        values = function(z.flatten()).detach().cpu().view(-1, *z.shape)
        miss = (values[..., : len(nodes)] @ matrix.T - values[..., len(nodes) :]).abs().amax(dim=-1)
        size = torch.maximum(values.abs().amax(dim=-1), z.abs().amax(dim=-1))
        finite = values.isfinite()
        whole = finite.all(dim=-1)
        # where a function overflows, only the part where it does not is looked at
        # what rounding z alone does to the value
        steepness = (values.amax(dim=-1) - values.amin(dim=-1)) / torch.from_numpy(half[:, 0])
        allowed = SMOOTH * size + ROUNDING * steepness * z.abs().amax(dim=-1)
        rough = ((whole & (miss > allowed)).any(dim=0)).numpy()
        edge = ((~whole & finite.any(dim=-1)).any(dim=0)).numpy()
        suspects += [(float(m - h), float(m + h)) for m, h in zip(middle[rough, 0], half[rough, 0], strict=True)]
        levels.append(np.stack([middle[rough, 0], half[rough, 0]]))
        rough = rough | edge
        rough_half = half[rough, 0]
        finer = rough_half > NARROWEST * np.maximum(1.0, np.abs(middle[rough, 0]))
        m, h = middle[rough, 0][finer], rough_half[finer]
        # parts side by side, and others about the points where they meet: no break hides between two
        places = (np.arange(2 * PARTS - 1) + 1) / PARTS - 1
        centres = m[:, None] + h[:, None] * places
        parts = np.stack([centres - h[:, None] / PARTS, centres + h[:, None] / PARTS], axis=-1)
        intervals = np.unique(parts.reshape(-1, 2), axis=0)
        if len(intervals) > MOST_INTERVALS:
            raise TooFastError(TOO_FAST, SMOOTHER)
    return Found(_clusters(suspects), _leaves(levels), reach)


def _leaves(levels: list[Array]) -> list[tuple[float, float]]:
    """Ends and widths of the rough intervals without rough parts, breaks apart; of levels ``(middle, half)``."""
    leaves: list[tuple[float, float]] = []
    for (middle, half), parts in zip(levels, [*levels[1:], np.zeros((2, 0))], strict=True):
        inner = np.sort(parts[0])
        holds = np.searchsorted(inner, middle + half) > np.searchsorted(inner, middle - half)
        chosen = ~holds & (2 * half > NARROW)
        leaves += [(m + sign * h, 2 * h) for m, h in zip(middle[chosen], half[chosen], strict=True) for sign in (-1, 1)]
    return sorted({(float(end), float(width)) for end, width in leaves})


def _interpolation() -> tuple[NDArray[np.float64], NDArray[np.float64], Tensor]:
    """Chebyshev nodes, points between them, and the matrix that interpolates from these to those."""
    nodes = np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)[::-1]
    tests = np.cos(np.pi * np.arange(1, NODES) / NODES)[::-1]
    basis, at = (np.polynomial.chebyshev.chebvander(x, NODES - 1) for x in (nodes, tests))
    return nodes, tests, torch.from_numpy(at @ np.linalg.inv(basis))


def _clusters(suspects: list[tuple[float, float]]) -> list[float]:
    """One number from each group of narrow intervals; of nested ones the narrowest."""
    narrow = sorted((b - a, a, b) for a, b in suspects if b - a <= NARROW * max(1.0, max(abs(a), abs(b)) / RANGE))
    chosen: list[tuple[float, float]] = []
    for _, a, b in narrow:
        if not any(a <= high and b >= low for low, high in chosen):
            chosen.append((a, b))
    if len(chosen) > MOST_BREAKS:
        raise InputError(
            f"the function has a pole, or is not smooth in {len(chosen)} places",
            f"at most {MOST_BREAKS}, and finite values",
        )
    return sorted(shortest_between(a, b) for a, b in chosen)


def shortest_between(low: float, high: float) -> float:
    """The number with the fewest decimal digits in an interval.

    Example:
        >>> shortest_between(0.2999999, 0.3000001), shortest_between(-1e-9, 1e-9)
        (0.3, 0.0)
    """
    if low <= 0 <= high:
        return 0.0
    for digits in range(18):
        value = float(f"{(low + high) / 2:.{digits}g}") if digits else float(round((low + high) / 2))
        if low <= value <= high:
            return value
    return (low + high) / 2


def find_pieces(function: Callable[[Tensor], Tensor], breaks: list[float], reach: float = RANGE) -> Pieces | None:
    """A function as polynomials between its breaks, differentiable; None where it is not one of degree 4 or less.

    Args:
        function: numbers ``(P,)`` -> values of the units, ``(units, P)``.
        breaks: where it is not smooth.
        reach: size of the largest arguments at which it is tried.

    Example:
        >>> find_pieces(lambda z: torch.relu(z).unsqueeze(0), [0.0]).coefficients
        tensor([[[[0., 0.],
                  [0., 1.]]]], dtype=torch.float64)
    """
    ends = [-math.inf, *breaks, math.inf]
    cells = [_polynomial(function, low, high, reach) for low, high in itertools.pairwise(ends)]
    found = [cell for cell in cells if cell is not None]
    if len(found) < len(cells):
        return None
    degree = max(cell.shape[1] for cell in found)
    rows = [torch.nn.functional.pad(cell, (0, degree - cell.shape[1])) for cell in found]
    coefficients = torch.stack(rows, dim=1).unsqueeze(0)
    at = [_meeting(value, left, right) for value, left, right in zip(breaks, rows, rows[1:], strict=False)]
    return Pieces(coefficients.new_tensor(at), coefficients.new_zeros(len(cells)), coefficients)


def _meeting(at: float, left: Tensor, right: Tensor) -> float:
    """Where the polynomials on both sides of a break meet, if that is where it was found; otherwise they jump."""
    difference = (right - left).detach()
    for row in difference.cpu().numpy():
        polynomial = np.polynomial.Polynomial(row)
        slope = float(polynomial.deriv()(at))
        step = float(polynomial(at)) / slope if slope else 0.0
        if 0 < abs(step) < PLACED * max(1.0, abs(at)):
            return at - step
    return at


def _polynomial(function: Callable[[Tensor], Tensor], low: float, high: float, reach: float) -> Tensor | None:
    """Coefficients ``(units, degree + 1)`` of the polynomial that a function is on a cell; None where it is not one."""
    points = _dyadic(low, high)
    wide = torch.linspace(max(low, -reach), min(high, reach), 41, dtype=torch.float64)[1:-1]
    tests = torch.cat([wide, points])
    expected = function(tests)
    if not bool(expected.isfinite().all()):
        return None
    size = torch.maximum(expected.detach().abs(), tests.abs().to(expected)).clamp(min=float(points.abs().max()))
    for degree in range(1, MAX_DEGREE + 1):
        chosen = points[: degree + 1]
        values = function(chosen)
        rows = list(map(tuple, values.tolist()))
        by_row = {row: _interpolated(chosen.tolist(), row) for row in set(rows)}
        exact = [by_row[row] for row in rows]
        vandermonde = torch.vander(chosen, increasing=True).to(values)
        powers = tests.to(values) ** torch.arange(degree + 1).to(values).unsqueeze(1)
        # as short decimals, where rounding has spoiled them, or with all digits
        candidates = [values.new_tensor([[round(float(a), n) for a in row] for row in exact]) for n in (12, 17)]
        misses = [(c @ powers - expected.detach()).abs() / size for c in candidates]
        best = min((0, 1), key=lambda i: float(misses[i].sum()))
        if float(misses[best].max()) <= EXACT:
            fitted = torch.linalg.solve(vandermonde, values.unsqueeze(-1)).squeeze(-1)
            # the numbers are those found in fractions, the derivatives those of the fit
            coefficients: Tensor = candidates[best] + (fitted - fitted.detach())
            return coefficients
    return None


def _dyadic(low: float, high: float) -> Tensor:
    """Points inside a cell that have few binary digits, so that little is rounded there."""
    if math.isinf(low) and math.isinf(high):
        return torch.tensor([0.0, 1.0, -1.0, 2.0, -2.0], dtype=torch.float64)
    if math.isinf(low) or math.isinf(high):
        first, step = (math.ceil(low) + 1.0, 1.0) if math.isinf(high) else (math.floor(high) - 1.0, -1.0)
    else:
        step = 2.0 ** math.floor(math.log2((high - low) / 8))
        first = math.ceil(low / step) * step + step
    return first + step * torch.arange(MAX_DEGREE + 1, dtype=torch.float64)


def _interpolated(points: Sequence[float], values: Sequence[float]) -> list[Fraction]:
    """Coefficients of the polynomial through the points in fractions, lowest power first, by Newton's formula."""
    x, differences = [Fraction(p) for p in points], [Fraction(v) for v in values]
    for k in range(1, len(x)):
        for i in range(len(x) - 1, k - 1, -1):
            differences[i] = (differences[i] - differences[i - 1]) / (x[i] - x[i - k])
    coefficients = [differences[-1]]
    for i in range(len(x) - 2, -1, -1):
        # multiply by z - x_i and add the next difference
        shifted = [Fraction(0), *coefficients]
        coefficients = [a - x[i] * b for a, b in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
        coefficients[0] += differences[i]
    return coefficients
