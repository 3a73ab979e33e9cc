r"""Random networks: propagation over an ensemble of weights against results that others derived.

Weights are :math:`W_{ij} \sim N(0, C_W / n)`, biases :math:`N(0, C_b)`, as in Poole et al. (2016) and Lee et al. (2018).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from renorm.cumulants.propagation.inputs import IdenticalInput
from renorm.cumulants.propagation.network import Network, Nonlinearity
from renorm.cumulants.propagation.propagate import layerwise
from renorm.cumulants.propagation.tensors import VectorLaw
from renorm.datamodules import laws
from renorm.zoo import activations

Array = NDArray[np.float64]
FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "linear": lambda z: z,
}
WEIGHTS = {"relu": (2.0, 0.1), "tanh": (1.8, 0.05), "linear": (1.0, 0.0)}  # C_W and C_b


def random_network(sizes: list[int], activation: str, members: int, seed: int = 0) -> Network:
    """Members with weights of their own, and one activation for all."""
    generator = torch.Generator().manual_seed(seed)
    gain, shift = WEIGHTS[activation]
    affine = [
        (
            torch.randn(members, out, into, generator=generator, dtype=torch.float64) * math.sqrt(gain / into),
            torch.randn(members, out, generator=generator, dtype=torch.float64) * math.sqrt(shift),
        )
        for into, out in itertools.pairwise(sizes)
    ]
    module = activations.find(activation)(1, torch.zeros(1, dtype=torch.long))
    return Network(affine, [Nonlinearity(module) for _ in sizes[1:-1]])


def pair_average(activation: str, q: float, overlap: float) -> float:
    """E[f(u) f(v)] of a Gaussian pair of variance q and covariance ``overlap``, by a product rule split at the kink."""
    function = FUNCTIONS[activation]
    nodes, weights = np.polynomial.legendre.leggauss(80)
    cut = np.concatenate([4.5 * nodes - 4.5, 4.5 * nodes + 4.5])
    w = np.tile(4.5 * weights, 2) * np.exp(-0.5 * cut**2) / math.sqrt(2 * math.pi)
    # u = a s + b t, v = a s + c t': the common part first, then each function's average over its own
    common, own = math.sqrt(overlap), math.sqrt(q - overlap)
    if own == 0:
        return float(w @ function(math.sqrt(q) * cut) ** 2)
    inner = np.array([average(function, common * s, own) for s in cut])
    return float(w @ inner**2)


def average(function: Callable[[Array], Array], mean: float, std: float) -> float:
    """E[f] of N(mean, std^2), the panels split where the argument is zero."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    total = 0.0
    at = min(max(-mean / std, -9.0), 9.0)
    for low, high in ((-9.0, at), (at, 9.0)):
        g = (high - low) / 2 * nodes + (high + low) / 2
        w = (high - low) / 2 * weights * np.exp(-0.5 * g**2) / math.sqrt(2 * math.pi)
        total += float(w @ function(mean + std * g))
    return total


def arc_cosine(q: float, overlap: float) -> float:
    """The kernel of first degree of Cho and Saul (2009), half of it: E[u^+ v^+]."""
    angle = math.acos(min(1.0, overlap / q))
    return q * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2 * math.pi)


def recursion(activation: str, q: float, overlap: float, layers: int) -> list[tuple[float, float]]:
    """The length and correlation maps of Poole et al. (2016), which are the kernel of Lee et al. (2018)."""
    gain, shift = WEIGHTS[activation]
    found = [(shift + gain * q, shift + gain * overlap)]
    for _ in range(layers):
        q, overlap = found[-1]
        found.append(
            (shift + gain * pair_average(activation, q, q), shift + gain * pair_average(activation, q, overlap))
        )
    return found


