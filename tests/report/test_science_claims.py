"""C4, C6a, C6b, C8, B2, B3: verdicts on both sides of every threshold, and the whole way through at a tiny size."""

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

from renorm.callbacks.layer_cumulants import sampled_cumulants
from renorm.cumulants import propagate
from renorm.datamodules import laws
from renorm.report.claim import read_claim
from renorm.report.claims import b2, b3, c4, c6a, c6b, c8, find_judge
from renorm.report.experiments import Experiments
from renorm.report.finding import plain
from renorm.report.fits import make_model
from renorm.report.graphs import compare_graph, gaps, measure

IDS = ("C4", "C6a", "C6b", "C8", "B2", "B3")


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
    ("free", "full", "wanted"),
    [
        ((1e-3, 0.1), (1e-3, 0.1), "reproduced"),
        ((1.01e-3, 0.1), (1e-3, 0.1), "partly"),
        ((1e-3, 0.1), (1e-3, 0.099), "partly"),
        ((1.01e-3, 0.1), (1e-3, 0.099), "not reproduced"),
    ],
)
def test_verdict_of_c6a(free: tuple[float, float], full: tuple[float, float], wanted: str) -> None:
    numbers = {name: {"trained": [t, 0, 0], "held_out": [h, 0, 0]} for name, (t, h) in (("free", free), ("full", full))}
    assert c6a.verdict(numbers, read_claim("C6a").thresholds) == wanted


@pytest.mark.parametrize(
    ("free", "full", "wanted"),
    [
        ((0.05, 9), (0.05, 9), "reproduced"),
        ((0.051, 9), (0.05, 9), "partly"),
        ((0.051, 1.9), (0.05, 9), "partly"),
        ((0.051, 2), (0.051, 2), "partly"),
        ((0.051, 2), (0.051, 1.99), "not reproduced"),
    ],
)
def test_verdict_of_c6b(free: tuple[float, float], full: tuple[float, float], wanted: str) -> None:
    numbers = {name: {"index": [i, 0, 0], "fall": f} for name, (i, f) in (("free", free), ("full", full))}
    assert c6b.verdict(numbers, read_claim("C6b").thresholds) == wanted


@pytest.mark.parametrize(
    ("case", "wanted"),
    [
        ((0.1, 0.1, 0.3, 0.5), "reproduced"),
        ((0.1, 0.1, 0.3, 0.49), "partly"),
        ((0.1, 0.11, 0.3, 0.5), "partly"),
        ((0.11, 0.1, 0.3, 0.5), "not reproduced"),
        ((0.1, 0.1, 0.3, 0.1), "not reproduced"),
    ],
)
def test_verdict_of_c8(case: tuple[float, ...], wanted: str) -> None:
    numbers = {"good": [[0.0], [0.0], [0.1], [0.9]], "case": [[gap] for gap in case]}
    assert c8.verdict(numbers, read_claim("C8").thresholds) == wanted


@pytest.mark.parametrize(
    ("case", "wanted"),
    [
        ((0.1,) * 4, "yes"),
        ((0.1, 0.1, 0.1, 0.11), "partly"),
        ((0.1, 0.1, 0.11, 0.1), "partly"),
        ((0.1, 0.11, 0.1, 0.1), "no"),
    ],
)
def test_verdict_of_b2(case: tuple[float, ...], wanted: str) -> None:
    numbers = {"good": [[0.0]] * 4, "case": [[gap] for gap in case]}
    assert b2.verdict(numbers, read_claim("B2").thresholds) == wanted


@pytest.mark.parametrize(
    ("name", "inside", "outside"), [("eigenvalue", 0.05, 0.051), ("variance", 0.1, 0.101), ("distance", 2.0, 2.01)]
)
def test_verdict_of_b3(name: str, inside: float, outside: float) -> None:
    thresholds = read_claim("B3").thresholds
    right = {"eigenvalue": [0.0], "variance": [0.0], "distance": [1.0]}
    for value, verdicts in ((inside, ("yes", "yes")), (outside, ("partly", "no"))):
        case = right | {name: [value]}
        assert (b3.verdict({"a": right, "b": case}, thresholds), b3.verdict({"b": case}, thresholds)) == verdicts


def test_rules_name_their_thresholds() -> None:
    for name in IDS:
        claim = read_claim(name)
        rule = " ".join(claim.rule.values())
        for value in claim.thresholds.values():
            shown = {f"{value:g}", f"{value:.0%}", f"{value:.0e}".replace("e-0", "e-"), "twice" if value == 2 else "-"}
            assert any(text in rule for text in shown) or (name == "C4" and value == 1e-12), (name, value)


