r"""Finite-size scaling of error curves: where the peak is, how wide it is, and which exponent makes budgets collapse.

With :math:`u = 1 - s` the distance of the slope from 1 and t the budget, a crossover in time has the form

.. math:: E(u, t) = u^2 F(u\, t^x)

so that curves of different budgets fall on one another when :math:`E / u^2` is drawn against :math:`u\, t^x`.

Errors are given by their decimal logarithms. Leading axes, of versions as in :mod:`.seed_statistics`, are taken along.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
EXPONENTS = np.linspace(0.0, 2.0, 201)  # among which a minimum is looked for
# share of a curve's points that must lie within another's range, lest no overlap be a good collapse
LEAST_OVERLAP = 0.25


class Peak(NamedTuple):
    """The largest values of curves over a logarithmic abscissa.

    Attributes:
        position: where they are; NaN where a curve is largest at an end.
        height: how high they are, in decades.
    """

    position: Numbers
    height: Numbers


def find_peak(u: Numbers, logs: Numbers) -> Peak:
    """The peak of each curve, refined by a parabola through the highest point and its neighbours, in logarithms.

    Args:
        u: positive abscissa, increasing, shape ``(P,)``.
        logs: shape ``(..., P)``.

    Returns:
        Arrays of shape ``(...)``.

    Example:
        >>> u = np.logspace(-3, 0, 31)
        >>> find_peak(u, -np.log10(u / 0.05) ** 2).position.round(6)
        np.float64(0.05)
    """
    x = np.log10(u)
    top = logs.argmax(axis=-1)
    at = top.clip(1, len(u) - 2)
    left, middle, right = (np.take_along_axis(logs, (at + i)[..., None], axis=-1)[..., 0] for i in (-1, 0, 1))
    before, after = x[at] - x[at - 1], x[at + 1] - x[at]
    curvature = ((right - middle) / after - (middle - left) / before) / (before + after)
    tilt = (middle - left) / before + curvature * before  # of the parabola at its middle point
    inside = at == top
    curved = np.where(inside, curvature, -1)  # negative, as the middle point is the first that is the highest
    position = np.where(inside, x[at] - tilt / (2 * curved), np.nan)
    return Peak(10**position, np.where(inside, middle - tilt**2 / (4 * curved), logs.max(axis=-1)))


def full_width(u: Numbers, logs: Numbers) -> float:
    """Full width of one curve's peak at half of its height, in decades; infinite where it has none on one side or the other.

    Example:
        >>> u = np.logspace(-3, 0, 31)
        >>> round(full_width(u, -np.log10(u / 0.05) ** 2), 1)
        1.1
    """
    x, top = np.log10(u), int(np.argmax(logs))
    half = find_peak(u, logs).height - np.log10(2)
    return _reach(x[top] - x[top::-1], logs[top::-1], half) + _reach(x[top:] - x[top], logs[top:], half)


def _reach(distance: Numbers, logs: Numbers, level: float) -> float:
    """How far from its top a curve first falls to a level, by linear interpolation; infinite where it does not."""
    below = np.flatnonzero(logs < level)
    if not len(below):
        return float(np.inf)
    i = max(1, below[0])
    share = (logs[i - 1] - level) / (logs[i - 1] - logs[i])
    return float(distance[i - 1] + share * (distance[i] - distance[i - 1]))


def collapse_cost(u: Numbers, budgets: Numbers, logs: Numbers, exponent: float, amplitude: float = 2.0) -> Numbers:
    r"""How far curves are from one another after rescaling, in decades: 0 for a perfect collapse.

    Every curve in turn is the reference, linearly interpolated in logarithms; the cost is the mean distance from it of all
    points of the other curves that lie in its range.

    Args:
        u: positive distances from slope 1, increasing, shape ``(P,)``.
        budgets: numbers of steps, shape ``(B,)``.
        logs: of errors, shape ``(..., B, P)``.
        exponent: x in :math:`u\, t^x`.
        amplitude: a in :math:`E / u^a`; 2 where the error is the square of a kink.

    Returns:
        The cost, shape ``(...)``; infinite where some pair of curves hardly overlaps.

    Source:
        Bhattacharjee and Seno, Journal of Physics A 34 (2001) 6375, eq. 3, on logarithms.

    Example:
        >>> u, t = np.logspace(-3, 0, 20), np.array([1e2, 1e3])
        >>> logs = np.log10(u**2 / (1 + u * t[:, None] ** 0.5) ** 4)
        >>> bool(collapse_cost(u, t, logs, 0.5) < 0.01 < collapse_cost(u, t, logs, 0.8))
        True
    """
    x = np.log10(u) + exponent * np.log10(budgets)[:, None]
    y = logs - amplitude * np.log10(u)
    total, points = np.zeros(logs.shape[:-2]), 0
    for reference in range(len(budgets)):
        for other in range(len(budgets)):
            if other == reference:
                continue
            inside = (x[other] >= x[reference, 0]) & (x[other] <= x[reference, -1])
            if inside.mean() < LEAST_OVERLAP:
                return np.full(logs.shape[:-2], np.inf)
            after = np.searchsorted(x[reference], x[other, inside]).clip(1, len(u) - 1)
            share = (x[other, inside] - x[reference, after - 1]) / (x[reference, after] - x[reference, after - 1])
            line = (1 - share) * y[..., reference, after - 1] + share * y[..., reference, after]
            total = total + np.abs(y[..., other, inside] - line).sum(axis=-1)
            points += int(inside.sum())
    return total / points


def collapse_exponent(u: Numbers, budgets: Numbers, logs: Numbers, amplitude: float = 2.0) -> tuple[Numbers, Numbers]:
    """The exponent of the best collapse and its cost; see :func:`collapse_cost` for the arguments.

    Returns:
        Arrays of shape ``(...)``; the exponent is NaN where curves overlap for none.

    Example:
        >>> u, t = np.logspace(-3, 0, 20), np.array([1e2, 1e3, 1e4])
        >>> x, cost = collapse_exponent(u, t, np.log10(u**2 / (1 + u * t[:, None] ** 0.7) ** 4))
        >>> bool(abs(x - 0.7) < 0.01)
        True
    """
    costs = np.stack([collapse_cost(u, budgets, logs, x, amplitude) for x in EXPONENTS])
    least = costs.min(axis=0)
    return np.where(np.isfinite(least), EXPONENTS[costs.argmin(axis=0)], np.nan), least


def local_exponents(u: Numbers, budgets: Numbers, logs: Numbers) -> list[float]:
    """Collapse exponent of each pair of successive budgets: all the same for a scaling law.

    Args:
        u: distances from slope 1, shape ``(P,)``.
        budgets: shape ``(B,)``.
        logs: of errors, shape ``(B, P)``.
    """
    pairs = [slice(i, i + 2) for i in range(len(budgets) - 1)]
    return [float(collapse_exponent(u, budgets[pair], logs[pair])[0]) for pair in pairs]
