"""Closures: diagrams against exact formulas, and every path through them against the others."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from renorm.cumulants import clt_step, moments_to_cumulants, propagate
from renorm.cumulants.propagation import law_of_block, law_of_data
from renorm.cumulants.propagation.closure import ActivatedLaw, place_coincident
from renorm.cumulants.propagation.diagrams import Limits, diagrams
from renorm.cumulants.propagation.grid import block_grid, edgeworth_ratio
from renorm.cumulants.propagation.network import Nonlinearity, read_network
from renorm.cumulants.propagation.tensors import BlockLaw, PointLaw, TensorLaw, diagonal
from renorm.datamodules import laws
from renorm.zoo import MLP, activations


def quadratic_cumulants(kappa: Sequence[float], alpha: float) -> list[float]:
    """Cumulants 1 to 4 of z + alpha z^2, written out by hand; ``kappa[n]`` of order n, to 8."""
    k1, k2, k3, k4, k5, k6, k7, k8 = kappa
    a = 1 + 2 * alpha * k1
    q21, q22 = k3, k4 + 2 * k2**2
    q31, q32 = k4 + 2 * k2**2, k5 + 8 * k3 * k2
    q33 = k6 + 12 * k4 * k2 + 10 * k3**2 + 8 * k2**3
    q41, q42 = k5 + 6 * k3 * k2, k6 + 12 * k4 * k2 + 8 * k3**2 + 8 * k2**3
    q43 = k7 + 18 * k5 * k2 + 32 * k4 * k3 + 72 * k3 * k2**2
    q44 = k8 + 24 * k6 * k2 + 56 * k5 * k3 + 32 * k4**2 + 144 * k4 * k2**2 + 240 * k3**2 * k2 + 48 * k2**4
    return [
        k1 + alpha * k1**2 + alpha * k2,
        a**2 * k2 + 2 * a * alpha * q21 + alpha**2 * q22,
        a**3 * k3 + 3 * a**2 * alpha * q31 + 3 * a * alpha**2 * q32 + alpha**3 * q33,
        a**4 * k4 + 4 * a**3 * alpha * q41 + 6 * a**2 * alpha**2 * q42 + 4 * a * alpha**3 * q43 + alpha**4 * q44,
    ]


def quadratic(alpha: float = 0.3) -> Nonlinearity:
    return Nonlinearity(activations.find("quadratic")(1, torch.zeros(1, dtype=torch.long), alpha=alpha))


def vector(order: int, units: int = 3, seed: int = 0) -> TensorLaw:
    """Joint cumulants of some skew vector, to the order, as tensors."""
    x = torch.randn(40, units, generator=torch.Generator().manual_seed(seed)).double()
    data = law_of_data(0.7 * x + 0.2 * x**2 + 0.1, order)
    return TensorLaw([data.cumulants(n) for n in range(1, order + 1)])


@pytest.mark.parametrize("closure", [2, 3, 4])
def test_quadratic_marginals_are_those_written_out_by_hand(closure: int) -> None:
    pre = vector(4)
    found = ActivatedLaw(pre, quadratic(), closure)
    for unit in range(3):
        kappa = [float(pre.marginal(n)[0, unit]) if n <= closure else 0.0 for n in range(1, 9)]
        exact = quadratic_cumulants(kappa, 0.3)
        assert [float(found.marginal(n)[0, unit]) for n in (1, 2, 3, 4)] == pytest.approx(exact, rel=1e-12)
        assert [float(found.cumulants(n)[(0, *[unit] * n)]) for n in (1, 2, 3, 4)] == pytest.approx(exact, rel=1e-12)


def truncated_moment(pre: TensorLaw, units: Sequence[int], closure: int) -> Tensor:
    """A joint moment of a law whose cumulants beyond the closure are zero, by the sum over all set partitions."""
    from renorm.cumulants.partitions import set_partitions

    total = torch.zeros((), dtype=torch.float64)
    for blocks in set_partitions(len(units)):
        if max(map(len, blocks)) <= closure:
            factors = [pre.cumulants(len(block))[(0, *[units[i] for i in block])] for block in blocks]
            total = total + torch.stack(factors).prod()
    return total


@pytest.mark.parametrize("closure", [2, 3, 4])
def test_joint_cumulants_of_quadratic_units_by_brute_force(closure: int) -> None:
    pre, alpha = vector(4, units=2), 0.3
    found = ActivatedLaw(pre, quadratic(alpha), closure)

    def moment(units: Sequence[int]) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for squared in itertools.product((0, 1), repeat=len(units)):
            legs = [unit for unit, more in zip(units, squared, strict=True) for _ in range(1 + more)]
            total = total + alpha ** sum(squared) * truncated_moment(pre, legs, closure)
        return total

    moments = []
    for n in range(1, 5 if closure < 4 else 4):  # eight legs have 4140 partitions
        entries = [moment(units) for units in itertools.product(range(2), repeat=n)]
        moments.append(torch.stack(entries).view([2] * n))
    for n, exact in enumerate(moments_to_cumulants(moments), start=1):
        assert torch.allclose(found.cumulants(n)[0], exact, rtol=1e-10, atol=1e-12)


def test_diagrams_of_linear_functions_are_single_edges() -> None:
    found = diagrams((1, 1, 1), Limits(legs=1, size=4, excess=99, pairs=(3,)))
    assert [d.edges for d in found] == [(((1, 1, 1), 1),)]


def test_images_of_diagrams_are_distinct_and_complete() -> None:
    limits = Limits(legs=3, size=3, excess=1, pairs=(3, 2))
    symmetric = diagrams((1, 1, 1), limits)
    labelled = diagrams((1, 2, 3), limits)
    assert sum(len(d.images) for d in symmetric) == len(labelled)
    assert len({d.edges for d in labelled}) == len(labelled)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "spline", "tanh", "gelu"])
def test_edgeworth_marginals_match_the_density_integrated_by_scipy(activation: str) -> None:
    from scipy import integrate

    model = MLP(width=2, activation=activation, seed=3).double().requires_grad_(False)
    network = read_network(model)
    block = law_of_block(laws.parse("gamma(shape=9)"), 2, 4)
    pre = BlockLaw(block.kappas, *network.affine[0])
    act = ActivatedLaw(pre, network.nonlinear[0], 4)
    for unit in range(2):
        mean, variance, third, fourth = (float(pre.marginal(n)[0, unit]) for n in (1, 2, 3, 4))
        std = math.sqrt(variance)

        def density(g: float, third: float = third / std**3, fourth: float = fourth / std**4) -> float:
            # Hermite polynomials written out
            he3, he4 = g**3 - 3 * g, g**4 - 6 * g**2 + 3
            he6 = g**6 - 15 * g**4 + 45 * g**2 - 15
            gaussian = math.exp(-0.5 * g * g) / math.sqrt(2 * math.pi)
            return gaussian * (1 + third / 6 * he3 + fourth / 24 * he4 + third**2 / 72 * he6)

        def power(g: float, p: int, mean: float = mean, std: float = std, unit: int = unit) -> float:
            z = torch.full((1, 2, 1), mean + std * g, dtype=torch.float64)
            return float(network.nonlinear[0](z)[0, unit, 0]) ** p * density(g)

        kinks = sorted((t - mean) / std for t in network.nonlinear[0].breaks if abs((t - mean) / std) < 12)
        edges = [-12.0, *kinks, 12.0]
        moments = [
            sum(
                integrate.quad(power, a, b, args=(p,), epsabs=1e-13, limit=200)[0] for a, b in itertools.pairwise(edges)
            )
            for p in (1, 2, 3, 4)
        ]
        exact = moments_to_cumulants(torch.tensor(moments, dtype=torch.float64))
        found = torch.stack([act.marginal(n)[0, unit] for n in (1, 2, 3, 4)])
        assert torch.allclose(found, exact, rtol=1e-9, atol=1e-11)


def test_edgeworth_density_has_the_cumulants_that_it_was_made_of() -> None:
    g = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    third, fourth = torch.tensor(0.4), torch.tensor(0.3)
    density = torch.exp(-0.5 * g**2) * edgeworth_ratio(g.unsqueeze(0), third, fourth)
    density = density / density.sum()
    moments = torch.stack([(density * g**n).sum() for n in range(1, 5)])
    assert torch.allclose(moments_to_cumulants(moments), torch.tensor([0, 1, 0.4, 0.3]).double(), atol=1e-7)
    # of two variables: independent up to the order that is kept
    points, weights = block_grid(2)
    law = PointLaw(points.unsqueeze(0), weights * edgeworth_ratio(points, third, fourth), order=4)
    assert law.cumulants(3)[0].flatten().tolist() == pytest.approx([0.4, *[0] * 6, 0.4], abs=1e-7)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "linear", "quadratic"])
def test_closed_covariances_match_the_plane(activation: str) -> None:
    """For a Gaussian law the first layer's closure is exact."""
    model = MLP(width=5, activation=activation, replicas=2, seed=3).requires_grad_(False)
    closed = propagate(model, "gaussian(mean=0.5, std=2)", method="gaussian")
    exact = propagate(model, "gaussian(mean=0.5, std=2)", method="quadrature")
    for layer in ("act0", "out"):
        for n in (1, 2):
            scale = exact[layer].marginal(2).max() ** (n / 2)
            assert ((closed[layer].cumulants(n) - exact[layer].cumulants(n)).abs() < 1e-11 * scale).all()


