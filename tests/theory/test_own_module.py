"""Modules of PyTorch as they are: against stacks of the same weights, samples, and exact results."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from renorm.cumulants import GaussianInput, propagate
from renorm.zoo import MLP

ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": lambda: nn.LeakyReLU(0.1), "tanh": nn.Tanh, "gelu": nn.GELU}


def as_module(stack: MLP, activation: str) -> nn.Sequential:
    """One member of a stack as a plain module."""
    layers: list[nn.Module] = []
    for weight, bias in stack.dense():
        layer = nn.Linear(weight.shape[2], weight.shape[1]).double()
        layer.weight.data, layer.bias.data = weight[0].detach(), bias[0].detach()
        layers += [layer, ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("block_size", [2, 3, 5])
@pytest.mark.parametrize("how", [{}, {"method": "gaussian"}, {"closed_at": "layers"}, {"method": "quadrature"}])
def test_a_module_is_propagated_as_the_stack_of_its_weights(activation: str, block_size: int, how: dict) -> None:
    if how.get("method") == "quadrature" and block_size > 2:
        pytest.skip("densities are integrated over the plane")
    stack = MLP(width=4, depth=2, activation=activation, block_size=block_size, bias=True, seed=3).double()
    expected = propagate(stack, "gamma(shape=4)", order=3, **how)
    found = propagate(as_module(stack, activation), "gamma(shape=4)", order=3, **how)
    assert list(found) == ["0", "1", "2", "3", "4", "out"]
    for ours, theirs in zip(["0", "1", "2", "3", "out"], expected, strict=True):
        for n in (1, 2, 3):
            assert torch.allclose(found[ours].cumulants(n), expected[theirs].cumulants(n), rtol=1e-10, atol=1e-12)


def covariance(size: int, seed: int = 0) -> Tensor:
    factor = torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return factor @ factor.mT / size


@pytest.mark.parametrize("method", ["gaussian", "edgeworth"])
@pytest.mark.parametrize("size", [2, 3, 6])
def test_linear_networks_are_exact_under_a_gaussian(method: str, size: int) -> None:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(size, 4), nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.Dropout()), nn.Linear(5, 2))
    net = net.double().eval().requires_grad_(False)
    mean = torch.arange(size).double()
    found = propagate(net, GaussianInput(mean, covariance(size)), method=method)["out"]
    weight = net[2].weight @ net[1][1].weight @ net[0].weight
    assert torch.allclose(found.cumulants(1)[0], net(mean.unsqueeze(0))[0], rtol=1e-12)
    assert torch.allclose(found.cumulants(2)[0], weight @ covariance(size) @ weight.mT, rtol=1e-12)
    assert not found.cumulants(3).any()
    assert not found.marginal(4).any()
