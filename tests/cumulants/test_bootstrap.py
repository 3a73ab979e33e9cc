"""Bootstrap intervals: against scipy, at any scale, and the coverage that the documentation gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from renorm.cumulants import kstat, kstat_bootstrap, kstat_stderr


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def skewed(*shape: int, seed: int = 0) -> Tensor:
    return -torch.rand(shape, generator=generator(seed), dtype=torch.float64).log()


def test_the_intervals_are_scipys() -> None:
    x = skewed(200)
    low, high = kstat_bootstrap(x, 3, resamples=4000, generator=generator())
    for order in (1, 2, 3):
        expected = scipy.stats.bootstrap(
            (x.numpy(),),
            lambda v, axis, r=order: scipy.stats.kstat(v, r, axis=axis),
            n_resamples=4000,
            rng=np.random.default_rng(0),
            method="BCa",
        ).confidence_interval
        width = expected.high - expected.low
        assert abs(float(low[order - 1]) - expected.low) < 0.15 * width
        assert abs(float(high[order - 1]) - expected.high) < 0.15 * width  # two seeds of scipy's differ by 0.1


def test_features_are_resampled_together_and_by_themselves_alike() -> None:
    x = skewed(50, 2, 3)
    both = kstat_bootstrap(x, 4, resamples=99, generator=generator())
    assert both.low.shape == both.high.shape == (4, 2, 3)
    one = kstat_bootstrap(x[:, 1, 2], 4, resamples=99, generator=generator())
    torch.testing.assert_close(both.low[:, 1, 2], one.low, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(both.high[:, 1, 2], one.high, rtol=1e-9, atol=1e-9)
    assert (both.low <= both.high).all()


@pytest.mark.parametrize("exponent", [-149, 126])
def test_intervals_scale_as_the_cumulants_do(exponent: int) -> None:
    x = skewed(60)
    one = kstat_bootstrap(x, resamples=99, generator=generator())
    other = kstat_bootstrap(x * 2.0**exponent, resamples=99, generator=generator())
    powers = torch.tensor([2.0 ** (exponent * r) for r in (1, 2, 3, 4)], dtype=torch.float64)
    torch.testing.assert_close(other.low, one.low * powers, rtol=1e-9, atol=0)
    torch.testing.assert_close(other.high, one.high * powers, rtol=1e-9, atol=0)


def test_constants_and_too_few_values() -> None:
    same = kstat_bootstrap(torch.full((20,), 3.0), resamples=19, generator=generator())
    assert same.low.tolist() == same.high.tolist() == [3.0, 0.0, 0.0, 0.0]
    for n in range(6):
        low, high = kstat_bootstrap(skewed(n), resamples=19, generator=generator())
        assert low.isnan().tolist() == high.isnan().tolist() == [n < order + 1 for order in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": 9}, "order=9 is out of range"),
        ({"resamples": 1}, "resamples=1 is out of range; allowed: whole numbers >= 2"),
        ({"level": 1.0}, "level=1.0 is out of range; allowed: between 0 and 1"),
        ({"x": torch.tensor([1.0, torch.nan])}, "NaN or infinite"),
    ],
)
def test_refuses_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kstat_bootstrap(**{"x": torch.zeros(9)} | arguments)


def test_standard_errors_of_heavy_tails_are_too_small_in_the_typical_sample() -> None:
    """The statement of the documentation, of gamma(2) at 4000 values."""
    x = skewed(4000, 600) + skewed(4000, 600, seed=1)
    exact = torch.tensor([2.0, 2.0, 4.0, 12.0], dtype=torch.float64)[:, None]
    k, errors = kstat(x), kstat_stderr(x)
    covered = ((k - exact).abs() <= 1.96 * errors).double().mean(1)
    torch.testing.assert_close(covered, torch.tensor([0.95, 0.95, 0.91, 0.86], dtype=torch.float64), rtol=0, atol=0.03)
    assert errors[3].median() < 0.85 * k[3].std()
    assert float(errors[3].square().mean().sqrt() / k[3].std()) == pytest.approx(1, abs=0.2)
