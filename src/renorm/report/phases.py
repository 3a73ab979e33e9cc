"""Do error curves over slopes have the marks of a phase transition? Their fall, the way of their peak, their order parameter.

Curves are decimal logarithms of errors in versions, see :mod:`.seed_statistics`, shape ``(V, budgets, distances)``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .collapse import Numbers, find_peak
from .seed_statistics import Versions, mean_known


def fall(logs: Numbers) -> Numbers:
    """Decades from the peak of a curve over increasing distances to the least error beyond; 0 where the peak is at an end.

    Example:
        >>> fall(np.array([[-6.0, -3.0, -5.0], [0.0, 1.0, 2.0], [0.0, -1.0, -2.0]]))
        array([2., 0., 0.])
    """
    top, last = logs.argmax(axis=-1), logs.shape[-1] - 1
    beyond = np.where(np.arange(last + 1) >= top[..., None], logs, np.inf).min(axis=-1)
    return np.where((top > 0) & (top < last), logs.max(axis=-1) - beyond, 0.0)


def power_of_peak(u: Numbers, t: Numbers, logs: Versions, least: float) -> Versions:
    """The p of a peak at a distance of steps^-p, by least squares in logarithms over budgets with a large enough fall.

    Args:
        u: distances from slope 1, shape ``(P,)``.
        t: budgets, shape ``(B,)``.
        logs: shape ``(V, B, P)``.
        least: fall of a budget that counts, in decades.

    Returns:
        Shape ``(V,)``; infinite where fewer than two budgets count.

    Example:
        >>> u, t = np.logspace(-3, 0, 61), np.array([1e2, 1e3])
        >>> logs = -np.log10(u * t[:, None] ** 0.5) ** 2
        >>> power_of_peak(u, t, logs[None], least=1.0).round(6)
        array([0.5])
    """
    counts = fall(logs) >= least
    x, y = np.broadcast_to(np.log(t), counts.shape), np.log(find_peak(u, logs).position)
    number = counts.sum(axis=-1, keepdims=True).clip(1)
    x = np.where(counts, x - np.where(counts, x, 0).sum(axis=-1, keepdims=True) / number, 0)
    spread = np.square(x).sum(axis=-1)
    enough = counts.sum(axis=-1) > 1
    power: Versions = np.full(len(logs), np.inf)
    power[enough] = -(x * np.where(counts, y, 0)).sum(axis=-1)[enough] / spread[enough]
    return power


def order_statistics(asymmetry: ArrayLike, seed: int = 0) -> dict[str, Versions]:
    """Mean, variance and Binder cumulant of an order parameter over members that have not diverged, in versions.

    Args:
        asymmetry: slope x seed x member.
        seed: of the resampling.

    Returns:
        Shape ``(V, slopes)`` each.

    Source:
        Binder, Zeitschrift für Physik B 43 (1981) 119.
    """
    values = np.asarray(asymmetry, dtype=float)
    first, second, fourth = (mean_known(values**power, seed) for power in (1, 2, 4))
    return {"mean": first, "variance": second - first**2, "binder": 1 - fourth / (3 * second**2)}


def first_run(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The first unbroken run of true values among some flags.

    Example:
        >>> first_run(np.array([False, True, True, False, True])).tolist()
        [False, True, True, False, False]
    """
    begun = np.cumsum(flags) > 0
    ended = np.cumsum(begun & ~flags) > 0
    found: NDArray[np.bool_] = begun & ~ended
    return found
