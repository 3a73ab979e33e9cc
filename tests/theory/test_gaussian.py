"""Closed forms under a Gaussian, against arithmetic of 100 digits, of which narrow cells cost up to 60."""

from __future__ import annotations

import itertools
import math
from typing import Any

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from renorm.cumulants.propagation.gaussian import (
    affine_pieces_covariance,
    kink_covariance,
    leaky_cumulants,
    normal_cdf,
    piecewise_cumulants,
)
from renorm.cumulants.propagation.hermite import hermite_coefficients
from renorm.zoo import activations

MP = mpmath.mp.clone()
MP.dps = 100


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def pieces_of(name: str, **arguments: Any) -> Any:
    activation = activations.find(name)(1, torch.zeros(1, dtype=torch.long), **arguments)
    activation.reset_parameters(lambda shape: torch.rand(1, *shape, generator=torch.Generator().manual_seed(3)))
    return activation.piecewise()


def moment_cumulants(moments: list[Any]) -> list[Any]:
    """Cumulants of orders 1 to 4 from moments about the mean, the mean first."""
    mean, second, third, fourth = moments
    return [mean, second, third, fourth - 3 * second**2]


def partial_moments(low: Any, high: Any, order: int) -> list[Any]:
    """Integrals of g^p times the standard normal density from low to high, at 40 digits, by parts."""

    def at(x: Any, power: int) -> Any:
        return MP.mpf(0) if MP.isinf(x) else x**power * MP.npdf(x)

    upper = MP.mpf(1) if high == MP.inf else MP.ncdf(high)
    lower = MP.mpf(0) if low == -MP.inf else MP.ncdf(low)
    found = [upper - lower, at(low, 0) - at(high, 0)]
    for p in range(2, order + 1):
        found.append((p - 1) * found[p - 2] + at(low, p - 1) - at(high, p - 1))
    return found


def exact_cumulants(cells: list[tuple[Any, Any, list[Any]]], mean: float, std: float) -> list[Any]:
    """Cumulants of a piecewise polynomial, cells (low, high, coefficients in z about 0), of N(mean, std^2)."""
    m, s = MP.mpf(mean), MP.mpf(std)
    in_g = []
    for low, high, coefficients in cells:
        polynomial = [MP.mpf(0)] * len(coefficients)
        for p, c in enumerate(coefficients):
            for k in range(p + 1):
                polynomial[k] += MP.mpf(c) * math.comb(p, k) * m ** (p - k) * s**k
        in_g.append(((low - m) / s, (high - m) / s, polynomial))

    def expectation(power: int, centre: Any) -> Any:
        total = MP.mpf(0)
        for low, high, polynomial in in_g:
            shifted = [polynomial[0] - centre, *polynomial[1:]]
            product = [MP.mpf(1)]
            for _ in range(power):
                grown = [MP.mpf(0)] * (len(product) + len(shifted) - 1)
                for (i, a), (j, b) in itertools.product(enumerate(product), enumerate(shifted)):
                    grown[i + j] += a * b
                product = grown
            moments = partial_moments(low, high, len(product))
            total += MP.fsum(c * q for c, q in zip(product, moments, strict=False))
        return total

    first = expectation(1, 0)
    return moment_cumulants([first, *(expectation(n, first) for n in (2, 3, 4))])


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.5, 0.99, 1.0, -1.0, 2.0])
@pytest.mark.parametrize("mean", [0.0, 0.3, -1.0, 2.5, -4.0, 6.0])
@pytest.mark.parametrize("std", [1.0, 1e-3, 30.0])
def test_leaky_relu_moments(slope: float, mean: float, std: float) -> None:
    location = mean * std
    cells = [(-MP.inf, MP.mpf(0), [0, slope]), (MP.mpf(0), MP.inf, [0, 1])]
    exact = exact_cumulants(cells, location, std)
    found = leaky_cumulants(numbers(location), numbers(std), slope)
    for n, (value, reference) in enumerate(zip(found[:, 0].tolist(), exact, strict=True), start=1):
        assert abs(value - float(reference)) <= 1e-13 * max(std, abs(location) * (n == 1)) ** n


