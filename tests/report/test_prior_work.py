"""S1 to S5: formulas against brute force and fractions, verdicts on both sides of every threshold, and the whole way through."""

from __future__ import annotations

import importlib
import itertools
import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.stats import spearmanr

from renorm import create_model
from renorm.report.breaking import all_pairings, distances, follow_symmetries, odd_distance
from renorm.report.claim import read_claim
from renorm.report.claims import find_judge, s3, s4, s5
from renorm.report.descents import crossing_times, descend, learning_times, linear_errors, scaled_stack
from renorm.report.experiments import Experiments
from renorm.report.finding import plain
from renorm.report.kinks import units_of
from renorm.report.linear_theory import gain_curve, invariants, orbit_sizes, time_factor

from .rules import verdict

IDS = ("S1", "S2", "S3", "S4", "S5")
SYMMETRIES = ("free", "input", "hidden", "full", "odd", "odd_input")
SMALL: dict[str, Any] = {
    "arguments": {"width": 4},
    "map": "central_limit()",
    "block_size": 2,
    "law": "uniform()",
    "seed": 0,
    "seeds": 1,
    "members": 1,
    "scales": [1.0],
    "batch": 8,
}


# ---- linear networks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_the_closed_curve_is_the_gradient_flow_of_the_networks_own_parameters(symmetry: str) -> None:
    model = create_model(f"mlp_linear_{symmetry}", width=4, bias=False, seed=3).double()
    parameters = list(model.parameters())
    with torch.no_grad():  # nothing across the target's direction, as the theory has it
        for layer in model.affine_layers()[:1]:
            layer.weight.fill(layer.weight().mean(dim=-1, keepdim=True).expand(1, 4, 2)[0].clone())
        for parameter in parameters:
            parameter.mul_(0.5)
    sizes = orbit_sizes(symmetry, 4)
    factor = time_factor(symmetry, 4)
    target = torch.full((2,), 0.5**0.5, dtype=torch.float64)

    def load(values: Any) -> None:
        with torch.no_grad():
            for parameter, part in zip(
                parameters, torch.from_numpy(np.array(values)).split([p.numel() for p in parameters]), strict=True
            ):
                parameter.copy_(part.view_as(parameter))

    def flow(_: float, values: Any) -> Any:
        load(values)
        (weight, _), (readout, _) = model.dense()
        loss = ((readout @ weight)[0, 0] - target).square().sum() / 2
        return -torch.cat([part.flatten() for part in torch.autograd.grad(loss, parameters)]).numpy()

    start = torch.cat([parameter.detach().flatten() for parameter in parameters]).numpy()
    gain, size = (part.numpy() for part in invariants(model, *sizes))
    times = np.linspace(0, 4 / factor, 4)
    solved = solve_ivp(flow, (0, times[-1]), start, t_eval=times, rtol=1e-8, atol=1e-10).y
    for values, wanted in zip(solved.T, gain_curve(gain, size, factor, times)[:, 0], strict=True):
        load(values)
        assert float(invariants(model, *sizes)[0]) == pytest.approx(wanted, abs=1e-6)


@given(st.integers(-20, 9), st.integers(0, 30), st.integers(1, 4))
def test_the_size_and_gain_are_conserved_as_fractions(tenth: int, more: int, factor: int) -> None:
    gain = Fraction(tenth, 10)
    size = 2 * abs(gain) + Fraction(more, 10)
    rate, growth = factor * size * (1 - gain), 4 * factor * gain * (1 - gain)
    assert 2 * size * growth - 8 * gain * rate == 0  # the derivative of S^2 - 4 g^2
    if size:
        curve = gain_curve([float(gain)], [float(size)], factor, [0.0, 1e-6, 100.0])[:, 0]
        assert curve[0] == pytest.approx(float(gain), abs=1e-9)
        assert (curve[1] - curve[0]) / 1e-6 == pytest.approx(float(rate), rel=1e-3, abs=1e-3)
        assert size == 2 * abs(gain) or curve[2] == pytest.approx(1.0)


def test_linear_errors_are_those_of_the_law() -> None:
    model = create_model("mlp_linear_free", replicas=3)
    blocks = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=2)))  # of mean 0 and unit covariance
    target = blocks.sum(dim=1) / 2**0.5
    gain, error = linear_errors(model)
    out = model(blocks).detach()
    torch.testing.assert_close(error.float(), (out - target).square().mean(dim=1))
    torch.testing.assert_close(gain.float(), (out * target).mean(dim=1))


