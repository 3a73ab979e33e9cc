"""Dependent blocks: against enumeration of all spins, sums over innovations one by one, laws that are known, and samples."""

from __future__ import annotations

import math
import pickle
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from renorm.cumulants import kstat, kstat_stderr
from renorm.datamodules import CLTDataModule, laws
from renorm.datamodules.block_sources import AR1, BlockSource, FileBlocks, IsingChain, parse_source
from renorm.errors import InputError
from renorm.maps import Decimation

COUPLINGS = [-2.0, -0.3, 0.0, 0.5, 1.0, 3.0]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chain(coupling: float, block_size: int) -> tuple[np.ndarray, np.ndarray]:
    """All blocks of spins and their Boltzmann weights, in long doubles."""
    spins = 1 - 2 * ((np.arange(2**block_size)[:, None] >> np.arange(block_size)) & 1)
    weights = np.exp(np.longdouble(coupling) * (spins[:, 1:] * spins[:, :-1]).sum(axis=1))
    return spins, weights / weights.sum()


def moments(kappa: Tensor) -> list[float]:
    return [float(m) for m in laws.exact.moments_of([laws.exact.context().mpf(k) for k in kappa.tolist()])]  # type: ignore[attr-defined]


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("block_size", [1, 2, 3, 8, 16])
def test_moments_of_a_sum_of_spins_are_those_of_all_blocks(coupling: float, block_size: int) -> None:
    spins, weights = chain(coupling, block_size)
    total = spins.sum(axis=1)
    found = moments(IsingChain(coupling).sum_cumulants(torch.ones(block_size), 4))
    for n in range(1, 5):
        exact = float((weights * total.astype(np.longdouble) ** n).sum())
        assert found[n] == pytest.approx(exact, rel=1e-12, abs=1e-12), f"m{n}"


