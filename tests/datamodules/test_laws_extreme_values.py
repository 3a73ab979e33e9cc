"""Extreme-value and Pareto laws against scipy, mpmath's quadrature, and the maxima whose fixed points they are."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from renorm.datamodules import laws
from renorm.maps import Maximum
from renorm.testing import check_law, check_map

from .test_laws_cumulants import by_partitions

INDICES = [-3.0, -1.0, -0.4, -1e-3, -1e-9, -1e-25, -1e-300, 0.0, 1e-30, 1e-12, 1e-6, 0.05, 0.12, 0.3, 0.6, 1.0, 2.5]
mp = mpmath.mp.clone()
mp.dps = 30


@pytest.mark.parametrize("xi", INDICES)
def test_every_index_keeps_the_contract(xi: float) -> None:
    check_law(laws.GEV(xi=xi, loc=0.5, scale=2))


@pytest.mark.parametrize("shape", [0.5, 1, 2.5, 9, 20])
def test_pareto_keeps_the_contract(shape: float) -> None:
    check_law(laws.Pareto(shape=shape, scale=3))


@pytest.mark.parametrize("xi", [-0.7, -1e-3, 1e-3, 0.05, 0.11])
def test_cumulants_match_quadrature(xi: float) -> None:
    """Moments E x^n as integrals over e^(-u), at 30 digits, which bears indices from 1e-3 on: x = (u^(-xi) - 1) / xi."""
    x = mp.mpf(xi)
    moments = [
        mp.quad(lambda v, n=n: (mp.expm1(-x * v) / x) ** n * mp.exp(v - mp.exp(v)), [-300, -60, -8, 0, 2, 6])
        for n in range(9)
    ]
    for n, (value, exact) in enumerate(zip(laws.GEV(xi).cumulants(8).tolist(), by_partitions(moments), strict=True), 1):
        assert value == pytest.approx(float(exact), rel=1e-12), f"k{n}"


@pytest.mark.parametrize("xi", [1e-8, -1e-8, 1e-20, -1e-20, 1e-30, -1e-30, 1e-31, 0.0])
def test_small_indices_tend_to_gumbel(xi: float) -> None:
    """The first correction is of order xi, with a factor below n! times some units."""
    gumbel, found = laws.Gumbel().cumulants(8), laws.GEV(xi).cumulants(8)
    scale = torch.tensor([math.factorial(n + 2) for n in range(1, 9)], dtype=torch.float64)
    assert bool(((found - gumbel).abs() <= 10 * abs(xi) * scale + 1e-15 * gumbel).all())
    # the mean is (gamma(1 - xi) - 1) / xi = γ + xi (γ² + π²/6) / 2 + ...
    slope = (float(mp.euler) ** 2 + math.pi**2 / 6) / 2
    assert float(found[0]) == pytest.approx(float(mp.euler) + xi * slope, abs=1e-15)


@pytest.mark.parametrize(("xi", "known"), [(0.125, 7), (0.12, 8), (0.5, 1), (0.3, 3), (1, 0), (3, 0), (-5, 8)])
def test_moments_exist_below_one_over_the_index(xi: float, known: int) -> None:
    kappa = laws.GEV(xi).cumulants(8)
    assert kappa.isfinite().tolist() == [n < known for n in range(8)]


@pytest.mark.parametrize("xi", [-0.5, -1e-13, 1e-13, 1e-4, 0.5, 2])
def test_density_and_levels_are_accurate_for_small_indices(xi: float) -> None:
    law, x = laws.GEV(xi, loc=1, scale=2), mp.mpf(xi)
    for z in (-1.3, 0.1, 1.7) if xi > -0.5 else (-1.3, 0.1, 1.2):
        point = 1 + 2 * z
        u = (1 + x * (mp.mpf(point) - 1) / 2) ** (-1 / x) if 1 + xi * z > 0 else None
        density = 0 if u is None else float(u ** (1 + x) * mp.exp(-u) / 2)
        level = (0 if xi > 0 else 1) if u is None else float(mp.exp(-u))
        assert float(law.pdf(point)) == pytest.approx(density, rel=1e-13)
        assert float(law.scipy().cdf(point)) == pytest.approx(level, rel=1e-13)


@pytest.mark.parametrize(("xi", "reference"), [(0.5, stats.invweibull(2)), (-0.5, stats.weibull_max(2))])
def test_frechet_and_weibull_are_members(xi: float, reference: stats.distributions.rv_frozen) -> None:
    """1 + x / 2 is a Fréchet variable of shape 2, and x / 2 - 1 a reversed Weibull variable of shape 2."""
    z = np.array([0.3, 1.0, 4.0]) if xi > 0 else np.array([-2.0, -1.0, -0.1])
    law = laws.GEV(xi, loc=1 if xi > 0 else -1, scale=0.5)
    np.testing.assert_allclose(law.scipy().cdf(z), reference.cdf(z), rtol=1e-12)


@pytest.mark.parametrize("xi", [-1.5, -0.3, -1e-10, 1e-10, 0.4, 1.2])
@pytest.mark.parametrize("block_size", [2, 5])
def test_they_are_the_fixed_points_of_the_maximum(xi: float, block_size: int) -> None:
    """P(y < v) = F(a v + c)^b must be F(v), with a = b^xi and c = (b^xi - 1) / xi."""
    law = Maximum(xi).fixed_point(block_size)
    assert law == laws.GEV(xi)
    levels = np.linspace(0.02, 0.98, 25)
    v = law.scipy().ppf(levels)
    back = v * block_size**xi + math.expm1(xi * math.log(block_size)) / xi
    np.testing.assert_allclose(law.scipy().cdf(back) ** block_size, levels, rtol=1e-8)
    check_map(Maximum(xi), block_sizes=(block_size,))


def test_pareto_cumulants_are_those_of_its_integrals() -> None:
    shape, scale = Fraction(17, 2), Fraction(3)
    # the density is shape scale^shape / x^(shape + 1) from scale on
    moments = [shape * scale**n / (shape - n) for n in range(9)]
    numeric = [
        mp.quad(lambda t, n=n: mp.mpf(8.5) * mp.mpf(3) ** n * mp.exp((n - mp.mpf(8.5)) * t), [0, 1, 10, mp.inf])
        for n in range(9)
    ]
    for exact, measured in zip(moments, numeric, strict=True):
        assert float(exact) == pytest.approx(float(measured), rel=1e-14)
    found = laws.Pareto(shape=8.5, scale=3).cumulants(8).tolist()
    assert found == pytest.approx([float(k) for k in by_partitions(moments)], rel=1e-14)
    assert laws.Pareto(shape=3).cumulants(4).isfinite().tolist() == [True, True, False, False]
    assert laws.Pareto(shape=1).cumulants(1).isnan().all()


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.5, 0.2), st.integers(-1000, 1000), st.integers(1, 1000).map(lambda n: n / 7))
def test_shifted_and_stretched_members_are_one_standard_law(xi: float, loc: float, scale: float) -> None:
    """Up to rounding of the location and scale."""
    found, wanted = laws.GEV(xi, loc, scale).standardised(), laws.GEV(xi).standardised()
    assert isinstance(found, laws.GEV)
    assert isinstance(wanted, laws.GEV)
    assert (found.xi, found.loc, found.scale) == pytest.approx((wanted.xi, wanted.loc, wanted.scale), rel=1e-14)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gev(xi=11)", "gev: xi=11.0 is out of range; allowed: -10 to 10"),
        ("gev(scale=0)", "gev: scale=0.0 is out of range; allowed: 1e-30 to 1e+30"),
        ("pareto(shape=-1)", "pareto: shape=-1.0 is out of range; allowed: 1e-30 to 1e+30"),
    ],
)
def test_bad_parameters_are_one_line(text: str, message: str) -> None:
    with pytest.raises(laws.LawError) as caught:
        laws.parse(text)
    assert str(caught.value) == message