def test_the_gain_under_weight_decay_is_the_least_costly() -> None:
    for strength in (Fraction(1, 4), Fraction(1, 2), Fraction(3, 2)):
        gains = [Fraction(n, 8) for n in range(9)]
        cost = {gain: (1 - gain) ** 2 + 2 * strength * gain for gain in gains}
        assert float(min(cost, key=cost.__getitem__)) == float(s3.predicted_gain(float(strength)))


@pytest.mark.parametrize("symmetry", ["free", "hidden", "odd_input"])
def test_networks_come_to_rest_at_the_predicted_gain(symmetry: str) -> None:
    factor = time_factor(symmetry, 4)
    own = SMALL | {"model": f"mlp_linear_{symmetry}", "decays": [0.5 * factor, 1.5 * factor], "members": 2, "batch": 64}
    found = s3.decay_to_rest(own | {"rate": 0.05 / factor, "time": 8 / factor, "every": 8 / factor})
    np.testing.assert_allclose(np.array(found["gain"])[:, 0, 0], [[0.5] * 2, [0.0] * 2], atol=0.08)


def test_odd_leaky_networks_without_biases_are_linear_maps_at_every_slope() -> None:
    for slope in (0.0, 0.3, 1.0):
        model = create_model("mlp_leaky_relu_odd", width=8, bias=False, negative_slope=slope).double()
        (weight, _), (readout, _) = model.dense()
        x = torch.randn(50, 2).double()
        wanted = (1 + slope) / 2 * x @ (readout @ weight)[0, 0]
        torch.testing.assert_close(model(x)[0], wanted)


# ---- descent -----------------------------------------------------------------------------------------------------


def test_scales_and_decays_share_initial_weights() -> None:
    own = SMALL | {"model": "mlp_leaky_relu_free", "arguments": {"width": 4, "negative_slope": [0.1, 0.2]}}
    model = scaled_stack(own | {"scales": [1.0, 0.5], "decays": [0.0, 0.1, 0.2], "members": 3})
    for parameter in model.parameters():
        values = parameter.detach().view(2, 3, 2, 3, -1)
        torch.testing.assert_close(values[:, :, 1], values[:, :, 0] / 2)
        torch.testing.assert_close(values, values[:1, :1].expand_as(values))


