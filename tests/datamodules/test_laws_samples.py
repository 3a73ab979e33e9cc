"""Samples of every law against its distribution function, its atoms and its cumulants."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from renorm.datamodules import CLTDataModule, laws

Array = NDArray[np.float64]

CONTINUOUS = [
    "gaussian()",
    "gaussian(mean=1, std=3)",
    "uniform()",
    "uniform(low=-1, high=5)",
    "laplace(loc=1, scale=0.3)",
    "logistic(loc=-2, scale=2)",
    "gumbel(loc=0.5, scale=3)",
    "gev(xi=0.3, loc=1, scale=2)",
    "gev(xi=-0.3)",
    "gev(xi=1e-9)",
    "pareto(shape=9, scale=2)",
    "pareto(shape=1)",
    "cauchy(loc=1, scale=2)",
    "exponential(rate=4)",
    "gamma()",
    "gamma(shape=0.3, scale=2)",
    "beta()",
    "beta(a=0.4, b=3)",
    "beta(a=0.5, b=0.5)",
    "student_t()",
    "student_t(df=2)",
    "student_t(df=0.7)",
    "lognormal()",
    "lognormal(mean=-1, std=2)",
    "triangular()",
    "triangular(low=-1, mode=1.5, high=2)",
    "triangular(low=0, mode=0, high=1)",
    "mixture(0.2*gaussian(mean=-2) + 0.5*uniform() + 0.3*exponential())",
    "mixture(1*mixture(1*laplace() + 3*gumbel()) + 2*student_t(df=3))",
    "standardised(gamma(shape=3, scale=5))",
    "standardised(mixture(1*exponential() + 1*beta()))",
    "mirrored(gamma(shape=3, scale=5))",
    "standardised(mirrored(lognormal()))",
]
# scipy's distribution function of stable laws is slow: fewer samples
STABLE = ["alpha=1.5", "alpha=1.5, beta=1", "alpha=0.8, beta=-0.6", "alpha=1, beta=0", "alpha=1, beta=0.7", "alpha=2"]
DISCRETE = [
    "rademacher()",
    "bernoulli(p=0.3)",
    "mixture(0.25*rademacher() + 0.75*bernoulli(p=0.9))",
    "standardised(bernoulli(p=0.2))",
    "mirrored(mixture(1*rademacher() + 1*bernoulli(p=0.2)))",
]
WITH_MOMENTS = [
    text
    for text in CONTINUOUS
    if not any(heavy in text for heavy in ("cauchy", "student_t(df", "gev(xi=0.3", "pareto(shape=1"))
] + DISCRETE
AWKWARD = [
    "cauchy(scale=1e30)",
    "gev(xi=10, scale=1e30)",
    "gev(xi=-10, loc=1e30, scale=1e30)",
    "gev(xi=1e-300)",
    "pareto(shape=1e-30)",
    "pareto(shape=1e30, scale=1e30)",
    "stable(alpha=0.01, beta=1)",
    "stable(alpha=1e-30)",
    "stable(alpha=1, beta=1)",
    "stable(alpha=0.5, beta=-1)",
    "stable(alpha=1.0000001, beta=1)",
    "student_t(df=1e-30)",
    "student_t(df=0.01)",
    "student_t(df=1e30)",
    "lognormal(mean=60, std=10)",
    "gamma(shape=1e-30)",
    "gamma(shape=1e30, scale=1e30)",
    "beta(a=1e-30, b=1e-30)",
    "beta(a=1e-30, b=1e30)",
    "beta(a=1e30, b=1e30)",
    "gaussian(mean=1e30, std=1e30)",
    "uniform(low=-1e30, high=1e30)",
    "triangular(low=-1e30, mode=0, high=1e30)",
    "exponential(rate=1e-30)",
    "poisson(rate=1e15)",
    "standardised(lognormal(std=10))",
    "standardised(gamma(shape=1e-30))",
    "mixture(1e-30*cauchy() + 1e30*stable(alpha=0.1))",
    "mirrored(pareto(shape=1e-30))",
]
SIMPLE = [f"{name}()" for name in laws.names() if name not in ("empirical", "mirrored", "mixture", "standardised")]
DTYPES = [torch.float32, torch.float64]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cdf(law: laws.Law, x: Array) -> Array:
    if isinstance(law, laws.Mixture):
        return np.asarray(
            sum(float(w) * cdf(part, x) for w, part in zip(law.weights, law.laws, strict=True)), dtype=np.float64
        )
    if isinstance(law, laws.Standardised):
        mean, variance = law.law.cumulants(2).tolist()
        return cdf(law.law, mean + math.sqrt(variance) * x)
    if isinstance(law, laws.Mirrored):
        return np.asarray(1 - cdf(law.law, -x))
    return np.asarray(law.scipy().cdf(x))


def assert_ks(law: laws.Law, x: torch.Tensor) -> None:
    assert stats.kstest(x.double().numpy(), lambda points: cdf(law, points)).pvalue > 1e-4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("text", CONTINUOUS)
def test_continuous_samples_follow_their_law(text: str, dtype: torch.dtype) -> None:
    law = laws.parse(text)
    x = law.sample((100_000,), generator=seeded(1), dtype=dtype)
    assert x.dtype == dtype
    assert_ks(law, x)


@pytest.mark.parametrize("arguments", STABLE)
def test_stable_samples_follow_their_law(arguments: str) -> None:
    law = laws.parse(f"stable({arguments})")
    assert_ks(law, law.sample(2000, generator=seeded(2), dtype=torch.float64))


@pytest.mark.parametrize(("beta", "sign"), [(1, 1), (-1, -1)])
def test_one_sided_stable_law_is_levy(beta: float, sign: float) -> None:
    x = sign * laws.Stable(alpha=0.5, beta=beta).sample(100_000, generator=seeded(3), dtype=torch.float64)
    assert (x >= 0).all()
    assert stats.kstest(x.numpy(), stats.levy.cdf).pvalue > 1e-4


@pytest.mark.parametrize("arguments", ["alpha=1.7, beta=0.5", "alpha=0.6, beta=0.3", "alpha=1, beta=-1"])
def test_stable_samples_have_the_documented_characteristic_function(arguments: str) -> None:
    law = laws.parse(f"stable({arguments})")
    assert isinstance(law, laws.Stable)
    n, a, b = 400_000, law.alpha, law.beta
    x = law.sample(n, generator=seeded(4), dtype=torch.float64)
    for t in (0.2, 1.0, 2.5):
        phase = -2 / math.pi * math.log(t) if a == 1 else math.tan(math.pi * a / 2)
        exact = np.exp(-(t**a) * (1 - 1j * b * phase))
        assert abs(complex(torch.exp(1j * t * x).mean()) - exact) < 5 / math.sqrt(n)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("text", DISCRETE)
def test_discrete_samples_have_the_frequencies_of_their_atoms(text: str, dtype: torch.dtype) -> None:
    law = laws.parse(text)
    n = 200_000
    values, counts = law.sample(n, generator=seeded(5), dtype=dtype).unique(return_counts=True)
    atoms = law.atoms()
    assert atoms is not None
    torch.testing.assert_close(values, torch.tensor([float(value) for value, _ in atoms], dtype=dtype))
    assert stats.chisquare(counts.numpy(), [n * float(p) for _, p in atoms]).pvalue > 1e-4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rate", [0.1, 1, 7, 60])
def test_poisson_samples_have_the_frequencies_of_their_law(rate: float, dtype: torch.dtype) -> None:
    n = 200_000
    x = laws.Poisson(rate).sample(n, generator=seeded(6), dtype=dtype).numpy()
    inner = np.arange(stats.poisson(rate).ppf(1e-3), stats.poisson(rate).ppf(1 - 1e-3) + 1)
    observed = [(x < inner[0]).sum(), *((x == k).sum() for k in inner), (x > inner[-1]).sum()]
    below, above = stats.poisson.cdf(inner[0] - 1, rate), stats.poisson.sf(inner[-1], rate)
    expected = n * np.array([below, *stats.poisson.pmf(inner, rate), above])
    keep = expected > 0
    assert stats.chisquare(np.array(observed)[keep], expected[keep]).pvalue > 1e-4


@pytest.mark.parametrize("text", [*WITH_MOMENTS, "poisson(rate=0.5)", "poisson(rate=1000000000000)"])
def test_sample_cumulants_within_five_standard_errors(text: str) -> None:
    law = laws.parse(text)
    n = 400_000
    x = law.sample((n // 2, 2), generator=seeded(7), dtype=torch.float64)
    k1, k2, k3, k4, _, k6 = law.cumulants(6).tolist()
    centred = (x - k1).flatten()
    assert abs(centred.mean()) < 5 * math.sqrt(k2 / n)
    if not math.isnan(k4) and k4 < 100 * k2**2:
        assert abs(centred.var() - k2) < 5 * math.sqrt(k4 / n + 2 * k2**2 / (n - 1))
        third = math.sqrt((k6 + 9 * (k2 * k4 + k3**2) + 6 * k2**3) / n)
        assert abs(stats.kstat(centred.numpy(), 3) - k3) < 5 * third


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("text", [*CONTINUOUS, *DISCRETE, "stable()", "poisson()"])
def test_the_generator_decides_the_sample(text: str, dtype: torch.dtype) -> None:
    law = laws.parse(text)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    generator = seeded(8)
    first, second = (law.sample((64, 3), generator=generator, dtype=dtype) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before), "the global generator was used"
    assert torch.equal(first, law.sample((64, 3), generator=seeded(8), dtype=dtype))
    assert not torch.equal(first, second)
    assert first.shape == (64, 3)


@pytest.mark.parametrize("text", [*SIMPLE, *AWKWARD, *CONTINUOUS])
def test_a_million_single_precision_samples_are_finite(text: str) -> None:
    # what sample refuses, for lack of resolution or range, is drawn all the same
    x = torch.empty(1_000_000 if text in SIMPLE else 100_000, dtype=torch.float32)
    largest = torch.finfo(x.dtype).max
    assert laws.parse(text).draw(x, seeded(9)).clamp_(-largest, largest).isfinite().all()


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_double_precision_samples_are_finite_and_supported(text: str) -> None:
    law = laws.parse(text)
    largest = torch.finfo(torch.float64).max
    x = law.draw(torch.empty(20_000, dtype=torch.float64), seeded(10)).clamp_(-largest, largest)
    assert x.isfinite().all()
    low, high = law.support()
    assert x.min() >= low - 1e-12 * abs(low)
    assert x.max() <= high


@pytest.mark.parametrize("text", SIMPLE)
@pytest.mark.parametrize("u", [0.0, 1 - 2**-53])
def test_ends_of_the_unit_interval_give_finite_samples(text: str, u: float, monkeypatch: pytest.MonkeyPatch) -> None:
    def constant(shape: Any, **options: Any) -> torch.Tensor:
        options.pop("generator")
        return torch.full(shape, u if options["dtype"] is torch.float64 else min(u, 1 - 2**-24), **options)

    monkeypatch.setattr(torch, "rand", constant)
    for dtype in DTYPES:
        x = laws.parse(text).draw(torch.empty(8, dtype=dtype), seeded())
        assert x.clamp_(-torch.finfo(dtype).max, torch.finfo(dtype).max).isfinite().all()


@pytest.mark.parametrize("text", [text for text in CONTINUOUS if text != "beta(a=0.4, b=3)"])
def test_double_precision_samples_have_double_resolution(text: str) -> None:
    x = laws.parse(text).sample(400_000, generator=seeded(11), dtype=torch.float64)
    # 2^32 different values would give about 19 pairs of equal ones
    assert x.unique().numel() >= 400_000 - 2
    assert (x.float().double() != x).double().mean() > 0.99


def test_large_offset_survives_standardisation_in_single_precision() -> None:
    law = laws.Standardised(laws.parse("gaussian(mean=1e8, std=1)"))
    x = law.sample(100_000, generator=seeded(12), dtype=torch.float32)
    assert_ks(laws.Gaussian(), x)


exponents = st.floats(-12, 12).map(lambda power: 10.0**power)
signed = st.tuples(exponents, st.sampled_from([-1, 0, 1])).map(lambda pair: pair[0] * pair[1])
ANYWHERE: st.SearchStrategy[laws.Law] = st.one_of(
    *[st.builds(family, signed, exponents) for family in (laws.Gaussian, laws.Laplace, laws.Logistic, laws.Gumbel)],
    st.builds(laws.Cauchy, signed, exponents),
    st.tuples(signed, exponents).filter(lambda p: sum(p) > p[0]).map(lambda p: laws.Uniform(p[0], sum(p))),
    st.tuples(signed, exponents)
    .filter(lambda p: p[0] + p[1] / 2 > p[0])
    .map(lambda p: laws.Triangular(p[0], p[0] + p[1] / 2, sum(p))),
    # smaller shapes have much of their mass below 1e-38, or within 1e-8 of 1: errors of no account, but atoms to a test
    st.builds(laws.Gamma, st.floats(-1, 12).map(lambda power: 10.0**power), exponents),
    st.builds(laws.Beta, *[st.floats(-0.3, 12).map(lambda power: 10.0**power)] * 2),
    st.builds(laws.StudentT, st.floats(0.2, 1e6)),
    st.builds(laws.Lognormal, st.floats(-60, 60), st.floats(1e-9, 10)),
)


@settings(max_examples=100, deadline=None)
@given(ANYWHERE, st.sampled_from(DTYPES))
def test_samples_have_the_quantiles_of_their_law_or_are_refused(law: laws.Law, dtype: torch.dtype) -> None:
    try:
        x = law.sample(2000, generator=seeded(13), dtype=dtype)
    except laws.LawError as error:
        refusal = str(error)
        assert "cannot resolve" in refusal or "is beyond the range" in refusal
        return
    distance = stats.kstest(x.double().numpy(), lambda points: cdf(law, points)).statistic
    assert distance < 0.06  # 1e-6 of all samples are further away


@pytest.mark.parametrize(
    "text",
    [
        "gaussian(mean=1e8)",
        "mixture(1*gaussian(mean=1e8) + 1*gaussian())",
        "uniform(low=1e8, high=100000001)",
        "poisson(rate=1e15)",
        "cauchy(loc=-1e8)",
        "lognormal(std=10)",
        "gamma(shape=1e30, scale=1e30)",
        "stable(alpha=1.0000001, beta=1)",
    ],
)
def test_what_single_precision_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(laws.LawError, match=r"torch\.float32.*; allowed: "):
        laws.parse(text).sample(3, dtype=torch.float32)
    with pytest.raises(ValueError, match=r"torch\.float32.*; allowed: "):
        CLTDataModule(held_out_laws=[text])


def test_points_are_held_to_their_rounding(tmp_path: Path) -> None:
    laws.parse("bernoulli(p=0.9999999999999)").sample(
        3, dtype=torch.float32
    )  # far from 0 in widths, but 0 and 1 are exact
    np.save(tmp_path / "x.npy", np.array([1e8, 1e8 + 1]))
    law = laws.Empirical(str(tmp_path / "x.npy"))
    with pytest.raises(laws.LawError, match="cannot resolve"):
        law.sample(3, dtype=torch.float32)
    assert law.standardised().sample(100, dtype=torch.float32).unique().tolist() == [-1, 1]
    np.save(tmp_path / "y.npy", np.full(3, 0.1))
    laws.Empirical(str(tmp_path / "y.npy")).sample(3, dtype=torch.float32)


@pytest.mark.parametrize("beta", [1, -0.5])
@pytest.mark.parametrize("distance", [1e-3, -1e-3, 1e-6, -1e-8, 1e-10, 1e-12])
def test_stable_laws_near_one_tend_to_that_of_one(distance: float, beta: float) -> None:
    """Nolan's form S0, which S1 becomes when it is moved by -β tan(πα/2), is continuous in α; at α = 1 it is S1."""
    alpha = 1 + distance
    x = laws.Stable(alpha, beta).sample(20_000, generator=seeded(14), dtype=torch.float64).numpy()
    limit = laws.Stable(1, beta).sample(20_000, generator=seeded(15), dtype=torch.float64).numpy()
    assert stats.ks_2samp(x - beta * math.tan(math.pi * alpha / 2), limit).pvalue > 1e-4


