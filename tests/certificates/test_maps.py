"""Certificates for maps beside the central limit: weights against brute force, and searches that must not find any."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.optimize
import torch

from renorm import maps
from renorm.certificates.certificate import certify
from renorm.certificates.majority import top_coefficient
from renorm.maps import BlockMap
from renorm.zoo import GNN, MLP

MAXIMUM = "maximum()"
CLOSE = 1e-9


def verdict(map: str, **settings: object) -> str:
    return certify(MLP(**settings), map).verdict  # type: ignore[arg-type]


def exact_error(map: str, **settings: object) -> float:
    """Largest error of the certificate's weights, on blocks that the certificate did not see."""
    model = MLP(**settings).double()  # type: ignore[arg-type]
    found = certify(model, map)
    assert found.verdict == "representable", found
    assert found.weights is not None
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(found.weights[name])
        block_map, b = maps.parse(map), model.block_size
        if block_map.values is None:
            x = 10 * torch.randn(500, b, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
        else:
            x = torch.tensor(list(itertools.product(block_map.values, repeat=b)), dtype=torch.float64)
        return float((model(x)[0] - block_map(x)).abs().max())


@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "relu", "width": 3},
        {"activation": "leaky_relu", "negative_slope": 0.3, "width": 8},
        {"activation": "leaky_relu", "negative_slope": -0.4, "width": 4},
        {"activation": "relu", "width": 5, "depth": 3},
        {"activation": "relu", "symmetry": "permutation", "width": 6},
        {"activation": "relu", "symmetry": "permutation", "width": 8, "depth": 2},
        {"activation": "relu", "block_size": 3, "width": 5, "depth": 2},
        {"activation": "leaky_relu", "negative_slope": 0.2, "block_size": 5, "width": 8, "depth": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("map", [MAXIMUM, "maximum(xi=0.5)"])
def test_maximum_written_out(map: str, settings: dict[str, object]) -> None:
    assert exact_error(map, **settings) < CLOSE


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"activation": "linear"}, "differentiable"),
        ({"activation": "quadratic"}, "differentiable"),
        ({"activation": "tanh"}, "differentiable"),
        ({"activation": "relu", "symmetry": "input"}, "ties the columns"),
        ({"activation": "relu", "symmetry": "full"}, "ties the columns"),
        ({"activation": "relu", "symmetry": "odd"}, "takes (0, 0) to itself"),
        ({"activation": "relu", "symmetry": "odd_input"}, "f is 0 there"),
        ({"activation": "relu", "symmetry": "hidden"}, "different sums"),
        ({"activation": "relu", "bias": False}, "no biases"),
        ({"activation": "relu", "width": 2}, "along one line each"),
        ({"activation": "relu", "block_size": 3}, "whole hyperplanes"),
        ({"activation": "relu", "block_size": 4, "symmetry": "permutation"}, "whole hyperplanes"),
        ({"activation": "leaky_relu", "negative_slope": -1.0}, "far out"),
    ],
    ids=str,
)
def test_maximum_is_out_of_reach(settings: dict[str, object], reason: str) -> None:
    found = certify(MLP(**settings), MAXIMUM)  # type: ignore[arg-type]
    assert found.verdict == "not representable"
    assert any(reason in line for line in found.derivation), found
    assert found.weights is None