def test_descent_is_sgd_with_its_weight_decay() -> None:
    own = SMALL | {"model": "mlp_relu_free", "decays": [0.0, 0.3], "rate": 0.05, "time": 0.5, "every": 0.1}
    model = scaled_stack(own)
    times = list(descend(model, own))
    np.testing.assert_allclose(times, np.arange(6) / 10)
    for member, decay in enumerate(own["decays"]):
        alone = scaled_stack(own)
        optimizer = torch.optim.SGD(alone.parameters(), lr=0.05, weight_decay=2 * decay)
        for x, y in itertools.islice(importlib.import_module("renorm.report.seeded").training_batches(2, own), 5):
            optimizer.zero_grad()
            (alone(x) - y).square().mean(dim=-1).sum().backward()
            optimizer.step()
        for found, wanted in zip(model.parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(found[member], wanted[member])


def test_times_are_those_of_an_exponential() -> None:
    times = np.linspace(0, 4, 9)
    errors = np.exp(-np.outer(times, [1.0, 2.0, 0.01]))
    np.testing.assert_allclose(crossing_times(times, errors, 0.1), [math.log(10), math.log(10) / 2, np.inf])
    assert crossing_times(times, errors, 2.0).tolist() == [0, 0, 0]


def test_time_factors_follow_their_prediction_under_a_symmetric_law() -> None:
    own = SMALL | {
        "model": "mlp_leaky_relu_free",
        "arguments": {"width": 32, "bias": False, "negative_slope": [1.0, 0.2]},
        "members": 4,
        "scales": [0.003],
        "rate": 0.05,
        "time": 14.0,
        "every": 0.2,
        "thresholds": [0.5],
        "rows": 32,
    }
    times = np.array(learning_times(own)["times"][0])[:, 0, 0]
    k = 0.6
    predicted = (times[0] - math.log(k) / 2) / k
    np.testing.assert_allclose(times[1], predicted, rtol=0.05)
    assert (times[1] / times[0] > 1.5).all()


# ---- symmetries --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symmetry", ["input", "hidden", "full", "odd", "odd_input"])
def test_symmetric_networks_are_at_distance_zero_also_with_their_units_in_another_order(symmetry: str) -> None:
    units = units_of(create_model(f"mlp_relu_{symmetry}", width=6, replicas=3))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    shuffled = units._replace(weight=units.weight[:, order], bias=units.bias[:, order], readout=units.readout[:, order])
    assert float(distances(shuffled)[symmetry].max()) < 1e-12
    free = distances(units_of(create_model("mlp_relu_free", width=6, replicas=3)))
    assert float(free[symmetry].min()) > 0.01
    reflected = units._replace(weight=units.weight * torch.tensor([-1.0, 1.0]))
    if symmetry == "odd_input":
        assert float(distances(reflected)["odd_input_reflected"].max()) < 1e-12


def test_the_distance_to_odd_networks_is_the_least_over_pairings_and_projections() -> None:
    rows = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    sign = torch.tensor([-1.0, -1.0, 1.0, -1.0]).double()
    best = []
    for pairing in ([(0, 1), (2, 3)], [(0, 2), (1, 3)], [(0, 3), (1, 2)]):
        nearest = rows.clone()
        for i, j in pairing:
            mean = (rows[:, i] + sign * rows[:, j]) / 2
            nearest[:, i], nearest[:, j] = mean, sign * mean
        best.append((rows - nearest).square().sum(dim=(1, 2)))
    torch.testing.assert_close(odd_distance(rows), torch.stack(best).amin(dim=0))
    assert len(all_pairings(8)) == 105
    assert all(sorted(way.ravel().tolist()) == list(range(8)) for way in all_pairings(8))


def test_rank_correlations_are_scipys_and_partial_ones_take_away_what_is_shared() -> None:
    random = np.random.default_rng(0)
    z = random.normal(size=(3, 40))
    x, y = z + 0.1 * random.normal(size=z.shape), z + 0.1 * random.normal(size=z.shape)
    found = s4.correlations(x, y, z)
    wanted = [spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(found["correlates"][:4], [np.mean(wanted), *wanted])
    assert abs(found["predicts"][0]) < 0.3 < found["correlates"][0]
    np.testing.assert_allclose(s5.rank_correlation(x, y), wanted)


def test_symmetries_are_followed_from_the_start() -> None:
    own = SMALL | {"model": "mlp_relu_odd_input", "rates": [0.01], "stops": [0, 2], "tests": ["uniform()"]}
    found = follow_symmetries(own | {"members": 2, "rows": 64, "mirrored": False})["distances"]
    for name in ("odd_input", "input", "odd", "odd, function", "input, function", "input, first layer"):
        assert np.array(found[name]).shape == (2, 1, 1, 1, 2)
        assert np.abs(np.array(found[name])).max() < 1e-9
    assert np.min(found["hidden"]) > 0.1


def test_an_ensemble_that_holds_the_truth_covers_it_and_one_that_is_off_does_not() -> None:
    own = SMALL | {"model": "mlp_linear_free", "rates": [0.03], "stops": [300], "rows": 64, "mirrored": False}
    found = s5.spread_and_error(own | {"distances": [0.5, 2.0], "members": 30})
    assert np.array(found["coverage"]).ravel()[0] >= 0.9
    own |= {"model": "mlp_linear_full", "stops": [1], "arguments": {"width": 1}, "scales": [0.01]}
    assert np.array(s5.spread_and_error(own | {"distances": [2.0], "members": 30})["coverage"]).max() < 0.2


# ---- rules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("follows", "near", "approaches", "control", "wanted"),
    [
        ([0.05, 0.05], [0.1, 0.1], True, 0.1, "reproduced"),
        ([0.05, 0.051], [0.1, 0.1], True, 0.1, "partly"),
        ([0.05, 0.05], [0.1, 0.11], True, 0.1, "partly"),
        ([0.05, 0.05], [0.1, 0.1], False, 0.1, "partly"),
        ([0.05, 0.05], [0.1, 0.1], True, 0.09, "partly"),
        ([0.051, 0.051], [0.1, 0.1], True, 0.1, "not reproduced"),
    ],
)
def test_s1(follows: list[float], near: list[float], approaches: bool, control: float, wanted: str) -> None:
    assert verdict("S1", {"follows": follows, "near": near, "approaches": approaches, "control": control}) == wanted


@pytest.mark.parametrize(
    ("time", "gap", "wanted"),
    [
        ([0.05, 0.05], [0.15, 0.15], "reproduced"),
        ([0.06, 0.05], [0.15, 0.15], "partly"),
        ([0.05, 0.05], [0.16, 0.15], "partly"),
        ([0.05, 0.06], [0.15, 0.15], "not reproduced"),
        ([0.05, 0.05], [0.15, 0.16], "not reproduced"),
    ],
)
def test_s2(time: list[float], gap: list[float], wanted: str) -> None:
    assert verdict("S2", {"time": time, "gap": gap}) == wanted


@pytest.mark.parametrize(
    ("everywhere", "free", "wanted"),
    [
        ((0.05, 0.1), (0.05, 0.1), "reproduced"),
        ((0.051, 0.1), (0.05, 0.1), "partly"),
        ((0.05, 0.11), (0.05, 0.1), "partly"),
        ((0.051, 0.1), (0.051, 0.1), "not reproduced"),
        ((0.05, 0.11), (0.05, 0.11), "not reproduced"),
    ],
)
def test_s3(everywhere: tuple[float, float], free: tuple[float, float], wanted: str) -> None:
    numbers = {
        name: dict(zip(("gain", "error"), own, strict=True)) for name, own in (("all", everywhere), ("free", free))
    }
    assert verdict("S3", numbers) == wanted


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ((-0.302, 0.3), (-0.302, 0.3), "yes"),
        ((-0.3, 0.3), (-0.302, 0.3), "partly"),
        ((-0.3, 0.3), (-0.3, 0.3), "partly"),
        ((-0.302, 0.29), (-0.302, 0.29), "partly"),
        ((-0.3, 0.3), (-0.302, 0.29), "no"),
    ],
)
def test_s4(first: tuple[float, float], second: tuple[float, float], wanted: str) -> None:
    names = ("restored", "predicts")
    assert (
        verdict("S4", {"a": dict(zip(names, first, strict=True)), "b": dict(zip(names, second, strict=True))}) == wanted
    )


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ((0.9, 0.4, 0.0), (0.9, 0.4, 0.0), "yes"),
        ((0.89, 0.4, 0.0), (0.9, 0.4, 0.0), "partly"),
        ((0.9, 0.39, 0.7), (0.89, 0.4, 0.7), "partly"),
        ((0.9, 0.39, 0.7), (0.89, 0.4, 0.69), "no"),
    ],
)
def test_s5(first: tuple[float, ...], second: tuple[float, ...], wanted: str) -> None:
    names = ("covers", "half", "knows")
    assert (
        verdict("S5", {"a": dict(zip(names, first, strict=True)), "b": dict(zip(names, second, strict=True))}) == wanted
    )


