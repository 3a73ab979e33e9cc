"""Mean log errors of members of several seeds, with intervals that cover seeds as well as members."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..member_bootstrap import LEVEL

RESAMPLES = 400
LEAST, MOST = -14.0, 6.0  # decades: rounding of float32, squared, and members that have diverged

Versions: TypeAlias = NDArray[np.float64]  # axis 0: the estimate, that of each seed alone, those of the resamples


def mean_log(errors: ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> Versions:
    r"""Mean of :math:`\log_{10}` of errors over seeds and members, in versions: all, each seed alone, and resamples.

    A resample draws seeds, then members of each, with replacement. Two samples with as many seeds and members are resampled
    alike, so that what seeds have in common cancels in their differences. Whatever is computed from versions, such as the best
    learning rate, is computed for each of them, and its interval covers the choice.

    Args:
        errors: shape ``(..., S, R)``, seeds and members; an infinite one counts as 10^6.
        seed: of the resampling.
        resamples: how many.

    Returns:
        Shape ``(1 + S + resamples, ...)``.

    Source:
        Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8.

    Example:
        >>> mean_log([[0.1, 0.1], [0.001, 0.001]], resamples=5)[:3]
        array([-2., -1., -3.])
    """
    values = np.asarray(errors, dtype=float)
    with np.errstate(divide="ignore"):
        logs = np.log10(np.where(np.isnan(values), np.inf, values)).clip(LEAST, MOST)
    return mean(logs, seed, resamples)


def mean(values: NDArray[np.float64], seed: int = 0, resamples: int = RESAMPLES) -> Versions:
    """Mean over seeds and members of any finite number, in versions, as :func:`mean_log` of errors.

    Example:
        >>> mean(np.array([[1.0, 1.0], [0.0, 1.0]]), resamples=5)[:3]
        array([0.75, 1.  , 0.5 ])
    """
    seeds, members = values.shape[-2:]
    resampled = values.reshape(*values.shape[:-2], -1) @ resampling_weights(seeds, members, seed, resamples)
    return np.stack(
        [values.mean(axis=(-2, -1)), *np.moveaxis(values.mean(axis=-1), -1, 0), *np.moveaxis(resampled, -1, 0)]
    )


def mean_known(values: NDArray[np.float64], seed: int = 0, over_all: bool = False) -> Versions:
    """Mean over the seeds and members that have a finite value, in versions.

    Args:
        values: shape ``(..., S, R)``.
        seed: of the resampling.
        over_all: whether the mean is over the leading axes as well, each value with the same weight.

    Returns:
        Shape ``(V, ...)``, or ``(V,)``; NaN where no value is finite.

    Example:
        >>> mean_known(np.array([[1.0, np.nan], [2.0, 3.0]]))[:3]
        array([2. , 1. , 2.5])
    """
    known = np.isfinite(values)
    sums, counts = np.where(known, values, 0.0), known.astype(float)
    if over_all:
        sums, counts = (one.reshape(-1, *one.shape[-2:]).sum(axis=0) for one in (sums, counts))
    with np.errstate(invalid="ignore"):
        found: Versions = mean(sums, seed) / mean(counts, seed)
    return found


@functools.lru_cache
def resampling_weights(seeds: int, members: int, seed: int, resamples: int) -> NDArray[np.float64]:
    """Weight of every member in the mean of each resample of seeds, then members, shape ``(seeds * members, resamples)``.

    Example:
        >>> resampling_weights(2, 3, seed=0, resamples=4).sum(axis=0).round(12)
        array([1., 1., 1., 1.])
    """
    random = np.random.default_rng(seed)
    chosen = random.integers(seeds, size=(resamples, seeds, 1))
    drawn = chosen * members + random.integers(members, size=(resamples, seeds, members))
    weights = np.zeros((seeds * members, resamples))
    np.add.at(weights, (drawn.reshape(resamples, -1).T, np.arange(resamples)), 1 / (seeds * members))
    return weights


def best_rate(errors: ArrayLike, seed: int = 0) -> Versions:
    """Mean log error at the best of the learning rates, which is chosen in each version by itself.

    Args:
        errors: of :func:`renorm.report.seeded.train_seeds`, step x grid x rate x seed x member.
        seed: of the resampling.

    Returns:
        Shape ``(V, steps, grid)``.
    """
    best: Versions = mean_log(errors, seed).min(axis=-1)
    return best


def worst(errors: Mapping[str, ArrayLike], laws: Sequence[str]) -> NDArray[np.float64]:
    """The error of each member on the law, of several, where it is largest."""
    found: NDArray[np.float64] = np.max([np.asarray(errors[law], dtype=float) for law in laws], axis=0)
    return found


def summary(versions: Versions, seeds: int) -> dict[str, float]:
    """A number in versions, shape ``(V,)``: its estimate, 95% interval, and the range of what seeds say by themselves.

    Example:
        >>> summary(np.array([2.0, 1.0, 3.0, 2.0, 2.0]), seeds=2)
        {'value': 2.0, 'low': 2.0, 'high': 2.0, 'least_seed': 1.0, 'largest_seed': 3.0}
    """
    tail = (1 - LEVEL) / 2
    low = np.quantile(versions[1 + seeds :], tail, method="lower")  # the outer ones: some may be infinite
    high = np.quantile(versions[1 + seeds :], 1 - tail, method="higher")
    return {
        "value": float(versions[0]),
        "low": float(low),
        "high": float(high),
        "least_seed": float(versions[1 : 1 + seeds].min()),
        "largest_seed": float(versions[1 : 1 + seeds].max()),
    }


def judged_by_seed(
    verdict: Callable[[Any, Mapping[str, float]], str],
    numbers: Callable[[int], Any],
    thresholds: Mapping[str, float],
    seeds: int,
) -> tuple[str, float]:
    """The verdict on all seeds together, and the share of the seeds that give the same by themselves.

    Args:
        verdict: a claim's rule, from numbers and thresholds.
        numbers: what it judges, from the position of a version: 0 for all seeds, then each by itself.
        thresholds: of the claim.
        seeds: how many.

    Example:
        >>> judged_by_seed(lambda x, t: "yes" if x > t["least"] else "no", [2.0, 1.0, 3.0].__getitem__, {"least": 1.5}, 2)
        ('yes', 0.5)
    """
    found = [verdict(numbers(version), thresholds) for version in range(1 + seeds)]
    return found[0], sum(one == found[0] for one in found[1:]) / seeds


def stability(share: float, beyond: tuple[str, float]) -> str:
    """How stable a verdict is over seeds, and beyond the training law, as a sentence for the page.

    Example:
        >>> stability(0.8, ("no", 1.0))
        '80% of the seeds give the verdict by themselves. On the worst law beyond the training law it is no (100% of the seeds).'
    """
    return (
        f"{share:.0%} of the seeds give the verdict by themselves. On the worst law beyond the training law it is "
        f"{beyond[0]} ({beyond[1]:.0%} of the seeds)."
    )
