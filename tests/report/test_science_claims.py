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
from renorm.report.held_out import held_out
from renorm.report.renormalise import InRows, finite, train_flows
from renorm.report.slope_curves import SlopeCurves
from renorm.report.trained_networks import MAP
from renorm.zoo import MLP

from .rules import verdict

IDS = ("C4", "B3")


@pytest.mark.parametrize(
    ("fall", "trained", "power", "wanted"),
    [
        (1.0, 0.0, 0.19, "reproduced"),
        (1.0, 0.0, -0.19, "reproduced"),
        (1.0, 0.0, 0.2, "partly"),
        (1.0, 0.0, -0.2, "partly"),
        (0.99, 1.0, 0.0, "partly"),  # a peak on the training law only
        (0.99, 0.99, 0.0, "not reproduced"),
        (0.0, 0.0, math.inf, "not reproduced"),
    ],
)
def test_verdict_of_c4(fall: float, trained: float, power: float, wanted: str) -> None:
    assert verdict("C4", {"fall": fall, "fall_trained": trained, "power": power}) == wanted


def slope_curves(beyond: float, height: float = 2.0, solved: float = 1e-12) -> SlopeCurves:
    """Errors with a peak: it moves as steps^-0.5 under all laws but those beyond, where it does with another power."""
    u, t = np.logspace(-3, 0, 31), np.array([500.0, 2000.0, 8000.0])
    sets = held_out("uniform()")
    powers = dict.fromkeys(("uniform()", *sets.interpolation), 0.5) | dict.fromkeys(sets.extrapolation, beyond)

    def errors(power: float, member: int) -> np.ndarray:
        logs = -6 - height * np.log10(u / (0.3 * (t[:, None] / t[0]) ** -power)) ** 2
        return 10 ** np.column_stack([logs + 0.1 * member, np.full(3, -15.0)])  # the linear network last

    results = [
        {
            "errors": {law: np.stack([errors(power, m) for m in range(2)], axis=-1) for law, power in powers.items()},
            "asymmetry": np.ones((3, 32, 2)),
        }
        for _ in range(2)
    ]
    place = {"law": "uniform()", "width": 8, "optimizer": "Adam", "lr": 0.01, "scale": 1.0}
    return SlopeCurves(place, results, {"distances": u, "stops": t, "seeds": 2, "solved": solved}, seed=0)


def test_c4_judges_the_set_by_its_own_peak() -> None:
    limits = read_claim("C4").thresholds
    verdicts = [
        c4.verdict(c4.at(over, limits["fall"], slope_curves(beyond, height=4.0), 0), limits)
        for over, beyond in (("extrapolation", 0.0), ("extrapolation", 0.5), ("interpolation", 0.0))
    ]
    assert verdicts == ["reproduced", "partly", "partly"]
    flat = slope_curves(0.0, height=0.05)
    assert c4.verdict(c4.at("extrapolation", limits["fall"], flat, 0), limits) == "not reproduced"


def test_c4_says_law_by_law_where_there_is_a_peak() -> None:
    """As it was said once of all held-out laws, from the worst of them alone, that there is none."""
    falls = slope_curves(beyond=-3.0).by_law()  # beyond, the peak leaves the grid of slopes after the first budget
    assert falls["rademacher()"]["value"] > 1
    assert falls["rademacher()"]["steps"] == 8000
    with_peak, _, without = c4.law_by_law(falls, least=1.0).partition("Less, where 1 means no peak")
    assert "rademacher" in with_peak
    assert "gaussian" in without


def test_the_collapse_of_c4_counts_budgets_at_which_the_linear_network_is_solved() -> None:
    found = slope_curves(0.5).collapse()
    assert found["budgets"].tolist() == [500.0, 2000.0, 8000.0]
    assert found["exponent"]["value"] > 0
    assert "exponent" not in slope_curves(0.5, solved=1e-14).collapse()


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
            assert any(text in rule for text in shown), (name, value)


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
        "members": 2,
        "rows": 16,
        "others": [{"name": "training law gaussian()", "law": "gaussian()", "width": 2}],
        "descents": {"widths": [2], "lr": 0.3, "points": 4, "members": 2},
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
