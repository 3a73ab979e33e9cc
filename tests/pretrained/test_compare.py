"""A difference is found where there is one, and only there."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from renorm.pretrained.compare import RETRAINED, SAME_WEIGHTS, Tolerance, differences, retrained_differences

ENTRY: dict[str, Any] = {
    "seed": 0,
    "class": "MLP",
    "losses": [1.0, None],
    "metrics": {"uniform()": {"mse": {"best": 1e-3}, "energy_distance": {"best": 0.5}}},
}


def lines(found: Any, stored: Any, tolerance: Tolerance = SAME_WEIGHTS) -> list[str]:
    return list(differences(found, stored, tolerance))


def test_equal_entries_have_none() -> None:
    assert lines(ENTRY, copy.deepcopy(ENTRY)) == []
    assert lines({"seed": 0}, ENTRY) == []  # what was not computed is not looked at


@pytest.mark.parametrize(
    ("keys", "value", "expected"),
    [
        (("seed",), 1, "seed is 0, the manifest says 1"),
        (("seed",), "0", "seed is 0, the manifest says '0'"),
        (("seed",), False, "seed is 0, the manifest says False"),
        (("class",), "GNN", "class is 'MLP', the manifest says 'GNN'"),
        (("losses",), [1.0], "losses is [1.0, None], the manifest says [1.0]"),
        (("losses",), [1.0, 2.0], "losses.1 is None, the manifest says 2.0"),
        (("losses",), [None, None], "losses.0 is 1.0, the manifest says None"),
        (("metrics", "uniform()", "mse", "best"), 1.0001e-3, "metrics.uniform().mse.best is 0.001, the manifest says"),
        (("metrics", "uniform()", "other"), {}, "metrics.uniform().other is unknown"),
    ],
)
def test_each_kind_of_difference(keys: tuple[str, ...], value: Any, expected: str) -> None:
    stored = copy.deepcopy(ENTRY)
    place = stored
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (line,) = lines(ENTRY, stored)
    assert line.startswith(expected)


def test_what_the_manifest_lacks() -> None:
    (line,) = lines({"seed": 0, "extra": 1}, {"seed": 0})
    assert line == "extra is missing in the manifest"


def test_tolerances_are_relative_and_absolute() -> None:
    stored = ENTRY["metrics"]["uniform()"]
    for factor, expected in ((1 + 9e-6, 0), (1 + 2e-5, 1)):
        found = {"mse": {"best": 1e-3 * factor}, "energy_distance": {"best": 0.5}}
        assert len(lines(found, stored)) == expected
    near = {"mse": {"best": 1e-3}, "energy_distance": {"best": 0.5 + 5e-6}}
    assert lines(near, stored) == []
    tiny = {"mse": {"best": 0.0}}
    assert len(lines(tiny, {"mse": {"best": 1e-16}})) == 1  # converged members count as well
    assert lines(tiny, {"mse": {"best": 1e-25}}) == []


def summary(median: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"uniform()": {"mse": {"best": 0.0, "median": median, "interval": [low, high]}}}


@pytest.mark.parametrize(
    ("median", "expected"),
    [(1.0, 0), (1.04, 0), (1.06, 1), (0.5, 1), (1.9, 0), (None, 1)],
)
def test_retrained_medians_must_be_near_or_inside_the_interval(median: float | None, expected: int) -> None:
    stored = summary(1.0, 0.99, 1.02) if median != 1.9 else summary(1.0, 0.9, 2.0)
    assert len(list(retrained_differences(summary(median), stored))) == expected


def test_retrained_where_the_manifest_has_none() -> None:
    assert list(retrained_differences(summary(None), summary(None))) == []
    assert len(list(retrained_differences(summary(1.0), summary(None)))) == 1
    assert len(list(retrained_differences(summary(1.0), {}))) == 1
    below = RETRAINED.absolute["mse"]
    assert list(retrained_differences(summary(below), summary(0.0, 0.0, 0.0))) == []