@pytest.mark.parametrize("mean", [-9.0, -7.0])
def test_relu_far_in_the_tail_keeps_its_relative_accuracy(mean: float) -> None:
    cells = [(-MP.inf, MP.mpf(0), [0, 0]), (MP.mpf(0), MP.inf, [0, 1])]
    exact = exact_cumulants(cells, mean, 1.0)
    found = leaky_cumulants(numbers(mean), numbers(1.0), 0.0)[:, 0].tolist()
    # the mean is a small difference of terms of size phi(a): relative accuracy is lost only by their cancellation
    assert found[0] == pytest.approx(float(exact[0]), rel=1e-12)
    assert found[1] == pytest.approx(float(exact[1]), rel=1e-11)


def test_a_point_mass_is_mapped() -> None:
    found = leaky_cumulants(numbers(-2.0, 3.0), numbers(0.0, 0.0), 0.25)
    assert torch.equal(found[0], numbers(-0.5, 3.0))
    assert (found[1:].abs() < 1e-200).all()


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "quadratic", "linear"])
def test_piecewise_moments_of_named_activations(name: str) -> None:
    pieces = pieces_of(name)
    mean, std = numbers(-1.5, 0.0, 0.4, 3.0), numbers(0.5, 1.0, 2.0, 0.1)
    found = piecewise_cumulants(pieces, mean.view(1, -1), std.view(1, -1))[:, 0]
    breaks = [-MP.inf, *map(MP.mpf, pieces.breaks.tolist()), MP.inf]
    rows = pieces.coefficients[0, 0].tolist()
    cells = [(breaks[c], breaks[c + 1], row) for c, row in enumerate(rows)]
    for i in range(4):
        exact = exact_cumulants(cells, float(mean[i]), float(std[i]))
        scale = max(1.0, abs(float(exact[0]))) + math.sqrt(float(exact[1]))
        for n in range(4):
            assert abs(float(found[n, i]) - float(exact[n])) <= 1e-13 * scale ** (n + 1)


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
@pytest.mark.parametrize("extension", ["affine", "constant", "zero"])
@pytest.mark.parametrize(("mean", "std"), [(0.2, 1.0), (-2.0, 0.05), (0.0, 30.0), (8.0, 1.5), (0.7, 1e-6)])
def test_spline_moments(degree: int, extension: str, mean: float, std: float) -> None:
    pieces = pieces_of("spline", degree=degree, extension=extension)
    rows = pieces.coefficients[0, 0].tolist()
    edges = [-MP.inf, *map(MP.mpf, pieces.breaks.tolist()), MP.inf]
    cells = []
    for c, (row, origin) in enumerate(zip(rows, pieces.origins.tolist(), strict=True)):
        about_zero = [MP.mpf(0)] * len(row)
        for p, a in enumerate(row):
            for k in range(p + 1):
                about_zero[k] += MP.mpf(a) * math.comb(p, k) * (-MP.mpf(origin)) ** (p - k)
        cells.append((edges[c], edges[c + 1], about_zero))
    exact = exact_cumulants(cells, mean, std)
    found = piecewise_cumulants(pieces, numbers(mean).view(1, 1), numbers(std).view(1, 1))[:, 0, 0].tolist()
    scale = max(abs(float(exact[0])), math.sqrt(float(exact[1])))
    for n, (value, reference) in enumerate(zip(found, exact, strict=True), start=1):
        assert abs(value - float(reference)) <= 2e-12 * scale**n


def exact_relu_covariance(a: float, b: float, rho: Any) -> Any:
    """Cov(z1+, z2+) of standard deviations 1, from the bivariate normal integral."""
    a, b, r = MP.mpf(a), MP.mpf(b), MP.mpf(rho)
    q = MP.sqrt((1 - r) * (1 + r))
    points = [MP.asin(r) * k / 8 for k in range(9)]
    # the integrand is steep near the end for correlations near 1
    ends = [MP.asin(r) * (1 - MP.mpf(10) ** (-k)) for k in range(1, 12)]

    def density(t: Any) -> Any:
        return MP.exp(-(a * a - 2 * a * b * MP.sin(t) + b * b) / (2 * MP.cos(t) ** 2)) / (2 * MP.pi)

    both = MP.ncdf(a) * MP.ncdf(b) + MP.quad(density, sorted([*points, *ends], key=abs))
    product = (
        (a * b + r) * both
        + a * MP.npdf(b) * MP.ncdf((a - r * b) / q)
        + b * MP.npdf(a) * MP.ncdf((b - r * a) / q)
        + q * MP.npdf(a) * MP.npdf((b - r * a) / q)
    )
    means = (a * MP.ncdf(a) + MP.npdf(a)) * (b * MP.ncdf(b) + MP.npdf(b))
    return product - means


