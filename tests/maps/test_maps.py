"""Maps: against their formulas written out, brute force over blocks, quadrature of spectra, and the contract of all maps."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special
from torch import Tensor

from renorm import maps
from renorm.cumulants import rg_spectrum
from renorm.datamodules import laws
from renorm.maps import BlockMap, CentralLimit, Decimation, Majority, Maximum, Stable
from renorm.testing import check_map

ALL = [CentralLimit(), Stable(), Stable(alpha=1), Stable(alpha=2), Maximum(), Maximum(xi=0.5), Maximum(xi=-0.5)]
ALL += [Majority(), Decimation(), Decimation(keep=1)]
BIASED = "mixture(0.6*bernoulli(p=1) + 0.4*rademacher())"  # 1 with probability 0.8, else -1


@pytest.mark.parametrize("block_map", ALL, ids=str)
def test_every_map_keeps_the_contract(block_map: BlockMap) -> None:
    check_map(block_map, block_sizes=(2, 3, 5), laws=("gaussian()", "gamma()", "rademacher()", BIASED))


@pytest.mark.parametrize("block_map", ALL, ids=str)
def test_maps_are_pickled_and_read_back(block_map: BlockMap) -> None:
    assert pickle.loads(pickle.dumps(block_map)) == block_map
    assert maps.parse(str(block_map)) == block_map


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=6), st.floats(0.2, 2), st.floats(-2, 2))
def test_values_are_those_of_the_formulas(block: list[float], alpha: float, xi: float) -> None:
    x, b = torch.tensor(block, dtype=torch.float64), len(block)
    assert float(CentralLimit()(x)) == pytest.approx(math.fsum(block) / math.sqrt(b), abs=1e-12)
    assert float(Stable(alpha)(x)) == pytest.approx(math.fsum(block) / b ** (1 / alpha), abs=1e-10)
    shift = (b**xi - 1) / xi if abs(xi) > 1e-3 else math.log(b) * (1 + xi * math.log(b) / 2)
    assert float(Maximum(xi)(x)) == pytest.approx((max(block) - shift) / b**xi, rel=1e-4, abs=1e-5)


def test_a_small_index_is_gumbels() -> None:
    x = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(Maximum(1e-12)(x), Maximum(0)(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("block_size", [2, 3])
def test_spectrum_of_the_central_limit_is_the_measured_one(block_size: int) -> None:
    class Exact(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block_size, self.unused = block_size, torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return CentralLimit()(x)[None]

    found = rg_spectrum(Exact(), order=5, nodes=12)[0].diagonal()
    torch.testing.assert_close(found, CentralLimit().spectrum(5, block_size), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("block_size", [2, 3])
def test_spectrum_of_the_maximum_is_that_of_laguerre_polynomials(block_size: int) -> None:
    """M_nn = E[L_n(b min u) sum_i L_n(u_i)] with u_i ~ Exp(1), by quadrature over the minimum and one variable.

    Given that u_1 is above the minimum m, it is m + Exp(1); it is the minimum itself with probability 1/b.
    """
    b = block_size
    nodes, weights = special.roots_laguerre(40)
    for n in range(5):
        # the minimum of b has the density b exp(-b m): m = s / b with s ~ Exp(1)
        at_minimum = special.eval_laguerre(n, nodes / b)
        above = np.array([weights @ special.eval_laguerre(n, m + nodes) for m in nodes / b])
        mean = weights @ (special.eval_laguerre(n, nodes) * (at_minimum + (b - 1) * above))
        assert mean == pytest.approx(float(Maximum().spectrum(4, b)[n]), abs=1e-9)


@pytest.mark.parametrize("alpha", [0.7, 1.0, 1.5, 2.0])
def test_stable_laws_are_fixed(alpha: float) -> None:
    """ln phi(k) = b ln phi(b^(-1/alpha) k), with ln phi = -|k|^alpha; and its perturbations |k|^s."""
    k = np.linspace(0.1, 5, 20)
    for b in (2, 5):
        scaled = k * b ** (-1 / alpha)
        np.testing.assert_allclose(b * -(scaled**alpha), -(k**alpha), rtol=1e-12)
        for s in range(4):
            eigenvalue = float(Stable(alpha).spectrum(3, b)[s])
            np.testing.assert_allclose(b * scaled**s, eigenvalue * k**s, rtol=1e-12)
    fixed = laws.Gaussian() if alpha == 2 else laws.Stable(alpha=alpha)
    assert Stable(alpha).fixed_point(2) == fixed


def test_gumbel_is_fixed_by_its_distribution_function() -> None:
    """P(max - ln b < y) = F(y + ln b)^b, which must be F(y)."""
    distribution = laws.Gumbel().scipy()
    y = np.linspace(-2, 6, 50)
    for b in (2, 3, 8):
        np.testing.assert_allclose(distribution.cdf(y + math.log(b)) ** b, distribution.cdf(y), rtol=1e-12)


def test_the_maximum_has_no_recursion_of_cumulants() -> None:
    """Two laws of the same first four cumulants, whose maxima have other means: no function of the cumulants gives both."""
    gaussian_mean, _ = integrate.quad(lambda x: x * 2 * laws.Gaussian().pdf(x) * special.ndtr(x), -10, 10)
    # values -sqrt 3, 0, sqrt 3 with weights 1/6, 2/3, 1/6 have the cumulants 0, 1, 0, 0
    values, weights = np.array([-(3**0.5), 0, 3**0.5]), np.array([1, 4, 1]) / 6
    discrete_mean = sum(weights[i] * weights[j] * max(values[i], values[j]) for i in range(3) for j in range(3))
    assert abs(gaussian_mean - discrete_mean) > 0.02
    assert Maximum().cumulants(torch.tensor([0.0, 1.0, 0.0, 0.0]), 2) is None
    assert Maximum().flow(torch.zeros(4), 3, 2) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("maxmum()", "map 'maxmum' is unknown (did you mean 'maximum'?); allowed: central_limit, "),
        ("stable(alpha=3)", "stable: alpha=3.0 is out of range; allowed: 0.1 to 2"),
        ("stable(alpha=0)", "stable: alpha=0.0 is out of range; allowed: 0.1 to 2"),
        ("maximum(xi=nan)", "maximum: xi=nan is out of range; allowed: -10 to 10"),
        ("central_limit(2)", "central_limit: more than 0 arguments; allowed: central_limit()"),
        ("maximum(", "map='maximum(' ends too early, at position 8; allowed: "),
        ("", "map='' ends too early, at position 0; allowed: the name of a map"),
    ],
)
def test_bad_text_is_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="allowed") as caught:
        maps.parse(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_name_is_taken_once_and_a_contract_is_tried() -> None:
    with pytest.raises(ValueError, match=r"name='maximum' of .*Other is taken by Maximum; allowed: a new name"):

        @dataclass(frozen=True)
        class Other(BlockMap):
            name = "maximum"

    try:

        @dataclass(frozen=True)
        class Whole(BlockMap):
            name = "whole_of_a_test"

            def __call__(self, x: Tensor) -> Tensor:
                return x

        with pytest.raises(
            ValueError, match=r"map class Whole takes torch.float64 of shape \(3, 3\) to .*\(3, 3\); allowed: "
        ):
            maps.parse("whole_of_a_test")
    finally:
        BlockMap.registry.pop("whole_of_a_test", None)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "weights",
            lambda self, b: torch.ones(b + 1),
            r"has weights=\[1.0, .*\] for block_size=3, which are not the map",
        ),
        ("weights", lambda self, b: torch.ones(b), "which are not the map; allowed: y = x @ weights, or None"),
        ("cumulants", lambda self, kappa, b: kappa[:2], r"takes 4 cumulants to shape \(2,\)"),
        ("__call__", lambda self, x: x[..., 0].double(), r"takes torch.float32 of shape \(3, 3\) to torch.float64"),
    ],
)
def test_what_an_own_map_calls_exact_is_tried(name: str, value: object, message: str) -> None:
    """Without the trial, wrong weights would give wrong cumulants under the name of exact ones."""
    body = {"name": "square_of_a_test", "__call__": lambda self, x: x[..., 0] ** 2, "__module__": __name__, name: value}
    try:
        dataclass(frozen=True)(type("Square", (BlockMap,), body))
        with pytest.raises(ValueError, match=message):
            maps.parse("square_of_a_test")
    finally:
        BlockMap.registry.pop("square_of_a_test", None)


def test_the_contract_asks_for_a_block_that_the_map_acts_on() -> None:
    with pytest.raises(AssertionError, match="acts on none of block_sizes"):
        check_map(Majority(), block_sizes=(2, 4))


def test_the_contract_finds_what_is_wrong() -> None:
    @dataclass(frozen=True)
    class Lies(Maximum):
        parity = "odd"

    @dataclass(frozen=True)
    class Recursion(Maximum):
        def cumulants(self, kappa: Tensor, block_size: int) -> Tensor:
            return CentralLimit().cumulants(kappa, block_size)

    @dataclass(frozen=True)
    class Fixed(CentralLimit):
        def fixed_point(self, block_size: int) -> laws.Gaussian:
            return laws.Gaussian(mean=1)

    for block_map in (Lies(), Recursion(), Fixed()):
        type(block_map).registry[block_map.name], before = type(block_map), type(block_map).registry[block_map.name]
        try:
            with pytest.raises(AssertionError):
                check_map(block_map)
        finally:
            type(block_map).registry[block_map.name] = before
