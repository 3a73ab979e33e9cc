"""Finite-size scaling against curves whose exponent, peak and width are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import lagrange

from renorm.report.collapse import collapse_cost, collapse_exponent, find_peak, full_width, local_exponents
from renorm.report.phases import fall, order_statistics, power_of_peak
from renorm.report.reduced_flow import Descent, decay_time, descent_numbers, ratio
from renorm.report.seed_statistics import mean_known, mean_log
from renorm.zoo.symmetry.order_parameter import order_parameter

U = np.logspace(-3, 0, 17)
T = np.array([500.0, 2000.0, 5000.0, 20000.0])


def curves(exponent: float, amplitude: float = 2.0) -> np.ndarray:
    """Logarithms of errors that scale with an exponent exactly."""
    y = U * T[:, None] ** exponent / 100**exponent
    return np.log10(U**amplitude * 0.02 / (1 + y**2) ** 1.5)


@pytest.mark.parametrize("exponent", [0.5, 0.7, 1.0, 1.3])
def test_exponent_is_recovered(exponent: float) -> None:
    found, cost = collapse_exponent(U, T, curves(exponent))
    assert found == pytest.approx(exponent, abs=0.02)
    assert cost < 0.02
    assert local_exponents(U, T, curves(exponent)) == pytest.approx([exponent] * 3, abs=0.05)


def test_versions_are_collapsed_one_by_one() -> None:
    both = np.stack([curves(0.5), curves(1.0)])
    exponents, costs = collapse_exponent(U, T, both)
    for curve, exponent, cost in zip(both, exponents, costs, strict=True):
        assert collapse_exponent(U, T, curve) == (exponent, pytest.approx(cost))


def test_exponent_does_not_depend_on_the_unit_of_time() -> None:
    assert collapse_exponent(U, T, curves(0.7))[0] == collapse_exponent(U, 10 * T, curves(0.7))[0]


def test_the_amplitude_matters() -> None:
    assert collapse_exponent(U, T, curves(0.7, amplitude=1.0), amplitude=1.0)[0] == pytest.approx(0.7, abs=0.02)
    assert collapse_exponent(U, T, curves(0.7, amplitude=1.0), amplitude=2.0)[1] > 0.1


def test_curves_that_do_not_overlap_have_no_cost() -> None:
    assert collapse_cost(U, np.array([1.0, 1e9]), curves(0.7)[:2], 2.0) == np.inf


def test_cost_is_the_mean_distance_of_parallel_lines() -> None:
    lines = np.stack([np.zeros_like(U), np.ones_like(U)]) + 2 * np.log10(U)  # a decade apart, at any shift
    assert collapse_cost(U, np.array([1.0, 1.0]), lines, 0.5) == pytest.approx(1.0)


def test_interval_covers_the_exponent_of_noisy_members() -> None:
    random = np.random.default_rng(0)
    members = curves(0.7)[..., None, None] + 0.2 * random.standard_normal((1, len(U), 5, 20))
    exponents, _ = collapse_exponent(U, T, mean_log(10**members, resamples=40))
    low, high = np.quantile(exponents[6:], [0.025, 0.975])
    assert low <= exponents[0] <= high
    assert low - 0.05 <= 0.7 <= high + 0.05


@pytest.mark.parametrize("centre", [0.01, 0.033, 0.2])
def test_peak_of_a_log_normal_curve(centre: float) -> None:
    logs = np.log10(3) - np.log10(np.e) * np.log(U / centre) ** 2 / 2
    peak = find_peak(U, logs)
    assert peak.position == pytest.approx(centre, rel=1e-6)
    assert peak.height == pytest.approx(np.log10(3), rel=1e-6)
    assert full_width(U, logs) == pytest.approx(2 * np.sqrt(2 * np.log(2)) / np.log(10), rel=0.05)  # in decades


def test_peak_is_that_of_the_parabola_through_three_points() -> None:
    u, logs = np.array([0.01, 0.03, 0.2, 1.0]), np.array([-3.0, -1.0, -1.5, -4.0])
    parabola = lagrange(np.log10(u[:3]), logs[:3])
    (vertex,) = np.roots(parabola.deriv().coefficients)
    peak = find_peak(u, np.stack([logs, logs]))
    assert peak.position == pytest.approx([10**vertex] * 2)
    assert peak.height == pytest.approx([parabola(vertex)] * 2)


def test_a_maximum_at_an_end_is_no_peak() -> None:
    for logs in (2 * np.log10(U), -2 * np.log10(U)):
        assert np.isnan(find_peak(U, logs).position)
        assert full_width(U, logs) == np.inf
        assert fall(logs) == 0
    assert power_of_peak(U, T, np.stack([2 * np.log10(U)] * 4)[None], 0.3) == np.inf


def test_fall_is_towards_smaller_slopes() -> None:
    assert fall(np.array([-9.0, 2.0, 1.0, 0.5, 1.2])) == 1.5


@pytest.mark.parametrize("power", [0.0, 0.4, 0.9])
def test_power_of_a_moving_peak(power: float) -> None:
    logs = -(np.log10(U / (0.3 * (T[:, None] / T[0]) ** -power)) ** 2)
    logs[0] = logs[0] / 100  # too flat to count
    found = power_of_peak(U, T, np.stack([logs, logs]), least=0.1)
    assert found == pytest.approx([power] * 2, abs=1e-6)
    assert power_of_peak(U, T[:2], logs[None, :2], least=0.1) == np.inf  # one budget is left


def test_order_statistics_are_those_of_the_members_that_have_not_diverged() -> None:
    asymmetry = np.random.default_rng(0).random((3, 2, 50))
    asymmetry[1, 0, :7] = np.nan
    found = order_statistics(asymmetry)
    for slope, values in enumerate(asymmetry):
        wanted = order_parameter(torch.from_numpy(values.ravel()))
        count = np.isfinite(values).sum()
        assert found["mean"][0, slope] == pytest.approx(wanted.mean)
        assert found["variance"][0, slope] == pytest.approx(wanted.variance * (count - 1) / count)
        assert found["binder"][0, slope] == pytest.approx(wanted.binder)


def test_mean_of_known_values_weighs_each_alike() -> None:
    values = np.array([[[1.0, np.nan]], [[3.0, 8.0]]])
    assert mean_known(values)[0].tolist() == [1.0, 5.5]
    assert mean_known(values, over_all=True)[0] == 4.0


def test_decay_time_merges_budgets_and_skips_what_was_not_derived() -> None:
    t = np.array([[0.1, 0.78, 2.0], [0.2, 0.82, 9.0]])
    left = np.exp(-t / 0.8)
    left[1, 2] = np.nan
    assert decay_time(t, left) == pytest.approx(0.8, rel=1e-3)
    assert np.isnan(decay_time(t, np.ones_like(t)))


def descents(excess: float) -> tuple[np.ndarray, Descent]:
    """Members whose loss decays exponentially in scaled time, measured larger by a factor where it has moved by 1%."""
    times = np.array([50.0, 500.0, 2000.0])
    decay = np.array([[0.8, 1.0, 1.2], [0.9, 1.1, 1.0]])
    derived = np.exp(-times[:, None, None, None] * (U[:, None, None] / 2) ** 2 / decay)
    measured = derived * np.where(derived > 0.99, 1.0, excess)
    return times, Descent(measured, np.where(derived < 1e-4, np.nan, derived), np.full((2, 3), 0.02))


def test_the_theory_is_tested_where_something_has_moved() -> None:
    times, descent = descents(excess=1.3)
    found = descent_numbers(U, times, descent, seeds=2, seed=0)
    by_left = found["ratio_by_loss_left"]
    assert by_left["0.99 to 1"]["value"] == pytest.approx(1)
    for left in ("0.9 to 0.99", "0.5 to 0.9", "0.1 to 0.5"):
        assert [by_left[left][name] for name in ("value", "low", "cells_q05", "cells_q95")] == pytest.approx([1.3] * 4)
    assert by_left["0.5 to 0.9"]["cells"] == ((descent.derived > 0.5) & (descent.derived <= 0.9)).sum()
    assert all(one["value"] == pytest.approx(1.3) for one in found["ratio_by_distance"].values())
    assert ratio(descent, (2.0, 3.0), seeds=2, seed=0) == {}


def test_times_and_exponent_of_descents() -> None:
    times, descent = descents(excess=1.0)
    found = descent_numbers(U, times, descent, seeds=2, seed=0)
    assert found["time_ratio"]["value"] == pytest.approx(1)
    assert found["decay_time"]["value"] == pytest.approx(1, rel=0.1)
    assert found["exponent"]["value"] == pytest.approx(0.5, abs=0.03)