@pytest.mark.parametrize("distance", [1e-15, -1e-15])
def test_stable_laws_that_doubles_cannot_hold_are_refused(distance: float) -> None:
    with pytest.raises(laws.LawError, match=r"torch\.float64 cannot resolve"):
        laws.Stable(1 + distance, 1).sample(3, dtype=torch.float64)


@pytest.mark.parametrize("shape", [(), 5, (5,), (2, 3), (0, 2), torch.Size([4, 1])])
def test_shapes(shape: Any) -> None:
    for text in (*SIMPLE, "mixture(1*gaussian() + 2*beta())", "standardised(gamma())"):
        x = laws.parse(text).sample(shape)
        assert x.shape == torch.empty(shape).shape
        assert x.dtype == torch.get_default_dtype()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.complex64])
def test_other_dtypes_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(laws.LawError, match=r"cannot be sampled; allowed: torch.float32, torch.float64"):
        laws.Gaussian().sample(3, dtype=dtype)


@pytest.mark.parametrize("alpha", [0.5, 0.9, 1.1, 1.5, 1.9])
def test_quantiles_of_stable_laws(alpha: float) -> None:
    """Against scipy's distribution function, which integrates each value by itself."""
    levels = np.array([0.01, 0.2, 0.4, 0.7, 0.99])
    found = laws.Stable(alpha=alpha).quantiles(levels)
    assert found is not None
    np.testing.assert_allclose(stats.levy_stable.cdf(found, alpha, 0), levels, rtol=1e-6)
    assert laws.Stable(alpha=alpha).quantiles(0.5) == 0


@pytest.mark.parametrize("law", ["rademacher()", "bernoulli(p=0.25)", "gumbel()", "cauchy()", "uniform()"])
def test_quantiles_are_below_the_levels_share_of_a_sample(law: str) -> None:
    levels = np.array([0.1, 0.3, 0.6, 0.8])
    found = laws.parse(law).quantiles(levels)
    assert found is not None
    sample = laws.parse(law).sample(40_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64).numpy()
    below, up_to = ((sample[:, None] < found).mean(axis=0), (sample[:, None] <= found).mean(axis=0))
    assert np.all(below <= levels + 0.015)
    assert np.all(up_to >= levels - 0.015)


def test_quantiles_that_are_not_known() -> None:
    assert laws.Stable(alpha=1.5, beta=0.5).quantiles(0.3) is None
    assert laws.Stable(alpha=1.01).quantiles(0.3) is None
