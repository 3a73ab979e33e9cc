"""Bases of deviations from a fixed point: orthogonal by scipy's polynomials, and maps' spectra against other quadrature."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from torch import Tensor

from renorm import maps
from renorm.cumulants import eigenvalues, map_spectrum, rg_flow, rg_spectrum
from renorm.maps import Basis, BlockMap, Hermite, Laguerre, Maximum, Signs
from renorm.zoo import MLP


class AsStack(torch.nn.Module):
    """A map in the place of a learned one."""

    def __init__(self, block_map: BlockMap, block_size: int) -> None:
        super().__init__()
        self.block_map, self.block_size = block_map, block_size
        self.unused = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.block_map(x)[None]


@pytest.mark.parametrize("basis", [Hermite(), Laguerre(), Laguerre(0.5), Laguerre(-0.3), Signs()], ids=repr)
def test_orthogonal_under_the_fixed_point(basis: Basis) -> None:
    order = 6 if basis.highest is None else basis.highest
    x, weight = basis.rule(20)
    values = basis.polynomials(x, order)
    torch.testing.assert_close((values * weight) @ values.T, torch.diag(basis.norms(order)), rtol=1e-9, atol=1e-8)
    for b in (2, 3):
        blocks, weights = basis.quadrature(b, 8)
        assert blocks.shape == (len(weights), b)
        assert float(weights.sum()) == pytest.approx(1, abs=1e-12)
        assert basis.points(b, 8) == len(weights)


@given(st.floats(-3, 3))
def test_polynomials_are_scipys(x: float) -> None:
    hermite = Hermite().polynomials(torch.tensor(x, dtype=torch.float64), 6)
    laguerre = Laguerre().polynomials(torch.tensor(x, dtype=torch.float64), 6)
    for n in range(7):
        assert float(hermite[n]) == pytest.approx(special.eval_hermitenorm(n, x), rel=1e-9, abs=1e-9)
        assert float(laguerre[n]) == pytest.approx(special.eval_laguerre(n, math.exp(-x)), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("xi", [0.0, 0.7, -0.4, 1e-9])
def test_u_is_exponential_under_the_extreme_value_law(xi: float) -> None:
    """u = -ln F(x), with scipy's distribution function (whose shape is -xi), and back."""
    from scipy import stats

    x = torch.linspace(-1.2, 2.2, 50, dtype=torch.float64)
    u = Laguerre(xi).to_u(x)
    np.testing.assert_allclose(u, -stats.genextreme(-xi).logcdf(x.numpy()), rtol=1e-7)
    torch.testing.assert_close(Laguerre(xi).from_u(u), x, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("xi", [0.0, 0.5, -0.5])
@pytest.mark.parametrize(("block_size", "nodes"), [(2, 16), (3, 12), (4, 8)])
def test_spectrum_of_the_maximum(xi: float, block_size: int, nodes: int) -> None:
    """Triangular with b^(1-n) on the diagonal; for b = 2 the second row is 0, 1, 1/2, 1/4, ..."""
    block_map = Maximum(xi)
    found = rg_spectrum(AsStack(block_map, block_size), 5, nodes, block_map.basis)[0]
    torch.testing.assert_close(found.diagonal(), block_map.spectrum(5, block_size), rtol=0, atol=1e-10)
    assert float(found.tril(-1).abs().max()) < 1e-10
    torch.testing.assert_close(eigenvalues(found[None])[0], block_map.spectrum(5, block_size), rtol=0, atol=1e-7)
    row = (1 - 1 / block_size) ** torch.arange(5, dtype=torch.float64)
    torch.testing.assert_close(found[1, 1:], row, rtol=0, atol=1e-10)


def test_gaps_integrate_what_any_quadrature_does() -> None:
    """A smooth function that is not symmetric, by a plain product of nodes."""
    blocks, weights = Laguerre().quadrature(2, 30)
    u, weight = np.polynomial.laguerre.laggauss(60)
    plain = sum(
        a * b * math.exp(-x) * math.cos(y / 2)
        for (x, a), (y, b) in itertools.product(zip(u, weight, strict=True), repeat=2)
    )
    first, second = (-blocks).exp().T
    assert float(weights @ (torch.exp(-first) * torch.cos(second / 2))) == pytest.approx(plain, rel=1e-10)


def test_a_linear_map_of_the_same_slope_has_another_spectrum() -> None:
    """The mean of two Gumbel variables: not the maximum's eigenvalues."""

    class Mean(BlockMap):
        name = "mean_of_a_test"

        def __call__(self, x: Tensor) -> Tensor:
            return x.mean(dim=-1)

    try:
        found = eigenvalues(rg_spectrum(AsStack(Mean(), 2), 3, 32, Laguerre()))[0]
    finally:
        del BlockMap.registry["mean_of_a_test"]
    assert float(found[0]) == pytest.approx(2)
    assert abs(float(found[2]) - 0.5) > 0.1


def test_outputs_beyond_the_support_have_no_spectrum() -> None:
    class Low(AsStack):
        def forward(self, x: Tensor) -> Tensor:
            return (x.amax(dim=-1) - 10)[None]

    assert bool(rg_spectrum(Low(Maximum(0.5), 2), 3, 8, Laguerre(0.5)).isnan().any())


def test_too_many_nodes_are_refused() -> None:
    with pytest.raises(ValueError, match="nodes=300 is out of range; allowed for block_size=2: 1 to 180"):
        Laguerre().quadrature(2, 300)
    with pytest.raises(ValueError, match="block_size=1 is out of range"):
        Hermite().quadrature(1, 3)


def test_every_number_of_nodes_that_is_allowed_is_finite() -> None:
    for basis in (Hermite(), Laguerre()):
        assert all(bool(part.isfinite().all()) for part in basis.quadrature(2, basis.most_nodes(2)))


def test_blocks_that_a_map_does_not_act_on() -> None:
    with pytest.raises(ValueError, match="block_size=4 is even"):
        map_spectrum(maps.parse("majority()"), 4)
    with pytest.raises(ValueError, match="block_size=2 is even"):
        rg_flow(MLP(), torch.randn(50, generator=torch.Generator().manual_seed(0)), 1, block_map="majority()")


def test_maps_without_a_basis_have_none() -> None:
    assert maps.parse("stable(alpha=1.5)").basis is None
    assert maps.parse("stable(alpha=2)").basis == Hermite()