@settings(max_examples=20, deadline=None)
@given(st.floats(-3, 3), st.lists(st.floats(-2, 2), min_size=1, max_size=6))
def test_moments_of_a_weighted_sum_of_spins(coupling: float, weights: list[float]) -> None:
    spins, probabilities = chain(coupling, len(weights))
    total = spins @ np.array(weights)
    found = moments(IsingChain(coupling).sum_cumulants(torch.tensor(weights, dtype=torch.float64), 4))
    for n in range(1, 5):
        assert found[n] == pytest.approx(float((probabilities * total**n).sum()), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_states_are_all_blocks(coupling: float) -> None:
    found = IsingChain(coupling).states(5)
    assert found is not None
    spins, weights = chain(coupling, 5)
    wanted = {tuple(block): weight for block, weight in zip(spins.tolist(), weights.tolist(), strict=True)}
    states = {tuple(map(int, block)): p for block, p in zip(found[0].tolist(), found[1].tolist(), strict=True)}
    assert states == pytest.approx(wanted)
    assert IsingChain(coupling).states(17) is None


def test_susceptibility_of_the_chain() -> None:
    """The variance of a sum over b tends to e^(2K): it is (1 + t)/(1 - t) - 2t (1 - t^b) / (b (1 - t)^2)."""
    for coupling in (0.7, -0.4):
        t, b = math.tanh(coupling), 400
        variance = float(IsingChain(coupling).sum_cumulants(torch.ones(b), 2)[1]) / b
        assert variance + 2 * t * (1 - t**b) / (b * (1 - t) ** 2) == pytest.approx(math.exp(2 * coupling), rel=1e-12)


@pytest.mark.parametrize("coupling", [-1e30, -400.0, 400.0, 1e30])
def test_strong_couplings_are_order(coupling: float) -> None:
    sign = math.copysign(1, coupling)
    x = IsingChain(coupling).blocks(200, 5, seeded())
    assert torch.equal(x, x[:, :1] * torch.tensor([1, sign, 1, sign, 1]))
    assert set(x[:, 0].tolist()) == {-1, 1}
    assert IsingChain(coupling).sum_cumulants(torch.ones(4), 2).tolist() == pytest.approx([0, 16 if sign > 0 else 0])


@pytest.mark.parametrize("coupling", [-0.6, 0.0, 0.5, 1.5])
def test_samples_of_the_chain_have_the_frequencies_of_its_blocks(coupling: float) -> None:
    x = IsingChain(coupling).blocks(200_000, 4, seeded(1))
    assert x.dtype == torch.get_default_dtype()
    spins, weights = chain(coupling, 4)
    codes = ((1 - x) / 2 @ torch.tensor([1.0, 2, 4, 8])).long()
    counts = torch.bincount(codes, minlength=16).numpy()
    assert stats.chisquare(counts, len(x) * weights.astype(float)).pvalue > 1e-4
    assert spins[3].tolist() == [-1, -1, 1, 1]  # the order of codes


def test_decimated_chain_is_a_chain() -> None:
    """Every third spin of a chain has the correlations of the chain that decimation leads to."""
    coupling, b = 0.9, 3
    weights = torch.zeros(7, dtype=torch.float64)
    weights[::b] = 1
    found = IsingChain(coupling).sum_cumulants(weights, 4)
    wanted = IsingChain(Decimation().coupling(coupling, b)).sum_cumulants(torch.ones(3), 4)
    torch.testing.assert_close(found, wanted, rtol=1e-13, atol=1e-13)


def test_sampling_the_chain_costs_little() -> None:
    """At most 3 times fair signs, on a quiet machine; twice that is allowed here."""
    signs, spins = laws.Rademacher(), IsingChain()

    def fastest(source: laws.Law | IsingChain) -> float:
        times = []
        for _ in range(20):
            start = time.perf_counter()
            source.blocks(16384, 4, seeded())
            times.append(time.perf_counter() - start)
        return min(times)

    assert fastest(spins) < 6 * fastest(signs)


INNOVATIONS = ["gaussian()", "gamma(shape=2)", "rademacher()", "exponential()", "uniform()", "gaussian(mean=1, std=3)"]


@pytest.mark.parametrize("rho", [-0.9, -0.5, 0.0, 0.3, 0.95])
@pytest.mark.parametrize("law", INNOVATIONS)
@pytest.mark.parametrize("block_size", [1, 2, 5, 16])
def test_cumulants_of_a_sum_of_an_ar1_are_those_of_its_innovations(rho: float, law: str, block_size: int) -> None:
    """Every innovation, one by one, until they have no weight; cumulants of a sum of independent variables add up."""
    past = 1200
    # column j: what the innovation of step j - past adds to each variable
    age = past + np.arange(block_size)[:, None] - np.arange(past + block_size)[None, :]
    response = np.where(age >= 0, rho ** np.maximum(age, 0).astype(np.longdouble), 0) * np.sqrt(
        1 - np.longdouble(rho) ** 2
    )
    kappa = laws.parse(law).cumulants(4).numpy()
    for weights in (np.ones(block_size), np.linspace(-1, 2, block_size)):
        shares = weights @ response
        wanted = [float(kappa[n - 1] * (shares**n).sum()) for n in range(1, 5)]
        found = AR1(rho, law).sum_cumulants(torch.from_numpy(weights), 4).tolist()  # type: ignore[arg-type]
        assert found == pytest.approx(wanted, rel=1e-12, abs=1e-14)


def test_limits_of_the_ar1() -> None:
    for rho in (-0.4, 0.7):
        b = 3000
        variance = float(AR1(rho).sum_cumulants(torch.ones(b), 2)[1]) / b
        correction = 2 * rho * (1 - rho**b) / (b * (1 - rho) ** 2)
        assert variance + correction == pytest.approx((1 + rho) / (1 - rho), rel=1e-12)
    torch.testing.assert_close(
        AR1(0.0).sum_cumulants(torch.ones(3), 4), torch.tensor([0, 3, 0, 0], dtype=torch.float64)
    )


def test_an_ar1_of_fair_signs_is_uniform() -> None:
    """Powers of 1/2 with random signs are binary digits."""
    source = AR1(0.5, laws.Rademacher())
    torch.testing.assert_close(
        source.sum_cumulants(torch.ones(1), 8), laws.Uniform().cumulants(8), rtol=1e-14, atol=1e-15
    )
    x = source.blocks(50_000, 3, seeded(2)).double().numpy()
    for column in x.T:
        assert stats.kstest(column, stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)).cdf).pvalue > 1e-4


