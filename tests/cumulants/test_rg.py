"""The learned map as an RG map: the exact map's flow and spectrum are what theory says, others are seen to differ."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor, nn

from renorm.cumulants import clt_eigenvalues, clt_flow, eigenvalues, kstat, rg_flow, rg_spectrum
from renorm.zoo import MLP


class Map(nn.Module):
    """Any map as a stack of one or more members."""

    def __init__(self, *maps: Any, block_size: int = 2) -> None:
        super().__init__()
        self.maps = maps
        self.block_size = block_size
        self.num_members = len(maps)
        self.unused = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        inputs = x if x.ndim == 3 else x.expand(len(self.maps), *x.shape)
        return torch.stack([f(member) for f, member in zip(self.maps, inputs, strict=True)])


def exact_map(x: Tensor) -> Tensor:
    return x.sum(dim=-1) / math.sqrt(x.shape[-1])


@pytest.mark.parametrize("b", [2, 3, 4])
def test_spectrum_of_the_exact_map(b: int) -> None:
    found = rg_spectrum(Map(exact_map, block_size=b), order=6, nodes=12)[0]
    expected = torch.diag(torch.cat([torch.tensor([float(b)], dtype=torch.float64), clt_eigenvalues(6, b)]))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(eigenvalues(found[None])[0], expected.diagonal(), rtol=1e-9, atol=1e-9)


def test_spectrum_equals_its_definition_by_other_means() -> None:
    def tanh_map(x: Tensor) -> Tensor:
        return torch.tanh(x[..., 0]) + 0.3 * x[..., 1] ** 2

    found = rg_spectrum(Map(tanh_map), order=3, nodes=120)[0]
    grid = np.linspace(-9, 9, 1201)
    u, v = np.meshgrid(grid, grid, indexing="ij")
    density = scipy.stats.norm.pdf(u) * scipy.stats.norm.pdf(v) * (grid[1] - grid[0]) ** 2
    f = np.tanh(u) + 0.3 * v**2
    he = [np.polynomial.hermite_e.HermiteE.basis(n) for n in range(4)]
    for m in range(4):
        for n in range(4):
            expected = (density * he[m](f) * (he[n](u) + he[n](v))).sum() / math.factorial(m)
            assert float(found[m, n]) == pytest.approx(expected, abs=1e-8)


def test_spectrum_of_every_member() -> None:
    found = rg_spectrum(Map(exact_map, lambda x: x[..., 0]), order=4)
    assert found.shape == (2, 5, 5)
    # a map that copies one variable of the block leaves every deviation as it is
    torch.testing.assert_close(found[1, 1:, 1:], torch.eye(4, dtype=torch.float64), rtol=0, atol=1e-10)
    assert rg_spectrum(MLP(replicas=3), order=2).shape == (3, 3, 3)


def test_eigenvalues_of_a_member_that_diverged() -> None:
    matrices = torch.stack([torch.eye(2), torch.full((2, 2), torch.nan)]).double()
    found = eigenvalues(matrices)
    assert found[0].tolist() == [1.0, 1.0]
    assert found[1].isnan().all()
    rotation = torch.tensor([[[0.0, -1.0], [1.0, 0.0]]], dtype=torch.float64)
    assert eigenvalues(rotation).abs().max() < 1e-12  # the real parts of a complex pair


def test_flow_of_the_exact_map_is_the_recursion() -> None:
    generator = torch.Generator().manual_seed(0)
    x = -torch.rand(200_000, generator=generator, dtype=torch.float64).log()
    x = (x - x.mean()) / x.std()
    flow = rg_flow(Map(exact_map, exact_map), x, steps=5, generator=generator)
    torch.testing.assert_close(flow.k[:, :, 0], flow.exact_k, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(flow.k[:, :, 0], clt_flow(kstat(x), 5), rtol=0.05, atol=0.05)
    torch.testing.assert_close(flow.wasserstein[:, 1], flow.exact_wasserstein)
    assert bool((flow.exact_wasserstein.diff()[:4] < 0).all())  # ever nearer to the Gaussian


def test_distance_to_the_gaussian_is_scipys() -> None:
    x = torch.rand(500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = (x - x.mean()) / x.std()
    flow = rg_flow(Map(exact_map), x, steps=1)
    quantiles = scipy.stats.norm.ppf((np.arange(500) + 0.5) / 500)
    assert float(flow.wasserstein[0, 0]) == pytest.approx(scipy.stats.wasserstein_distance(x.numpy(), quantiles))


def test_a_wrong_map_is_seen() -> None:
    x = torch.randn(5000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    flow = rg_flow(Map(lambda v: 0.9 * exact_map(v), lambda v: v[..., 0]), x - x.mean(), steps=4)
    torch.testing.assert_close(
        flow.k[:, 1, 0], flow.exact_k[:, 1] * 0.81 ** torch.arange(5).double(), rtol=1e-9, atol=0
    )
    torch.testing.assert_close(flow.k[4, 1, 1], flow.k[0, 1, 1])  # copies only shuffle the sample


def test_flow_of_a_stack_is_that_of_its_members() -> None:
    x = torch.randn(300, generator=torch.Generator().manual_seed(0))
    whole = rg_flow(MLP(replicas=3), x, steps=3, generator=torch.Generator().manual_seed(1))
    alone = rg_flow(MLP(replicas=3, members=[2]), x, steps=3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(whole.k[..., 2], alone.k[..., 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: rg_flow(m, torch.zeros(5, 2)), r"x has shape \(5, 2\); allowed: \(N,\) with N >= 8"),
        (lambda m: rg_flow(m, torch.zeros(50), steps=0), "steps=0 is out of range"),
        (lambda m: rg_spectrum(m, order=0), "order=0 is out of range"),
        (lambda m: rg_spectrum(m, nodes=500), "nodes=500 is out of range; allowed for block_size=2: 1 to 362"),
    ],
)
def test_refuses_wrong_arguments(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(Map(exact_map))
