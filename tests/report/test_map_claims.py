"""D1 to D6: what they are made of against references, verdicts on both sides of every threshold, and the whole way through."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate

from renorm import create_model
from renorm.datamodules import CLTDataModule
from renorm.report.claim import read_claim
from renorm.report.claims import d1, d5, d6, find_judge
from renorm.report.experiments import Experiments
from renorm.report.finding import plain
from renorm.report.seed_statistics import mean_log
from renorm.report.seeded import fresh_blocks, make_stack, relative_errors, train_seeds, train_stack

from .rules import verdict

IDS = ("D1", "D2", "D3", "D4", "D5", "D6")
SMALL: dict[str, Any] = {
    "model": "mlp_relu_free",
    "arguments": {"width": 4},
    "map": "maximum()",
    "law": "uniform()",
    "block_size": 2,
    "rates": [0.03, 0.01],
    "seed": 0,
    "seeds": 1,
    "members": 1,
    "batch": 8,
    "stops": [60],
    "tests": ["gaussian()"],
    "rows": 64,
    "mirrored": True,
}
SQRT3 = 3**0.5


def odd_bound() -> float:
    """Least relative error of an odd function on the maximum of two uniform variables, by quadrature over their difference."""
    density = lambda d: 2 * (2 * SQRT3 - d) / (2 * SQRT3) ** 2  # noqa: E731  of the absolute difference
    even_part = integrate.quad(lambda d: (d / 2 - np.log(2)) ** 2 * density(d), 0, 2 * SQRT3, epsabs=1e-12)[0]
    return float(even_part / (2 / 3))


def test_no_odd_function_passes_the_bound_on_the_maximum() -> None:
    assert odd_bound() == pytest.approx(0.2701, abs=5e-5)
    settings = SMALL | {"rows": 20_000, "stops": [200], "members": 4, "arguments": {"width": 12}}
    x, y = fresh_blocks("uniform()", settings)
    on_sample = d1.odd_bound(x, y)
    assert on_sample == pytest.approx(odd_bound(), abs=0.01)
    for symmetry, reaches in (("odd", False), ("free", True)):
        model = make_stack(settings | {"model": f"mlp_relu_{symmetry}"})
        list(train_stack(model, settings))
        errors = relative_errors(model, x, y)
        assert bool((errors < on_sample).any()) is reaches
        assert reaches or float(errors.min()) >= on_sample * (1 - 1e-5)


def test_every_member_takes_adams_steps_at_its_own_rate() -> None:
    model = make_stack(SMALL)
    list(train_stack(model, SMALL))
    data = CLTDataModule(held_out_laws=[], batch_size=8 * 50, map="maximum()")
    for member, rate in enumerate(SMALL["rates"]):
        alone = create_model("mlp_relu_free", width=4, replicas=2)
        optimizer = torch.optim.Adam(alone.parameters(), lr=rate)
        for step in range(60):
            blocks = data.batch("train", step // 50, 0)
            rows = slice(8 * (step % 50), 8 * (step % 50) + 8)
            optimizer.zero_grad()
            alone.losses(blocks.x[rows], blocks.y[rows]).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        for found, wanted in zip(model.parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(found[member], wanted[member], rtol=1e-3, atol=1e-4)


def test_seeds_have_data_of_their_own_and_slopes_share_it() -> None:
    settings = SMALL | {"model": "mlp_leaky_relu_free", "arguments": {"width": 4, "negative_slope": [0.5, 0.5]}}
    errors = np.array(train_seeds(settings | {"seeds": 2, "members": 3})["errors"]["gaussian()"])
    assert errors.shape == (1, 2, 2, 2, 3)
    np.testing.assert_allclose(errors[:, 0], errors[:, 1])
    assert len(np.unique(errors[0, 0])) == 12
    reflected = np.array(train_seeds(settings | {"seeds": 2, "members": 3, "reflected": True})["errors"]["gaussian()"])
    assert not np.allclose(reflected, errors)


def test_intervals_cover_seeds() -> None:
    random = np.random.default_rng(1)
    one_law = random.normal(size=(5, 50))
    apart = one_law + 3 * np.arange(5)[:, None]
    for logs, wide in ((one_law, False), (apart, True)):
        versions = mean_log(10 ** (logs - 10))
        assert versions[0] == pytest.approx(logs.mean() - 10)
        np.testing.assert_allclose(versions[1:6], logs.mean(axis=1) - 10)
        low, high = np.quantile(versions[6:], [0.025, 0.975])
        assert bool(high - low > 3) is wide
    both = mean_log(np.stack([10 ** (one_law - 10), 10 ** (one_law - 9)]))
    np.testing.assert_allclose(both[:, 1] - both[:, 0], 1.0)  # resampled alike


@pytest.mark.parametrize(
    ("gain", "harm", "wanted"),
    [
        ([0.3, 0.3], [0.3, 0.3], "yes"),
        ([0.29, 0.3], [0.3, 0.3], "partly"),
        ([0.29, 0.3], [0.3, 0.29], "no"),
        ([0.29, 0.3], [0.29, 0.3], "partly"),
        ([0.0, 0.0], [0.3, 0.3], "partly"),
    ],
)
def test_d1(gain: list[float], harm: list[float], wanted: str) -> None:
    assert verdict("D1", {"gain": gain, "harm": harm}) == wanted


@pytest.mark.parametrize(
    ("bent", "straight", "wanted"),
    [
        ((0.3, 0.75), (-0.3, 0.25), "yes"),
        ((0.3, 0.74), (-0.3, 0.25), "partly"),
        ((0.3, 0.75), (-0.29, 0.25), "partly"),
        ((0.3, 0.75), (-0.3, 0.26), "partly"),
        ((0.29, 0.75), (-0.3, 0.25), "no"),
        ((0.3, 0.75), (0.3, 0.25), "no"),
    ],
)
def test_d2(bent: tuple[float, float], straight: tuple[float, float], wanted: str) -> None:
    pairs = {"a": (False, bent), "b": (True, straight)}
    assert verdict("D2", {n: {"linear": k, "help": h, "falls": f} for n, (k, (h, f)) in pairs.items()}) == wanted


@pytest.mark.parametrize(
    ("wanted_gains", "unwanted_gains", "answer"),
    [
        (([0.3, 0.3], [0.3, 0.3]), ([0.2, 0.2], [0.2, 0.2]), "yes"),
        (([0.3, 0.3], [0.3, 0.3]), ([0.3, 0.2], [0.2, 0.2]), "partly"),
        (([0.3, 0.29], [0.3, 0.3]), ([0.2, 0.2], [0.2, 0.2]), "partly"),
        (([0.3, 0.29], [0.3, 0.4]), ([0.2, 0.2], [0.3, 0.2]), "no"),
    ],
)
def test_d3(wanted_gains: Any, unwanted_gains: Any, answer: str) -> None:
    graphs = ("graph, sum", "graph, maximum")
    numbers = {
        name: dict(zip(graphs, gains, strict=True))
        for name, gains in (("maximum()", wanted_gains), ("central_limit()", unwanted_gains))
    }
    assert verdict("D3", numbers) == answer


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [((-1.3, -1.0), (-1.3, -1.0), "yes"), ((-1.29, -1.0), (-1.3, -1.0), "partly"), ((-1.3, -1.3), (0, 1), "no")],
)
def test_d4(first: tuple[float, float], second: tuple[float, float], wanted: str) -> None:
    assert verdict("D4", {"a": first, "b": second}) == wanted


@pytest.mark.parametrize(
    ("straight", "bent", "wanted"),
    [([0.3, -0.3], [0.0, -0.31], "yes"), ([0.3, -0.31], [0.31, 0.0], "partly"), ([0.31, 0.0], [0.3, 0.3], "no")],
)
def test_d5(straight: list[float], bent: list[float], wanted: str) -> None:
    pairs: Mapping[str, Any] = {"a": {"linear": True, "changes": straight}, "b": {"linear": False, "changes": bent}}
    assert verdict("D5", pairs) == wanted


def test_d5_takes_the_rate_that_is_best_where_it_was_trained() -> None:
    errors = {"own": np.full((1, 1, 2, 1, 1), 1e-2), "other": np.full((1, 1, 2, 1, 1), 1e-1)}
    errors["own"][:, :, 1] = 1e-3  # the second rate
    errors["other"][:, :, 1] = 1.0
    trained, other = d5.at_best_rate(errors, ("own", "other"), 0)
    np.testing.assert_allclose((trained, other), (np.full_like(trained, -3.0), np.zeros_like(other)), atol=1e-12)


@pytest.mark.parametrize(("fall", "shift", "wanted"), [(0.5, 1.99, "yes"), (0.5, 2.0, "partly"), (0.49, 1.0, "no")])
def test_d6(fall: float, shift: float, wanted: str) -> None:
    assert verdict("D6", {"fall": fall, "shift": shift}) == wanted


def test_d6_finds_how_far_a_step_moves() -> None:
    distances = np.geomspace(0.01, 1, 201)
    steps = [-2 / (1 + (centre / distances) ** 8) for centre in (0.4, 0.2, 0.1)]
    curve = np.array([steps])
    np.testing.assert_allclose(d6.half_way(distances, curve), [[0.4, 0.2, 0.1]], rtol=0.02)
    assert d6.shift(distances, curve, 0.5)[0] == pytest.approx(4.0, rel=0.02)
    assert np.isinf(d6.shift(distances, curve, 2.5)[0])  # no budget counts
    assert np.isnan(d6.half_way(distances, -curve)).all()  # an error that rises


def test_rules_name_their_thresholds() -> None:
    for name in IDS:
        claim = read_claim(name)
        rule = " ".join(claim.rule.values())
        for threshold, value in claim.thresholds.items():
            shown = {f"{value:g}", f"{value:.0%}", f"{value:g}-fold"}
            assert f"({threshold}" in rule, (name, threshold)
            assert any(text in rule for text in shown), (name, threshold)


def test_full_runs_have_five_seeds_and_256_members() -> None:
    for name in IDS:
        settings = read_claim(name).settings
        assert settings["seeds"] >= 5
        assert settings["seeds"] * settings["members"] >= 256
        assert len(settings["rates"]) == 3


LESS: dict[str, dict[str, Any]] = {
    "D1": {"laws": ["uniform()"], "beyond": ["laplace()"]},
    "D2": {"laws": ["uniform()"], "beyond": ["laplace()"], "slopes": [1.0, 0.5]},
    "D3": {"laws": ["uniform()"], "beyond": ["laplace()"], "blocks": [{"block_size": 3, "mlp": 2, "gnn": 2}]},
    "D4": {"nodes": 6},
    "D5": {"pairs": [["rademacher()", "ising_chain(coupling=0.7)"]]},
    "D6": {"laws": ["uniform()"], "stops": [2, 3]},
}


@pytest.mark.parametrize("name", IDS)
def test_claims_are_judged(name: str, tmp_path: Path) -> None:
    claim = read_claim(name, quick=True)
    less = {"members": 2, "seeds": 2, "stops": [2], "rows": 16, "batch": 4} | LESS[name]
    claim = replace(claim, settings=dict(claim.settings) | less)
    with Experiments(tmp_path / "experiments", workers=0, quick=True) as experiments:
        finding = find_judge(name)(claim, experiments)
    assert finding.verdict in claim.rule
    assert (finding.tried == "") == (finding.verdict == "yes")
    assert json.dumps(plain(finding.numbers))
    for drawing in finding.figures:
        drawing.figure.savefig(tmp_path / f"{drawing.name}.svg")
        assert all(axes.get_xlabel() or axes.get_ylabel() for axes in drawing.figure.axes[:1])


def test_the_least_odd_error_is_that_of_the_odd_networks() -> None:
    names = ("odd", "odd_input", "odd_input_reflected", "free")
    group = {name: {"uniform()": [[[0.3 + 0.1 * n]]]} for n, name in enumerate(names)} | {"free": {"uniform()": [0.0]}}
    assert d1.least_odd_error({("maximum()", "uniform()"): group}) == 0.3
    assert d1.least_odd_error({}) is None