def test_exact_map_has_no_error_in_b3() -> None:
    exact = b3.exact_eigenvalues(3)
    np.testing.assert_allclose(exact, [2, math.sqrt(2), 1, math.sqrt(0.5)])
    flow = {"k": [[[0.0], [1.0]]], "exact_k": [[0.0, 1.0]], "distance": [[0.1]], "exact_distance": [0.1]}
    numbers = b3.variant_numbers(flow | {"eigenvalues": [list(exact)], "trained": [0.0], "held_out": [0.0]}, 0)
    assert numbers["eigenvalue"] == (0.0, 0.0, 0.0)
    assert b3.is_step(numbers, read_claim("B3").thresholds)
    flow["distance"] = [[math.nan]]  # a flow that has blown up
    broken = b3.variant_numbers(flow | {"eigenvalues": [list(exact)], "trained": [0.0], "held_out": [0.0]}, 0)
    assert not b3.is_step(broken, read_claim("B3").thresholds)


def test_gaps_by_hand() -> None:
    measured = torch.tensor([[[1.0, 2.0]], [[4.0, 1.0]]]).double()  # k1 and k2 of two units
    predicted = torch.tensor([[[1.5, 2.0]], [[4.0, 0.5]]]).double()
    first = (0.5 / 2) / math.sqrt((1 / 2) ** 2 + 2**2)
    second = 0.5 / math.sqrt(1 + 1)
    torch.testing.assert_close(gaps(predicted, measured), torch.tensor([[first], [second]]).double())
    dead = torch.cat([measured, torch.tensor([[[3.0]], [[0.0]]]).double()], dim=2)  # a unit that is constant
    torch.testing.assert_close(gaps(torch.cat([predicted, dead[..., 2:] + 7], dim=2), dead), gaps(predicted, measured))


def test_graphs_are_compared_with_what_they_are() -> None:
    arguments = {"graph": "pair", "block_size": 2, "width": 2, "depth": 2, "replicas": 2}
    settings = {
        "model": "gnn_graph_conv_leaky_relu_free",
        "arguments": arguments,
        "data": {"train_laws": ["gamma(shape=4)"], "held_out_laws": []},
        "stops": [0],
        "samples": 100_000,
        "methods": ["independent", "joint4", "quadrature"],
    }
    found = compare_graph(settings)["stops"][0]
    exact = np.array(found["quadrature"]["out"])
    assert (exact[0] < 0.01).all()
    assert (exact[1] < 0.08).all()
    model = make_model(settings["model"], **arguments).requires_grad_(False)
    x = laws.parse("gamma(shape=4)").sample((400_000, 2), generator=torch.Generator().manual_seed(9)).double()
    k2 = model.double_copy()(x).var(dim=1)
    predicted = propagate(model, "gamma(shape=4)", method="independent_nodes").marginals("out")[1, :, 0]
    wanted = (predicted / k2 - 1).abs().detach().numpy()
    np.testing.assert_allclose(found["independent"]["out"][1], wanted, rtol=0.1)


def test_measured_cumulants_are_those_of_the_callback() -> None:
    model = make_model("gnn_graph_conv_relu_free", width=3, depth=2, replicas=2).double()
    x = laws.parse("gamma(shape=4)").sample((3000, 2), generator=torch.Generator().manual_seed(0)).double()
    found, wanted = measure(model, x), sampled_cumulants(model, x)
    assert list(found) == list(wanted)
    for layer, k in found.items():
        torch.testing.assert_close(k, wanted[layer].k)


CASES = {
    "ring": {"graph": "ring", "block_size": 3, "width": 2, "readout": "mean", "activation": "quadratic", "alpha": 0.1},
    "pair": {"graph": "pair", "block_size": 2, "width": 2, "readout": "target", "activation": "leaky_relu"},
}
TINY: dict[str, dict[str, Any]] = {
    "C4": {
        "distances": [0.01, 0.05, 0.2, 0.5, 1.0],
        "stops": [20, 40],
        "replicas": 3,
        "resamples": 5,
        "fits": [{"width": 2, "optimizer": "Adam", "lr": 0.01, "compile": False}],
        "descents": [{"width": 2, "optimizer": "SGD", "lr": 0.3, "points": 4, "compile": False}],
    },
    "C6a": {"stops": [0, 3], "replicas": 3},
    "C6b": {"stops": [0, 3], "replicas": 3},
    "C8": {"stops": [0, 2], "replicas": 2, "samples": 500, "cases": CASES},
    "B2": {"stops": [0, 2], "replicas": 2, "samples": 500, "cases": CASES},
    "B3": {"stops": [3], "replicas": 2, "samples": 64, "models": ["mlp_linear_free", "mlp_quadratic_full"]},
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
