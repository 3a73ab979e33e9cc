"""Polynomial networks: Gauss rules, fractions, enumeration and quadrature against each other."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch

from renorm.cumulants import propagate
from renorm.cumulants.propagation.exact import RationalLaw
from renorm.cumulants.propagation.gauss_rules import gauss_rule
from renorm.datamodules import laws
from renorm.datamodules.laws.exact import cumulants_of, moments_of
from renorm.zoo import MLP

from ..cumulants.exact import moments_to_cumulant

SIX_LAWS = ("gaussian()", "uniform()", "exponential()", "gamma(shape=2)", "laplace()", "rademacher()")
THREE_POINTS = {Fraction(-1): Fraction(1, 2), Fraction(0): Fraction(1, 3), Fraction(2): Fraction(1, 6)}


def test_cumulants_that_do_not_exist_are_nan() -> None:
    model = MLP(width=3, activation="quadratic", seed=5).requires_grad_(False)
    exact = propagate(model, "student_t(df=5)", method="exact").marginals("out")
    assert exact[:2].isfinite().all()
    assert exact[2:].isnan().all()
    integrated = propagate(model, "student_t(df=5)", method="quadrature").marginals("out")
    assert torch.allclose(exact, integrated, rtol=1e-9, equal_nan=True)


class ThreePoints:
    """A law of the reader's own: any object that behaves like a law will do."""

    def atoms(self) -> list[tuple[Fraction, Fraction]]:
        return sorted(THREE_POINTS.items())

    def cumulants(self, order: int) -> torch.Tensor:
        return torch.tensor([float(kappa) for kappa in self.exact_cumulants(order)], dtype=torch.float64)

    def exact_cumulants(self, order: int) -> list[Fraction]:
        moments = [sum((p * x**n for x, p in THREE_POINTS.items()), Fraction(0)) for n in range(order + 1)]
        return cumulants_of(moments)


def enumerated(
    output: Callable[[list[Fraction]], Fraction], block_size: int, orders: int, atoms: dict[Fraction, Fraction]
) -> list[Fraction]:
    """Cumulants of a function of a block by going through all blocks of atoms."""
    moments = [Fraction(0)] * (orders + 1)
    for block in itertools.product(atoms.items(), repeat=block_size):
        weight = Fraction(1)
        for _, p in block:
            weight *= p
        value = output([x for x, _ in block])
        for n in range(orders + 1):
            moments[n] += weight * value**n
    return [moments_to_cumulant(moments, n) for n in range(1, orders + 1)]


def in_fractions(model: MLP, member: int, block: list[Fraction]) -> list[list[Fraction]]:
    """Pre-activations of every layer by plain loops; the output last."""
    h, layers = block, []
    dense = model.dense()
    for position, (weight, bias) in enumerate(dense):
        matrix = weight[member].tolist()
        shift = [0.0] * len(matrix) if bias is None else bias[member].tolist()
        z = [
            sum((Fraction(w) * x for w, x in zip(row, h, strict=True)), Fraction(b))
            for row, b in zip(matrix, shift, strict=True)
        ]
        layers.append(z)
        if position < len(dense) - 1:
            alpha = Fraction(float(model.member_table[member].get("alpha", 0.5)))
            h = [x + alpha * x * x for x in z]
    return layers


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("block_size", [2, 3])
def test_fractions_equal_the_enumeration_of_all_blocks(depth: int, block_size: int) -> None:
    model = MLP(
        width=2, depth=depth, block_size=block_size, activation="quadratic", alpha=[0.5, 0.125], seed=3
    ).requires_grad_(False)
    with torch.no_grad():
        for parameter in model.parameters():  # short fractions keep the enumeration fast
            parameter.copy_((8 * parameter).round() / 8)
    orders = 4 if depth == 1 else 3
    result = propagate(model, ThreePoints(), order=orders, method="exact", rational=True)
    for member in range(2):

        def output(block: list[Fraction], member: int = member) -> Fraction:
            return in_fractions(model, member, block)[-1][0]

        exact = enumerated(output, block_size, orders, THREE_POINTS)
        law = result["out"]
        assert isinstance(law, RationalLaw)
        assert [law.fractions(n)[(member, *[0] * n)] for n in range(1, orders + 1)] == exact


def test_joint_cumulants_in_fractions_equal_the_enumeration() -> None:
    model = MLP(width=2, activation="quadratic", seed=3).requires_grad_(False)
    law = propagate(model, ThreePoints(), method="exact", rational=True)["pre0"]
    assert isinstance(law, RationalLaw)

    def moment(units: tuple[int, ...]) -> Fraction:
        total = Fraction(0)
        for block in itertools.product(THREE_POINTS.items(), repeat=2):
            value = block[0][1] * block[1][1]
            z = in_fractions(model, 0, [x for x, _ in block])[0]
            for unit in units:
                value *= z[unit]
            total += value
        return total

    covariance = law.fractions(2)[0]
    assert covariance[0, 1] == moment((0, 1)) - moment((0,)) * moment((1,))
    third = law.fractions(3)[0, 0, 0, 1]
    a, b, aa, ab, aab = moment((0,)), moment((1,)), moment((0, 0)), moment((0, 1)), moment((0, 0, 1))
    assert third == aab - 2 * a * ab - b * aa + 2 * a * a * b


