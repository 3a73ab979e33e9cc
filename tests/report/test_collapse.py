"""Finite-size scaling against curves whose exponent, peak and width are known."""

from __future__ import annotations

import numpy as np
import pytest

from renorm.report.collapse import collapse_cost, collapse_exponent, find_peak, over_members, power_law
from renorm.report.phases import decay_time, largest_drop, local_exponents, order_statistics

U = np.logspace(-3, 0, 17)
T = np.array([500.0, 2000.0, 5000.0, 20000.0])


def curves(exponent: float, amplitude: float = 2.0) -> np.ndarray:
    """Errors that scale with an exponent exactly."""
    y = U * T[:, None] ** exponent / 100**exponent
    return U**amplitude * 0.02 / (1 + y**2) ** 1.5


@pytest.mark.parametrize("exponent", [0.5, 0.7, 1.0, 1.3])
def test_exponent_is_recovered(exponent: float) -> None:
    found, cost = collapse_exponent(U, T, curves(exponent))
    assert found == pytest.approx(exponent, abs=0.02)
    assert cost < 0.02
    assert local_exponents(U, T, curves(exponent)) == pytest.approx([exponent] * 3, abs=0.05)


def test_exponent_does_not_depend_on_the_unit_of_time() -> None:
    assert collapse_exponent(U, T, curves(0.7))[0] == collapse_exponent(U, 10 * T, curves(0.7))[0]


def test_the_amplitude_matters() -> None:
    assert collapse_exponent(U, T, curves(0.7, amplitude=1.0), amplitude=1.0)[0] == pytest.approx(0.7, abs=0.02)
    assert collapse_exponent(U, T, curves(0.7, amplitude=1.0), amplitude=2.0)[1] > 0.1


def test_curves_that_do_not_overlap_have_no_cost() -> None:
    assert collapse_cost(U, np.array([1.0, 1e9]), curves(0.7)[:2], 2.0) == np.inf


def test_cost_is_the_mean_distance_of_parallel_lines() -> None:
    lines = np.stack([np.ones_like(U), 10 * np.ones_like(U)]) * U**2  # a decade apart, at any shift
    assert collapse_cost(U, np.array([1.0, 1.0]), lines, 0.5) == pytest.approx(1.0)


def test_interval_covers_the_exponent_of_noisy_members() -> None:
    random = np.random.default_rng(0)
    members = curves(0.7)[..., None] * np.exp(0.5 * random.standard_normal((1, len(U), 64)))
    value, low, high = over_members(members, lambda median: collapse_exponent(U, T, median)[0], resamples=40)
    assert low <= value <= high
    assert low - 0.05 <= 0.7 <= high + 0.05


@pytest.mark.parametrize("centre", [0.01, 0.033, 0.2])
def test_peak_of_a_log_normal_curve(centre: float) -> None:
    peak = find_peak(U, 3 * np.exp(-(np.log(U / centre) ** 2) / 2))
    assert peak.position == pytest.approx(centre, rel=1e-6)
    assert peak.height == pytest.approx(3.0, rel=1e-6)
    assert peak.width == pytest.approx(2 * np.sqrt(2 * np.log(2)) / np.log(10), rel=0.05)  # full width in decades


def test_peak_at_an_end_has_no_width() -> None:
    peak = find_peak(U, U**2)
    assert (peak.position, peak.width) == (1.0, np.inf)


def test_power_law_and_drop() -> None:
    assert power_law(T, 3 * T**-0.4) == pytest.approx(-0.4)
    assert largest_drop(np.array([1.0, 100.0, 50.0, 5.0, 20.0])) == 20.0


def test_order_statistics_leave_the_linear_network_out() -> None:
    asymmetry = np.random.default_rng(0).standard_normal((2, 4, 20_000))
    asymmetry[:, -1] = 1e6
    found = order_statistics(asymmetry)
    assert found["order_mean"].shape == (2, 3)
    np.testing.assert_allclose(found["order_variance"], 1, atol=0.05)
    np.testing.assert_allclose(found["order_binder"], 0, atol=0.05)  # Gaussian about 0


def test_decay_time_merges_budgets_and_skips_what_was_not_derived() -> None:
    t = np.array([[0.1, 0.78, 2.0], [0.2, 0.82, 9.0]])
    left = np.exp(-t / 0.8)
    left[1, 2] = np.nan
    assert decay_time(t, left) == pytest.approx(0.8, rel=1e-3)
    assert np.isnan(decay_time(t, np.ones_like(t)))
