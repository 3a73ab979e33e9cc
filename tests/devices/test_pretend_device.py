"""The pretended device refuses what a GPU refuses, and computes what a CPU computes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from renorm.cumulants.propagation.network import read_network
from renorm.zoo import MLP

from .pretend_device import pretend_device


@pytest.fixture
def device() -> Iterator[torch.device]:
    with pretend_device() as device:
        yield device


MIXTURES: dict[str, Callable[[Tensor, Tensor], object]] = {
    "sum": lambda here, there: here + there,
    "product": lambda here, there: here @ there,
    "cat": lambda here, there: torch.cat([there, here]),
    "where": lambda here, there: torch.where(there > 0, here, there),
    "values at an index": lambda here, there: there.index_put((torch.arange(2),), here),
    "index of another device": lambda here, there: here[(there > 0).any(dim=0)],
    "gather": lambda here, there: there.gather(0, here.long()),
    "in place": lambda here, there: there.add_(here),
    "numpy": lambda here, there: there.numpy(),
}


@pytest.mark.parametrize("mixture", MIXTURES)
def test_a_mixture_of_devices_is_refused(device: torch.device, mixture: str) -> None:
    here, there = torch.ones(2, 2), torch.ones(2, 2).to(device)
    with pytest.raises((RuntimeError, TypeError), match=r"same device|numpy"):
        MIXTURES[mixture](here, there)


def test_what_a_gpu_takes_is_taken(device: torch.device) -> None:
    there = torch.arange(6.0, device=device).view(2, 3)
    assert (there + torch.tensor(1.0)).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert there[[1, 0]][:, torch.tensor([2])].tolist() == [[5], [2]]
    there[0] = torch.zeros(3)
    assert there.cpu().numpy().sum() == 12
    assert there.new_tensor([1.5]).item() == torch.tensor([1.5], device=device).item() == 1.5
    assert {made.device for made in (there, there.T, torch.zeros_like(there), there.double())} == {device}
    assert torch.zeros(3).device == there.to("cpu").device == torch.zeros_like(there, device="cpu").device != device


def test_gradients_and_optimisers_are_those_of_the_cpu(device: torch.device) -> None:
    here = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    there = copy.deepcopy(here).to(device)
    x = torch.randn(8, 3)
    for model, inputs in ((here, x), (there, x.to(device))):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            model(inputs).square().mean().backward()
            optimizer.step()
    for ours, theirs in zip(here.parameters(), there.parameters(), strict=True):
        assert theirs.device == device
        assert torch.equal(ours, theirs.detach().cpu())


def test_points_on_the_cpu_do_not_meet_a_networks_weights(device: torch.device) -> None:
    """What ``propagate(model.cuda(), method="quadrature")`` did."""
    network = read_network(MLP(width=3).to(device))
    with pytest.raises(RuntimeError, match="same device"):
        network.pre(0, torch.zeros(1, 2, 5, dtype=torch.float64))
