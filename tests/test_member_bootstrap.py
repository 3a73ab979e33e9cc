"""The bootstrap: its intervals are scipy's, cover what they should, and bear members that diverged."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import scipy.stats

from renorm.member_bootstrap import bootstrap, log_ratio


@pytest.mark.parametrize("statistic", [np.mean, np.median])
@pytest.mark.parametrize("ends", ["outer", "linear"])
def test_intervals_are_those_of_scipy(statistic: object, ends: Literal["outer", "linear"]) -> None:
    sample = np.random.default_rng(1).lognormal(size=64)
    value, low, high = bootstrap(statistic, sample, resamples=20_000, ends=ends)  # type: ignore[arg-type]
    other = scipy.stats.bootstrap(
        (sample,), statistic, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert value == pytest.approx(statistic(sample))  # type: ignore[operator]
    assert (low, high) == pytest.approx((other.low, other.high), rel=0.02)


def test_outer_ends_enclose_linear_ones() -> None:
    sample = np.random.default_rng(9).lognormal(size=16)
    outer, linear = (bootstrap(np.mean, sample, resamples=99, ends=ends)[1:] for ends in ("outer", "linear"))
    assert outer[0] < linear[0] < linear[1] < outer[1]


def test_the_interval_of_a_small_sample_covers() -> None:
    """Over many samples of 16 members, the 95% interval holds the true median about as often as it says."""
    samples = np.random.default_rng(0).normal(size=(200, 16))
    intervals = [bootstrap(np.median, row, resamples=1000, ends="linear")[1:] for row in samples]
    assert 0.88 < np.mean([low < 0 < high for low, high in intervals]) <= 1


def test_two_samples_are_resampled_by_themselves() -> None:
    random = np.random.default_rng(3)
    first, second = random.lognormal(size=64), random.lognormal(mean=1, size=48)
    found = bootstrap(log_ratio, first, second, resamples=20_000)
    other = scipy.stats.bootstrap(
        (first, second), log_ratio, n_resamples=20_000, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    assert found[0] == pytest.approx(np.log10(np.median(first) / np.median(second)))
    assert found[1:] == pytest.approx((other.low, other.high), abs=0.02)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        _, low, high = bootstrap(np.mean, random.normal(size=64), resamples=400)
        covered += low <= 0 <= high
    assert 0.91 < covered / 400 < 0.98  # two standard errors are 2%


def test_members_that_diverged_leave_a_median_and_an_open_interval() -> None:
    sample = np.array([1.0] * 40 + [np.inf] * 24)
    assert bootstrap(np.median, sample)[:2] == (1.0, 1.0)
    assert bootstrap(np.median, np.array([1.0] * 33 + [np.inf] * 31))[2] == np.inf
    assert np.isnan(bootstrap(log_ratio, np.full(5, np.inf), np.full(5, np.inf))).all()


def test_leading_axes_stay_together() -> None:
    sample = np.random.default_rng(6).normal(size=(3, 50))

    def spread(values: np.ndarray, axis: int) -> np.ndarray:
        assert axis == -1
        found: np.ndarray = np.mean(values, axis=-1).max(axis=0)
        return found

    value, low, high = bootstrap(spread, sample, seed=7)
    assert value == sample.mean(axis=1).max()
    assert low < value < high
    assert bootstrap(spread, sample, seed=7) == (value, low, high)
    assert bootstrap(spread, sample, seed=8) != (value, low, high)


def test_a_sample_without_members_is_refused() -> None:
    with pytest.raises(ValueError, match="without members"):
        bootstrap(np.mean, [])