@pytest.mark.parametrize("text", ["ar1(rho=0.8)", "ar1(rho=-0.6, law=exponential())", "ar1(rho=0.5, law=gaussian(mean=1, std=2))",
                                  "ar1(rho=0, law=gamma())", "ising_chain(coupling=0.5)"])  # fmt: skip
def test_samples_have_the_exact_cumulants(text: str) -> None:
    source = parse_source(text)
    assert isinstance(source, BlockSource)
    x = source.blocks(100_000, 4, seeded(3))
    assert isinstance(x, Tensor)
    x = x.double()
    for weights in (
        torch.ones(4),
        torch.tensor([0.0, 0, 0, 1]),
        torch.tensor([1.0, 0, 0, 0]),
        torch.tensor([1.0, -1, 0, 2]),
    ):
        y, exact = x @ weights.double(), source.sum_cumulants(weights, 4)
        assert exact is not None
        gap, error = (kstat(y, order=4) - exact).abs(), kstat_stderr(y, order=4)
        assert bool((gap <= 6 * error + 1e-4).all()), (weights, gap, error)


@pytest.mark.parametrize("rho", [0.6, -0.97])
def test_correlations_of_the_ar1(rho: float) -> None:
    x = AR1(rho, laws.Laplace()).blocks(20_000, 4, seeded(4)).double()
    correlation = torch.corrcoef(x.T)[0]
    torch.testing.assert_close(correlation, rho ** torch.arange(4, dtype=torch.float64), rtol=0, atol=0.04)


def test_innovations_without_moments() -> None:
    source = AR1(0.5, laws.Cauchy())
    assert source.sum_cumulants(torch.ones(2), 4).isnan().all()
    assert source.blocks(1000, 2, seeded()).isfinite().all()
    assert AR1(0.5, laws.StudentT(3)).sum_cumulants(torch.ones(2), 4).isnan().tolist() == [False, False, True, True]


@pytest.mark.parametrize("text", ["ising_chain()", "ar1()", "ar1(law=gamma())", "ar1(rho=-0.5, law=stable())"])
def test_the_generator_decides_the_blocks(text: str) -> None:
    source = parse_source(text)
    before = torch.get_rng_state()
    first, again, other = (source.blocks(50, 3, seeded(seed)) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)  # type: ignore[arg-type]
    assert not torch.equal(first, other)  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(source)) == source == parse_source(str(source))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("ising_chain", "ising_chain(coupling=0.5)"),
        ("ising_chain(-1)", "ising_chain(coupling=-1)"),
        ("ar1", "ar1(rho=0.5, law=gaussian(mean=0, std=1))"),
        ("ar1(0.7, gamma())", "ar1(rho=0.7, law=gamma(shape=2, scale=1))"),
        ('ar1(rho=0.7, law="gamma")', "ar1(rho=0.7, law=gamma(shape=2, scale=1))"),
        ("ar1(law=mixture(1*gaussian() + 1*laplace(1)), rho=0)", None),
        ("ar1(law=standardised( gamma() ) )", "ar1(rho=0.5, law=standardised(gamma(shape=2, scale=1)))"),
    ],
)
def test_canonical_text(text: str, canonical: str | None) -> None:
    source = parse_source(text)
    assert canonical is None or str(source) == canonical
    assert parse_source(str(source)) == source


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ising_chain(coupling=inf)", "ising_chain: coupling=inf is out of range; allowed: -1e+30 to 1e+30"),
        ("ising_chain(coupling=nan)", "ising_chain: coupling=nan is out of range; allowed: -1e+30 to 1e+30"),
        ("ising_chain(K=1)", "ising_chain: parameter 'K' is unknown; allowed: coupling"),
        ("ising_chian()", "law 'ising_chian' is unknown; allowed: "),
        ("ar1(rho=1)", "ar1: rho=1.0 is out of range; allowed: above -1, below 1"),
        ("ar1(rho=-1.5)", "ar1: rho=-1.5 is out of range; allowed: -1 to 1"),
        (
            "ar1(rho=0.9999, law=gamma())",
            "ar1: rho=0.9999 remembers too much with law='gamma(shape=2, scale=1)'; allowed: ",
        ),
        ("ar1(law=gausian())", "law 'gausian' is unknown (did you mean 'gaussian'?); allowed: "),
        ("ar1(law=ising_chain())", "law 'ising_chain' is unknown; allowed: "),
        ('ar1(law="gausian")', "law 'gausian' is unknown (did you mean 'gaussian'?); allowed: "),
        ("ar1(law=gaussian(std=-1))", "gaussian: std=-1.0 is out of range; allowed: "),
        ("ar1(law=3)", "law='ar1(law=3)' has '3)' at position 8; allowed: the name of a law"),
        ("ar1(law=gaussian()", "source='ar1(law=gaussian()' ends too early, at position 18; allowed: ',' or ')'"),
    ],
)
def test_bad_text_is_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        CLTDataModule(train_laws=[text], held_out_laws=[])
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_precision_that_is_too_coarse_is_refused() -> None:
    for text in (
        "ar1(law=gaussian(mean=1e8))",
        "ar1(rho=0.9999999999, law=gaussian(mean=100))",
        "ar1(law=gaussian(std=1e-45))",
    ):
        with pytest.raises(InputError, match=r"torch\.float32|out of range"):
            CLTDataModule(train_laws=[text], held_out_laws=[])