@pytest.mark.parametrize("activation", ["tanh", "gelu", "spline", "relu"])
def test_diagrams_match_a_product_rule_on_blocks_of_four(activation: str) -> None:
    """With four inputs there is no grid: joint cumulants come from diagrams, exact here but for their truncation."""
    model = MLP(width=3, block_size=4, activation=activation, seed=5).double().requires_grad_(False)
    closed = propagate(model, "gaussian()", method="gaussian")
    nodes, weights = np.polynomial.hermite_e.hermegauss(18)
    one, w = torch.from_numpy(nodes), torch.from_numpy(weights / weights.sum())
    blocks, product = torch.cartesian_prod(*[one] * 4), torch.cartesian_prod(*[w] * 4).prod(dim=1)
    reference = PointLaw(model.trace(blocks)["act0"], product, order=4)
    accuracy = {2: 2e-3, 3: 3e-3, 4: 1e-2} if activation == "relu" else {2: 1e-4, 3: 2e-3, 4: 5e-3}
    std = reference.marginal(2).max().sqrt()
    for n, error in accuracy.items():
        gap = (closed["act0"].cumulants(n) - reference.cumulants(n)).abs() / std**n
        assert gap.max() < error, (n, gap.max())


def test_second_order_in_one_over_the_block_is_what_edgeworth_gets_right() -> None:
    """Edgeworth's error falls as the block grows: each variable counts for less."""
    gaps = []
    for shape in (4, 16, 64):
        model = MLP(width=4, activation="leaky_relu", seed=2).requires_grad_(False)
        law = f"standardised(gamma(shape={shape}))"
        gaps.append(propagate(model, law).compare(propagate(model, law, method="quadrature"))["out"].relative[:2].abs())
    # second order is kept: what is left is of order shape^-3/2, eight times less at each step
    for before, after in itertools.pairwise(gaps):
        assert (after < before / 3 + 1e-9).all()