@pytest.mark.parametrize("text", SIX_LAWS)
@pytest.mark.parametrize("depth", [1, 2])
def test_exact_equals_quadrature(text: str, depth: int) -> None:
    model = MLP(width=4, depth=depth, activation="quadratic", replicas=2, seed=3).requires_grad_(False)
    exact = propagate(model, text, method="exact")
    gaps = exact.compare(propagate(model, text, method="quadrature"))
    assert set(gaps) == {f"{kind}{i}" for i in range(depth) for kind in ("pre", "act")} | {"out"}
    for layer, gap in gaps.items():
        # the exponential law's fourth cumulant behind two layers rests on its moments to order 16
        assert (gap.relative.abs() < (1e-9 if depth == 1 else 2e-8)).all(), layer


@pytest.mark.parametrize("text", ["gamma(shape=2)", "uniform()", "gaussian(mean=1, std=2)", "bernoulli(p=0.25)"])
def test_rounded_and_rational_agree(text: str) -> None:
    model = MLP(width=3, activation="quadratic", seed=5).requires_grad_(False)
    rounded, rational = (propagate(model, text, order=6, method="exact", rational=r) for r in (False, True))
    for layer in ("pre0", "act0", "out"):
        assert torch.allclose(rounded.marginals(layer), rational.marginals(layer), rtol=1e-9, atol=1e-12)
    assert torch.allclose(rounded["act0"].cumulants(3), rational["act0"].cumulants(3), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "text", [*SIX_LAWS, "lognormal()", "poisson(rate=3)", "student_t(df=20)", "beta(a=0.5, b=0.5)"]
)
@pytest.mark.parametrize("degree", [1, 4, 7, 16])
def test_gauss_rules_have_the_laws_moments(text: str, degree: int) -> None:
    law = laws.parse(text)
    values, weights = gauss_rule(law, degree)
    assert len(values) <= degree // 2 + 1
    assert (weights > 0).all()
    for power, exact in enumerate(moments_of(law.exact_cumulants(degree))):
        size = float((weights * np.abs(values) ** power).sum())
        assert abs(float((weights * values**power).sum()) - float(exact)) <= 1e-14 * size * (power + 1)


def test_gauss_rule_of_the_gaussian_is_gauss_hermite() -> None:
    values, weights = gauss_rule(laws.parse("gaussian()"), 15)
    nodes, reference = np.polynomial.hermite_e.hermegauss(8)
    assert np.allclose(values, nodes, rtol=1e-13, atol=1e-13)
    assert np.allclose(weights, reference / reference.sum(), rtol=1e-12)


def test_bigger_blocks_are_exact_as_long_as_points_are_few() -> None:
    model = MLP(width=2, block_size=6, activation="quadratic", seed=1).requires_grad_(False)
    exact = propagate(model, "gamma(shape=2)", order=3, method="exact").marginals("out")
    rational = propagate(model, "gamma(shape=2)", order=3, method="exact", rational=True).marginals("out")
    assert torch.allclose(exact, rational, rtol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "guess"}, "method='guess' is unknown; allowed: edgeworth, gaussian"),
        ({"closed_at": "output"}, "closed_at='output' is unknown; allowed: auto, layers, input"),
        ({"closure": 5}, "closure=5 is out of range; allowed: 2 to 4"),
        ({"order": 5}, "order=5 is out of range; allowed: whole numbers from 1 to 4"),
        ({"order": 9, "method": "exact"}, "order=9 is out of range; allowed: whole numbers from 1 to 8"),
        ({"rational": True}, "rational=True is for method='exact'"),
        ({"method": "exact", "closed_at": "input"}, "closed_at='input' is for closures"),
        ({"method": "independent_nodes", "closed_at": "input"}, "closed_at='input' keeps nodes dependent"),
        ({"law": "cauchy()"}, "has no variance; allowed: laws with one"),
        ({"law": "cauchy()", "method": "exact"}, "has no finite moments"),
        ({"law": "lognormal()", "method": "exact", "rational": True}, "has no rational cumulants to order 8"),
        ({"law": "nonsense()"}, "law 'nonsense' is unknown"),
    ],
)
def test_bad_input_is_named(arguments: dict[str, object], message: str) -> None:
    model = MLP(activation="quadratic", width=2)
    given = {"law": "uniform()", **arguments}
    with pytest.raises(ValueError, match="allowed") as caught:
        propagate(model, **given)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_models_that_a_method_cannot_do_are_named() -> None:
    with pytest.raises(ValueError, match="method='exact' is for polynomial activations"):
        propagate(MLP(activation="relu"), "gaussian()", method="exact")
    with pytest.raises(ValueError, match="block_size=3 is too many to integrate a density; allowed: 2"):
        propagate(MLP(activation="relu", block_size=3), "gaussian()", method="quadrature")
    with pytest.raises(ValueError, match="block_size=30 has 5\\*\\*30 blocks of points"):
        propagate(MLP(activation="quadratic", block_size=30), "gaussian()", method="exact")
    with pytest.raises(ValueError, match="model=object has no dense layers and activations"):
        propagate(object(), "gaussian()")
    with pytest.raises(ValueError, match="layer='act3' is unknown; allowed: pre0, act0, out"):
        propagate(MLP(), "gaussian()")["act3"]
