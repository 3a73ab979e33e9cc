"""Certificates, each verdict checked by evaluation or by trying hard to contradict it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renorm.certificates.bounded_norm import best_errors
from renorm.certificates.certificate import certify, certify_grid, largest_error
from renorm.certificates.mlp import Architecture, eliminate
from renorm.training.losses import clt_map
from renorm.zoo import GNN, MLP

YES, NO, OPEN = "representable", "not representable", "undecided"

VERDICTS: list[tuple[dict[str, Any], str]] = [
    *[
        ({"activation": "linear", "symmetry": s, "width": w}, YES)
        for s in ("free", "input", "hidden", "full")
        for w in (1, 8)
    ],
    *[({"activation": "quadratic", "symmetry": s}, NO) for s in ("hidden", "full")],
    *[({"activation": "quadratic", "symmetry": s, "width": 1}, NO) for s in ("free", "input", "hidden", "full")],
    *[({"activation": "quadratic", "symmetry": s, "width": 2}, YES) for s in ("free", "input", "odd", "odd_input")],
    *[({"activation": a, "symmetry": s}, NO) for a in ("relu", "leaky_relu") for s in ("hidden", "full")],
    *[({"activation": a, "width": 1}, NO) for a in ("relu", "leaky_relu", "gelu", "tanh")],
    *[
        ({"activation": a, "symmetry": s, "width": 2}, YES)
        for a in ("relu", "leaky_relu", "gelu")
        for s in ("free", "input", "odd", "odd_input")
    ],
    *[({"activation": "tanh", "symmetry": s}, NO) for s in ("free", "full", "odd")],
    *[({"activation": "spline", "symmetry": s}, YES) for s in ("free", "input", "hidden", "full", "odd", "odd_input")],
    *[({"activation": "spline", "extension": e}, NO) for e in ("constant", "zero")],
    ({"activation": "spline", "spline": "fixed"}, OPEN),
    ({"activation": "spline", "weights": "fixed"}, YES),
    ({"activation": "spline", "weights": "fixed", "per_unit": False}, OPEN),
    ({"activation": "leaky_relu", "negative_slope": -1.0}, NO),
    ({"activation": "leaky_relu", "negative_slope": -1.0, "depth": 3}, NO),
    ({"activation": "leaky_relu", "negative_slope": 1.0, "symmetry": "full"}, YES),
    ({"activation": "leaky_relu", "negative_slope": -0.5}, YES),
    ({"activation": "leaky_relu", "negative_slope": -0.5, "symmetry": "full", "depth": 2}, NO),
    ({"activation": "quadratic", "alpha": 0.0, "symmetry": "full"}, YES),
    ({"activation": "quadratic", "symmetry": ["free", "hidden"], "depth": 2}, NO),
    ({"activation": "relu", "symmetry": ["free", "hidden"], "depth": 2}, NO),
    ({"activation": "leaky_relu", "symmetry": ["free", "hidden"], "depth": 2}, YES),
    ({"activation": "leaky_relu", "symmetry": ["full", "free", "hidden"], "depth": 3}, YES),
    *[
        ({"activation": "leaky_relu", "symmetry": "full", "depth": d}, YES if d % 2 == 0 else NO)
        for d in (1, 2, 3, 4, 5)
    ],
    *[({"activation": "quadratic", "symmetry": "full", "depth": d}, NO) for d in (2, 3)],
    *[({"activation": a, "depth": 3}, YES) for a in ("linear", "quadratic", "relu", "leaky_relu", "gelu", "spline")],
]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("arguments", "verdict"), VERDICTS)
def test_verdicts(arguments: dict[str, Any], verdict: str, bias: bool) -> None:
    found = certify(MLP(**{"width": 4, **arguments, "bias": bias}))
    assert found.verdict == verdict
    assert found.derivation
    assert (found.weights is not None) == (found.check is not None) == (verdict == YES)
    assert found.infimum == "attained" if verdict == YES else found.infimum != "attained"


@settings(max_examples=80, deadline=None)
@given(
    activation=st.sampled_from(["linear", "quadratic", "relu", "leaky_relu", "tanh", "gelu", "spline"]),
    symmetry=st.sampled_from(["free", "input", "hidden", "full", "odd", "odd_input"]),
    pairs=st.integers(1, 3),
    depth=st.integers(1, 4),
    block_size=st.integers(2, 5),
    bias=st.booleans(),
    parameter=st.floats(-3, 3),
    seed=st.integers(0, 1000),
)
def test_what_is_called_representable_is_the_map(
    activation: str, symmetry: str, pairs: int, depth: int, block_size: int, bias: bool, parameter: float, seed: int
) -> None:
    own = {"quadratic": {"alpha": parameter}, "leaky_relu": {"negative_slope": parameter}}.get(activation, {})
    arguments: dict[str, Any] = {"activation": activation, "symmetry": symmetry, "width": 2 * pairs, "depth": depth}
    arguments |= {"block_size": block_size, "bias": bias, **own}
    model = MLP(**arguments, seed=seed)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = certify(model)
    assert found.verdict in (YES, NO, OPEN)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())  # left as it was
    if found.weights is not None:
        twin = MLP(**arguments).double()
        with torch.no_grad():
            for name, value in twin.named_parameters():
                value.copy_(found.weights[name].unsqueeze(0))
            x = 3 * torch.randn(50, block_size, dtype=torch.float64)
            # slopes near -1 and 0 need large outgoing weights, which multiply the rounding
            size = max(1.0, *(float(value.abs().max()) for value in found.weights.values()))
            assert ((twin(x)[0] - clt_map(x)).abs() < 1e-9 * size).all()
    assert certify(MLP(**arguments, seed=seed + 1, replicas=2)).verdict == found.verdict


def gaussian_plane() -> tuple[torch.Tensor, torch.Tensor]:
    nodes = torch.linspace(-7, 7, 71, dtype=torch.float64)
    weight = torch.exp(-0.5 * nodes**2)
    weight = weight / weight.sum()
    return torch.cartesian_prod(nodes, nodes), torch.cartesian_prod(weight, weight).prod(dim=1)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["quadratic", "relu", "leaky_relu", "tanh"])
def test_no_optimiser_beats_the_least_error_within_a_bound(activation: str, bias: bool) -> None:
    """Projected gradient descent on the network itself, from many starts: independent of the search in two variables."""
    bound, starts = 1.0, 24
    model = MLP(width=2, activation=activation, symmetry="full", bias=bias, replicas=starts, seed=1).double()
    stated = dict(best_errors(Architecture.of(model)))[bound]
    x, weight = gaussian_plane()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(800):
        optimizer.zero_grad()
        error = ((model(x) - clt_map(x)).square() * weight).sum(dim=1)
        error.sum().backward()
        optimizer.step()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.clamp_(-bound, bound)
    with torch.no_grad():
        error = ((model(x) - clt_map(x)).square() * weight).sum(dim=1)
    assert float(error.min()) >= stated * (1 - 1e-3)
    assert float(error.min()) <= stated * 1.05  # and the stated error is reached


@pytest.mark.parametrize(
    ("arguments", "rate"),
    [
        ({"activation": "quadratic", "bias": False}, 100),
        ({"activation": "quadratic"}, 100),
        ({"activation": "tanh"}, 1e4),
    ],
)
def test_errors_fall_as_weights_may_grow(arguments: dict[str, Any], rate: float) -> None:
    errors = [error for _, error in certify(MLP(**arguments, symmetry="full", width=4)).best_errors]
    assert all(error > 0 for error in errors)
    for before, after in itertools.pairwise(errors[1:]):
        assert before / after == pytest.approx(rate, rel=0.1)


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.5, 0.9, 2.0, -0.3])
def test_without_bias_a_single_kink_costs_what_the_formula_says(slope: float) -> None:
    found = certify(MLP(activation="leaky_relu", negative_slope=slope, symmetry="full", bias=False))
    assert found.infimum == "positive"
    exact = (1 - slope) ** 2 / (2 * (1 + slope**2))
    assert [error for _, error in found.best_errors] == pytest.approx([exact] * 4, rel=1e-4)


def test_elimination_refuses_what_can_be_solved() -> None:
    with pytest.raises(AssertionError):
        eliminate((0.0, 1.0, 0.0), bias=True)  # a line in disguise
    assert "Gröbner basis {1}" in eliminate((0.0, 1.0, 0.25, 2.0), bias=True)[-1]


def test_leaky_layers_undo_each_other() -> None:
    z = torch.linspace(-5, 5, 1001, dtype=torch.float64)
    for slope in (0.1, 0.5, 3.0):
        phi = torch.nn.LeakyReLU(slope)
        assert torch.allclose(phi(-phi(z)), -slope * z, rtol=1e-14, atol=0)
    assert torch.allclose(torch.nn.functional.gelu(z) - torch.nn.functional.gelu(-z), z, rtol=0, atol=1e-15)


def test_each_point_of_a_grid_has_its_own() -> None:
    found = certify_grid(MLP(activation="quadratic", alpha=[0.0, 0.5], symmetry="full", replicas=2))
    assert {label: c.verdict for label, c in found.items()} == {"alpha=0": YES, "alpha=0.5": NO}
    with pytest.raises(ValueError, match="model has a grid of 2 points; allowed: one point, or certify_grid"):
        certify(MLP(activation="quadratic", alpha=[0.0, 0.5]))


def test_fixed_weights_are_taken_as_they_are() -> None:
    model = MLP(activation="spline", weights="fixed", width=3, replicas=2, seed=5)
    found = certify(model)
    assert found.weights is not None
    assert torch.equal(found.weights["hidden.0.weight.theta"].float(), model.hidden[0].weight.theta[0])
    tied = certify(MLP(activation="spline", weights="fixed", symmetry="full"))
    assert tied.verdict == YES  # one slope is enough where columns are tied
    untied = certify(MLP(activation="spline", weights="fixed", symmetry="hidden"))
    assert untied.verdict == OPEN


def test_a_wrong_network_is_not_the_map() -> None:
    assert largest_error(MLP(activation="relu", seed=3).double()) > 0.1


GRAPH_VERDICTS: list[tuple[dict[str, Any], str]] = [
    *[({"layer": layer, "readout": r}, YES) for layer in ("graph_conv", "gcn", "sage", "gin") for r in ("mean", "sum")],
    *[({"activation": a, "depth": 2}, YES) for a in ("linear", "quadratic", "relu", "gelu", "spline")],
    *[({"symmetry": s}, YES) for s in ("free", "tied", "odd", "odd_tied")],
    *[({"activation": a, "symmetry": s}, NO) for a in ("relu", "leaky_relu", "quadratic") for s in ("hidden", "full")],
    *[({"activation": a, "symmetry": "full"}, YES) for a in ("linear", "spline")],
    *[({"activation": "relu", "width": 1, "layer": layer}, NO) for layer in ("gcn", "gin")],
    ({"activation": "tanh"}, NO),
    ({"negative_slope": -1.0}, NO),
    ({"graph": "path", "readout": "target", "depth": 2}, NO),  # three steps from the first node to the last
    ({"graph": "ring", "readout": "target"}, NO),
    ({"graph": "complete", "readout": "target"}, YES),
    ({"layer": "gat"}, OPEN),
    ({"layer": "edge_conv"}, OPEN),
    *[({"layer": "sage", "aggregation": a}, YES) for a in ("sum", "mean")],
    *[({"layer": "gin", "aggregation": "max", "readout": r}, OPEN) for r in ("mean", "max")],
    *[({"activation": a, "readout": "max"}, OPEN) for a in ("linear", "tanh", "leaky_relu")],
    ({"graph": "path", "readout": "target", "depth": 2, "aggregation": "max"}, NO),
    ({"layer": "gcn", "graph": "star"}, OPEN),
    ({"activation": "relu", "symmetry": "full", "depth": 2}, OPEN),
    ({"activation": "spline", "weights": "fixed"}, OPEN),
]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("arguments", "verdict"), GRAPH_VERDICTS)
def test_verdicts_of_graph_networks(arguments: dict[str, Any], verdict: str, bias: bool) -> None:
    given = {"graph": "ring", "block_size": 4, "readout": "mean", "width": 2, "bias": bias, **arguments}
    found = certify(GNN(**given))
    assert found.verdict == verdict
    if verdict != YES:
        assert found.weights is None
        return
    assert found.weights is not None
    twin = GNN(**given, seed=9).double()
    with torch.no_grad():
        for name, value in twin.named_parameters():
            value.copy_(found.weights[name].unsqueeze(0))
        x = 3 * torch.randn(50, 4, dtype=torch.float64)
        assert ((twin(x)[0] - clt_map(x)).abs() < 1e-9).all()


def test_what_takes_the_largest_is_named() -> None:
    for argument in ("aggregation", "readout"):
        found = certify(GNN(**({"layer": "sage", argument: "max"})))
        assert found.derivation == (f"no argument is known for {argument}='max', which is not affine",)
        assert "max" in found.architecture


def test_a_pair_is_certified_as_the_mlp_is() -> None:
    assert certify("gnn_graph_conv_relu_free").verdict == certify("mlp_relu_free").verdict == YES
    assert certify("gnn_graph_conv_quadratic_full").verdict == certify("mlp_quadratic_full").verdict == NO


def test_files_and_names(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("model: {class_path: renorm.zoo.MLP, init_args: {activation: relu, symmetry: full}}")
    assert certify(file).verdict == certify("mlp_relu_full").verdict == NO
    assert "not representable" in str(certify(file))
    assert isinstance(certify(file).to_dict()["derivation"], list)
    for content, message in (
        ("model: [1]", "has no section 'model'"),
        ("a: [", "is not valid YAML"),
        ("model: {class_path: os.system}", "class_path='os.system' is unknown"),
        ("model: {class_path: renorm.zoo.MLP, init_args: {wdth: 2}}", "do not fit MLP"),
    ):
        file.write_text(content)
        with pytest.raises(ValueError, match=r"allowed|do not fit|not valid") as caught:
            certify(file)
        assert message in str(caught.value)
    with pytest.raises(ValueError, match="is not a file"):
        certify(tmp_path / "b.yaml")


def test_searches_are_the_same_every_time() -> None:
    first, second = (certify("mlp_quadratic_full").best_errors for _ in range(2))
    assert first == second
    assert np.all(np.diff([error for _, error in first]) < 0)
