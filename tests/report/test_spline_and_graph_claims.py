"""C6a, C6b, C8, B2: verdicts on both sides of every threshold, and the whole way through at a tiny size."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from renorm import create_model
from renorm.callbacks.layer_cumulants import sampled_cumulants
from renorm.cumulants import propagate
from renorm.datamodules import laws
from renorm.report.claim import read_claim
from renorm.report.claims import find_judge
from renorm.report.experiments import Experiments
from renorm.report.finding import plain
from renorm.report.fits import make_model
from renorm.report.graphs import compare_graph, counting_gap, gaps, measure
from renorm.report.splines import straighten

from .rules import verdict

IDS = ("C6a", "C6b", "C8", "B2")


OVERFITS = {"learned": -2.0, "rises": 1.0, "contrast": 0.3}


@pytest.mark.parametrize("number", ["learned", "rises", "contrast"])
@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        ("straight, interpolation", "reproduced"),
        ("straight, extrapolation", "partly"),
        ("bent, interpolation", "partly"),
        ("bent, extrapolation", "not reproduced"),
    ],
)
def test_verdict_of_c6a(number: str, place: str, wanted: str) -> None:
    numbers = {
        f"{start}, {over}": OVERFITS for start in ("bent", "straight") for over in ("interpolation", "extrapolation")
    }
    assert verdict("C6a", numbers) == "reproduced"
    missed = OVERFITS | {number: OVERFITS[number] + (0.01 if number == "learned" else -0.01)}
    assert verdict("C6a", numbers | {place: missed}) == wanted


@pytest.mark.parametrize(
    ("free", "full", "wanted"),
    [
        ((0.05, 1, 0.5), (0.05, 1, 0.5), "reproduced"),
        ((0.051, 1, 0.5), (0.05, 1, 0.5), "partly"),
        ((0.05, 1, 0.49), (0.05, 1, 0.49), "partly"),
        ((0.051, 1, 0.49), (0.05, 1, 0.5), "partly"),
        ((0.051, 2, 0.49), (0.051, 2, 0.49), "partly"),
        ((0.051, 1.9, 0.49), (0.05, 2, 0.49), "not reproduced"),
    ],
)
def test_verdict_of_c6b(free: tuple[float, ...], full: tuple[float, ...], wanted: str) -> None:
    names = ("index", "fall", "better")
    assert (
        verdict("C6b", {"a": dict(zip(names, free, strict=True)), "b": dict(zip(names, full, strict=True))}) == wanted
    )


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
    assert verdict("C8", {"good": (0.0, 0.0, 0.1, 0.9), "case": case}) == wanted


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
    assert verdict("B2", {"good": (0.0,) * 4, "case": case}) == wanted


def test_rules_name_their_thresholds() -> None:
    for name in IDS:
        claim = read_claim(name)
        rule = " ".join(claim.rule.values())
        for threshold, value in claim.thresholds.items():
            shown = {f"{value:g}", f"{value:.0e}".replace("e-0", "e-"), f"{value:g}-fold"}
            assert f"({threshold}" in rule, (name, threshold)
            assert any(text in rule for text in shown), (name, threshold)


def test_full_runs_have_five_seeds_and_256_members() -> None:
    for name in IDS:
        own = read_claim(name).settings
        assert own["seeds"] >= 5
        assert own["seeds"] * own["members"] >= 256


@pytest.mark.parametrize(("graph", "nodes", "senders"), [("complete", 4, 4), ("ring", 4, 3), ("complete", 3, 3)])
@pytest.mark.parametrize("depth", [1, 2])
def test_counting_gives_the_gap_of_linear_networks_of_equal_weights(
    graph: str, nodes: int, senders: int, depth: int
) -> None:
    arguments = {"graph": graph, "block_size": nodes, "width": 1, "depth": depth, "readout": "mean"}
    model = create_model("gnn_graph_conv_linear_free", **arguments).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(0.0 if "bias" in name else 1.0)
        reach = model(torch.eye(nodes).double())[0]  # how much of each variable the readout holds
    model.requires_grad_(False)
    law = laws.parse("gamma(shape=4)")
    found = propagate(model, law, order=4, method="independent_nodes", closure=4).marginals("out")[:, 0, 0]
    for n in (1, 2, 3, 4):
        exact = float((reach**n).sum() * law.cumulants(4)[n - 1])
        assert 1 - float(found[n - 1]) / exact == pytest.approx(counting_gap(senders, n, depth), abs=1e-12)


def test_straight_splines_start_as_lines() -> None:
    model = create_model("mlp_spline_free", replicas=3)
    noise = model.activations[0].theta.detach() - model.activations[0].greville.clamp(min=0).float()  # type: ignore[index, union-attr, operator]
    straighten(model)
    left = model.activations[0].theta.detach() - model.activations[0].greville.float()  # type: ignore[index, union-attr, operator]
    torch.testing.assert_close(left, noise, atol=1e-6, rtol=0)
    with torch.no_grad():
        model.activations[0].theta.sub_(left)  # type: ignore[index, union-attr, operator]
        z = torch.linspace(-5, 5, 11).expand(3, 8, 11)
        torch.testing.assert_close(model.activations[0](z), z, atol=1e-5, rtol=0)  # type: ignore[index, operator]


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
SPLINES = {"stops": [0, 2], "members": 2, "seeds": 2, "batch": 4, "rows": 16}
GRAPHS = {"stops": [0, 2], "members": 2, "seeds": 2, "samples": 500, "cases": CASES, "own_graph": ["pair"]}


@pytest.mark.parametrize("name", IDS)
def test_claims_are_judged(name: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    claim = read_claim(name, quick=True)
    claim = replace(claim, settings=dict(claim.settings) | (SPLINES if name.startswith("C6") else GRAPHS))
    folder = tmp_path_factory.getbasetemp() / "splines_and_graphs"  # pairs of claims share their computations
    with Experiments(folder, workers=0, quick=True) as experiments:
        finding = find_judge(name)(claim, experiments)
    assert finding.verdict in claim.rule
    assert (finding.tried == "") == (finding.verdict in ("reproduced", "yes"))
    assert json.dumps(plain(finding.numbers))
    for drawing in finding.figures:
        drawing.figure.savefig(tmp_path / f"{drawing.name}.svg")
        assert all(axes.get_xlabel() or axes.get_ylabel() for axes in drawing.figure.axes[:1])
