"""Cumulants of every law against references that share no formula with it, at 120 digits or in exact fractions."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renorm.datamodules import laws

Generating = Callable[[Any], Any]
mp = mpmath.mp.clone()
mp.dps = 120


def q(x: float) -> Any:
    return mp.mpf(x)


@functools.cache
def contour(log_mgf: Generating, radius: float, points: int = 96) -> list[Any]:
    """κ_1..κ_8 as Cauchy integrals of the cumulant generating function on a circle well inside its domain."""
    r = q(radius)
    nodes = [mp.expjpi(mp.mpf(2) * k / points) for k in range(points)]
    values = [log_mgf(r * z) for z in nodes]
    fourier = [sum(v * z**-n for v, z in zip(values, nodes, strict=True)) / points for n in range(1, 9)]
    return [mp.re(c) * mp.factorial(n) / r**n for n, c in enumerate(fourier, 1)]


def uniform_log_mgf(low: float, high: float) -> Generating:
    half = (q(high) - q(low)) / 2
    return lambda t: mp.log(mp.sinh(t * half) / (t * half)) + t * (q(low) + half)


def triangular_log_mgf(low: float, mode: float, high: float) -> Generating:
    # divided difference of exp(tx)/t² over the three knots, about the mode
    a, b = q(low) - q(mode), q(high) - q(mode)

    def log_mgf(t: Any) -> Any:
        total = (
            mp.exp(t * b) / (b * (b - a)) + mp.exp(t * a) / (a * (a - b)) + 1 / (a * b)
        )  # three simple knots: -b, 0, -a
        return mp.log(2 * total / t**2) + t * q(mode)

    return log_mgf


def mixture_log_mgf(centre: float, *parts: tuple[float, Generating]) -> Generating:
    weight = sum(q(w) for w, _ in parts)
    return lambda t: mp.log(sum(q(w) / weight * mp.exp(k(t) - t * q(centre)) for w, k in parts)) + t * q(centre)


def gaussian_log_mgf(mean: float, std: float) -> Generating:
    return lambda t: t * q(mean) + (t * q(std)) ** 2 / 2


def logistic_log_mgf(loc: float, scale: float) -> Generating:
    return lambda t: t * q(loc) + mp.log(mp.pi * t * q(scale) / mp.sin(mp.pi * t * q(scale)))


def exponential_log_mgf(rate: float) -> Generating:
    return lambda t: -mp.log(1 - t / q(rate))


# text, cumulant generating function, radius of the circle
GENERATING: list[tuple[str, Generating, float]] = [
    ("gaussian()", gaussian_log_mgf(0, 1), 1),
    ("gaussian(mean=1, std=3)", gaussian_log_mgf(1, 3), 0.1),
    ("gaussian(mean=1e9, std=1e-3)", gaussian_log_mgf(1e9, 1e-3), 1),
    ("uniform()", uniform_log_mgf(-math.sqrt(3), math.sqrt(3)), 0.1),
    ("uniform(low=-0.1, high=7)", uniform_log_mgf(-0.1, 7), 0.02),
    ("uniform(low=1, high=1.0000001)", uniform_log_mgf(1, 1.0000001), 1e6),
    ("laplace()", lambda t: -mp.log(1 - t**2), 0.1),
    ("laplace(loc=-2, scale=0.1)", lambda t: -2 * t - mp.log(1 - (t * q(0.1)) ** 2), 1),
    ("logistic()", logistic_log_mgf(0, 1), 0.1),
    ("logistic(loc=0.3, scale=12.5)", logistic_log_mgf(0.3, 12.5), 0.01),
    ("gumbel()", lambda t: mp.loggamma(1 - t), 0.1),
    ("gumbel(loc=-0.5, scale=1e-3)", lambda t: t * q(-0.5) + mp.loggamma(1 - t * q(1e-3)), 100),
    ("exponential()", exponential_log_mgf(1), 0.1),
    ("exponential(rate=0.3)", exponential_log_mgf(0.3), 0.03),
    ("gamma()", lambda t: -2 * mp.log(1 - t), 0.1),
    ("gamma(shape=0.01, scale=7)", lambda t: -q(0.01) * mp.log(1 - 7 * t), 0.01),
    ("gamma(shape=1e8, scale=1e-4)", lambda t: -q(1e8) * mp.log(1 - q(1e-4) * t), 1e-6),
    ("beta()", lambda t: mp.log(mp.hyp1f1(2, 4, t)), 0.2),
    ("beta(a=0.3, b=5)", lambda t: mp.log(mp.hyp1f1(q(0.3), q(0.3) + 5, t)), 0.2),
    ("beta(a=1000000, b=3000000.5)", lambda t: mp.log(mp.hyp1f1(1000000, q(4000000.5), t)), 1),
    ("bernoulli()", lambda t: mp.log((1 + mp.exp(t)) / 2), 0.1),
    ("bernoulli(p=0.001)", lambda t: mp.log(1 - q(0.001) + q(0.001) * mp.exp(t)), 0.1),
    ("bernoulli(p=1e-30)", lambda t: mp.log(1 - q(1e-30) + q(1e-30) * mp.exp(t)), 0.1),
    ("rademacher()", lambda t: mp.log(mp.cosh(t)), 0.1),
    ("poisson()", lambda t: mp.expm1(t), 0.5),
    ("poisson(rate=123.4)", lambda t: q(123.4) * mp.expm1(t), 0.5),
    ("triangular()", triangular_log_mgf(-1, 0, 1), 0.1),
    ("triangular(low=-1, mode=0.7, high=2)", triangular_log_mgf(-1, 0.7, 2), 0.1),
    ("triangular(low=1e6, mode=1000000.1, high=1000001)", triangular_log_mgf(1e6, 1000000.1, 1000001), 1e-6),
    ("stable(alpha=2, beta=0.5)", lambda t: t**2, 0.5),
    (
        "mixture(0.5*gaussian(mean=-0.9, std=0.4358898943540674) + 0.5*gaussian(mean=0.9, std=0.4358898943540674))",
        mixture_log_mgf(
            0, (0.5, gaussian_log_mgf(-0.9, 0.4358898943540674)), (0.5, gaussian_log_mgf(0.9, 0.4358898943540674))
        ),
        0.1,
    ),
    (
        "mixture(0.3*gaussian(mean=1e9, std=1) + 0.1*exponential(rate=0.5) + 7*poisson(rate=3))",
        mixture_log_mgf(
            4e7,
            (0.3, gaussian_log_mgf(1e9, 1)),
            (0.1, exponential_log_mgf(0.5)),
            (7, lambda t: 3 * mp.expm1(t)),
        ),
        1e-11,
    ),
    (
        "mixture(1*gaussian(mean=1000000000, std=1) + 3*logistic(loc=1000000001, scale=0.5))",
        mixture_log_mgf(1e9, (1, gaussian_log_mgf(1e9, 1)), (3, logistic_log_mgf(1e9 + 1, 0.5))),
        0.05,
    ),
    (
        "mixture(1*mixture(1*logistic(loc=-1) + 2*rademacher()) + 1*logistic(loc=1))",
        mixture_log_mgf(
            0,
            (1 / 4, lambda t: mp.log(mp.mpf(1) / 3 * mp.exp(logistic_log_mgf(-1, 1)(t)) + mp.cosh(t) * 2 / 3)),
            (1 / 4, logistic_log_mgf(1, 1)),
        ),
        0.02,
    ),
]


def assert_matches(text: str, reference: list[Any], tolerance: float = 1e-12) -> None:
    computed = laws.parse(text).cumulants(8).tolist()
    std = mp.sqrt(reference[1])
    for n, (value, exact) in enumerate(zip(computed, reference, strict=True), 1):
        if abs(exact) < std**n * mp.mpf(10) ** -60:  # the reference knows zero to 60 digits or more
            assert value == 0, f"{text} k{n}"
        else:
            assert abs(value - exact) <= tolerance * abs(exact), f"{text} k{n}: {value} for {mp.nstr(exact, 20)}"


@pytest.mark.parametrize(("text", "log_mgf", "radius"), GENERATING, ids=[case[0] for case in GENERATING])
def test_cumulants_match_contour_integral(text: str, log_mgf: Generating, radius: float) -> None:
    assert_matches(text, contour(log_mgf, radius))


@pytest.mark.parametrize(("text", "log_mgf", "radius"), GENERATING[::2], ids=[case[0] for case in GENERATING[::2]])
def test_standardised_cumulants_match_contour_integral(text: str, log_mgf: Generating, radius: float) -> None:
    raw = contour(log_mgf, radius)
    computed = laws.Standardised(laws.parse(text)).cumulants(8).tolist()
    assert computed[:2] == [0, 1]
    for n in range(3, 9):
        exact = raw[n - 1] / mp.sqrt(raw[1]) ** n
        assert abs(computed[n - 1] - exact) <= 1e-12 * abs(exact) + mp.mpf(10) ** -50


def partitions(items: list[int]) -> Any:
    if not items:
        yield []
        return
    rest = items[1:]
    for size in range(len(rest) + 1):
        for chosen in itertools.combinations(rest, size):
            for others in partitions([i for i in rest if i not in chosen]):
                yield [1 + size, *others]


PARTITIONS = [list(partitions(list(range(n)))) for n in range(9)]


def by_partitions(moments: list[Any]) -> list[Any]:
    """κ_n = Σ_π (-1)^(|π|-1) (|π|-1)! Π_B m(|B|), over set partitions."""
    return [
        sum((-1) ** (len(p) - 1) * math.factorial(len(p) - 1) * math.prod(moments[b] for b in p) for p in PARTITIONS[n])
        for n in range(1, len(moments))
    ]


@pytest.mark.parametrize(("mean", "std"), [(0, 0.5), (-3, 1), (2, 0.01), (0, 1e-8), (1, 1e-20), (0.1, 3)])
def test_lognormal_cumulants_match_partition_sum(mean: float, std: float) -> None:
    wide = mpmath.mp.clone()
    wide.dps = 400
    m, s = wide.mpf(mean), wide.mpf(std)
    reference = by_partitions([wide.exp(n * m + (n * s) ** 2 / 2) for n in range(9)])
    computed = laws.Lognormal(mean=mean, std=std).cumulants(8).tolist()
    for value, exact in zip(computed, reference, strict=True):
        assert abs(value / exact - 1) <= 1e-14


def test_lognormal_overflow_is_infinite() -> None:
    kappa = laws.Lognormal(std=10).cumulants(8)
    assert kappa[0].isfinite()
    assert kappa[7] == math.inf
    assert laws.Lognormal(std=10).standardised().cumulants(2).tolist() == [0, 1]


@pytest.mark.parametrize("df", [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 7.5, 8, 8.5, 10, 100])
def test_student_t_cumulants_match_quadrature_and_exist_below_df_only(df: float) -> None:
    q40 = mpmath.mp.clone()
    q40.dps = 40
    v = q40.mpf(df)
    norm = q40.gamma((v + 1) / 2) / (q40.sqrt(v * q40.pi) * q40.gamma(v / 2))
    known = min(8, math.ceil(df) - 1)
    # x = sqrt(v) tan(θ) makes the moments integrals over a finite interval
    moments = [
        0
        if n % 2
        else 2
        * norm
        * v ** ((q40.mpf(n) + 1) / 2)
        * q40.quad(lambda a, n=n: q40.sin(a) ** n * q40.cos(a) ** (v - 1 - n), [0, q40.pi / 4, q40.pi / 2])
        for n in range(known + 1)
    ]
    computed = laws.StudentT(df=df).cumulants(8)
    assert computed[known:].isnan().all()
    for value, exact in zip(computed.tolist(), by_partitions(moments), strict=False):
        assert abs(value - exact) <= 1e-12 * abs(exact)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("cauchy()", []),
        ("stable(alpha=1.5)", [0]),
        ("stable(alpha=1.01, beta=1)", [0]),
        ("stable(alpha=1)", []),
        ("stable(alpha=0.5, beta=1)", []),
        ("stable(alpha=2)", [0, 2, 0, 0, 0, 0, 0, 0]),
        ("mixture(1*gaussian() + 1*cauchy())", []),
        ("mixture(1*gaussian(mean=3) + 1*stable(alpha=1.5))", [1.5]),
        ("mixture(1*student_t(df=3) + 1*gaussian())", [0, 2]),
        ("standardised(student_t(df=3))", [0, 1]),
        ("standardised(student_t(df=3.5))", [0, 1, 0]),
    ],
)
def test_cumulants_that_do_not_exist_are_nan(text: str, known: list[float]) -> None:
    computed = laws.parse(text).cumulants(8)
    assert computed[: len(known)].tolist() == known
    assert computed[len(known) :].isnan().all()


@pytest.mark.parametrize(
    "text",
    [
        "laplace()",
        "logistic()",
        "uniform(low=-7.3, high=7.3)",
        "beta(a=0.7, b=0.7)",
        "student_t(df=9)",
        "triangular(low=-0.3, mode=0, high=0.3)",
        "mixture(0.1*logistic(loc=-1.3) + 0.2*logistic(loc=0.7) + 0.2*logistic(loc=-0.7) + 0.1*logistic(loc=1.3))",
        "mixture(1*standardised(bernoulli(p=0.25)) + 1*standardised(bernoulli(p=0.75)))",
        "mixture(3*standardised(triangular(low=-3, mode=1, high=2)) + 3*standardised(triangular(-2, -1, 3)))",
    ],
)
def test_odd_cumulants_of_symmetric_laws_are_exactly_zero(text: str) -> None:
    for law in (laws.parse(text), laws.parse(text).standardised()):
        assert (law.cumulants(8)[2::2] == 0).all()
        assert (law.cumulants(8)[1::2] != 0).all()


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6), st.lists(st.floats(1e-3, 1), min_size=6, max_size=6))
def test_atoms_and_cumulants_agree(means: list[float], ps: list[float]) -> None:
    parts = [(p, laws.Bernoulli(p)) for p in ps] + [(abs(m) + 1, laws.Rademacher()) for m in means]
    law = laws.Mixture(tuple(parts))
    atoms = law.atoms()
    assert atoms is not None
    assert sum(p for _, p in atoms) == 1
    moments = [sum((p * Fraction(x) ** n for x, p in atoms), Fraction(0)) for n in range(9)]
    assert law.cumulants(8).tolist() == [float(k) for k in by_partitions(moments)]


@settings(max_examples=40, deadline=None)
@given(st.integers(-1000, 1000), st.integers(1, 1000).map(lambda n: n / 7))
@pytest.mark.parametrize("family", [laws.Gaussian, laws.Laplace, laws.Logistic, laws.Gumbel])
def test_standardised_members_of_a_family_are_one_law(family: Any, loc: float, scale: float) -> None:
    assert family(loc, scale).standardised() == family().standardised()


@pytest.mark.parametrize(
    "text",
    [
        "gaussian(mean=1000000000, std=0.001)",
        "uniform(low=-5, high=77)",
        "laplace(loc=3, scale=9)",
        "logistic(loc=1, scale=2)",
        "gumbel(loc=-4, scale=0.1)",
        "triangular(low=-1, mode=0.7, high=20)",
        "triangular(low=1000000, mode=1000000.1, high=1000001)",
        "mixture(1*gaussian(mean=-3) + 0.1*laplace(loc=7) + 2*gumbel(scale=9))",
        "rademacher()",
        "gamma(shape=7)",
        "mixture(1*exponential() + 2*beta())",
        "bernoulli(p=0.25)",
        "poisson(rate=0.1)",
        "student_t(df=2.5)",
        "lognormal(std=2)",
        "stable(alpha=2)",
    ],
)
def test_standardised_law(text: str) -> None:
    law = laws.parse(text)
    standard = law.standardised()
    kappa, reference = standard.cumulants(8), law.cumulants(8)
    assert kappa[0].abs() <= 4e-15
    assert (kappa[1] - 1).abs() <= 4e-15
    expected = reference / reference[1] ** (torch.arange(1, 9, dtype=torch.float64) / 2)
    torch.testing.assert_close(kappa[2:], expected[2:], rtol=1e-11, atol=1e-11, equal_nan=True)
    assert standard.standardised() == standard
    assert laws.parse(str(standard)) == standard


@pytest.mark.parametrize("text", ["cauchy()", "stable()", "student_t(df=2)", "bernoulli(p=1)", "bernoulli(p=0)"])
def test_no_standardised_law_without_finite_positive_variance(text: str) -> None:
    law = laws.parse(text)
    for make in (law.standardised, lambda: laws.Standardised(law)):
        with pytest.raises(ValueError, match="variance; allowed: laws with a"):
            make()


def test_narrow_component_keeps_mixture_a_law_when_it_cannot_be_rescaled() -> None:
    law = laws.parse("mixture(1*gaussian(std=1e-30) + 1*gaussian(std=1e+30))")
    assert str(law.standardised()).startswith("standardised(mixture(")


@pytest.mark.parametrize(
    ("text", "atoms"),
    [
        ("rademacher()", [(-1, Fraction(1, 2)), (1, Fraction(1, 2))]),
        ("bernoulli(p=0.25)", [(0, Fraction(3, 4)), (1, Fraction(1, 4))]),
        ("bernoulli(p=1)", [(1, Fraction(1))]),
        ("mixture(1*rademacher() + 2*bernoulli())", [(-1, Fraction(1, 6)), (0, Fraction(1, 3)), (1, Fraction(1, 2))]),
        ("standardised(bernoulli())", [(-1, Fraction(1, 2)), (1, Fraction(1, 2))]),
        ("standardised(bernoulli(p=0.25))", [(-1 / math.sqrt(3), Fraction(3, 4)), (math.sqrt(3), Fraction(1, 4))]),
        ("mirrored(bernoulli(p=0.25))", [(-1, Fraction(1, 4)), (0, Fraction(3, 4))]),
        ("poisson()", None),
        ("mixture(1*gaussian() + 1*rademacher())", None),
        ("standardised(gamma())", None),
    ],
)
def test_atoms(text: str, atoms: list[tuple[float, Fraction]] | None) -> None:
    computed = laws.parse(text).atoms()
    if atoms is None:
        assert computed is None
    else:
        assert computed is not None
        assert [p for _, p in computed] == [p for _, p in atoms]
        assert [float(x) for x, _ in computed] == pytest.approx([float(x) for x, _ in atoms], rel=4e-16)


CONTINUOUS = ["gaussian(1, 3)", "uniform()", "laplace(1, 2)", "logistic()", "gumbel()", "exponential(2)", "gamma(3, 2)"]
CONTINUOUS += ["beta(2, 3)", "student_t(12)", "lognormal()", "triangular(-1, 0.5, 2)", "standardised(gamma(5, 3))"]
CONTINUOUS += [
    "mixture(1*uniform(0, 1) + 2*laplace(3) + 1*triangular())",
    "standardised(beta(2, 7))",
    "mirrored(exponential(2))",
]


@pytest.mark.parametrize("text", CONTINUOUS)
def test_density_integrates_to_the_moments_between_breakpoints(text: str) -> None:
    law = laws.parse(text)
    mean, variance = law.cumulants(2).tolist()
    low, high = law.support()
    points = law.breakpoints()
    assert list(points) == sorted(points)
    assert all(low <= point <= high for point in points)
    reach = [max(low, mean - 60 * math.sqrt(variance)), min(high, mean + 60 * math.sqrt(variance))]
    edges = np.unique([*reach, *points, mean])
    cells = np.concatenate([np.linspace(a, b, 201) for a, b in itertools.pairwise(edges)])
    nodes, weights = np.polynomial.legendre.leggauss(24)
    half, centre = np.diff(cells)[:, None] / 2, (cells[1:] + cells[:-1])[:, None] / 2
    x, w = (centre + half * nodes).ravel(), (half * weights).ravel()
    density = law.pdf(x)
    assert density.dtype == np.float64
    # student_t(12) has 1e-8 of its variance beyond the reach
    assert (w * density).sum() == pytest.approx(1, abs=1e-7)
    assert (w * density * x).sum() == pytest.approx(mean, abs=1e-7)
    assert (w * density * (x - mean) ** 2).sum() == pytest.approx(variance, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "support", "breakpoints"),
    [
        ("gaussian()", (-math.inf, math.inf), ()),
        ("uniform(low=0, high=2)", (0, 2), (0, 2)),
        ("laplace(loc=3)", (-math.inf, math.inf), (3,)),
        ("triangular()", (-1, 1), (-1, 0, 1)),
        ("triangular(low=0, mode=0, high=1)", (0, 1), (0, 1)),
        ("exponential()", (0, math.inf), (0,)),
        ("stable(alpha=0.5, beta=1)", (0, math.inf), (0,)),
        ("stable(alpha=0.5, beta=-1)", (-math.inf, 0), (0,)),
        ("stable(alpha=1.5, beta=1)", (-math.inf, math.inf), ()),
        ("bernoulli(p=1)", (1, 1), (1, 1)),
        ("mixture(1*uniform(0, 2) + 1*laplace(1))", (-math.inf, math.inf), (0, 1, 2)),
        ("standardised(exponential())", (-1, math.inf), (-1,)),
        ("standardised(gamma(shape=4))", (-2, math.inf), (-2,)),
        ("mirrored(exponential())", (-math.inf, 0), (0,)),
        ("mirrored(triangular(low=-1, mode=0.5, high=2))", (-2, 1), (-2, -0.5, 1)),
    ],
)
def test_support_and_breakpoints(text: str, support: tuple[float, float], breakpoints: tuple[float, ...]) -> None:
    law = laws.parse(text)
    assert law.support() == support
    assert law.breakpoints() == breakpoints


@pytest.mark.parametrize("text", ["rademacher()", "poisson()", "bernoulli()", "mixture(1*gaussian() + 1*poisson())"])
def test_laws_with_atoms_have_no_density(text: str) -> None:
    with pytest.raises(laws.LawError, match="has no density"):
        laws.parse(text).pdf(0.0)


@pytest.mark.parametrize(
    "text", ["gaussian(mean=1, std=3)", "gamma(shape=3)", "poisson()", "student_t(df=3.5)", "pareto()"]
)
def test_a_mirror_image_has_odd_cumulants_of_the_other_sign(text: str) -> None:
    law = laws.parse(text)
    signs = torch.tensor([-1.0, 1.0] * 4)
    mirror = laws.Mirrored(law)
    torch.testing.assert_close(mirror.cumulants(8), law.cumulants(8) * signs, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(laws.Mirrored(mirror).cumulants(8), law.cumulants(8), rtol=0, atol=0, equal_nan=True)
    assert laws.parse(str(mirror)) == mirror


def test_a_mirror_image_is_standardised_in_the_family_of_the_law() -> None:
    standard = laws.parse("mirrored(uniform(low=1, high=4))").standardised()
    assert str(standard) == "mirrored(uniform(low=-1.7320508075688772, high=1.7320508075688772))"
    assert standard.cumulants(4).tolist() == laws.parse("uniform()").cumulants(4).tolist()


def test_quantiles_of_a_mirror_image() -> None:
    levels = [0.1, 0.5, 0.7]
    mirror = laws.parse("mirrored(exponential())")
    assert mirror.quantiles(levels) == pytest.approx(np.log(levels))
    assert laws.parse("mirrored(bernoulli(p=0.25))").quantiles([0.2, 0.3]).tolist() == [-1, 0]
    assert laws.parse("mirrored(standardised(gamma()))").quantiles(levels) is None


@pytest.mark.parametrize("order", [0, 9, -1, 2.0, True, None])
def test_order_out_of_range(order: Any) -> None:
    with pytest.raises(laws.LawError, match=r"order=.* is out of range; allowed: 1 to 8"):
        laws.Gaussian().cumulants(order)


@pytest.mark.parametrize("order", range(1, 9))
@pytest.mark.parametrize("text", ["gaussian()", "lognormal()", "student_t(df=5)", "mixture(1*gumbel() + 1*beta())"])
def test_lower_orders_are_the_beginning_of_higher_ones(text: str, order: int) -> None:
    law = laws.parse(text)
    assert law.cumulants(order).shape == (order,)
    assert law.cumulants(order).dtype == torch.float64
    torch.testing.assert_close(law.cumulants(order), law.cumulants(8)[:order], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("inside", ["{}", "mixture(1*{} + 1*uniform(low=0, high=1))"])
def test_a_nested_law_is_asked_once_for_each_cumulant(inside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    known = laws.Gamma.exact_cumulants
    monkeypatch.setattr(laws.Gamma, "exact_cumulants", lambda law, order: asked.append(order) or known(law, order))
    text = "gamma()"
    depth = 0
    while depth < 48:
        text = inside.format(text)
        text = f"standardised({text})"
        depth += 1 + inside.count("(") // 2
    law = laws.parse(text)
    asked.clear()
    assert law.cumulants(4)[:2].tolist() == [0, 1]
    assert len(asked) == 1
    law.support(), law.breakpoints(), law.atoms(), law.pdf(0.5), law.standardised()
    law.sample(3, dtype=torch.float64)
    assert len(asked) < 500  # a few for each law of the nest, not 2^depth