LINEAR = ["central_limit()", "stable(alpha=1.5)", "decimation(keep=1)"]


@pytest.mark.parametrize("block_map", LINEAR)
def test_targets_of_linear_maps_are_exact(block_map: str) -> None:
    sources = ["ising_chain(coupling=0.5)", "ar1(rho=0.7, law=gamma(shape=2, scale=1))"]
    data = CLTDataModule(3, sources[0], sources[1], map=block_map)
    assert not data.independent
    for law, source in zip(sources, data.laws, strict=True):
        exact, one = data.target_cumulants(law), data.variable_cumulants(law)
        assert exact is not None
        assert one is not None
        y = data.map(source.blocks(50_000, 3, seeded(7)).double())
        assert bool(((kstat(y, order=4) - exact).abs() <= 6 * kstat_stderr(y, order=4) + 1e-4).all())
        torch.testing.assert_close(data.existing_cumulants(law), exact)
        if "decimation" in block_map:
            torch.testing.assert_close(exact, one)


@pytest.mark.parametrize("coupling", [-0.4, 0.0, 0.8])
def test_targets_of_spins_are_exact_for_every_map_of_few(coupling: float) -> None:
    """The maximum is -1 where all are; the majority is a fair sign by symmetry."""
    text = str(IsingChain(coupling))
    all_down = 0.5 / (1 + math.exp(-2 * coupling)) ** 2
    maximum = CLTDataModule(3, text, [], map="maximum()").target_cumulants(text)
    assert maximum is not None
    mean = 1 - 2 * all_down
    assert maximum[:2].tolist() == pytest.approx([mean - math.log(3), 1 - mean**2], rel=1e-12)
    majority = CLTDataModule(5, text, [], map="majority()").target_cumulants(text)
    torch.testing.assert_close(
        majority, torch.tensor([0.0, 1.0, 0.0, -2.0], dtype=torch.float64), rtol=1e-12, atol=1e-12
    )
    assert CLTDataModule(17, text, [], map="majority()").target_cumulants(text) is None


def test_nothing_is_exact_where_nothing_is_known(tmp_path: object) -> None:
    text = "ar1(rho=0.5, law=gaussian(mean=0, std=1))"
    data = CLTDataModule(2, text, [], map="maximum()")
    assert data.target_cumulants(text) is None
    assert data.existing_cumulants(text).tolist() == [0, 1, 0, 0]

    class Drawn(CLTDataModule):
        def draw(self, law: object, rows: int, generator: torch.Generator) -> Tensor:
            return torch.randn(rows, 2, generator=generator)

    assert Drawn(2, text, []).target_cumulants(text) is None
    assert Drawn(2, text, []).variable_cumulants(text) is None
    assert FileBlocks.sum_cumulants is BlockSource.sum_cumulants


def test_a_misspelt_source_is_recognised() -> None:
    with pytest.raises(InputError, match=r"a source of blocks: ar1, blocks, ising_chain.*did you mean 'ising_chain'"):
        parse_source("ising_chian()")
