"""Verdicts are functions of numbers and thresholds: on both sides of every threshold the rule's sentence holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from renorm.report.claim import read_claim
from renorm.report.claims import b4
from renorm.report.claims.b4 import which_map
from renorm.report.claims.c9 import count_parameters, equal_width
from renorm.training.losses import find_loss

from .rules import verdict


@pytest.mark.parametrize(
    ("error", "ratio", "wanted"),
    [
        (-2.01, 0.3, "reproduced"),
        (-2.01, -0.3, "reproduced"),
        (-2.0, 0.3, "partly"),
        (-2.01, 0.302, "partly"),
        (-2.01, -0.302, "partly"),
        (-2.0, 0.302, "not reproduced"),
    ],
)
def test_c1(error: float, ratio: float, wanted: str) -> None:
    assert verdict("C1", {"errors": [-9.0, error], "time_ratios": [0.0, ratio]}) == wanted


def c2(full: str = "not representable", free: str = "representable", *widths: tuple[float, float]) -> dict[str, Any]:
    return {
        "certificates": {"full": {"verdict": full}, "free": {"verdict": free}},
        "full": [error for error, _ in widths],
        "full_over_free": [ratio for _, ratio in widths],
    }


def test_c2() -> None:
    poor, well, close = (-2.0, 1.0), (-2.01, 5.0), (-0.3, 0.999)
    both = ("not representable", "representable")
    assert verdict("C2", c2(*both, poor, poor)) == "reproduced"
    assert verdict("C2", c2(*both, poor, well)) == "partly"
    assert verdict("C2", c2(*both, well, close)) == "partly"  # the certificates say so
    assert verdict("C2", c2("representable", "representable", poor, well)) == "partly"
    assert verdict("C2", c2("representable", "representable", well, close)) == "not reproduced"
    assert verdict("C2", c2("not representable", "undecided", well)) == "not reproduced"


@pytest.mark.parametrize(
    ("quadratic", "free", "wanted"),
    [(0.3, 1.0, "reproduced"), (0.29, 1.0, "partly"), (0.3, 0.99, "partly"), (-0.1, 0.99, "not reproduced")],
)
def test_c3(quadratic: float, free: float, wanted: str) -> None:
    numbers = {"over_tied_quadratic": [2.0, quadratic], "over_free_relu": [free, 2.0]}
    assert verdict("C3", numbers) == wanted


@pytest.mark.parametrize(
    ("over_free", "over_one_unit", "rising", "wanted"),
    [
        (0.302, 0.302, 0.1, "reproduced"),
        (0.302, 0.3, 0.1, "partly"),  # one unit does as well: no work of the symmetry
        (0.302, 0.302, 0.09, "partly"),
        (0.3, 0.302, 0.1, "partly"),
        (0.3, 0.302, 0.09, "not reproduced"),
    ],
)
def test_c5(over_free: float, over_one_unit: float, rising: float, wanted: str) -> None:
    assert verdict("C5", {"over_free": over_free, "over_one_unit": over_one_unit, "rising": rising}) == wanted


@pytest.mark.parametrize(
    ("pair", "gained", "wanted"),
    [
        ([0.5, -0.5, 3.0], 0.5, "reproduced"),
        ([0.5, -0.51, 3.0], 0.5, "partly"),  # one of three is comparable
        ([0.0, 0.51, 3.0], 0.5, "partly"),  # a layer that is much better is not comparable either
        ([0.5, -0.5, 3.0], 0.51, "partly"),
        ([0.5, -0.51, 3.0], 0.51, "not reproduced"),
    ],
)
def test_c7(pair: list[float], gained: float, wanted: str) -> None:
    assert verdict("C7", {"on_the_pair": pair, "most_gained": gained}) == wanted


HELD, NOT = (1.0, 1.0, 0.0), (1.0, 0.99, 0.0)  # rigid, flexible, wrong, in decades


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        ([HELD, HELD, HELD, NOT], "reproduced"),
        ([HELD, HELD, NOT, NOT], "partly"),
        ([HELD, (0.0, 0.0, 0.0), (0.0, 2.0, 1.0), (2.0, 2.0, -0.1)], "partly"),
        ([NOT, NOT, NOT, (0.0, 0.0, 0.0)], "partly"),  # better than rigid weights in most
        ([NOT, NOT, (0.99, 2.0, 0.0), (2.0, 2.0, -0.1)], "not reproduced"),
    ],
)
def test_c9(cells: list[tuple[float, float, float]], wanted: str) -> None:
    numbers = dict(zip(("rigid", "flexible", "wrong"), map(list, zip(*cells, strict=True)), strict=True))
    assert verdict("C9", numbers) == wanted


def test_free_networks_of_equal_parameters_have_no_more() -> None:
    for activation in ("relu", "spline"):
        width = equal_width(activation, 8)
        most = count_parameters(activation, "odd_input", 8)
        assert count_parameters(activation, "free", width) <= most < count_parameters(activation, "free", width + 1)


@pytest.mark.parametrize(
    ("quadratic", "relu", "faster", "wanted"),
    [
        (-2.01, -2.01, 0.302, "yes"),
        (-2.0, -2.01, 0.302, "partly"),
        (-2.0, -2.0, 0.302, "partly"),
        (-2.0, -2.0, 0.3, "no"),
    ],
)
def test_b1(quadratic: float, relu: float, faster: float, wanted: str) -> None:
    assert verdict("B1", {"errors": [quadratic, relu], "faster": faster}) == wanted


@pytest.mark.parametrize(
    ("energy", "cumulant", "wanted"), [(0.8, 0.8, "yes"), (0.8, 0.79, "partly"), (0.79, 0.79, "no")]
)
def test_b4(energy: float, cumulant: float, wanted: str) -> None:
    assert verdict("B4", {("energy", "uniform()"): energy, ("cumulant", "uniform()"): cumulant}) == wanted


def test_b4_depends_on_a_rate_that_flips_it() -> None:
    limits = {"reaches": 0.8}
    high, low = np.array([[0.9, 0.9]]), np.array([[0.9, 0.1]])
    cells = {("energy", "uniform()"): high}
    assert b4.everywhere(cells, 0, limits) == "yes"
    assert b4.everywhere(cells | {("energy", "uniform()"): low}, 0, limits) == "depends"


def test_the_ceiling_of_b4_is_that_of_equal_odds() -> None:
    claim = read_claim("B4")
    assert [b4.ceiling(claim.settings, law) for law in claim.settings["laws"]] == [0.375, 0.2659, 1.0]
    # the Gaussian: a direction drawn at random, against that of the sum, and the share of those that are near
    limit = claim.thresholds["generalises"]
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, 10**6)
    error = (np.cos(angles) - np.cos(np.pi / 4)) ** 2 + (np.sin(angles) - np.sin(np.pi / 4)) ** 2  # E(f - y)^2
    free = claim.settings["ceilings"]["gaussian()"]["free"]
    assert free == pytest.approx(np.arccos(1 - limit / 2) / np.pi, abs=1e-4)
    assert free == pytest.approx(np.mean(error < limit), abs=5e-4)
    signs = np.array(np.meshgrid([-1, 1], [-1, 1])).reshape(2, -1) / np.sqrt(2)  # the uniform law's equivalent maps
    near = ((signs - 1 / np.sqrt(2)) ** 2).sum(axis=0) < limit
    assert claim.settings["ceilings"]["uniform()"] == {
        "free": near.mean(),
        "odd_input": near[signs[0] == signs[1]].mean(),
    }


def test_maps_are_told_apart_by_their_error_under_the_training_law() -> None:
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, size=(200_000, 2))
    target = x.sum(axis=1)
    outputs = [target, x[:, 0] - x[:, 1], -target, 0 * target]
    relative = np.array([np.mean((f - target) ** 2) / target.var() for f in outputs])
    assert which_map(relative) == {"sum": 0.25, "difference": 0.25, "minus_sum": 0.25, "neither": 0.25}


def test_cumulants_of_a_batch_and_its_own_targets_tell_the_sum_from_minus_the_sum() -> None:
    cumulant = find_loss("cumulant")
    generator = torch.Generator().manual_seed(0)
    blocks = torch.rand(400, 128, 2, generator=generator) * 2 - 1  # a symmetric law
    y = blocks.sum(dim=-1)
    own, other = ([float(cumulant(f, target).mean()) for f in (y, -y)] for target in (y, y.roll(1, dims=0)))
    assert own[0] == 0
    assert own[1] > 0.05
    assert other[0] == pytest.approx(other[1], rel=0.2)
