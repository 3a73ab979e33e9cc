"""Splines: against scipy for every degree, grid and extension; gradients; who shares what."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from torch import Tensor

from renorm.zoo import MLP
from renorm.zoo.activations.spline import Spline, breakpoints, cell_map

Array = NDArray[np.float64]
Extension = Literal["affine", "constant", "zero"]
DEGREES = [1, 2, 3, 4, 5]
EXTENSIONS: list[Extension] = ["affine", "constant", "zero"]
GRIDS: list[int | list[float]] = [2, 9, [-1.0, 2.0], [-2.0, -1.9, 0.3, 1.0, 4.0]]


def spline(degree: int = 3, knots: int | list[float] = 5, units: int = 2, **arguments: object) -> Spline:
    """Two members with random coefficients, in double precision."""
    activation = Spline(2, torch.arange(units), degree=degree, knots=knots, **arguments).double()
    with torch.no_grad():
        activation.theta.copy_(torch.randn(activation.theta.shape, generator=torch.Generator().manual_seed(degree)))
    return activation


def reference(coefficients: Array, knots: int | list[float], degree: int) -> BSpline:
    """The same clamped spline in scipy."""
    t = np.linspace(-3, 3, knots) if isinstance(knots, int) else np.array(knots)
    return BSpline(np.r_[[t[0]] * degree, t, [t[-1]] * degree], coefficients, degree)


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("knots", GRIDS, ids=str)
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_spline_is_scipys_and_extends_as_asked(degree: int, knots: int | list[float], extension: Extension) -> None:
    activation = spline(degree, knots, extension=extension)
    t = breakpoints(knots)
    inside = np.r_[np.linspace(t[0], t[-1], 301)[:-1], t[:-1]]
    left, right = t[0] - np.array([1e-6, 0.7, 20.0]), t[-1] + np.array([0.0, 1e-6, 0.7, 20.0])
    z = torch.from_numpy(np.r_[inside, left, right])
    value = activation(z.expand(2, 2, -1)).detach().numpy()
    for m in range(2):
        for u in range(2):
            b = reference(activation.theta[m, u].detach().numpy(), knots, degree)
            slope = b.derivative()
            low, high = float(b(t[0])), float(b(t[-1]))
            tangents = np.r_[low + float(slope(t[0])) * (left - t[0]), high + float(slope(t[-1])) * (right - t[-1])]
            outside = {
                "affine": tangents,
                "constant": np.r_[np.full(3, low), np.full(4, high)],
                "zero": np.zeros(7),
            }[extension]
            np.testing.assert_allclose(value[m, u], np.r_[b(inside), outside], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("knots", GRIDS, ids=str)
def test_basis_sums_to_one_and_extensions_keep_it(degree: int, knots: int | list[float]) -> None:
    z = torch.linspace(-6, 6, 101, dtype=torch.float64).expand(2, 2, -1)
    for extension in ("affine", "constant"):
        activation = spline(degree, knots, extension=extension)
        with torch.no_grad():
            activation.theta.fill_(1.0)
        torch.testing.assert_close(activation(z), torch.ones_like(z), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("degree", DEGREES)
def test_greville_coefficients_give_the_identity(degree: int) -> None:
    t = breakpoints([-2.0, -1.0, 0.5, 3.0])
    clamped = np.r_[[t[0]] * degree, t, [t[-1]] * degree]
    activation = spline(degree, t.tolist())
    with torch.no_grad():
        activation.theta.copy_(torch.tensor([clamped[i + 1 : i + 1 + degree].mean() for i in range(3 + degree)]))
    z = torch.linspace(-9, 9, 101, dtype=torch.float64).expand(2, 2, -1)
    torch.testing.assert_close(activation(z), z, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("per_unit", [True, False])
def test_gradients_in_coefficients_and_input(degree: int, extension: Extension, per_unit: bool) -> None:
    activation = spline(degree, [-2.0, -0.5, 0.4, 2.0], extension=extension, per_unit=per_unit)
    z = torch.tensor([-3.1, -1.2, 0.1, 1.7, 2.9], dtype=torch.float64).repeat(2, 2, 1).requires_grad_()

    def value(theta: Tensor, points: Tensor) -> Tensor:
        return torch.func.functional_call(activation, {"theta": theta}, (points,))

    assert torch.autograd.gradcheck(value, (activation.theta.detach().clone().requires_grad_(), z))


@pytest.mark.parametrize("nodes", [(), (3,)])
def test_shape_is_kept(nodes: tuple[int, ...]) -> None:
    z = torch.randn(2, 2, *nodes, 7, dtype=torch.float64)
    activation = spline()
    value = activation(z)
    assert value.shape == z.shape
    every = slice(None)
    for index in np.ndindex(*nodes):
        torch.testing.assert_close(value[(every, every, *index)], activation(z[(every, every, *index)]))


def test_every_unit_has_its_own_spline_or_all_share_one() -> None:
    z = torch.linspace(-2, 2, 50, dtype=torch.float64).expand(2, 4, -1)
    own, shared = spline(units=4)(z), spline(units=4, per_unit=False)(z)
    assert len(own[0].unique(dim=0)) == 4
    assert len(shared[0].unique(dim=0)) == 1
    assert not torch.equal(shared[0], shared[1]), "members share nothing"


@pytest.mark.parametrize(
    ("symmetry", "orbits"), [("free", 6), ("input", 6), ("hidden", 1), ("full", 1), ("odd", 3), ("odd_input", 3)]
)
@pytest.mark.parametrize("depth", [1, 2])
def test_tied_units_share_a_spline(symmetry: str, orbits: int, depth: int) -> None:
    model = MLP(activation="spline", symmetry=symmetry, width=6, depth=depth, knots=4)
    assert [a.theta.shape for a in model.activations] == [(1, orbits, 6)] * depth


@pytest.mark.parametrize(
    ("arguments", "trained"),
    [
        ({}, {"hidden", "readout", "activations"}),
        ({"weights": "fixed"}, {"activations"}),
        ({"spline": "fixed"}, {"hidden", "readout"}),
    ],
)
def test_what_is_fixed_does_not_move(arguments: dict[str, str], trained: set[str]) -> None:
    model = MLP(activation="spline", **arguments)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = model.configure_optimizers()
    model(3 * torch.randn(200, 2)).square().sum().backward()
    optimizer.step()
    moved = {name.partition(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    still = {name.partition(".")[0] for name, value in model.named_parameters() if torch.equal(value, before[name])}
    assert moved == trained
    assert not moved & still


def test_starts_near_a_relu() -> None:
    activation = MLP(activation="spline", replicas=200).activations[0]
    z = torch.linspace(-2.5, 2.5, 101)
    deviation = activation(z.expand(200, 8, -1)).detach() - torch.relu(z)
    assert float(deviation.std()) < 0.2
    assert float(deviation.mean(dim=(0, 1)).abs().max()) < 0.15
    noise = activation.theta.detach() - activation.theta.detach().mean(dim=(0, 1))
    assert float(noise.std()) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_double_precision_is_not_rounded_from_single(dtype: torch.dtype) -> None:
    knots = [-0.1, 0.7, 1.3]
    activation = spline(3, knots, units=1).to(dtype).double()
    assert activation.breaks.tolist() == knots
    exact = torch.from_numpy(cell_map(np.array(knots), 3, "affine"))
    assert torch.equal(activation.to_cells, exact)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"degree": 0}, r"degree=0 is out of range; allowed: 1 to 5"),
        ({"degree": 6}, r"degree=6 is out of range"),
        ({"degree": 3.0}, r"degree=3.0 is out of range"),
        ({"degree": True}, r"degree=True is out of range"),
        ({"degree": [3]}, r"degree=\[3\] is out of range"),
        ({"knots": 1}, r"knots=1 is too few; allowed: two or more"),
        ({"knots": -4}, r"knots=-4 is too few"),
        ({"knots": 9.0}, r"knots=9.0 is not a grid; allowed: a number >= 2, or two or more increasing positions"),
        ({"knots": [0.0]}, r"knots=\[0.0\] is not a grid"),
        ({"knots": [0.0, 0.0]}, r"knots=\[0.0, 0.0\] is not a grid"),
        ({"knots": [1.0, 0.0]}, r"knots=\[1.0, 0.0\] is not a grid"),
        ({"knots": [0.0, float("nan")]}, r"knots=\[0.0, nan\] is not a grid"),
        ({"knots": [0.0, float("inf")]}, r"knots=\[0.0, inf\] is not a grid"),
        ({"knots": "abc"}, r"knots='abc' is not a grid"),
        ({"knots": ["a", 1]}, r"knots=\['a', 1\] is not a grid"),
        ({"knots": [[0.0], [1.0, 2.0]]}, r"knots=.* is not a grid"),
        ({"extension": "linear"}, r"extension='linear' is unknown; allowed: affine, constant, zero"),
        ({"spline": "free"}, r"spline='free' is unknown; allowed: trained, fixed"),
        ({"per_unit": "no"}, r"per_unit='no' is unknown; allowed: True, False"),
        ({"spline": "fixed", "weights": "fixed"}, r"weights='fixed' leaves nothing to train; allowed: activations"),
    ],
)
def test_refuses_in_one_line(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        MLP(activation="spline", **arguments)
    assert "\n" not in str(error.value)