def test_the_grid_agrees_with_the_closed_input() -> None:
    model = MLP(width=6, activation="relu", seed=8).requires_grad_(False)
    for method in ("gaussian", "edgeworth"):
        grid = propagate(model, "gamma(shape=16)", method=method)
        plane = propagate(model, "gamma(shape=16)", method=method, closed_at="input")
        gap = grid.compare(plane)["out"].relative.abs().flatten()
        assert (gap < torch.tensor([2e-3, 5e-3, 2e-2, 5e-2])).all()


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "gelu"])
@pytest.mark.parametrize(("method", "accuracy"), [("gaussian", 1e-3), ("edgeworth", 1e-2)])
def test_gaps_of_units_that_are_mostly_off(activation: str, method: str, accuracy: float) -> None:
    """Kinks to four standard deviations from the mean: gaps are small against the widest unit, not against each unit's own."""
    model = MLP(width=7, activation=activation, seed=0).double().requires_grad_(False)
    weight = model.hidden[0].weight().reshape(7, 2)
    away = torch.linspace(-4, 4, 7, dtype=torch.float64) * 4 * weight.square().sum(1).sqrt()
    model.hidden[0].bias.theta.copy_((-away - 16 * weight.sum(1)).view(1, 7))
    law = "gamma(shape=16)"
    layers, plane = (propagate(model, law, method=method, closed_at=at)["act0"] for at in ("layers", "input"))
    std = plane.marginal(2)[0].sqrt()
    gaps = {n: (layers.cumulants(n) - plane.cumulants(n)).abs()[0] for n in (3, 4)}
    for n, gap in gaps.items():
        assert gap.max() < accuracy * std.max() ** n
    if activation == "relu":  # the last unit is off nearly always
        assert plane.marginal(4)[0, 6] > 1e4 * std[6] ** 4
        assert method == "gaussian" or gaps[4][6, 6, 6, 6] > std[6] ** 4


