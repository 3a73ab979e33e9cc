"""Distances for laws with heavy tails: against numerical integration, and where other metrics have no meaning."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from renorm import maps
from renorm.datamodules import laws
from renorm.errors import InputError
from renorm.testing import check_metric
from renorm.training.metrics import CharacteristicDistance, QuantileDistance, metrics_of


def by_integration(prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
    """E_K |phi_f(K / s) - phi_y(K / s)|^2 over a fine grid of frequencies instead of nodes."""
    low, high = np.quantile(target, [0.25, 0.75], method="nearest")
    k = np.linspace(-9, 9, 4001)
    density = np.exp(-(k**2) / 2) / np.sqrt(2 * np.pi) * (k[1] - k[0])
    frequencies = k * 1.3489795003921634 / (high - low)

    def transform(sample: Tensor) -> np.ndarray:
        return np.exp(1j * sample.double().numpy()[..., None] * frequencies).mean(axis=-2)

    squared = np.abs(transform(prediction) - transform(target)) ** 2 @ density
    return {"characteristic_distance": torch.from_numpy(np.sqrt(squared))}


def by_interpolation(prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
    """The ordered values from the first to the last, but for the 1% at each end."""
    n = len(target)
    first, last = int(np.floor(0.01 * n)), int(np.ceil(0.99 * n))
    gaps = np.abs(np.sort(prediction.double(), axis=-1) - np.sort(target.double()))
    return {"quantile_distance": torch.from_numpy(gaps[:, first:last].mean(axis=-1))}


def test_contract_and_reference() -> None:
    check_metric(QuantileDistance, by_interpolation)
    # a few nodes resolve samples of a few widths
    check_metric(CharacteristicDistance, by_integration, tolerance=1e-3)


def test_distances_of_cauchys_law_settle_where_wasserstein_does_not() -> None:
    """Two Cauchy laws a shift of 0.5 apart: the exact distances, from samples with values beyond 1e4."""
    generator = torch.Generator().manual_seed(0)
    law = laws.Cauchy()
    one, other = (law.sample(200_000, generator=generator, dtype=torch.float64) for _ in range(2))
    assert float(one.abs().max()) > 1e4
    quantile, characteristic = QuantileDistance(), CharacteristicDistance()
    for metric in (quantile, characteristic):
        metric.update((one + 0.5)[None], other)
    assert float(quantile.compute()["quantile_distance"]) == pytest.approx(0.5, abs=0.1)
    k = np.linspace(-9, 9, 8001)
    density = np.exp(-(k**2) / 2) / np.sqrt(2 * np.pi) * (k[1] - k[0])
    scaled = k / (2 / 1.3489795003921634)  # the quartiles of Cauchy's law are -1 and 1
    exact = np.sqrt(density @ np.abs(np.exp(-np.abs(scaled)) * (np.exp(0.5j * scaled) - 1)) ** 2)
    assert float(characteristic.compute()["characteristic_distance"]) == pytest.approx(exact, abs=0.01)


def test_maps_name_the_metrics_that_judge_them() -> None:
    assert metrics_of(None) == metrics_of(maps.parse("central_limit()")) == metrics_of(maps.parse("stable(2)")) == []
    tails = ["quantile_distance", "characteristic_distance"]
    assert metrics_of(maps.parse("stable(1.5)")) == metrics_of(maps.parse("maximum()"), tails[:1]) == tails
    with pytest.raises(InputError, match="metrics='no_such' is unknown; allowed: quantile_distance"):
        metrics_of(None, ["no_such"])


def test_diverged_members_have_no_distance() -> None:
    target = torch.randn(100, generator=torch.Generator().manual_seed(0))
    for metric in (QuantileDistance(), CharacteristicDistance()):
        metric.update(torch.stack([target, torch.full_like(target, torch.nan)]), target)
        (values,) = metric.compute().values()
        assert values.isfinite().tolist() == [True, False]
