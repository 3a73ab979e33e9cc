"""Integration over the plane, against laws whose images are known exactly."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from renorm.callbacks.layer_cumulants import sampled_cumulants
from renorm.cumulants import moments_to_cumulants, propagate
from renorm.cumulants.propagation import plane
from renorm.cumulants.propagation.network import read_network
from renorm.cumulants.propagation.panels import gauss, law_panels
from renorm.cumulants.propagation.triangles import grid, rule, split_at_kinks
from renorm.datamodules import laws
from renorm.zoo import MLP

DENSITIES = (
    "gaussian(mean=0.3, std=2)",
    "uniform()",
    "gamma(shape=2)",
    "gamma(shape=0.3)",
    "exponential()",
    "laplace()",
    "logistic()",
    "gumbel()",
    "student_t(df=12)",
    "lognormal()",
    "beta(a=0.5, b=0.5)",
    "triangular()",
    "mixture(1*gaussian(mean=-1, std=0.5) + 2*exponential())",
    "standardised(gamma(shape=2))",
)


def network_of(weights: list[Any], activation: str = "relu", **arguments: Any) -> MLP:
    """A one-member MLP with the given weights ``[W0, b0, W1, b1, ...]``, in float64."""
    matrices = [torch.tensor(w, dtype=torch.float64) for w in weights[::2]]
    model = MLP(
        width=len(matrices[0]),
        depth=len(matrices) - 1,
        block_size=matrices[0].shape[1],
        activation=activation,
        **arguments,
    ).double()
    with torch.no_grad():
        for layer, matrix, bias in zip(model.affine_layers(), matrices, weights[1::2], strict=True):
            layer.weight.theta.copy_(matrix.reshape(1, -1))
            assert layer.bias is not None
            layer.bias.theta.copy_(torch.tensor(bias, dtype=torch.float64).reshape(1, -1))
    return model


def marginals(model: MLP, law: str, order: int = 4, layer: str = "out") -> Tensor:
    return propagate(model, law, order=order, method="quadrature").marginals(layer)[:, 0].detach()


@pytest.mark.parametrize("text", DENSITIES)
def test_panels_integrate_the_laws_own_cumulants(text: str) -> None:
    law = laws.parse(text)
    order = min(8, len(law.exact_cumulants(8)))
    panels = law_panels(law, order)

    def weighted(x: np.ndarray) -> np.ndarray:
        return np.stack([panels.pdf(x) * x**p for p in range(order + 1)])

    moments = gauss(panels.edges, 8, weighted).sum(axis=0)
    exact = law.cumulants(order)
    found = moments_to_cumulants(torch.from_numpy(moments[1:]))
    size = moments_to_cumulants(torch.from_numpy(np.abs(moments[1:])))
    scale = torch.stack([exact[1] ** (n / 2) + exact[n - 1].abs() for n in range(1, order + 1)])
    error = 1e-8 if "beta" in text else 1e-11  # singular at 1, where numbers are 1e-16 apart
    assert moments[0] == pytest.approx(1, abs=error)
    assert ((found - exact).abs() <= 200 * error * (scale + size.abs())).all()


@pytest.mark.parametrize("nodes", [3, 5, 8])
def test_the_rule_on_a_triangle_integrates_polynomials(nodes: int) -> None:
    corners = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]], dtype=torch.float64)
    x, w = rule(corners, nodes)
    for i, j in itertools.product(range(nodes), range(nodes)):
        exact = math.factorial(i) * math.factorial(j) / math.factorial(i + j + 2)
        assert float((w * x[..., 0] ** i * x[..., 1] ** j).sum()) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("depth", [1, 2])
def test_no_kink_crosses_a_triangle_and_no_area_is_lost(depth: int) -> None:
    network = read_network(MLP(width=6, depth=depth, activation="relu", replicas=3, seed=5))
    panels = law_panels(laws.parse("uniform()"), 4)
    with torch.no_grad():
        triangles = split_at_kinks(grid(panels, 3), network)
        area = rule(triangles.corners, 2)[1].sum(dim=1)
        for member in range(3):
            mine = triangles.take(triangles.member == member)
            assert float(area[triangles.member == member].sum()) == pytest.approx(12, rel=1e-12)
            part = network.part(slice(member, member + 1))
            values = part.walk(mine.corners.reshape(1, -1, 2).mT)
            for name, value in zip(part.names(), values, strict=True):
                if name.startswith("pre"):
                    heights = value[0].view(6, -1, 3)
                    crossed = (heights.amin(dim=2) < -1e-9) & (heights.amax(dim=2) > 1e-9)
                    assert not crossed.any()


def test_the_distance_of_two_exponential_variables_is_exponential() -> None:
    model = network_of([[[1, -1], [-1, 1]], [0, 0], [[1, 1]], [0]])
    found = marginals(model, "exponential()", order=8)[:, 0]
    exact = torch.tensor([math.factorial(n - 1) for n in range(1, 9)], dtype=torch.float64)
    assert ((found - exact).abs() < 1e-9 * exact).all()


def test_the_larger_of_two_exponential_variables() -> None:
    model = network_of([[[1, -1], [0, 1]], [0, 0], [[1, 1]], [0]])  # exponential variables are positive
    found = marginals(model, "exponential()", order=6)[:, 0]
    exact = torch.tensor([math.factorial(n - 1) * (1 + 0.5**n) for n in range(1, 7)], dtype=torch.float64)
    assert ((found - exact).abs() < 1e-9 * exact).all()


def test_the_distance_of_two_gaussian_and_of_two_uniform_variables() -> None:
    model = network_of([[[1, -1], [-1, 1]], [0, 0], [[1, 1]], [0]])
    from scipy import stats

    half_normal = [float(stats.halfnorm(scale=math.sqrt(2)).moment(n)) for n in (1, 2, 3, 4)]
    exact = moments_to_cumulants(torch.tensor(half_normal, dtype=torch.float64))
    assert torch.allclose(marginals(model, "gaussian()")[:, 0], exact, rtol=0, atol=1e-11)
    triangular = torch.tensor([2 / ((n + 1) * (n + 2)) for n in range(1, 5)], dtype=torch.float64)
    exact = moments_to_cumulants(triangular)
    assert torch.allclose(marginals(model, "uniform(low=0, high=1)")[:, 0], exact, rtol=0, atol=1e-14)


def test_kinks_of_a_second_layer() -> None:
    # relu(|x1 - x2| - 1) of exponential variables: exponential with probability 1/e, else 0
    model = network_of([[[1, -1], [-1, 1]], [0, 0], [[1, 1], [0, 0]], [-1, 0], [[1, 0]], [0]])
    moments = torch.tensor([math.exp(-1) * math.factorial(n) for n in range(1, 5)], dtype=torch.float64)
    exact = moments_to_cumulants(moments)
    assert ((marginals(model, "exponential()")[:, 0] - exact).abs() < 1e-10 * exact.abs()).all()


@pytest.mark.parametrize("law", ["rademacher()", "bernoulli(p=0.25)", "poisson(rate=2)"])
@pytest.mark.parametrize("block_size", [2, 3])
def test_discrete_laws_are_enumerated(law: str, block_size: int) -> None:
    model = MLP(width=3, block_size=block_size, activation="tanh", seed=4).double()
    scipy = laws.parse(law).scipy()
    support = np.arange(-1, 40) if law != "rademacher()" else np.array([-1, 1])
    p = scipy.pmf(support) if law != "rademacher()" else np.array([0.5, 0.5])
    blocks = torch.tensor(list(itertools.product(support, repeat=block_size)), dtype=torch.float64)
    weights = torch.tensor([math.prod(row) for row in itertools.product(p, repeat=block_size)])
    with torch.no_grad():
        out = model(blocks)[0]
    moments = torch.stack([(weights * out**n).sum() for n in range(1, 5)])
    exact = moments_to_cumulants(moments)
    assert torch.allclose(marginals(model, law)[:, 0], exact, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "spline", "tanh", "gelu", "quadratic", "linear"])
@pytest.mark.parametrize("depth", [1, 2])
def test_samples_agree_with_the_integral(activation: str, depth: int) -> None:
    model = MLP(width=3, depth=depth, activation=activation, replicas=2, seed=7)
    law = laws.parse("gamma(shape=3)")
    x = law.sample((400_000, 2), generator=torch.Generator().manual_seed(1))
    result = propagate(model, law, method="quadrature")
    gaps = result.compare(sampled_cumulants(model, x))
    for layer, gap in gaps.items():
        # a unit that is almost always 0 has an estimate and an error that are 0
        enough = gap.stderr > 1e-3 * gap.predicted.abs()
        assert (gap.gap.abs() <= 5.5 * gap.stderr)[enough].all(), layer


def test_heavy_tails_have_the_cumulants_that_exist() -> None:
    result = propagate(MLP(activation="relu", seed=1), "student_t(df=3.5)", method="quadrature")
    k = result.marginals("out")[:, 0, 0]
    assert k[:3].isfinite().all()
    assert k[3].isnan()
    assert result["act0"].cumulants(4).isnan().all()


def test_a_member_of_a_stack_is_as_if_alone() -> None:
    stack = MLP(width=4, activation="spline", replicas=9, knots=9, seed=2)
    single = MLP(width=4, activation="spline", replicas=9, knots=9, seed=2, members=[5])
    together = propagate(stack, "gamma(shape=2)", method="quadrature").marginals("act0")[:, 5]
    alone = propagate(single, "gamma(shape=2)", method="quadrature").marginals("act0")[:, 0]
    assert torch.allclose(together, alone, rtol=1e-12, atol=1e-14)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from(["gaussian()", "exponential()", "uniform()"]),
    st.floats(0.2, 5),
)
def test_cumulants_scale_with_the_output(seed: int, law: str, factor: float) -> None:
    model = MLP(width=4, activation="leaky_relu", symmetry="odd", seed=seed).double()
    before = marginals(model, law)[:, 0]
    with torch.no_grad():
        model.readout.weight.theta.mul_(factor)
    after = marginals(model, law)[:, 0]
    orders = torch.arange(1, 5, dtype=torch.float64)
    sigma = after[1].sqrt()
    assert ((after - before * factor**orders).abs() < 1e-10 * sigma**orders).all()


def test_joint_cumulants_have_the_marginals_on_their_diagonal() -> None:
    model = MLP(width=3, activation="relu", seed=3).requires_grad_(False)
    result = propagate(model, "laplace()", method="quadrature")
    for n in (2, 3, 4):
        joint = result["act0"].cumulants(n)
        assert joint.shape == (1, *[3] * n)
        for unit in range(3):
            assert float(joint[(0, *[unit] * n)]) == pytest.approx(float(result["act0"].marginal(n)[0, unit]), rel=1e-9)
        assert torch.allclose(joint, joint.transpose(1, n), rtol=1e-9)


@pytest.mark.parametrize(
    ("law", "problem"),
    [
        ("stable(alpha=1.5)", "has no density in closed form"),
        ("mixture(1*stable(alpha=1.2) + 1*gaussian())", "has no density in closed form"),
        ("lognormal(std=10)", "reaches too far"),
        ("poisson(rate=1e15)", "too many values"),
        ("poisson(rate=1e6)", "blocks of points"),
        ("uniform(low=100000000, high=100000001)", "widths away from 0"),
        ("student_t(df=4.2)", "pairs of panels"),
        ("student_t(df=4.01)", "panels"),
        ("gamma(shape=1e-30)", "panels"),
    ],
)
def test_what_cannot_be_integrated_is_refused_before_it_takes_long(law: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        propagate(MLP(activation="relu"), law, 4, method="quadrature").marginals("out")
    assert "allowed: " in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("law", ["beta(a=0.5, b=0.5)", "beta(a=0.7, b=0.6)", "beta(a=2, b=0.5)"])
def test_what_takes_long_is_announced_before_it_is_done(
    activation: str, law: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class ReachedError(Exception):
        pass

    def work(*_: object) -> None:
        raise ReachedError

    monkeypatch.setattr(plane, "_refined", work)
    monkeypatch.setattr(plane, "_weighted_points", work)
    with pytest.raises(ReachedError), caplog.at_level("WARNING", "renorm"):
        propagate(MLP(activation=activation, depth=2), law, method="quadrature").marginals("out")
    (record,) = caplog.records
    assert re.fullmatch(r"propagate: quadrature of .* on \d+ triangles takes about \d+ s", record.getMessage())


def test_what_is_quick_is_not_announced(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", "renorm"):
        propagate(MLP(activation="gelu", replicas=2), "uniform()", method="quadrature").marginals("out")
    assert not caplog.records
