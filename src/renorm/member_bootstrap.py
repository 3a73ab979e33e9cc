"""Bootstrap intervals over members, for statistics that are written for whole arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from .errors import InputError

RESAMPLES = 2000
LEVEL = 0.95
# numpy's methods for the lower and the upper end
ENDS: dict[str, tuple[Literal["lower", "linear"], Literal["higher", "linear"]]] = {
    "outer": ("lower", "higher"),
    "linear": ("linear", "linear"),
}


def bootstrap(
    statistic: Callable[..., Any],
    *samples: ArrayLike,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    ends: Literal["outer", "linear"] = "outer",
) -> tuple[float, float, float]:
    """A statistic of one or more samples of members, with its percentile interval; each sample is resampled by itself.

    Resamples whose statistic is NaN do not count.

    Args:
        statistic: called as ``statistic(*samples, axis=-1)``, it must reduce that axis and keep those before it.
        *samples: members along the last axis; those before it stay together, shape ``(..., members)``.
        seed: of the resampling.
        resamples: how many.
        level: of the interval.
        ends: what they are where they fall between two resamples: ``outer`` takes the outer one, so that members whose error is
            infinite do no harm; ``linear`` interpolates.

    Returns:
        The statistic, and both ends of its interval.

    Raises:
        ValueError: for a sample without members.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    Example:
        >>> bootstrap(np.median, [1.0, 1.0, 1.0])
        (1.0, 1.0, 1.0)
    """
    arrays = [np.asarray(sample, dtype=float) for sample in samples]
    random = np.random.default_rng(seed)
    draws = []
    for array in arrays:
        members = array.shape[-1] if array.ndim else 0
        if not members:
            raise InputError("samples has one without members", "one member or more")
        draws.append(array[..., random.integers(members, size=(resamples, members))])
    with np.errstate(invalid="ignore"):  # of two infinite errors there is no ratio
        found = np.asarray(statistic(*draws, axis=-1))
        value = float(statistic(*arrays, axis=-1))
    found = found[~np.isnan(found)]
    if not found.size:
        return value, np.nan, np.nan
    tail = (1 - level) / 2
    below, above = ENDS[ends]
    return value, float(np.quantile(found, tail, method=below)), float(np.quantile(found, 1 - tail, method=above))


def log_ratio(first: Any, second: Any, axis: int = -1) -> Any:
    """Ratio of the medians of two samples on a scale of decades, log10(median(first) / median(second)).

    Example:
        >>> float(log_ratio(np.array([1e-3, 1e-2, 1e-1]), np.array([1e-4, 1e-4, 1.0])))
        2.0
    """
    return np.log10(np.median(first, axis=axis)) - np.log10(np.median(second, axis=axis))
