"""Verdicts are functions of numbers and thresholds: on both sides of every threshold the rule's sentence holds."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from renorm.report.claim import read_claim
from renorm.report.claims.b4 import which_map
from renorm.report.claims.c1 import largest_difference
from renorm.report.claims.c5 import mean_difference, slowdown, turned_numbers
from renorm.report.claims.c7 import comparable_share, largest_gain
from renorm.report.claims.c9 import median_gain, shares


def verdict(name: str, numbers: Mapping[str, Any]) -> str:
    claim = read_claim(name)
    found: str = importlib.import_module(f"renorm.report.claims.{name.lower()}").verdict(numbers, claim.thresholds)
    assert found in claim.rule
    return found


@pytest.mark.parametrize(
    ("median", "difference", "wanted"),
    [(0.0099, 0.00099, "reproduced"), (0.01, 0.0, "partly"), (0.0, 0.001, "partly"), (0.01, 0.001, "not reproduced")],
)
def test_c1(median: float, difference: float, wanted: str) -> None:
    assert verdict("C1", {"largest_median": median, "largest_difference": difference}) == wanted


def c2(full: str = "not representable", free: str = "representable", **widths: tuple[float, float]) -> dict[str, Any]:
    return {
        "certificates": {"full": {"verdict": full}, "free": {"verdict": free}},
        "errors": {f"full, width {width}": {"median": median} for width, (median, _) in widths.items()},
        "full_over_free": {width: {"decades": decades} for width, (_, decades) in widths.items()},
    }


def test_c2() -> None:
    poor, well, close = (0.01, 1.0), (0.0099, 5.0), (0.5, 0.999)
    assert verdict("C2", c2(four=poor, eight=poor)) == "reproduced"
    assert verdict("C2", c2(four=poor, eight=well)) == "partly"
    assert verdict("C2", c2(four=well, eight=close)) == "partly"  # the certificates say so
    assert verdict("C2", c2("representable", four=poor, eight=well)) == "partly"
    assert verdict("C2", c2("representable", four=well, eight=close)) == "not reproduced"
    assert verdict("C2", c2(free="undecided", four=well)) == "not reproduced"


@pytest.mark.parametrize(
    ("low", "decades", "wanted"),
    [(0.001, 1.0, "reproduced"), (0.0, 1.0, "partly"), (0.001, 0.99, "partly"), (-0.1, 0.99, "not reproduced")],
)
def test_c3(low: float, decades: float, wanted: str) -> None:
    tied = {"4": {"low": 1.0}, "8": {"low": low}}
    assert verdict("C3", {"over_tied_quadratic": tied, "over_free_relu": {"4": {"decades": decades}}}) == wanted


@pytest.mark.parametrize(
    ("low", "rising", "plateaus", "wanted"),
    [
        (2.01, 0.1, 0.0, "reproduced"),
        (2.01, 0.0, 0.5, "reproduced"),
        (2.01, 0.09, 0.49, "partly"),
        (2.0, 0.1, 0.5, "partly"),
        (2.0, 0.09, 0.49, "not reproduced"),
    ],
)
def test_c5(low: float, rising: float, plateaus: float, wanted: str) -> None:
    numbers = {"slower": {"low": low}, "more_often_rising": {"difference": rising}}
    assert verdict("C5", numbers | {"more_plateaus": {"difference": plateaus}}) == wanted


@pytest.mark.parametrize(
    ("share", "decades", "wanted"),
    [(0.5, -1.0, "reproduced"), (0.49, -1.0, "partly"), (0.5, -1.01, "partly"), (0.49, -1.01, "not reproduced")],
)
def test_c7(share: float, decades: float, wanted: str) -> None:
    ratios = {"2": {"gcn": {"decades": -3.0}}, "4": {"gcn": {"decades": decades}, "gat": {"decades": 2.0}}}
    assert verdict("C7", {"pair_comparable": share, "over_mlp": ratios}) == wanted
    assert largest_gain(ratios) == ("gcn, blocks of 4", {"decades": decades})


def test_layers_that_are_much_better_are_not_comparable_either() -> None:
    pair = {name: {"decades": decades} for name, decades in (("a", -1.1), ("b", -1.0), ("c", 1.0), ("d", 1.1))}
    assert comparable_share({"2": pair}, {"comparable": 1.0}) == 0.5


@pytest.mark.parametrize(
    ("both", "one", "wanted"),
    [
        (0.75, 0.75, "reproduced"),
        (0.74, 0.74, "partly"),
        (0.25, 0.3, "partly"),
        (0.0, 0.75, "partly"),
        (0.24, 0.74, "not reproduced"),
    ],
)
def test_c9(both: float, one: float, wanted: str) -> None:
    assert verdict("C9", {"better_than_both": both, "better_than_free": one, "better_than_full": both}) == wanted
    assert verdict("C9", {"better_than_both": both, "better_than_free": both, "better_than_full": one}) == wanted


def test_cells_count_where_the_matching_symmetry_is_better_by_as_much_as_the_rule_says() -> None:
    def cell(free: float, full: float) -> dict[str, dict[str, float]]:
        return {"free": {"decades": free}, "full": {"decades": full}}

    found = shares({"a": cell(1, 1), "b": cell(0.9, 3), "c": cell(2, 0.9), "d": cell(1, 2)}, 1.0)
    assert found == {"better_than_free": 0.75, "better_than_full": 0.75, "better_than_both": 0.5}
    assert median_gain(np.array([1e-2]), np.array([1e-3]), np.array([1e-5])) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("quadratic", "relu", "low", "wanted"),
    [(0.0099, 0.0099, 2.01, "yes"), (0.01, 0.0, 2.01, "partly"), (0.01, 0.01, 2.01, "partly"), (0.01, 0.01, 2.0, "no")],
)
def test_b1(quadratic: float, relu: float, low: float, wanted: str) -> None:
    medians = {"quadratic": quadratic, "relu": relu}
    assert verdict("B1", {"largest_median": medians, "faster": {"low": low}}) == wanted


@pytest.mark.parametrize(
    ("energy", "cumulant", "wanted"), [(0.5, 0.5, "yes"), (0.5, 0.49, "partly"), (0.49, 0.49, "no")]
)
def test_b4(energy: float, cumulant: float, wanted: str) -> None:
    shares_of = {"mse, uniform()": 1.0, "energy, uniform()": energy, "cumulant, uniform()": cumulant}
    assert verdict("B4", {"share_of_architectures": shares_of}) == wanted


def test_differences_are_taken_between_medians_of_pairs() -> None:
    free, tied, other = np.array([1.0, 2.0, 9.0]), np.array([5.0, 5.0, 0.0]), np.array([1.0, 1.0, 1.0])
    assert largest_difference(free, tied, free, other) == 3.0
    assert mean_difference(free, other) == 3.0


def test_members_that_never_learn_count_with_the_budget() -> None:
    fast = {"log_time": np.log10([10.0, 10.0])}
    slow = {"log_time": np.log10([10.0, 1000.0])}
    assert slowdown(slow, fast, seed=0) == {
        "factor": pytest.approx(10),
        "low": pytest.approx(1),
        "high": pytest.approx(100),
    }


def test_shares_of_either_sign() -> None:
    times = {"time": np.array([10.0, np.inf, 20.0, np.inf])}
    found = turned_numbers(times, np.array([True, False, False, False]))
    assert found == {"share": 0.25, "learned_if_turned": 1.0, "learned_if_not": pytest.approx(1 / 3)}
    assert np.isnan(turned_numbers(times, np.ones(4, dtype=bool))["learned_if_not"])


def test_maps_are_told_apart_by_their_error_under_the_training_law() -> None:
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, size=(200_000, 2))
    target = x.sum(axis=1)
    outputs = [target, x[:, 0] - x[:, 1], -target, 0 * target]
    relative = np.array([np.mean((f - target) ** 2) / target.var() for f in outputs])
    assert which_map(relative) == {"sum": 0.25, "difference": 0.25, "minus_sum": 0.25, "neither": 0.25}
