"""Stacked layers: ties written out, draws that belong to a member, gradients that sum over an orbit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from renorm.zoo import MLP
from renorm.zoo.layers import MemberRandom, StackedLinear, TiedTensor
from renorm.zoo.symmetry.symmetry import layer_orbits, list_symmetries

SIZES = [2, 4, 1]


def tied(symmetry: str, layer: int, theta: list[float]) -> Tensor:
    module = TiedTensor(1, layer_orbits(symmetry, SIZES)[layer][0])
    module.theta.data = torch.tensor([theta], dtype=torch.float32)
    return module()[0]


@pytest.mark.parametrize(
    ("symmetry", "theta", "weight"),
    [
        ("free", [1, 2, 3, 4, 5, 6, 7, 8], [[1, 2], [3, 4], [5, 6], [7, 8]]),
        ("input", [1, 2, 3, 4], [[1, 1], [2, 2], [3, 3], [4, 4]]),
        ("hidden", [1, 2], [[1, 2], [1, 2], [1, 2], [1, 2]]),
        ("full", [1], [[1, 1], [1, 1], [1, 1], [1, 1]]),
        ("odd", [1, 2, 3, 4], [[1, 2], [-1, -2], [3, 4], [-3, -4]]),
        ("odd_input", [1, 2], [[1, 1], [-1, -1], [2, 2], [-2, -2]]),
    ],
)
def test_first_weight_written_out(symmetry: str, theta: list[float], weight: list[list[float]]) -> None:
    assert torch.equal(tied(symmetry, 0, theta), torch.tensor(weight, dtype=torch.float32))


@pytest.mark.parametrize(
    ("symmetry", "theta", "weight"),
    [
        ("free", [1, 2, 3, 4], [[1, 2, 3, 4]]),
        ("input", [1, 2, 3, 4], [[1, 2, 3, 4]]),
        ("hidden", [5], [[5, 5, 5, 5]]),
        ("full", [5], [[5, 5, 5, 5]]),
        ("odd", [1, 2], [[1, -1, 2, -2]]),
        ("odd_input", [1, 2], [[1, -1, 2, -2]]),
    ],
)
def test_readout_written_out(symmetry: str, theta: list[float], weight: list[list[float]]) -> None:
    assert torch.equal(tied(symmetry, 1, theta), torch.tensor(weight, dtype=torch.float32))


@pytest.mark.parametrize("symmetry", list_symmetries())
@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("which", [0, 1], ids=["weight", "bias"])
def test_gradient_of_theta_sums_over_its_orbit(symmetry: str, layer: int, which: int) -> None:
    orbits = layer_orbits(symmetry, [2, 4, 4, 1])[layer][which]
    if not orbits.count:
        assert (symmetry.startswith("odd"), layer, which) == (True, 2, 1), "only an odd network's output bias vanishes"
        assert StackedLinear(2, orbits, orbits).bias is None
        return
    module = TiedTensor(2, orbits).double()
    assert module.theta.shape == (2, orbits.count)
    upstream = torch.randn(2, *orbits.index.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (module() * upstream).sum().backward()
    expected = torch.zeros(2, orbits.count, dtype=torch.float64)
    for entry, orbit in np.ndenumerate(orbits.index):
        expected[:, orbit] += upstream[(slice(None), *entry)] * float(orbits.sign[entry])
    assert module.theta.grad is not None
    torch.testing.assert_close(module.theta.grad, expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("symmetry", list_symmetries())
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shared", [True, False], ids=["shared_input", "input_of_each_member"])
def test_layer_is_an_affine_map_of_each_member(symmetry: str, bias: bool, shared: bool) -> None:
    weight, biases = layer_orbits(symmetry, [2, 4, 4, 1])[0 if shared else 1]
    layer = StackedLinear(5, weight, biases if bias else None).double()
    layer.reset_parameters(MemberRandom(0, list(range(5))))
    h = torch.randn(*([2, 7] if shared else [5, 4, 7]), dtype=torch.float64)
    z = layer(h)
    for m in range(5):
        offset = layer.bias()[m] if layer.bias is not None else None
        expected = nn.functional.linear((h if shared else h[m]).T, layer.weight()[m], offset).T
        torch.testing.assert_close(z[m], expected, rtol=1e-13, atol=1e-13)


def start(**arguments: object) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in MLP(**arguments).named_parameters()}


STACK = {"activation": "leaky_relu", "negative_slope": [0.2, 0.5, 0.9], "depth": 2, "width": 4, "seed": 7}


@pytest.mark.parametrize("symmetry", list_symmetries())
def test_draws_belong_to_the_replica(symmetry: str) -> None:
    whole = start(**STACK, replicas=4, symmetry=symmetry)
    fewer = start(**STACK, replicas=2, symmetry=symmetry)
    chosen = start(**STACK, replicas=4, symmetry=symmetry, members=[10, 3])
    one_point = start(**STACK | {"negative_slope": 0.5}, replicas=4, symmetry=symmetry)
    for name, value in whole.items():
        assert torch.equal(value[:4], value[4:8]), "grid points start from the same draws"
        assert torch.equal(value[:2], fewer[name][:2])
        assert torch.equal(value[[10, 3]], chosen[name])
        assert torch.equal(value[4:8], one_point[name])
        assert not torch.equal(value[0], value[1])


def test_spline_coefficients_belong_to_the_replica() -> None:
    whole = start(activation="spline", replicas=5, width=4)
    alone = start(activation="spline", replicas=5, width=4, members=[3])
    assert any("activations" in name for name in whole)
    for name, value in whole.items():
        assert torch.equal(value[3:4], alone[name])


def test_draws_are_the_seeds_alone() -> None:
    torch.manual_seed(0)
    first = start(replicas=2, seed=1)
    state = torch.get_rng_state()
    torch.rand(100)
    second, other = start(replicas=2, seed=1), start(replicas=2, seed=2)
    for name, value in first.items():
        assert torch.equal(value, second[name])
        assert not torch.isin(value, other[name]).any()
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state), "the global generator is left alone"


def test_neighbouring_seeds_and_replicas_are_independent() -> None:
    draws = torch.cat([MemberRandom(seed, list(range(20))).uniform((500,)) for seed in range(5)])
    assert draws.dtype == torch.float64
    correlation = np.corrcoef(draws.numpy())
    assert np.abs(correlation - np.eye(100)).max() < 5.5 / math.sqrt(500)
    assert len(draws.unique()) == draws.numel()


def test_seeds_use_all_their_bits() -> None:
    """A generator of 32-bit seeds would repeat itself, on average, once in 93 000 replicas."""
    firsts = [float(MemberRandom(0, [replica]).uniform((1,))) for replica in (5, 5 + 2**32)]
    assert firsts[0] != firsts[1]


@pytest.mark.parametrize("fan_in", [2, 3, 8])
def test_start_is_that_of_torch_linear(fan_in: int) -> None:
    orbits = layer_orbits("free", [fan_in, 16, 1])[0]
    layer = StackedLinear(200, *orbits)
    layer.reset_parameters(MemberRandom(3, list(range(200))))
    torch.manual_seed(3)
    ordinary = [nn.Linear(fan_in, 16) for _ in range(200)]
    bound = 1 / math.sqrt(fan_in)
    assert layer.bias is not None
    for ours, theirs in ((layer.weight, [a.weight for a in ordinary]), (layer.bias, [a.bias for a in ordinary])):
        values = ours().detach().flatten().numpy()
        assert np.abs(values).max() <= bound
        assert stats.kstest(values, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3
        assert stats.ks_2samp(values, torch.cat([t.flatten() for t in theirs]).detach().numpy()).pvalue > 1e-3


def test_tied_weights_start_as_wide_as_free_ones() -> None:
    for symmetry in list_symmetries():
        weight = MLP(symmetry=symmetry, width=4, replicas=500).dense()[0][0].detach()
        assert float(weight.abs().max()) <= 1 / math.sqrt(2)
        assert float(weight.std()) == pytest.approx(1 / math.sqrt(6), rel=0.1)