def test_where_a_law_is_closed_by_itself() -> None:
    def where(**arguments: object) -> str:
        return str(propagate(MLP(**arguments), "gamma(shape=9)"))  # type: ignore[arg-type]

    assert "at every layer" in where(activation="relu")
    assert "at the input" in where(activation="relu", depth=2)
    assert "at the input" in where(activation="tanh", depth=2)
    assert "at every layer" in where(activation="relu", depth=2, block_size=3)
    assert "at every layer" in where(activation="spline", depth=2)  # whose second layer has curved kinks


@pytest.mark.parametrize(("width", "depth"), [(8, 1), (32, 1), (8, 2)])
def test_random_relu_networks_are_predicted_better_than_by_a_published_method(width: int, depth: int) -> None:
    """Errors that mlp_cumulant_propagation (arXiv 2605.05179) was measured to have at closure 4, in units of sigma^n."""
    published = {(8, 1): [1e-6, 5e-3, 3e-2, 3e-2], (32, 1): [6e-8, 4e-2, 7e-2, 1.6], (8, 2): [6e-3, 1e-2, 3e-2, 0.6]}
    for seed in range(3):
        model = MLP(width=width, depth=depth, activation="relu", seed=seed).double().requires_grad_(False)
        generator = torch.Generator().manual_seed(seed)
        for layer in model.affine_layers():
            weight = torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64)
            layer.weight.fill(weight * math.sqrt(2 / layer.weight.shape[1]))
        exact = propagate(model, "gaussian()", method="quadrature")
        for method in ("gaussian", "edgeworth"):
            gap = propagate(model, "gaussian()", method=method).compare(exact)["out"].relative.abs().flatten()
            assert (gap < torch.tensor(published[width, depth])).all()


def test_equal_indices_are_put_in_their_places() -> None:
    tensor = place_coincident(
        torch.zeros(1, 3, 3, 3, 3),
        {
            (2, 1, 1): torch.full((1, 3, 3, 3), 1.0),
            (2, 2): torch.full((1, 3, 3), 2.0),
            (3, 1): torch.full((1, 3, 3), 3.0),
            (4,): torch.full((1, 3), 4.0),
        },
    )[0]
    for index in itertools.product(range(3), repeat=4):
        counts = sorted((index.count(i) for i in set(index)), reverse=True)
        wanted = {(1, 1, 1, 1): 0, (2, 1, 1): 1, (2, 2): 2, (3, 1): 3, (4,): 4}[tuple(counts)]
        assert tensor[index] == wanted
    asymmetric = torch.arange(9.0).view(1, 3, 3)  # [i, j] is for (i, i, j)
    third = place_coincident(torch.zeros(1, 3, 3, 3), {(2, 1): asymmetric})[0]
    assert third[1, 1, 2] == third[1, 2, 1] == third[2, 1, 1] == asymmetric[0, 1, 2]


def test_data_and_blocks_and_tensors_agree_through_affine_maps() -> None:
    block = law_of_block(laws.parse("exponential()"), 2, 4)
    weight, bias = torch.randn(1, 3, 2, dtype=torch.float64), torch.randn(1, 3, dtype=torch.float64)
    tensors = TensorLaw([block.cumulants(n) for n in (1, 2, 3, 4)]).affine(weight, bias)
    direct = BlockLaw(block.kappas, weight, bias)
    for n in (1, 2, 3, 4):
        assert torch.allclose(tensors.cumulants(n), direct.cumulants(n), rtol=1e-12, atol=1e-12)
        assert torch.allclose(tensors.marginal(n), direct.marginal(n), rtol=1e-12, atol=1e-12)


def test_points_have_the_joint_cumulants_of_the_full_moment_tensors() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 3, 50, generator=generator, dtype=torch.float64)
    weights = torch.rand(2, 50, generator=generator, dtype=torch.float64)
    weights = weights / weights.sum(dim=1, keepdim=True)
    law = PointLaw(values, weights, order=5)
    letters = "abcde"
    moments = [
        torch.einsum(",".join(f"m{letter}t" for letter in letters[:n]) + f",mt->m{letters[:n]}", *[values] * n, weights)
        for n in range(1, 6)
    ]
    for n, exact in enumerate(moments_to_cumulants(moments), start=1):
        assert torch.allclose(law.cumulants(n), exact, rtol=1e-10, atol=1e-12)
        assert torch.allclose(law.marginal(n), diagonal(exact), rtol=1e-10, atol=1e-12)