@pytest.mark.parametrize(
    ("settings", "lowest"),
    [
        ({"activation": "relu", "width": 1}, 0.01),
        ({"activation": "quadratic", "width": 4}, 0.01),
        ({"activation": "relu", "width": 6, "symmetry": "odd"}, 0.01),
        ({"activation": "relu", "width": 6, "symmetry": "input"}, 0.01),
        ({"activation": "relu", "width": 3}, None),
    ],
    ids=str,
)
def test_a_search_finds_no_weights_where_there_are_none(settings: dict[str, object], lowest: float | None) -> None:
    """Least squares over all weights of small networks, from many starts: nothing near 0, unless there is an exact answer."""
    x = torch.randn(100, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model = MLP(replicas=1, **settings).double()  # type: ignore[arg-type]
    target = maps.parse(MAXIMUM)(x)
    shapes = [parameter.shape for parameter in model.parameters()]

    def residual(weights: np.ndarray) -> np.ndarray:
        position = 0
        with torch.no_grad():
            for parameter, shape in zip(model.parameters(), shapes, strict=True):
                size = math.prod(shape)
                parameter.copy_(torch.from_numpy(weights[position : position + size]).view(shape))
                position += size
            return (model(x)[0] - target).numpy()

    random = np.random.default_rng(0)
    count = sum(math.prod(shape) for shape in shapes)
    best = min(
        float(np.mean(scipy.optimize.least_squares(residual, random.normal(size=count)).fun ** 2)) for _ in range(4)
    )
    assert best < 1e-12 if lowest is None else best > lowest


def test_two_units_come_as_close_as_one_likes() -> None:
    """x_2 = relu(x_2 + m) - m as long as x_2 > -m: the infimum is 0, and no weights attain it."""
    found = certify(MLP(activation="relu", width=2), MAXIMUM)
    assert found.infimum == "zero, not attained"
    x = torch.randn(10_000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for m, worst in ((1.0, 5.0), (6.0, 1e-12)):
        f = (x[:, 0] - x[:, 1]).relu() + (x[:, 1] + m).relu() - m - math.log(2)
        assert float((f - maps.parse(MAXIMUM)(x)).abs().max()) < worst


@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "relu", "width": 2},
        {"activation": "relu", "width": 3, "symmetry": "input"},
        {"activation": "relu", "width": 4, "symmetry": "odd"},
        {"activation": "relu", "width": 4, "symmetry": "odd_input"},
        {"activation": "leaky_relu", "negative_slope": 0.4, "width": 2},
        {"activation": "leaky_relu", "negative_slope": -0.4, "width": 2},
        {"activation": "leaky_relu", "negative_slope": 0.3, "width": 4, "symmetry": "odd"},
        {"activation": "relu", "width": 6, "symmetry": "permutation"},
        {"activation": "relu", "width": 4, "symmetry": "full", "depth": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("block_size", [3, 5])
def test_majority_by_two_kinks(settings: dict[str, object], block_size: int) -> None:
    if settings.get("symmetry") == "permutation":
        settings = settings | {"width": 2 * block_size}
    assert exact_error("majority()", block_size=block_size, **settings) < CLOSE


@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "linear"},
        {"activation": "quadratic"},
        {"activation": "relu", "symmetry": "full"},
        {"activation": "relu", "width": 1},
        {"activation": "relu", "symmetry": "hidden"},
        {"activation": "leaky_relu", "negative_slope": -1.0, "width": 1},
        {"activation": "leaky_relu", "negative_slope": -0.5, "width": 1},
        {"activation": "leaky_relu", "negative_slope": 0.5, "symmetry": "full", "depth": 3},
        {"activation": "tanh", "width": 1},
    ],
    ids=str,
)
def test_majority_out_of_reach(settings: dict[str, object]) -> None:
    found = certify(MLP(block_size=3, **settings), "majority()")  # type: ignore[arg-type]
    assert found.verdict == "not representable"


@pytest.mark.parametrize("slope", [0.0, 0.5, -0.5, -1.0])
def test_no_single_unit_is_a_majority(slope: float) -> None:
    """All w on a fine grid, and all places of the kink that can matter: the eight values never fall into two opposite ones."""
    x = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    y = np.sign(x.sum(axis=1))
    grid = np.linspace(-1, 1, 5)
    for w in itertools.product(grid, repeat=3):
        sums = x @ np.array(w)
        for kink in np.concatenate([sums, (sums[:, None] + sums).ravel() / 2, [0.3]]):
            z = sums - kink
            values = np.where(z > 0, z, slope * z)
            up, down = values[y > 0], values[y < 0]
            spread = max(np.ptp(up), np.ptp(down))
            assert spread > 1e-9 or abs(up.mean() - down.mean()) < 1e-9


