"""Majority and decimation against enumeration of all blocks of spins in fractions, and against the transfer matrix."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from renorm import maps
from renorm.cli import main
from renorm.datamodules import CLTDataModule, laws
from renorm.errors import InputError
from renorm.maps import CentralLimit, Decimation, Majority, Stable

Spins = tuple[int, ...]


def blocks(block_size: int) -> list[Spins]:
    return list(itertools.product((-1, 1), repeat=block_size))


def majority(block: Spins) -> int:
    return int(Majority()(torch.tensor(block, dtype=torch.float64)))


@pytest.mark.parametrize("block_size", [3, 5, 7, 9])
@pytest.mark.parametrize("p", [Fraction(0), Fraction(1, 7), Fraction(1, 2), Fraction(9, 10), Fraction(1)])
def test_probability_of_a_majority_is_that_of_all_blocks(block_size: int, p: Fraction) -> None:
    total = sum(
        p ** block.count(1) * (1 - p) ** block.count(-1) for block in blocks(block_size) if majority(block) == 1
    )
    assert Majority().probability(p, block_size) == total  # type: ignore[arg-type]  # fractions, to be exact
    assert Majority().probability(float(p), block_size) == pytest.approx(float(total), abs=1e-15)


def test_blocks_of_three_are_percolation_on_the_triangular_lattice() -> None:
    for p in (Fraction(1, 3), Fraction(3, 5)):
        assert Majority().probability(p, 3) == p**2 * (3 - 2 * p)  # type: ignore[arg-type]
    slope = float(Majority().spectrum(1, 3)[1])
    assert math.log(math.sqrt(3)) / math.log(slope) == pytest.approx(1.3548, abs=5e-5)


@pytest.mark.parametrize("block_size", [3, 5, 7, 9])
def test_spectrum_of_the_majority_by_enumeration(block_size: int) -> None:
    """M_mn = E[P_m(y) sum_i P_n(x_i)], with the polynomials 1, x and x^2 - 1 that are orthogonal on fair signs."""
    polynomials = [lambda x: 1, lambda x: x, lambda x: x * x - 1]
    weight = Fraction(1, 2**block_size)
    matrix = [
        [sum(weight * left(majority(x)) * sum(map(right, x)) for x in blocks(block_size)) for right in polynomials]
        for left in polynomials
    ]
    assert all(matrix[m][n] == 0 for m in range(3) for n in range(3) if m != n)
    assert Majority().spectrum(2, block_size).tolist() == [float(matrix[n][n]) for n in range(3)]
    # and the second is the slope of the recursion at its unstable fixed point
    step = Fraction(1, 10**6)
    rise = Majority().probability(Fraction(1, 2) + step, block_size) - Fraction(1, 2)  # type: ignore[arg-type]
    assert float(rise / step) == pytest.approx(float(matrix[1][1]), rel=1e-9)


def test_slopes_that_are_known() -> None:
    assert [float(Majority().spectrum(1, b)[1]) for b in (3, 5, 7)] == [1.5, 1.875, 2.1875]
    assert Majority().spectrum(0, 3).tolist() == [3]


@given(st.floats(-1, 1), st.sampled_from([3, 5, 7]))
def test_cumulants_of_a_majority_are_those_of_all_blocks(m: float, block_size: int) -> None:
    p = (1 + m) / 2
    moments = [Fraction(1)] + [Fraction(m) if n % 2 else Fraction(1) for n in range(1, 5)]
    kappa = torch.tensor([float(k) for k in laws.cumulants_of(moments)], dtype=torch.float64)
    mean = math.fsum(majority(x) * p ** x.count(1) * (1 - p) ** x.count(-1) for x in blocks(block_size))
    exact = [Fraction(1)] + [Fraction(mean) if n % 2 else Fraction(1) for n in range(1, 5)]
    found = Majority().cumulants(kappa, block_size)
    assert found is not None
    assert found.tolist() == pytest.approx([float(k) for k in laws.cumulants_of(exact)], abs=1e-12)
    flow = Majority().flow(kappa[:, None].expand(-1, 2), 3, block_size)
    assert flow is not None
    assert flow.shape == (4, 4, 2)


def test_cumulants_of_other_laws_are_not_known() -> None:
    for text in ("gaussian()", "uniform()", "bernoulli()", "student_t(df=3)", "cauchy()"):
        assert Majority().cumulants(laws.parse(text).cumulants(4), 3) is None
    # mean 0, variance 1, skewness 0, as fair signs have, but with another fourth cumulant
    assert Majority().cumulants(torch.tensor([0.0, 1.0, 0.0, 0.0]), 3) is None
    assert Majority().cumulants(torch.tensor([0.0, 1.0]), 3) is None


def test_other_variables_have_the_sign_of_their_sum() -> None:
    x = torch.tensor([[3.0, -1.0, -1.0], [0.5, -0.5, 0.0], [-2.0, 0.5, 0.5]])
    assert Majority()(x).tolist() == [1, 0, -1]


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_decimation_keeps_one(keep: int) -> None:
    x = torch.randn(2, 5, 4)
    assert torch.equal(Decimation(keep)(x), x[..., keep])
    kappa = laws.parse("gamma()").cumulants(4)
    flow = Decimation(keep).flow(kappa, 3, 4)
    assert flow is not None
    assert torch.equal(flow, kappa.expand(4, 4))


def test_spectrum_of_decimation_by_enumeration() -> None:
    """E[g(y) sum_i g(x_i)] for functions orthogonal under a law on three values: b for 1, and 1 for all others."""
    values, weights = (-1, 0, 2), (Fraction(1, 2), Fraction(1, 3), Fraction(1, 6))

    def mean(function: object) -> Fraction:
        return sum((w * function(v) for v, w in zip(values, weights, strict=True)), Fraction(0))  # type: ignore[operator]

    first = mean(lambda v: v)
    linear = lambda v: v - first  # noqa: E731
    shape = mean(lambda v: v**2 * linear(v)) / mean(lambda v: linear(v) ** 2)
    square = lambda v: v**2 - mean(lambda t: t**2) - shape * linear(v)  # noqa: E731
    for b in (2, 3):
        for n, g in enumerate((lambda v: 1, linear, square)):
            total = Fraction(0)
            for chosen in itertools.product(range(3), repeat=b):
                block = [values[i] for i in chosen]
                kept = int(Decimation(1)(torch.tensor(block)))
                total += math.prod(weights[i] for i in chosen) * g(kept) * sum(map(g, block))
            assert total / mean(lambda v, g=g: g(v) ** 2) == Decimation(1).spectrum(2, b)[n].item()


@pytest.mark.parametrize("coupling", [-3.0, -0.2, 0.0, 1e-200, 0.3, 0.4999, 0.5, 2.0, 30.0, 400.0])
@pytest.mark.parametrize("block_size", [2, 3, 8])
def test_coupling_of_the_decimated_chain(coupling: float, block_size: int) -> None:
    mp = mpmath.mp.clone()
    mp.dps = 400
    exact = mp.atanh(mp.tanh(mp.mpf(coupling)) ** block_size)
    assert Decimation().coupling(coupling, block_size) == pytest.approx(float(exact), rel=1e-13, abs=1e-300)


def test_linear_maps_are_their_weights() -> None:
    x = torch.randn(20, 5, dtype=torch.float64)
    for block_map in (CentralLimit(), Stable(1.5), Stable(1), Decimation(3)):
        weights = block_map.weights(5)
        assert weights is not None
        torch.testing.assert_close(x @ weights, block_map(x))
    for text in ("maximum()", "majority()"):
        assert maps.parse(text).weights(5) is None


@pytest.mark.parametrize(
    ("text", "block_size", "message"),
    [
        ("majority()", 4, "block_size=4 is even, and majority() may have a tie; allowed: odd numbers from 3 on"),
        ("majority()", 2, "block_size=2 is even, and majority() may have a tie; allowed: odd numbers from 3 on"),
        ("decimation(keep=3)", 3, "decimation: keep=3 is not in a block of block_size=3; allowed: 0 to 2"),
        ("decimation(keep=0.5)", 2, "decimation: keep=0.5 is not a whole number; allowed: 0 to block_size - 1"),
        ("decimation(keep=-1)", 2, "decimation: keep=-1.0 is out of range; allowed: 0 to 1.04858e+06"),
    ],
)
def test_blocks_without_an_answer_are_refused(
    text: str, block_size: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError) as caught:
        CLTDataModule(block_size=block_size, map=text)
    assert str(caught.value) == message
    if text not in ("majority()", "decimation(keep=0.5)") or block_size == 4:
        return  # the command line is slow: one of each kind
    words = ["fit", "--config", "mlp_relu_free", "--data.map", text, "--data.block_size", str(block_size)]
    assert main([*words, "--model.block_size", str(block_size)]) == 2
    shown = capsys.readouterr().err
    assert message.partition(";")[0] in shown
    assert "Traceback" not in shown


def test_a_late_variable_is_kept_in_a_long_block() -> None:
    assert str(maps.parse("decimation(keep=7)")) == "decimation(keep=7)"
    assert CLTDataModule(block_size=8, map="decimation(keep=7)").batch("train", 0, 0).y.shape == (256,)
    with pytest.raises(InputError, match="keep=7"):
        Decimation(7)(torch.zeros(3, 2))
