"""What is found about functions by trying them, against what is known of PyTorch's activations."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from renorm.cumulants.propagation.pieces import find_breaks, find_pieces
from renorm.cumulants.propagation.unit_functions import Group, UnitFunctions
from renorm.errors import InputError

BREAKS = {
    "ReLU": [0.0],
    "ReLU6": [0.0, 6.0],
    "LeakyReLU": [0.0],
    "ELU": [0.0],
    "SELU": [0.0],
    "CELU": [0.0],
    "Hardtanh": [-1.0, 1.0],
    "Hardsigmoid": [-3.0, 3.0],
    "Hardswish": [-3.0, 3.0],
    "Hardshrink": [-0.5, 0.5],
    "Softshrink": [-0.5, 0.5],
    "Softsign": [0.0],
    **{name: [] for name in ("SiLU", "Mish", "GELU", "Tanh", "Sigmoid", "LogSigmoid", "Tanhshrink", "Identity")},
}


@pytest.mark.parametrize("name", BREAKS)
def test_breaks_of_the_activations_of_pytorch(name: str) -> None:
    module = getattr(nn, name)()
    assert find_breaks(lambda z: module(z).unsqueeze(0)) == BREAKS[name]


@pytest.mark.parametrize("name", ["ReLU", "ReLU6", "LeakyReLU", "Hardtanh", "Hardsigmoid", "Hardswish", "Softshrink"])
def test_polynomials_between_breaks_are_the_function(name: str) -> None:
    group = Group(getattr(nn, name)(), (2,))
    assert group.pieces is not None
    z = torch.linspace(-7.3, 7.1, 101, dtype=torch.float64)
    cell = torch.bucketize(z, group.pieces.breaks)
    rows = group.pieces.coefficients[0, 0, cell]
    values = (rows * z.unsqueeze(1) ** torch.arange(rows.shape[1])).sum(dim=1)
    assert torch.allclose(values, group(z.unsqueeze(1).expand(-1, 2))[:, 1], rtol=1e-14, atol=1e-14)


@settings(max_examples=15, deadline=None)
@given(
    low=st.floats(-50, 0).map(lambda x: round(x, 3)),
    width=st.floats(0.01, 50).map(lambda x: round(x, 3)),
    slopes=st.lists(st.floats(-3, 3).map(lambda x: round(x, 2)), min_size=3, max_size=3, unique=True),
)
def test_kinks_and_slopes_of_random_functions_are_found(low: float, width: float, slopes: list[float]) -> None:
    high = low + width

    def function(z: Tensor) -> Tensor:
        first, second, third = slopes
        clamped = z.clamp(low, high)
        return (
            first * (z.clamp(max=low) - low) + second * (clamped - low) + third * (z.clamp(min=high) - high)
        ).unsqueeze(0)

    breaks = find_breaks(function)
    assert breaks == pytest.approx([low, high], rel=1e-9, abs=1e-9)
    pieces = find_pieces(function, breaks)
    assert pieces is not None
    assert pieces.breaks.tolist() == pytest.approx([low, high], rel=1e-12, abs=1e-12)
    assert pieces.coefficients[0, 0, :, 1].tolist() == pytest.approx(slopes, abs=1e-11)


def test_short_decimals_are_found_as_they_were_written() -> None:
    group = Group(lambda z: z + 0.3 * z**2 - 0.1 * z**3, (4,))
    assert group.pieces is not None
    assert group.pieces.coefficients[0, 3].tolist() == [[0.0, 1.0, 0.3, -0.1]]


def test_units_keep_functions_of_their_own() -> None:
    prelu = nn.PReLU(3).double()
    prelu.weight.data = torch.tensor([0.1, 1.0, -0.25], dtype=torch.float64)
    layer = UnitFunctions([Group(prelu, (1, 3)), Group(torch.tanh, (1, 2))])
    z = torch.linspace(-2, 2, 15, dtype=torch.float64).view(1, 5, 3)
    expected = torch.cat([prelu(z[0, :3].mT).mT, torch.tanh(z[0, 3:])])
    assert torch.equal(layer(z)[0], expected)
    assert layer.pieces is None
    assert layer.breaks == [0.0]
    only = UnitFunctions([Group(prelu, (1, 3)), Group(lambda z: z, (2,))])
    assert only.is_leaky
    assert only.pieces.coefficients[0, :, 0, 1].tolist() == [0.1, 1.0, -0.25, 1.0, 1.0]


def test_slopes_are_differentiable() -> None:
    prelu = nn.PReLU(2).double()
    pieces = Group(prelu, (1, 2)).pieces
    assert pieces is not None
    (gradient,) = torch.autograd.grad(pieces.coefficients[0, 1, 0, 1], prelu.weight)
    assert torch.allclose(gradient, torch.tensor([0.0, 1.0], dtype=torch.float64))


def test_functions_that_are_nowhere_smooth_are_refused() -> None:
    with pytest.raises(InputError, match=r"not smooth in \d+ places; allowed: at most 64|varies too fast"):
        find_breaks(lambda z: z.round().unsqueeze(0))
    with pytest.raises(InputError, match="grows faster than any power of z"):
        _ = Group(torch.exp, (1,)).growth


def test_growth_is_that_of_the_function() -> None:
    growths = [
        Group(f, (1,)).growth for f in (torch.tanh, nn.GELU(), lambda z: z**3, lambda z: z * nn.functional.silu(z))
    ]
    assert growths == [1, 1, 3, 2]
    assert math.prod(Group(torch.relu, (2, 3)).shape) == 6
