r"""Full-batch descent against the loss that is derived from linear solutions alone, see :mod:`.kinks`, where kinks have moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .collapse import Numbers, collapse_exponent
from .seed_statistics import Versions, mean_known, mean_log, summary

NEARLY_LINEAR = 0.15  # distance from slope 1 up to which times are compared with the theory's leading order
LEFT = ((0.99, 1.0), (0.9, 0.99), (0.5, 0.9), (0.1, 0.5))  # shares of the loss left by which cells are told apart
MOVED = (0.1, 0.99)  # shares between which kinks have moved, and leading order is asked for


class Descent(NamedTuple):
    """Losses of full-batch descent, budget x slope x seed x member, in units of what the kinks' loss is at the linear solution.

    Attributes:
        measured: of the networks.
        derived: from their linear solutions alone; NaN at times that are too long to be derived.
        start: the kinks' energy at the linear solution, seed x member.
    """

    measured: NDArray[np.float64]
    derived: NDArray[np.float64]
    start: NDArray[np.float64]

    @classmethod
    def of(cls, result: Mapping[str, Any], seeds: int) -> Descent:
        """From a result of :func:`renorm.report.slopes.descend`, whose replicas are the members of all seeds."""
        energy, predicted, start = (np.array(result[name], dtype=float) for name in ("energy", "predicted", "start"))
        shape = (*energy.shape[:-1], seeds, -1)
        return cls((energy / start).reshape(shape), (predicted / start).reshape(shape), start.reshape(seeds, -1))


def descent_numbers(u: Numbers, times: Numbers, descent: Descent, seeds: int, seed: int) -> dict[str, Any]:
    r"""Full-batch descent against the reduced flow.

    Args:
        u: distances from slope 1, shape ``(P,)``.
        times: learning rate times steps, shape ``(B,)``.
        descent: the losses.
        seeds: how many.
        seed: of the resampling.

    Returns:
        ``ratio_by_loss_left`` and ``ratio_by_distance``, see :func:`ratio`; ``decay_time``, the derived scaled time
        :math:`\varepsilon^2 t` at which a member's loss has fallen to 1/e, and ``time_ratio``, of the measured one to it, from
        slopes near 1, geometric means; ``exponent`` of the collapse.
    """
    weak = u <= NEARLY_LINEAR
    scaled = times[:, None] * (u[weak] / 2) ** 2
    measured, derived = (
        np.log10([[decay_time(scaled, one[:, weak, s, m]) for m in range(one.shape[-1])] for s in range(seeds)])
        for one in (descent.measured, descent.derived)
    )
    logs = mean_log(descent.measured * descent.start * (u[:, None, None] / 2) ** 2, seed)
    by_left = {f"{low:g} to {high:g}": ratio(descent, (low, high), seeds, seed) for low, high in LEFT}
    slopes = [Descent(descent.measured[:, [p]], descent.derived[:, [p]], descent.start) for p in range(len(u))]
    by_distance = {f"{distance:g}": ratio(one, MOVED, seeds, seed) for distance, one in zip(u, slopes, strict=True)}
    return {
        "ratio_by_loss_left": {name: one for name, one in by_left.items() if one},
        "ratio_by_distance": {name: one for name, one in by_distance.items() if one},
        "decay_time": summary(10 ** mean_known(derived, seed), seeds),
        "time_ratio": summary(10 ** mean_known(measured - derived, seed), seeds),
        "exponent": summary(collapse_exponent(u, times, logs)[0], seeds),
    }


def ratio(descent: Descent, left: tuple[float, float], seeds: int, seed: int) -> dict[str, float]:
    """Geometric mean of measured over derived loss at cells with so much of the derived loss left.

    A cell is a member at a slope and a budget. Where nothing has moved yet the ratio is 1 by construction.

    Args:
        descent: the losses.
        left: shares of the derived loss at the start between which a cell counts.
        seeds: how many.
        seed: of the resampling.

    Returns:
        The mean with its interval over seeds and members, 5% and 95% quantiles over cells, and how many cells there are; nothing
        where there are none.
    """
    inside = (descent.derived > left[0]) & (descent.derived <= left[1])
    if not inside.any():
        return {}
    with np.errstate(invalid="ignore"):
        logs = np.where(inside, np.log10(descent.measured / descent.derived), np.nan)
    versions: Versions = 10 ** mean_known(logs, seed, over_all=True)
    low, high = np.quantile(10 ** logs[inside], [0.05, 0.95])
    return summary(versions, seeds) | {"cells_q05": float(low), "cells_q95": float(high), "cells": int(inside.sum())}


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