@pytest.mark.parametrize("b", [3, 5, 7])
def test_the_majority_has_every_degree(b: int) -> None:
    """Its multilinear form, by interpolation on all blocks, has the product of all variables."""
    x = np.array(list(itertools.product([-1.0, 1.0], repeat=b)))
    subsets = [s for n in range(b + 1) for s in itertools.combinations(range(b), n)]
    products = np.stack([x[:, list(s)].prod(axis=1) for s in subsets], axis=1)
    factors = np.linalg.solve(products, np.sign(x.sum(axis=1)))
    assert factors[-1] == pytest.approx(top_coefficient(maps.parse("majority()"), b))
    assert abs(factors[-1]) > 0.01


@pytest.mark.parametrize("symmetry", ["input", "full", "odd_input", "permutation", "cyclic"])
def test_decimation_breaks_every_permutation(symmetry: str) -> None:
    found = certify(MLP(activation="relu", symmetry=symmetry, block_size=4), "decimation(keep=1)")
    assert found.verdict == "not representable"
    assert "(0, 1, 0, 0)" in " ".join(found.derivation) or "(0, 0, 0, 1)" in " ".join(found.derivation)


@pytest.mark.parametrize("map", ["decimation(keep=1)", "stable(alpha=1.5)", "stable(alpha=0.7)"])
@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "linear"},
        {"activation": "relu"},
        {"activation": "quadratic"},
        {"activation": "relu", "symmetry": "odd"},
        {"activation": "linear", "symmetry": "hidden"},
        {"activation": "spline"},
        {"activation": "relu", "block_size": 3, "depth": 2},
    ],
    ids=str,
)
def test_linear_maps_as_the_central_limit(map: str, settings: dict[str, object]) -> None:
    assert exact_error(map, **settings) < 1e-7


@pytest.mark.parametrize("settings", [{"symmetry": "full"}, {"symmetry": "hidden"}, {"width": 1}], ids=str)
def test_linear_maps_out_of_reach(settings: dict[str, object]) -> None:
    assert verdict("stable(alpha=1.5)", activation="relu", **settings) == "not representable"
    assert verdict("decimation()", activation="relu", **settings) == "not representable"


def test_graph_networks() -> None:
    ring = GNN(graph="ring", block_size=4, layer="graph_conv", activation="linear")
    assert certify(ring, MAXIMUM).verdict == "not representable"
    assert certify(GNN(graph="ring", block_size=4, activation="relu"), MAXIMUM).verdict == "undecided"
    # smooth activations do not make a network smooth that takes the largest
    for argument in ("aggregation", "readout"):
        bent = GNN(graph="ring", block_size=4, activation="linear", **{argument: "max"})
        assert certify(bent, MAXIMUM).verdict == "undecided"


def test_a_map_of_ones_own() -> None:
    """The arguments for any map apply; beyond them nothing is claimed."""

    class First(BlockMap):
        name = "square_of_a_test"

        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return x[..., 0] ** 2

    try:
        assert verdict("square_of_a_test()", symmetry="odd", activation="relu") == "not representable"
        assert verdict("square_of_a_test()", symmetry="input", activation="relu") == "not representable"
        assert verdict("square_of_a_test()", activation="relu") == "undecided"
    finally:
        del BlockMap.registry["square_of_a_test"]


def test_blocks_that_the_map_does_not_act_on() -> None:
    with pytest.raises(ValueError, match="block_size"):
        certify(MLP(block_size=4), "majority()")


def test_a_map_of_few_values_says_so() -> None:
    found = certify(MLP(block_size=3), "majority()")
    assert found.architecture.endswith("for majority() of variables in {-1, 1}")
