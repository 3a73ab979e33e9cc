"""Functions that change fast, or far from zero: against closed forms, or refused with the name of their module."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from torch import Tensor, nn

from renorm.cumulants import GaussianInput, propagate
from renorm.cumulants.propagation.hermite import hermite_coefficients
from renorm.cumulants.propagation.normal_panels import TOLERANCE
from renorm.errors import InputError
from renorm.zoo import MLP

from .modules import Applies


def pair(correlation: float) -> GaussianInput:
    return GaussianInput([0.0, 0.0], [[1.0, correlation], [correlation, 1.0]])


def bump(width: float, centre: float = 0.0) -> Callable[[Tensor], Tensor]:
    return lambda z: torch.exp(-((z - centre) ** 2) / (2 * width**2))


STEEP = {
    "tanh": lambda z: torch.tanh(100 * z),
    "erf": lambda z: torch.erf(200 * (z - 0.37)),
    "softplus": nn.Softplus(beta=100.0),
    "bump": lambda z: torch.exp(-1e4 * z**2),
    "bump beside zero": bump(0.007, 0.3),
    "waves": lambda z: torch.cos(30 * z),
    "waves above zero": lambda z: torch.cos(3 * z) * torch.relu(z),
}


@pytest.mark.parametrize("name", STEEP)
def test_means_and_variances_of_steep_functions_are_sums_over_a_million_points(name: str) -> None:
    function = STEEP[name]
    z = torch.linspace(-9, 9, 1_800_001, dtype=torch.float64)
    weights = torch.from_numpy(stats.norm.pdf(z.numpy())) * 1e-5
    mean = float(function(z) @ weights)
    variance = float((function(z) - mean) ** 2 @ weights)
    found = propagate(Applies(function), GaussianInput([0.0], [[1.0]]), order=2, method="gaussian").marginals("out")
    assert float(found[0]) == pytest.approx(mean, abs=1e-9)
    assert float(found[1]) == pytest.approx(variance, rel=1e-8)


@settings(max_examples=10, deadline=None)
@given(st.floats(-5, 5), st.floats(-3, 2).map(lambda power: 10**power), st.floats(-2, 0).map(lambda power: 10**power))
def test_a_bump_of_any_width_has_the_moments_of_products_of_gaussians(mean: float, std: float, share: float) -> None:
    width = share * std
    found = hermite_coefficients(
        bump(width, mean + std),
        torch.full((1, 1), mean, dtype=torch.float64),
        torch.full((1, 1), std, dtype=torch.float64),
        [mean + std],
        0,
        2,
    )[:, 0].flatten()
    first, second = (
        math.sqrt(w**2 / (w**2 + 1)) * math.exp(-1 / (2 * (w**2 + 1))) for w in (share, share / math.sqrt(2))
    )
    assert float(found[0]) == pytest.approx(first, rel=100 * TOLERANCE)
    assert float(found[1]) == pytest.approx(second - first**2, rel=100 * TOLERANCE)


@pytest.mark.parametrize("method", ["gaussian", "edgeworth"])
@pytest.mark.parametrize("correlation", [0.5, 0.9, 0.99])
def test_covariances_of_jumps_and_bumps_are_the_closed_forms(method: str, correlation: float) -> None:
    signs = propagate(Applies(torch.sign), pair(correlation), order=2, method=method)["out"].cumulants(2)[0]
    assert float(signs[0, 1]) == pytest.approx(2 / math.pi * math.asin(correlation), abs=1e-5)
    bumps = propagate(Applies(bump(0.01)), pair(correlation), order=2, method=method)["out"].cumulants(2)[0]
    a = 1e4
    joint = 1 / math.sqrt((1 + a) ** 2 - (a * correlation) ** 2)
    assert float(bumps[0, 1]) == pytest.approx(joint - 1 / (1 + a), abs=1e-5 * float(bumps[0, 0]))


@pytest.mark.parametrize("method", ["gaussian", "edgeworth"])
def test_covariances_of_a_first_layer_are_those_of_the_plane(method: str) -> None:
    model = MLP(width=4, activation="tanh", seed=2).requires_grad_(False)
    found, exact = (
        propagate(model, "gaussian()", order=2, **how)["act0"].cumulants(2)
        for how in ({"method": method, "closed_at": "layers"}, {"method": "quadrature"})
    )
    size = exact.diagonal(dim1=1, dim2=2).amax()
    assert float((found - exact).abs().max() / size) < 2e-5


def test_units_that_are_nearly_equal_and_steep_are_refused_by_name() -> None:
    net = nn.Sequential(nn.Identity(), Applies(bump(1e-3)))
    with pytest.raises(
        InputError, match=r"^net\.1 \(Applies\) changes too fast for the covariance of units whose corr"
    ):
        propagate(net, pair(0.9999), order=2, method="gaussian")


# ---- first layers on a grid, and the plane ---------------------------------------------------------------------------


def test_third_and_fourth_cumulants_of_a_steep_first_layer_are_those_of_signs() -> None:
    net = nn.Sequential(nn.Linear(2, 1, bias=False), Applies(lambda z: torch.tanh(300 * z))).double()
    net[0].weight.data.copy_(torch.tensor([[0.6, 0.8]]))
    found = propagate(net.requires_grad_(False), "gaussian()", method="gaussian").marginals("out").flatten()
    assert found.tolist() == pytest.approx([0, 1, 0, -2], abs=2e-2)


def test_a_grid_that_is_too_coarse_is_refused_by_name() -> None:
    net = nn.Sequential(nn.Linear(2, 2, bias=False), Applies(bump(2e-4, 0.3)))
    with pytest.raises(
        InputError, match=r"^net\.1 \(Applies\) changes too fast for a grid of 512 points a variable; al"
    ):
        propagate(net, "gaussian()", method="gaussian")


def test_the_plane_sees_kinks_that_are_far_away_and_several_outputs() -> None:
    found = propagate(
        Applies(lambda z: torch.relu(z - 5000)), "gaussian(mean=5000)", 2, method="quadrature", shape=(2,)
    )
    exact = [1 / math.sqrt(2 * math.pi)] * 2 + [0.5 - 0.5 / math.pi] * 2
    assert found.marginals("out").flatten().tolist() == pytest.approx(exact, rel=1e-9)
    smooth = propagate(nn.Tanh(), "gaussian()", 2, method="quadrature", shape=(2,)).marginals("out").flatten()
    alone = propagate(nn.Tanh(), GaussianInput([0.0], [[1.0]]), 2, method="gaussian").marginals("out").flatten()
    assert smooth.tolist() == pytest.approx([float(k) for k in alone for _ in range(2)], abs=1e-10)


# ---- far from zero ---------------------------------------------------------------------------------------------------

FAR = {
    "relu": (lambda z: torch.relu(z - 5000), lambda x: max(x, 0.0)),
    "clamp": (nn.Hardtanh(-5000.0, 5001.0), lambda x: min(x, 1.0)),
    "hat": (lambda z: torch.relu(1 - (z - 5000.3).abs()), lambda x: max(1 - abs(x - 0.3), 0.0)),
    "log": (torch.log, lambda x: math.log(5000 + x)),
}


@pytest.mark.parametrize("name", FAR)
def test_kinks_are_looked_for_where_the_law_is(name: str) -> None:
    function, near = FAR[name]
    centre = float(function(torch.tensor(5000.0).double())) - near(0.0)
    law = GaussianInput([5000.0], [[1.0]])
    found = propagate(Applies(function), law, order=4, method="gaussian").marginals("out").flatten()
    points = [-0.7, 0.0, 0.3, 1.0, 1.3]
    raw = [
        integrate.quad(lambda x, p=p: near(x) ** p * stats.norm.pdf(x), -9, 9, points=points, epsabs=1e-13)[0]
        for p in (1, 2)
    ]
    assert float(found[0]) == pytest.approx(raw[0] + centre, rel=1e-11)
    assert float(found[1]) == pytest.approx(raw[1] - raw[0] ** 2, rel=1e-6)


def test_kinks_of_any_size_are_found() -> None:
    law = GaussianInput([5e6], [[1e12]])
    found = propagate(Applies(lambda z: torch.relu(z - 5e6) / 1e6), law, order=4, method="gaussian").marginals("out")
    half = propagate(nn.ReLU(), GaussianInput([0.0], [[1.0]]), order=4, method="gaussian").marginals("out")
    assert torch.allclose(found, half, rtol=1e-9)


def test_stairs_near_the_law_are_counted_and_stairs_without_end_are_refused_by_name() -> None:
    found = propagate(Applies(torch.round), GaussianInput([0.0], [[1.0]]), order=2, method="gaussian").marginals("out")
    steps = torch.arange(-9, 10)
    share = torch.from_numpy(stats.norm.cdf(steps + 0.5) - stats.norm.cdf(steps - 0.5))
    assert float(found[1]) == pytest.approx(float((share * steps**2).sum()), rel=1e-9)
    wide = nn.Sequential(nn.Identity(), Applies(torch.round))
    with pytest.raises(
        InputError, match=r"^net\.1 \(Applies\) varies too fast to be integrated; allowed: functions tha"
    ):
        propagate(wide, GaussianInput([0.0], [[1e4]]), order=2, method="gaussian")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda z: 1 / z,
            r"^net\.1 \(Applies\) has a pole, or is not smooth in \d+ places; allowed: at most 64, and fin",
        ),
        (
            torch.log,
            r"^net\.1 \(Applies\) is not finite at some of the values that its input takes; allowed: functions",
        ),
        (
            lambda z: torch.exp(5 * z),
            r"^net\.1 \(Applies\) grows too fast: what it does beyond 11 standard deviations of its",
        ),
        (lambda z: torch.cos(1e6 * z), r"^net\.1 \(Applies\) (varies too fast|is not integrated)"),
    ],
)
def test_functions_without_moments_are_named(function: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        propagate(nn.Sequential(nn.Identity(), Applies(function)), GaussianInput([0.0], [[1.0]]), 2, method="gaussian")
    assert "\n" not in str(caught.value)
