"""C4 and B3: verdicts on both sides of every threshold, and the whole way through at a tiny size."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from renorm.report.claim import read_claim
from renorm.report.claims import b3, c4, find_judge
from renorm.report.experiments import Experiments
from renorm.report.finding import plain
from renorm.report.renormalise import InRows, finite, train_flows
from renorm.report.trained_networks import MAP
from renorm.zoo import MLP

IDS = ("C4", "B3")


@pytest.mark.parametrize(
    ("held_out", "trained", "shift", "wanted"),
    [
        (10, 10, 1.99, "reproduced"),
        (10, 10, 2.0, "partly"),
        (9.99, 10, 1.99, "partly"),
        (10, 9.99, 2.0, "partly"),
        (9.99, 9.99, 1.99, "not reproduced"),
    ],
)
def test_verdict_of_c4(held_out: float, trained: float, shift: float, wanted: str) -> None:
    numbers = {"drop_held_out": held_out, "drop_trained": trained, "shift_low": shift}
    assert c4.verdict(numbers, read_claim("C4").thresholds) == wanted


def test_c4_judges_the_least_drop_and_the_largest_shift() -> None:
    fits = [
        {"drop_held_out": [1, 50], "drop_trained": [30, 20], "shift": (3, 2, 4)},
        {"drop_held_out": [5, 1], "drop_trained": [90, 1], "shift": (9, 8, 10)},
    ]
    assert c4.judged(fits) == {"drop_held_out": 5, "drop_trained": 30, "shift_low": 8}


@pytest.mark.parametrize(
    ("name", "inside", "outside"), [("eigenvalue", 0.05, 0.051), ("variance", 0.1, 0.101), ("distance", 2.0, 2.01)]
)
def test_verdict_of_b3(name: str, inside: float, outside: float) -> None:
    thresholds = read_claim("B3").thresholds
    right = {"eigenvalue": 0.0, "variance": 0.0, "distance": 1.0}
    for value, verdicts in ((inside, ("yes", "yes")), (outside, ("partly", "no"))):
        case = right | {name: value}
        assert (b3.verdict({"a": right, "b": case}, thresholds), b3.verdict({"b": case}, thresholds)) == verdicts


def test_rules_name_their_thresholds() -> None:
    for name in IDS:
        claim = read_claim(name)
        rule = " ".join(claim.rule.values())
        for value in claim.thresholds.values():
            shown = {f"{value:g}", f"{value:.0%}", f"{value:.0e}".replace("e-0", "e-"), "twice" if value == 2 else "-"}
            assert any(text in rule for text in shown) or (name == "C4" and value == 1e-12), (name, value)


@pytest.fixture(scope="module")
def flows() -> dict[str, Any]:
    """Linear networks, which learn the map, at two initial scales; two seeds of three members."""
    own = {"model": "mlp_linear_free", "arguments": {}, "law": "gaussian()", "tests": ["gaussian()"], "seed": 0}
    own |= MAP | {
        "scales": [1.0, 0.3],
        "rates": [0.03],
        "seeds": 2,
        "members": 3,
        "batch": 32,
        "stops": [600],
        "rows": 64,
    }
    return train_flows(
        own | {"start": "standardised(exponential())", "steps": 3, "samples": 512, "order": 3, "nodes": 32}
    )


def test_a_network_that_has_learned_the_map_flows_as_the_exact_one(flows: dict[str, Any]) -> None:
    errors = {name: np.array(values) for name, values in flows["errors"].items()}
    assert all(values.shape == (1, 1, 2, 1, 2, 3) for values in errors.values())
    for name in ("gaussian()", "eigenvalue", "eigenvalue 3", "variance"):
        assert errors[name].max() < 1e-4, name
    assert errors["distance"] == pytest.approx(1, abs=1e-3)
    np.testing.assert_array_equal(errors["eigenvalue"], np.max([errors[f"eigenvalue {n}"] for n in range(4)], axis=0))
    for name, curves in flows["curves"].items():
        np.testing.assert_allclose(np.array(curves)[1, 0, 0], flows["exact"][name], atol=1e-3)


def test_what_blows_up_is_infinitely_wrong() -> None:
    assert finite(torch.tensor([1.0, torch.nan, -1e200], dtype=torch.float64)).tolist() == [1.0, math.inf, math.inf]


def test_blocks_in_parts_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = MLP(replicas=2), torch.randn(2, 10, 2)
    monkeypatch.setattr("renorm.report.renormalise.ROWS", 3)
    torch.testing.assert_close(InRows(model)(x), model(x), rtol=0, atol=1e-6)


TINY: dict[str, dict[str, Any]] = {
    "C4": {
        "distances": [0.01, 0.05, 0.2, 0.5, 1.0],
        "stops": [20, 40],
        "replicas": 3,
        "resamples": 5,
        "fits": [{"width": 2, "optimizer": "Adam", "lr": 0.01, "compile": False}],
        "descents": [{"width": 2, "optimizer": "SGD", "lr": 0.3, "points": 4, "compile": False}],
    },
    "B3": {
        "stops": [3],
        "members": 2,
        "batch": 4,
        "rows": 16,
        "samples": 64,
        "models": ["mlp_linear_free", "mlp_quadratic_full"],
    },
}


@pytest.mark.parametrize("name", IDS)
def test_claims_are_judged(name: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    claim = read_claim(name, quick=True)
    claim = dataclasses.replace(claim, settings={**claim.settings, **TINY[name]})
    folder = tmp_path_factory.getbasetemp() / "science"  # pairs of claims share their computations
    with Experiments(folder, workers=0, quick=True) as experiments:
        finding = find_judge(name)(claim, experiments)
        again = importlib.import_module(f"renorm.report.claims.{name.lower()}").judge(claim, experiments)
    assert finding.verdict in claim.rule
    assert (finding.tried == "") == (finding.verdict in ("reproduced", "yes"))
    assert json.dumps(plain(finding.numbers)) == json.dumps(plain(again.numbers))
    for drawing in finding.figures:
        drawing.figure.savefig(tmp_path / f"{drawing.name}.svg")
        assert drawing.figure.axes
        assert all(axes.get_xlabel() or axes.get_ylabel() for axes in drawing.figure.axes[:1])