@pytest.mark.parametrize("rho", [0.0, 0.3, -0.3, 0.9, -0.9, 0.999, -0.999, 0.999999, -0.999999])
@pytest.mark.parametrize(("a", "b"), [(0.0, 0.0), (0.5, -0.3), (2.0, 1.5), (-2.0, -2.0), (3.0, -3.0), (0.1, 0.1)])
def test_relu_covariance_up_to_full_correlation(rho: float, a: float, b: float) -> None:
    exact = float(exact_relu_covariance(a, b, rho))
    one, other, r = numbers(a), numbers(b), numbers(rho)
    found = normal_cdf(one) * normal_cdf(other) * r + kink_covariance(one, other, r)
    assert abs(float(found) - exact) <= 3e-13


@settings(max_examples=60, deadline=None)
@given(st.floats(-4, 4), st.floats(-4, 4), st.floats(-1, 1))
def test_covariance_matrices_are_symmetric_and_bounded(a: float, b: float, rho: float) -> None:
    pieces = pieces_of("leaky_relu", negative_slope=0.2)
    mean = numbers(a, b).view(1, 2)
    covariance = torch.tensor([[[1.0, rho], [rho, 1.0]]], dtype=torch.float64)
    found = affine_pieces_covariance(pieces, mean, covariance)[0]
    variance = leaky_cumulants(mean, torch.ones_like(mean), 0.2)[1, 0]
    assert found[0, 1] == found[1, 0]
    assert found[0, 1].abs() <= (variance[0] * variance[1]).sqrt() * (1 + 1e-9)


def test_covariance_of_degree_one_splines_matches_a_long_hermite_series() -> None:
    pieces = pieces_of("spline", degree=1, knots=5)
    pieces = pieces._replace(coefficients=pieces.coefficients.detach())
    mean, rho = numbers(0.3, -0.6), 0.5
    covariance = torch.tensor([[[1.0, 2 * rho], [2 * rho, 4.0]]], dtype=torch.float64)
    found = affine_pieces_covariance(pieces, mean.view(1, 2), covariance)[0, 0, 1]
    activation = activations.find("spline")(1, torch.zeros(1, dtype=torch.long), degree=1, knots=5).double()
    activation.reset_parameters(lambda shape: torch.rand(1, *shape, generator=torch.Generator().manual_seed(3)))
    with torch.no_grad():
        table = hermite_coefficients(
            lambda z: activation(z.view(1, 1, -1)).view_as(z),
            mean.view(1, 2),
            numbers(1.0, 2.0).view(1, 2),
            pieces.breaks.tolist(),
            60,
        )
    series = sum(float(table[0, k, 0, 0] * table[0, k, 0, 1]) * rho**k for k in range(1, 61))
    # the activation's own parameters are float32 in the making of its pieces
    assert float(found) == pytest.approx(series, abs=1e-7)


def test_hermite_coefficients_of_a_polynomial() -> None:
    mean, std = numbers(0.7).view(1, 1), numbers(1.3).view(1, 1)
    table = hermite_coefficients(lambda z: z**3, mean, std, [], degree=4)[0, :, 0, 0]
    m, s = 0.7, 1.3
    exact = [m**3 + 3 * m * s**2, 3 * m**2 * s + 3 * s**3, 6 * m * s**2 / math.sqrt(2), 6 * s**3 / math.sqrt(6), 0]
    assert table.tolist() == pytest.approx(exact, abs=1e-12)


def test_gradients_are_finite_at_full_correlation() -> None:
    rho = numbers(1.0, -1.0, 0.0).requires_grad_()
    kink_covariance(numbers(0.1, 0.1, 0.1), numbers(0.1, -0.1, 0.2), rho).sum().backward()
    assert rho.grad is not None
    assert rho.grad.isfinite().all()