def test_tensors_reach_order_eight() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 2, generator=generator, dtype=torch.float64) ** 2
    law = law_of_data(x, order=8)
    letters = "abcdefgh"
    moments = [
        torch.einsum(",".join(f"t{letter}" for letter in letters[:n]) + f"->{letters[:n]}", *[x] * n) / 30
        for n in range(1, 9)
    ]
    for n, exact in enumerate(moments_to_cumulants(moments), start=1):
        scale = float(law.marginal(2).max()) ** (n / 2)
        assert torch.allclose(law.cumulants(n)[0], exact, rtol=1e-8, atol=1e-7 * scale)
    block = law_of_block(laws.parse("exponential()"), 3, 8)
    assert block.cumulants(8)[(0, *[1] * 8)] == math.factorial(7)
    assert block.cumulants(8).count_nonzero() == 3
    with pytest.raises(ValueError, match="order=9 is out of range"):
        law_of_data(x, order=9)
    with pytest.raises(ValueError, match="entries; allowed"):
        law_of_data(torch.zeros(10, 40), order=8).cumulants(8)


def test_a_linear_network_is_the_exact_recursion_under_every_method() -> None:
    model = MLP(width=1, activation="linear", symmetry="full", bias=False).double().requires_grad_(False)
    model.hidden[0].weight.theta.fill_(1 / math.sqrt(2))
    model.readout.weight.theta.fill_(1.0)
    law = laws.parse("gamma(shape=2)")
    for method in ("gaussian", "edgeworth", "exact", "quadrature"):
        found = propagate(model, law, method=method).marginals("out")[:, 0, 0]
        wanted = clt_step(law.cumulants(4))
        if method == "gaussian":
            wanted[2:] = 0  # a Gaussian has no more, and a linear layer makes no more
        assert torch.allclose(found, wanted, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize(("method", "kept"), [("gaussian", 2), ("edgeworth", 4)])
@pytest.mark.parametrize("text", ["gamma(shape=4)", "standardised(gamma(shape=4))", "uniform()", "exponential()"])
def test_an_input_closed_at_an_order_keeps_the_cumulants_below(method: str, kept: int, text: str) -> None:
    model = MLP(width=2, activation="linear", seed=2).double().requires_grad_(False)
    exact = propagate(model, text, method="exact").marginals("out")[:, 0, 0]
    closed = propagate(model, text, method=method, closed_at="input").marginals("out")[:, 0, 0]
    exact[kept:] = 0
    assert torch.allclose(closed, exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", ["gaussian", "edgeworth", "quadrature"])
@pytest.mark.parametrize("activation", ["leaky_relu", "tanh", "spline", "quadratic"])
def test_predictions_are_differentiable(method: str, activation: str) -> None:
    model = MLP(width=3, depth=2 if method != "quadrature" else 1, activation=activation, seed=4).double()
    parameter = model.hidden[0].weight.theta

    def predicted() -> Tensor:
        at = "auto" if method == "quadrature" else "layers"
        return propagate(model, "gamma(shape=9)", method=method, closed_at=at).marginals("out")[:, 0, 0]

    for n in range(4):
        model.zero_grad()
        predicted()[n].backward()
        assert parameter.grad is not None
        gradient = parameter.grad[0, 1].item()
        step = 1e-5
        with torch.no_grad():
            parameter[0, 1] += step
            up = predicted()[n].item()
            parameter[0, 1] -= 2 * step
            down = predicted()[n].item()
            parameter[0, 1] += step
        numerical = (up - down) / (2 * step)
        assert gradient == pytest.approx(numerical, rel=2e-3, abs=2e-5)


def test_a_variance_that_a_truncation_made_negative_is_taken_for_a_constant() -> None:
    pre = TensorLaw(
        [
            torch.tensor([[0.3, -0.2]], dtype=torch.float64),
            torch.tensor([[[-1e-4, 0.0], [0.0, 1.0]]], dtype=torch.float64),
            torch.full((1, 2, 2, 2), 1e-3, dtype=torch.float64),
            torch.full((1, 2, 2, 2, 2), 1e-3, dtype=torch.float64),
        ]
    )
    leaky = Nonlinearity(activations.find("leaky_relu")(1, torch.zeros(1, dtype=torch.long)))
    for closure in (2, 3, 4):
        act = ActivatedLaw(pre, leaky, closure)
        assert all(act.cumulants(n).isfinite().all() for n in (1, 2, 3, 4))
        assert float(act.marginal(1)[0, 0]) == pytest.approx(0.3)
        assert act.marginal(2)[0, 0].abs() < 1e-12
