"""Exact references in fractions of whole numbers: slow, and free of rounding."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

from renorm.cumulants.partitions import set_partitions, unbiased_coefficients


def moments_to_cumulant(moments: Sequence[Fraction], order: int) -> Fraction:
    """A cumulant from moments about the origin, ``moments[p]`` of order p, by the sum over set partitions."""
    total = Fraction(0)
    for blocks in set_partitions(order):
        sign = (-1) ** (len(blocks) - 1) * math.factorial(len(blocks) - 1)
        total += sign * math.prod((moments[len(block)] for block in blocks), start=Fraction(1))
    return total


def law_cumulant(atoms: dict[Fraction, Fraction], order: int) -> Fraction:
    """Cumulant of a discrete law, value -> probability."""
    moments = [sum((p * v**k for v, p in atoms.items()), Fraction(0)) for k in range(order + 1)]
    return moments_to_cumulant(moments, order)


def samples(atoms: dict[Fraction, Fraction], n: int) -> Iterator[tuple[tuple[Fraction, ...], Fraction]]:
    """Every sample of n values with its probability."""
    for sample in itertools.product(atoms, repeat=n):
        yield sample, math.prod((atoms[v] for v in sample), start=Fraction(1))


def estimate(sample: Sequence[Fraction], orders: tuple[int, ...]) -> Fraction:
    """An unbiased estimate in exact arithmetic."""
    n = len(sample)
    mean = sum(sample, Fraction(0)) / n
    powers = [sum(((v - mean) ** p for v in sample), Fraction(0)) for p in range(sum(orders) + 1)]
    return sum(
        (
            c * math.prod((powers[p] for p in sums), start=Fraction(1))
            for sums, c in unbiased_coefficients(orders, n).items()
        ),
        Fraction(0),
    )


def kstat(values: Sequence[float], order: int) -> float:
    """The k-statistic of floating-point numbers, without any rounding before the last."""
    exact = [Fraction(v) for v in values]
    return float(sum(exact) / len(exact)) if order == 1 else float(estimate(exact, (order,)))