def test_the_average_over_pairs_is_the_arc_cosine_kernel() -> None:
    """The reference against a closed form, and against plain sampling."""
    for overlap in (0.0, 0.3, 1.2, 1.5):
        assert pair_average("relu", 1.5, overlap) == pytest.approx(arc_cosine(1.5, overlap), rel=1e-10)
    g = np.random.default_rng(0).standard_normal((2, 200_000))
    u, v = math.sqrt(1.5) * g[0], 0.8 / math.sqrt(1.5) * g[0] + math.sqrt(1.5 - 0.8**2 / 1.5) * g[1]
    sampled = np.tanh(u) * np.tanh(v)
    assert abs(sampled.mean() - pair_average("tanh", 1.5, 0.8)) < 4 * sampled.std() / math.sqrt(len(sampled))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_wide_networks_follow_the_mean_field_recursions(activation: str) -> None:
    r"""Means over inputs make the overlap of two inputs, second moments the length, both averaged over units and weights."""
    width, members, depth = 80, 12, 2
    network = random_network([width] * (depth + 2), activation, members)
    law = IdenticalInput(laws.parse("gaussian(mean=0.6, std=0.8)"))
    found = layerwise(network, law, 2, order=2)
    theory = recursion(activation, 0.6**2 + 0.8**2, 0.6**2, depth)
    for layer, (q, overlap) in zip(("pre0", "pre1", "out"), theory, strict=True):
        mean_square = found[layer].marginal(1).square()
        length = (found[layer].marginal(2) + mean_square).mean(dim=1)
        shared = mean_square.mean(dim=1)
        for measured, expected in ((length, q), (shared, overlap), (shared / length, overlap / q)):
            error = float(measured.std()) / math.sqrt(members)
            assert error < 0.12 * expected  # sharp enough to tell
            assert abs(float(measured.mean()) - expected) < 3 * error + expected / width, (layer, expected)


def gaussian_cubature(dimension: int) -> tuple[Tensor, Tensor]:
    """Points and weights exact for polynomials of degree 5 of standard normal variables; Stroud (1971), E_n^{r^2} 5-2."""
    n = dimension
    eye = torch.eye(n, dtype=torch.float64)
    pairs = [
        math.sqrt((n + 2) / 2) * (a * eye[i] + b * eye[j])
        for i, j in itertools.combinations(range(n), 2)
        for a in (-1, 1)
        for b in (-1, 1)
    ]
    axes = [sign * math.sqrt(n + 2) * eye[i] for i in range(n) for sign in (-1, 1)]
    weights = [2 / (n + 2), *[(4 - n) / (2 * (n + 2) ** 2)] * len(axes), *[1 / (n + 2) ** 2] * len(pairs)]
    return torch.stack([0 * eye[0], *axes, *pairs]), torch.tensor(weights, dtype=torch.float64)


def fourth_cumulant(law: VectorLaw, weights: Tensor) -> float:
    """Of an output over the ensemble and what its members are a law of: moments are averaged, cumulants are not."""
    k1, k2, k3, k4 = (law.marginal(n)[:, 0] for n in (1, 2, 3, 4))
    second = weights @ (k2 + k1**2)
    fourth = weights @ (k4 + 4 * k3 * k1 + 3 * k2**2 + 6 * k2 * k1**2 + k1**4)
    return float(fourth - 3 * second**2)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("width", [5, 7])
def test_fourth_cumulant_of_one_hidden_layer(activation: str, width: int) -> None:
    r"""Yaida (2020): :math:`\kappa_4 = 3 C_W^2 (\langle f^4 \rangle - \langle f^2 \rangle^2) / n`; for ReLU :math:`15 K^2 / n`.

    At a given input the first layer's pre-activations are independent normal variables: they are the input here, and the
    readout's weights the ensemble. The output is a polynomial of degree four of these, so that a cubature averages exactly.
    """
    points, weights = gaussian_cubature(width)
    gain, scale = 2.0, 1.3  # C_W, and K at the first layer
    eye = torch.eye(width, dtype=torch.float64).expand(len(points), -1, -1)
    readout = math.sqrt(gain / width) * points.unsqueeze(1)
    module = activations.find(activation)(1, torch.zeros(1, dtype=torch.long))
    none = torch.zeros(len(points), width, dtype=torch.float64)
    network = Network([(math.sqrt(scale) * eye, none), (readout, none[:, :1])], [Nonlinearity(module)])
    found = fourth_cumulant(layerwise(network, IdenticalInput(laws.parse("gaussian()")), 2)["out"], weights)
    function = FUNCTIONS[activation]
    square, fourth = (average(lambda z, p=p: function(z) ** p, 0.0, math.sqrt(scale)) for p in (2, 4))
    theory = 3 * gain**2 * (fourth - square**2) / width
    assert found == pytest.approx(theory, rel=1e-6)
    if activation == "relu":  # the layer's kernel is K again, as C_W = 2
        assert found == pytest.approx(15 * scale**2 / width, rel=1e-6)


