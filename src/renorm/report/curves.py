"""Signs of frustrated dynamics in loss curves: slow decay, rises, plateaus."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Curves = NDArray[np.float64]

FIRST = 20  # step from which plateaus count: before it no network has moved
FLAT = 0.15  # decades of loss within which a curve rests
LONG = 0.3  # decades of time that a plateau lasts
DIVERGED = 1e6  # relative loss from which a curve is taken for lost
APART = 0.3  # decades of loss between distinct plateaus


def recorded_steps(steps: int, records: int) -> list[int]:
    """Whole numbers from 1 to ``steps``, evenly in the logarithm where whole numbers allow it.

    Example:
        >>> recorded_steps(100, 5)
        [1, 3, 10, 32, 100]
    """
    return [int(step) for step in np.unique(np.geomspace(1, steps, records).round())]


def times_to(steps: Sequence[int], loss: Curves, threshold: float) -> Curves:
    """The first recorded step at which each curve is below a threshold; infinite for those that never are.

    Args:
        steps: shape ``(T,)``.
        loss: shape ``(M, T)``.
        threshold: of the loss.

    Example:
        >>> times_to([1, 10, 100], np.array([[1.0, 1e-4, 1e-3], [1.0, 0.5, 0.1]]), 1e-2)
        array([10., inf])
    """
    below = loss < threshold
    first = np.asarray(steps, dtype=float)[below.argmax(axis=1)]
    return np.where(below.any(axis=1), first, np.inf)


def rises(loss: Curves, floor: float) -> Curves:
    """By what factor each curve rises, at most, above the lowest value that it had before; 1 for one that only falls.

    Args:
        loss: shape ``(M, T)``.
        floor: what is below it counts as equal to it: noise of networks that have learned is not a rise.

    Example:
        >>> rises(np.array([[1.0, 0.1, 0.5, 0.01], [1.0, 0.5, 0.2, 0.1]]), 1e-3)
        array([5., 1.])
    """
    clipped = np.where(np.isnan(loss), np.inf, np.maximum(loss, floor))
    risen: Curves = (clipped / np.minimum.accumulate(clipped, axis=1)).max(axis=1)
    return risen


def count_plateaus(steps: Sequence[int], loss: Curves, floor: float) -> Curves:
    """How many distinct levels above the floor each curve rests on.

    A curve rests while it stays within 0.15 decades over 0.3 decades of time or more; levels are distinct where they are 0.3
    decades apart.

    Args:
        steps: shape ``(T,)``.
        loss: shape ``(M, T)``.
        floor: levels at or below it are not plateaus but the end.

    Example:
        >>> steps = recorded_steps(10_000, 100)
        >>> count_plateaus(steps, np.array([[1.0 if step < 500 else 0.1 if step < 3000 else 1e-5 for step in steps]]), 1e-3)
        array([2.])
    """
    late = np.asarray(steps) >= FIRST
    times = np.log10(np.asarray(steps, dtype=float)[late])
    heights = np.log10(np.clip(np.where(np.isnan(loss), DIVERGED, loss), floor, DIVERGED))[:, late]
    return np.array([_plateaus(times, curve, np.log10(floor)) for curve in heights], dtype=float)


def _plateaus(times: Curves, heights: Curves, floor: float) -> int:
    count, start, last = 0, 0, np.inf
    while start < len(heights):
        end = start
        while end + 1 < len(heights) and np.ptp(heights[start : end + 2]) < FLAT:
            end += 1
        level = heights[start : end + 1].mean()
        if times[end] - times[start] < LONG or not floor + FLAT < level < np.log10(DIVERGED):
            start += 1
            continue
        if not abs(level - last) < APART:
            count, last = count + 1, level
        start = end + 1
    return count
