"""Does an error curve have the marks of a phase transition? Its drop, its order parameter, and the crossover's own theory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..zoo.symmetry.order_parameter import order_parameter
from .collapse import Numbers, collapse_exponent, over_members

NEARLY_LINEAR = 0.15  # distance from slope 1 up to which times are compared with the theory's leading order


def largest_drop(error: Numbers) -> float:
    """From the peak of a curve over increasing non-linearity, by what factor it falls towards stronger non-linearity.

    Example:
        >>> largest_drop(np.array([1e-6, 1e-3, 1e-5])), largest_drop(np.array([1.0, 2.0, 3.0]))
        (100.0, 1.0)
    """
    top = int(np.argmax(error))
    return float(error[top] / error[top:].min())


def order_statistics(asymmetry: Numbers) -> dict[str, Numbers]:
    """Mean, variance and Binder cumulant over members, budget x slope, the linear network left out.

    Args:
        asymmetry: budget x slope x member, the linear network last.
    """
    budgets, slopes, _ = asymmetry[:, :-1].shape
    found = np.array([[order_parameter(torch.from_numpy(row)) for row in rows[:-1]] for rows in asymmetry])
    assert found.shape == (budgets, slopes, 3)
    return {"order_mean": found[..., 0], "order_variance": found[..., 1], "order_binder": found[..., 2]}


def local_exponents(u: Numbers, budgets: Numbers, medians: Numbers) -> list[float]:
    """Collapse exponent of each pair of successive budgets: all the same for a scaling law.

    Args:
        u: distances from slope 1, shape ``(P,)``.
        budgets: shape ``(B,)``.
        medians: errors, shape ``(B, P)``.
    """
    pairs = [slice(i, i + 2) for i in range(len(budgets) - 1)]
    return [collapse_exponent(u, budgets[pair], medians[pair])[0] for pair in pairs]


def descent_numbers(u: Numbers, times: Numbers, result: Mapping[str, Any], resamples: int, seed: int) -> dict[str, Any]:
    r"""Full-batch descent against the reduced flow: energies, the time scale at the start, and the collapse exponent.

    Args:
        u: distances from slope 1, shape ``(P,)``.
        times: learning rate times steps, shape ``(B,)``.
        result: of :func:`renorm.report.slopes.descend`.
        resamples: of the bootstrap over members.
        seed: of the bootstrap.

    Returns:
        ``ratio``: of measured to derived loss, over all slopes and budgets where at least 1% of the loss is left;
        ``time_ratio``: of the
        measured time scale, at which a member's loss has fallen to 1/e, to the derived one, from slopes near 1;
        ``exponent``; ``rate``, the
        derived rate at the start, in units of :math:`\varepsilon^2`, all with intervals over members.
    """
    measured, derived = np.array(result["energy"]), np.array(result["predicted"])
    start = np.array(result["start"])
    left = derived / start
    ratios = np.where(left > 0.01, measured / derived, np.nan)  # NaN also beyond the times that were derived
    weak = u <= NEARLY_LINEAR
    scaled = times[:, None] * (u[weak] / 2) ** 2
    found_times = np.array([decay_time(scaled, measured[:, weak, m] / start[m]) for m in range(len(start))])
    wanted_times = np.array([decay_time(scaled, left[:, weak, m]) for m in range(len(start))])
    errors = measured * (u[:, None] / 2) ** 2

    def of_members(values: Numbers) -> tuple[float, float, float]:
        finite = values[np.isfinite(values)]
        if not len(finite):
            return np.nan, np.nan, np.nan
        return over_members(finite[None, None], lambda median: float(median[0, 0]), seed, resamples)

    return {
        "ratio": of_members(np.nanmedian(ratios, axis=(0, 1))),
        "time_ratio": of_members(found_times / wanted_times),
        "rate": of_members(np.array(result["rate"])),
        "decay_time": of_members(wanted_times),
        "exponent": over_members(errors, lambda median: collapse_exponent(u, times, median)[0], seed, resamples),
    }


def decay_time(scaled: Numbers, left: Numbers) -> float:
    r"""Scaled time :math:`\varepsilon^2 t` at which what is left of a loss falls to 1/e, from all slopes and budgets together.

    Args:
        scaled: times, any shape.
        left: what is left of the loss, same shape.

    Returns:
        By interpolation in the logarithm of time; NaN where it does not fall so far.

    Example:
        >>> t = np.linspace(0.01, 3, 500)
        >>> round(decay_time(t, np.exp(-t / 0.7)), 3)
        0.7
    """
    order = np.argsort(np.where(np.isfinite(left), scaled, np.inf), axis=None)[: np.isfinite(left).sum()]
    t, y = scaled.ravel()[order], np.log(left.ravel()[order])
    below = np.flatnonzero(y < -1)
    if not len(below) or below[0] == 0:
        return np.nan
    i = below[0]
    share = (y[i - 1] + 1) / (y[i - 1] - y[i])
    return float(np.exp(np.log(t[i - 1]) + share * (np.log(t[i]) - np.log(t[i - 1]))))