def test_deep_linear_networks_have_the_known_fourth_cumulant() -> None:
    r"""Zavatone-Veth and Pehlevan (2021): :math:`\kappa_4 = 3 K^2 [\prod_l (1 + 2/n_l) - 1]`, at any width.

    Of the weights the first layer's are the input's law, which leaves the output Gaussian, and the others are sampled.
    """
    members, sizes = 1500, (8, 12)
    network = random_network([sizes[0], *sizes, 1], "linear", members, seed=3)
    eye = torch.eye(sizes[0], dtype=torch.float64).expand(members, -1, -1)
    affine = [(eye, network.affine[0][1]), *network.affine[1:]]
    variance = layerwise(Network(affine, network.nonlinear), IdenticalInput(laws.parse("gaussian()")), 2, order=2)[
        "out"
    ].marginal(2)
    square = variance.flatten() ** 2
    error = float(square.std()) / math.sqrt(members)
    theory = math.prod(1 + 2 / n for n in sizes)
    assert error < 0.06 * theory  # and the theory is a third more than 1
    assert abs(float(square.mean()) - theory) < 3 * error
    assert float(variance.mean()) == pytest.approx(1, abs=4 * float(variance.std()) / math.sqrt(members))


def test_deep_relu_networks_by_brute_force() -> None:
    r"""Yaida's recursion adds :math:`5/n_l` a layer; for ReLU :math:`\kappa_4 = 3 K^2 [\prod_l (1 + 5/n_l) - 1]` is exact."""
    generator = np.random.default_rng(1)
    count, sizes = 20_000, (10, 14)
    h = np.maximum(generator.standard_normal((count, sizes[0])), 0)
    for n in (*sizes[1:], 0):
        kernel = 2 / h.shape[1] * (h**2).sum(axis=1)  # the variance of the next layer's units
        h = np.maximum(np.sqrt(kernel)[:, None] * generator.standard_normal((count, n)), 0)
    theory = math.prod(1 + 5 / n for n in sizes)
    assert abs((kernel**2).mean() - theory) < 4 * (kernel**2).std() / math.sqrt(count)
    assert abs(kernel.mean() - 1) < 4 * kernel.std() / math.sqrt(count)


def test_fluctuations_of_the_second_layer_need_fourth_cumulants_between_units() -> None:
    r"""The variance of :math:`G = C_W |h|^2 / n` at two hidden layers, of which :math:`\kappa_4 = 3 \mathrm{Var}(G)` is made.

    Yaida's recursion has a term that the layer makes, and one that hands on the fluctuation of the layer before: the latter is
    a fourth cumulant between units, so that a Gaussian closure misses it.
    """
    width, members = 8, 8
    weight = random_network([width, width], "relu", members, seed=1).affine[0][0]
    eye, none = torch.eye(width, dtype=torch.float64).expand(members, -1, -1), torch.zeros(members, width).double()
    relu = Nonlinearity(activations.find("relu")(1, torch.zeros(1, dtype=torch.long)))
    network = Network([(eye, none), (weight, none), (eye, none)], [relu, relu])
    x = torch.randn(width, 50_000, generator=torch.Generator().manual_seed(2), dtype=torch.float64).clamp(min=0)
    sampled = torch.stack([2 / width * (w @ x).clamp(min=0).square().sum(0) for w in weight]).var(dim=1)
    ratios = []
    for closure in (2, 4):
        law = layerwise(network, IdenticalInput(laws.parse("gaussian()")), closure)["act1"]
        k1, k2, k3, k4 = (law.cumulants(n) for n in (1, 2, 3, 4))
        a, b = k1.unsqueeze(2), k1.unsqueeze(1)
        c = torch.einsum("mijj->mij", k3)
        pairs = torch.einsum("miijj->mij", k4) + 2 * k2**2 + 2 * a * c + 2 * b * c.mT + 4 * a * b * k2
        ratios.append(float((2 / width) ** 2 * pairs.sum() / sampled.sum()))
    assert 0.4 < ratios[0] < 0.7
    assert ratios[1] == pytest.approx(1, abs=0.04)
