"""Quadrature under a law, against the law's exact cumulants, closed forms and scipy's adaptive integrals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from renorm.datamodules import laws
from renorm.datamodules.held_out import DEFAULT_HELD_OUT_LAWS, SEVEN_LAWS
from renorm.datamodules.laws.quadrature import block_rule, law_rule

LAWS = [
    *dict.fromkeys((*DEFAULT_HELD_OUT_LAWS, *SEVEN_LAWS)),
    "logistic()",
    "gumbel(loc=3, scale=0.1)",
    "gev(xi=0.1, loc=3, scale=0.1)",
    "gev(xi=-0.5)",
    "gev(xi=1e-6)",
    "pareto(shape=6)",
    "gamma(shape=0.3)",
    "gamma(shape=2)",
    "beta(a=2, b=3)",
    "student_t(df=5)",
    "lognormal()",
    "triangular()",
    "bernoulli(p=0.2)",
    "poisson(rate=3)",
    "poisson(rate=200)",
    "gaussian(mean=100, std=0.01)",
    "mixture(0.3*gaussian(mean=-3, std=0.1) + 0.7*exponential())",
    "standardised(gamma(shape=2))",
    "mirrored(gamma(shape=2))",
]


@pytest.mark.parametrize("text", LAWS)
def test_cumulants_come_out(text: str) -> None:
    law = laws.parse(text)
    x, w = law_rule(law)
    assert w.sum() == pytest.approx(1, abs=1e-12)
    mean = (w * x).sum()
    second, third, fourth = ((w * (x - mean) ** p).sum() for p in (2, 3, 4))
    exact = law.cumulants(4).numpy()
    sigma = math.sqrt(exact[1])
    found = np.array([mean, second, third, fourth - 3 * second**2])
    np.testing.assert_allclose((found - exact) / sigma ** np.arange(1, 5), 0, atol=1e-9)


@pytest.mark.parametrize("text", ["gaussian()", "exponential()", "student_t(df=10)", "lognormal(std=0.5)"])
def test_expectations_of_a_smooth_function(text: str) -> None:
    law = laws.parse(text)
    x, w = law_rule(law)
    low, high = law.support()
    expected, _ = scipy.integrate.quad(lambda t: math.tanh(t) ** 2 * float(law.pdf(t)), low, high, epsabs=1e-12)
    assert float((w * np.tanh(x) ** 2).sum()) == pytest.approx(expected, abs=1e-8)


def test_kinks_cost_accuracy_and_more_nodes_bring_it_back() -> None:
    law, exact = laws.parse("gaussian()"), scipy.stats.norm().expect(lambda t: max(t - 0.3, 0.0))
    errors = []
    for least in (64, 512):
        x, w = law_rule(law, least)
        assert len(x) >= least
        errors.append(abs(float((w * np.maximum(x - 0.3, 0)).sum()) - exact))
    assert errors[0] < 2e-3
    assert errors[1] < 2e-5


def test_blocks_are_products() -> None:
    x, w = block_rule(laws.parse("rademacher()"), 3)
    assert x.shape == (8, 3)
    assert w.tolist() == [0.125] * 8
    x, w = block_rule(laws.parse("gamma(shape=2)"), 2)
    y = x.sum(dim=1) / math.sqrt(2)
    assert float((w * y).sum()) == pytest.approx(2 * math.sqrt(2), rel=1e-10)
    assert float((w * (y - 2 * math.sqrt(2)) ** 3).sum()) == pytest.approx(4 / math.sqrt(2), rel=1e-8)


def test_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match=r"law='cauchy\(loc=0, scale=1\)' has no variance; allowed: laws with one"):
        law_rule(laws.parse("cauchy()"))
    with pytest.raises(ValueError, match="has no variance"):
        law_rule(laws.parse("student_t(df=2)"))
    with pytest.raises(ValueError, match="block_size=4 is too large for quadrature"):
        block_rule(laws.parse("gaussian()"), 4)


def test_refuses_too_many_atoms(tmp_path: object) -> None:
    np.save(f"{tmp_path}/x.npy", np.arange(2000.0))
    with pytest.raises(ValueError, match="has 2000 atoms; allowed: at most 1000, or sampling"):
        law_rule(laws.parse(f"empirical(path={tmp_path}/x.npy)"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("stable(alpha=1.5)", "has no variance"),
        ("lognormal(std=10)", "too few nodes"),
        ("poisson(rate=1e15)", "values to be summed"),
        ("poisson(rate=1e6)", "blocks of nodes"),
    ],
)
def test_what_would_not_end_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        block_rule(laws.parse(text))
    assert "; allowed: " in str(caught.value)


def test_stable_laws_with_a_closed_density_are_integrated() -> None:
    x, w = law_rule(laws.parse("stable(alpha=2)"))
    assert (w * x**4).sum() == pytest.approx(12)
