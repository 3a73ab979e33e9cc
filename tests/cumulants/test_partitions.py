"""Set partitions, and the exact coefficients of unbiased estimators, against enumeration and closed forms."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from fractions import Fraction

import pytest

from renorm.cumulants.partitions import (
    moebius,
    monomials,
    partition_counts,
    set_partitions,
    sorted_sizes,
    squared_coefficients,
    symmetric_in_power_sums,
    unbiased_coefficients,
)

from .exact import estimate, law_cumulant, samples

LAWS = [
    {Fraction(-1): Fraction(1, 2), Fraction(2): Fraction(1, 3), Fraction(1, 2): Fraction(1, 6)},
    {Fraction(0): Fraction(9, 10), Fraction(1): Fraction(1, 10)},
]


def test_bell_and_stirling_numbers() -> None:
    assert [len(set_partitions(n)) for n in range(9)] == [1, 1, 2, 5, 15, 52, 203, 877, 4140]
    assert [len(set_partitions(n, smallest=2)) for n in range(2, 9)] == [1, 1, 4, 11, 41, 162, 715]
    assert partition_counts(5)[(2, 2, 1)] == 15
    for blocks in set_partitions(6):
        assert sorted(itertools.chain(*blocks)) == list(range(6))


@pytest.mark.parametrize("exponents", [(1, 1), (2, 1), (3, 2, 2), (1, 1, 1, 1)])
def test_sums_over_distinct_indices(exponents: tuple[int, ...]) -> None:
    values = [Fraction(3), Fraction(-2), Fraction(1, 3), Fraction(5), Fraction(7, 2)]
    brute = sum(
        math.prod(values[t] ** e for t, e in zip(indices, exponents, strict=True))
        for indices in itertools.permutations(range(5), len(exponents))
    )
    powers = [sum(v**p for v in values) for p in range(9)]
    found = sum(c * math.prod(powers[p] for p in orders) for orders, c in symmetric_in_power_sums(exponents).items())
    assert found == brute


@pytest.mark.parametrize("exponents", [(), (5,), (2, 2, 1), (3, 2, 1, 1), (4, 2, 2), (1,) * 7])
def test_sums_over_distinct_indices_are_moebius_sums_over_partitions(exponents: tuple[int, ...]) -> None:
    total: Counter[tuple[int, ...]] = Counter()
    for blocks in set_partitions(len(exponents)):
        orders = sorted_sizes(sum(exponents[i] for i in block) for block in blocks)
        total[orders] += math.prod(moebius(len(block)) for block in blocks)
    assert symmetric_in_power_sums(exponents) == total
    # the order of terms is the order in which floating-point numbers are added
    assert list(symmetric_in_power_sums(exponents)) == list(total)


@pytest.mark.parametrize("n", [4, 5, 11, 1000, 10**7])
def test_coefficients_of_the_first_four_are_fishers(n: int) -> None:
    assert unbiased_coefficients((2,), n) == {(2,): Fraction(1, n - 1)}
    assert unbiased_coefficients((3,), n) == {(3,): Fraction(n, (n - 1) * (n - 2))}
    assert unbiased_coefficients((4,), n) == {
        (4,): Fraction(n * (n + 1), (n - 1) * (n - 2) * (n - 3)),
        (2, 2): Fraction(-3, (n - 2) * (n - 3)),
    }


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("order", range(2, 7))
@pytest.mark.parametrize("extra", [0, 1])
def test_k_statistics_are_exactly_unbiased(law: dict[Fraction, Fraction], order: int, extra: int) -> None:
    mean = sum(p * estimate(sample, (order,)) for sample, p in samples(law, order + extra))
    assert mean == law_cumulant(law, order)


@pytest.mark.parametrize("order", [7, 8])
def test_k_statistics_of_high_order_are_exactly_unbiased(order: int) -> None:
    mean = sum(p * estimate(sample, (order,)) for sample, p in samples(LAWS[1], order))
    assert mean == law_cumulant(LAWS[1], order)


@pytest.mark.parametrize("order", range(2, 5))
def test_polykays_are_exactly_unbiased(order: int) -> None:
    law = LAWS[1]
    mean = sum(p * estimate(sample, (order, order)) for sample, p in samples(law, 2 * order + 1))
    assert mean == law_cumulant(law, order) ** 2


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_coefficients_of_squares_sum_to_those_of_polykays(order: int) -> None:
    n = 2 * order + 3
    by_sizes: dict[tuple[int, ...], Fraction] = {}
    for blocks, coefficient in squared_coefficients(order, n).items():
        sizes = tuple(sorted(map(len, blocks), reverse=True))
        by_sizes[sizes] = by_sizes.get(sizes, Fraction(0)) + coefficient
    assert by_sizes == unbiased_coefficients((order, order), n)


def test_monomials_go_with_coefficients() -> None:
    for orders in [(2,), (8,), (4, 4)]:
        assert monomials(orders) == tuple(unbiased_coefficients(orders, 16))


def test_too_few_values_are_refused() -> None:
    with pytest.raises(ValueError, match="n=3 is too small; allowed: at least 4"):
        unbiased_coefficients((4,), 3)