def test_rules_name_their_thresholds() -> None:
    for name in IDS:
        claim = read_claim(name)
        rule = " ".join(claim.rule.values())
        for threshold, value in claim.thresholds.items():
            assert f"({threshold}" in rule, (name, threshold)
            assert any(text in rule for text in (f"{value:g}", f"{value:.0%}", f"{value:g}-fold")), (name, threshold)


def test_full_runs_have_five_seeds_and_256_members() -> None:
    for name in IDS:
        own = read_claim(name).settings
        assert own["seeds"] >= 5
        assert own["seeds"] * own["members"] >= 256
        assert len(own["rates"]) == 3
        assert len(own["scales"]) >= 2
        assert {"uniform()", "gaussian()"} <= set(own["laws"])


LESS: dict[str, dict[str, Any]] = {
    "S1": {"width": 4, "time": 0.6, "every": 0.3, "laws": ["uniform()"]},
    "S2": {"symmetries": ["free", "full"], "time": 0.5},
    "S3": {"networks": {"free": {"model": "mlp_linear_free", "symmetry": "free"}}, "time": 0.5},
    "S4": {"activations": {"relu": {"model": "mlp_relu_free", "arguments": {"width": 4}}}, "stops": [0, 2]},
    "S5": {"networks": {"linear": {"model": "mlp_linear_free", "arguments": {"width": 4}}}, "stops": [2]},
}


@pytest.mark.parametrize("name", IDS)
def test_claims_are_judged(name: str, tmp_path: Path) -> None:
    claim = read_claim(name, quick=True)
    less = {"members": 3, "seeds": 2, "batch": 4, "rows": 16} | LESS[name]
    claim = replace(claim, settings=dict(claim.settings) | {key: less[key] for key in less if key in claim.settings})
    with Experiments(tmp_path / "experiments", workers=0, quick=True) as experiments:
        finding = find_judge(name)(claim, experiments)
    assert finding.verdict in claim.rule
    assert (finding.tried == "") == (finding.verdict in ("yes", "reproduced"))
    assert json.dumps(plain(finding.numbers))
    for drawing in finding.figures:
        drawing.figure.savefig(tmp_path / f"{drawing.name}.svg")
        assert all(axes.get_xlabel() or axes.get_ylabel() for axes in drawing.figure.axes[:1])
