r"""Finite-size scaling of error curves: where the peak is, how wide it is, and which exponent makes budgets collapse.

With :math:`u = 1 - s` the distance of the slope from 1 and t the budget, a crossover in time has the form

.. math:: E(u, t) = u^2 F(u\, t^x)

so that curves of different budgets fall on one another when :math:`E / u^2` is drawn against :math:`u\, t^x`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
EXPONENTS = np.linspace(0.0, 2.0, 41)  # where a minimum is looked for, before it is refined
LEAST_OVERLAP = (
    0.25  # share of a curve's points that must lie within another's range, lest no overlap be a good collapse
)


class Peak(NamedTuple):
    """The largest value of a curve over a logarithmic abscissa.

    Attributes:
        position: where it is.
        height: how high it is.
        width: full width at half height, in decades; infinite where the curve does not fall to half on both sides.
    """

    position: float
    height: float
    width: float


def find_peak(u: Numbers, error: Numbers) -> Peak:
    """The peak of a positive curve, refined by a parabola through the highest point and its neighbours, in logarithms.

    Args:
        u: positive abscissa, increasing, shape ``(P,)``.
        error: positive values, shape ``(P,)``.

    Example:
        >>> u = np.logspace(-3, 0, 31)
        >>> peak = find_peak(u, np.exp(-np.log(u / 0.05) ** 2))
        >>> round(peak.position, 4), round(peak.width, 1)
        (0.05, 0.7)
    """
    x, y = np.log10(u), np.log10(error)
    top = int(np.argmax(y))
    position, height = x[top], y[top]
    if 0 < top < len(x) - 1:
        curve = np.polyfit(x[top - 1 : top + 2] - x[top], y[top - 1 : top + 2], 2)
        shift = -curve[1] / (2 * curve[0]) if curve[0] < 0 else 0.0
        position, height = x[top] + shift, np.polyval(curve, shift)
    half = height - np.log10(2)
    left, right = _crossing(x[top::-1], y[top::-1], half), _crossing(x[top:], y[top:], half)
    return Peak(float(10**position), float(10**height), float(abs(right - left)))


def _crossing(x: Numbers, y: Numbers, level: float) -> float:
    """Where a curve first falls to a level, by linear interpolation; infinite where it does not."""
    below = np.flatnonzero(y < level)
    if not len(below):
        return float(np.inf) if len(x) < 2 or x[-1] >= x[0] else float(-np.inf)
    i = below[0]
    share = (y[i - 1] - level) / (y[i - 1] - y[i]) if i else 0.0
    return float(x[i - 1] + share * (x[i] - x[i - 1])) if i else float(x[0])


def collapse_cost(u: Numbers, budgets: Numbers, errors: Numbers, exponent: float, amplitude: float = 2.0) -> float:
    r"""How far curves are from one another after rescaling, in decades: 0 for a perfect collapse.

    Every curve in turn is the reference, linearly interpolated in logarithms; the cost is the mean distance from it of all
    points of the other curves that lie in its range.

    Args:
        u: positive distances from slope 1, increasing, shape ``(P,)``.
        budgets: numbers of steps, shape ``(B,)``.
        errors: positive, shape ``(B, P)``.
        exponent: x in :math:`u\, t^x`.
        amplitude: a in :math:`E / u^a`; 2 where the error is the square of a kink.

    Returns:
        The cost; infinite where some pair of curves hardly overlaps.

    Source:
        Bhattacharjee and Seno, Journal of Physics A 34 (2001) 6375, eq. 3, on logarithms.

    Example:
        >>> u, t = np.logspace(-3, 0, 20), np.array([1e2, 1e3])
        >>> errors = u**2 / (1 + u * t[:, None] ** 0.5) ** 4
        >>> collapse_cost(u, t, errors, 0.5) < 0.01 < collapse_cost(u, t, errors, 0.8)
        True
    """
    x = np.log10(u) + exponent * np.log10(budgets)[:, None]
    y = np.log10(errors) - amplitude * np.log10(u)
    distances = []
    for reference in range(len(budgets)):
        for other in range(len(budgets)):
            if other == reference:
                continue
            inside = (x[other] >= x[reference, 0]) & (x[other] <= x[reference, -1])
            if inside.mean() < LEAST_OVERLAP:
                return float(np.inf)
            distances.append(np.abs(y[other, inside] - np.interp(x[other, inside], x[reference], y[reference])))
    return float(np.concatenate(distances).mean())


def collapse_exponent(u: Numbers, budgets: Numbers, errors: Numbers, amplitude: float = 2.0) -> tuple[float, float]:
    """The exponent of the best collapse and its cost; see :func:`collapse_cost` for the arguments.

    Example:
        >>> u, t = np.logspace(-3, 0, 20), np.array([1e2, 1e3, 1e4])
        >>> x, cost = collapse_exponent(u, t, u**2 / (1 + u * t[:, None] ** 0.7) ** 4)
        >>> abs(x - 0.7) < 0.01
        True
    """
    costs = np.array([collapse_cost(u, budgets, errors, x, amplitude) for x in EXPONENTS])
    if not np.isfinite(costs).any():
        return np.nan, np.inf
    best = int(np.argmin(costs))
    fine = np.linspace(EXPONENTS[max(best - 1, 0)], EXPONENTS[min(best + 1, len(EXPONENTS) - 1)], 11)
    refined = np.array([collapse_cost(u, budgets, errors, x, amplitude) for x in fine])
    return float(fine[np.argmin(refined)]), float(refined.min())


def power_law(t: Numbers, y: Numbers) -> float:
    """Exponent of a power law through positive values, by least squares in logarithms.

    Example:
        >>> round(power_law(np.array([1.0, 10.0, 100.0]), np.array([2.0, 0.2, 0.02])), 6)
        -1.0
    """
    return float(np.polyfit(np.log(t), np.log(y), 1)[0])


def over_members(
    members: Numbers, statistic: Callable[[Numbers], float], seed: int = 0, resamples: int = 200, level: float = 0.95
) -> tuple[float, float, float]:
    """A statistic of the median curves, with its percentile interval over resampled members.

    Args:
        members: one curve for each budget and member, shape ``(B, P, M)``; a member is one initialisation at every budget
            and slope, and is drawn as a whole.
        statistic: from medians, shape ``(B, P)``, to a number.
        seed: of the resampling.
        resamples: how many.
        level: of the interval.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    Example:
        >>> over_members(np.ones((2, 3, 5)), lambda median: float(median.sum()))
        (6.0, 6.0, 6.0)
    """
    count = members.shape[-1]
    draws = np.random.default_rng(seed).integers(count, size=(resamples, count))
    found = np.array([statistic(np.median(members[..., rows], axis=-1)) for rows in draws])
    tail = 50 * (1 - level)
    finite = found[np.isfinite(found)]
    low, high = np.percentile(finite, [tail, 100 - tail]) if len(finite) else (np.nan, np.nan)
    return float(statistic(np.median(members, axis=-1))), float(low), float(high)
