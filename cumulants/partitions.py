r"""Set partitions and the exact coefficients that they give to unbiased estimators of cumulants."""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction

from ..errors import InputError

Sizes = tuple[int, ...]  # the block sizes of a partition, largest first


@functools.cache
def set_partitions(n: int, smallest: int = 1) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """All partitions of ``{0, ..., n-1}`` into blocks of at least ``smallest`` elements.

    Args:
        n: number of elements, 0 or more.
        smallest: least number of elements in a block.

    Example:
        >>> set_partitions(3, smallest=2)
        (((0, 1, 2),),)
        >>> [len(set_partitions(n)) for n in range(1, 6)]
        [1, 2, 5, 15, 52]
    """
    found: list[list[list[int]]] = [[]]
    for element in range(n):
        found = [
            [*blocks[:i], [*blocks[i], element], *blocks[i + 1 :]] if i < len(blocks) else [*blocks, [element]]
            for blocks in found
            for i in range(len(blocks) + 1)
        ]
    return tuple(tuple(map(tuple, blocks)) for blocks in found if all(len(block) >= smallest for block in blocks))


@functools.cache
def partition_counts(n: int) -> dict[Sizes, int]:
    """How many set partitions of ``n`` elements have the block sizes given by the key.

    Example:
        >>> partition_counts(4)
        {(4,): 1, (3, 1): 4, (2, 2): 3, (2, 1, 1): 6, (1, 1, 1, 1): 1}
    """
    return dict(Counter(sorted_sizes(map(len, blocks)) for blocks in set_partitions(n)))


def sorted_sizes(sizes: Iterable[int]) -> Sizes:
    """Block sizes, largest first."""
    return tuple(sorted(sizes, reverse=True))


def moebius(blocks: int) -> int:
    r"""Möbius function of the partition lattice, :math:`(-1)^{B-1} (B-1)!` for :math:`B` blocks."""
    size = math.factorial(blocks - 1)
    return size if blocks % 2 else -size


@functools.cache
def symmetric_in_power_sums(exponents: Sizes) -> dict[Sizes, int]:
    r"""A sum over distinct indices, :math:`\sum_{t_1 \ne \dots \ne t_B} x_{t_1}^{e_1} \cdots x_{t_B}^{e_B}`, in power sums.

    Args:
        exponents: :math:`e_1, \dots, e_B`.

    Returns:
        Coefficients of the products of power sums, by the orders of the power sums.

    Example:
        ``sum over t != u of x_t x_u = S_1^2 - S_2``:

        >>> symmetric_in_power_sums((1, 1)) == {(2,): -1, (1, 1): 1}
        True
    """
    if not exponents:
        return {(): 1}
    *rest, last = exponents
    total: Counter[Sizes] = Counter()
    # the last index runs over all values, less those at which it meets another index
    for orders, coefficient in symmetric_in_power_sums(tuple(rest)).items():
        total[sorted_sizes((*orders, last))] += coefficient
    for i, exponent in enumerate(rest):
        met = sorted_sizes((*rest[:i], exponent + last, *rest[i + 1 :]))
        for orders, coefficient in symmetric_in_power_sums(met).items():
            total[orders] -= coefficient
    return dict(sorted(total.items(), reverse=True))  # one order for all, in which sums are rounded


@functools.cache
def _centred_terms(orders: Sizes) -> dict[Sizes, dict[int, int]]:
    r"""Power sums -> number of distinct indices :math:`B` -> integer; see :func:`unbiased_coefficients`."""
    terms: dict[Sizes, dict[int, int]] = {}
    for choice in itertools.product(*(partition_counts(order).items() for order in orders)):
        weight = math.prod(count * moebius(len(sizes)) for sizes, count in choice)
        exponents = sorted_sizes(size for sizes, _ in choice for size in sizes)
        for sums, coefficient in symmetric_in_power_sums(exponents).items():
            if 1 not in sums:  # the sum of centred values is zero
                by_count = terms.setdefault(sums, {})
                by_count[len(exponents)] = by_count.get(len(exponents), 0) + weight * coefficient
    return terms


def monomials(orders: Sizes) -> tuple[Sizes, ...]:
    """The products of power sums in an unbiased estimator, in the order of :func:`unbiased_coefficients`."""
    return tuple(_centred_terms(orders))


@functools.cache
def unbiased_coefficients(orders: Sizes, n: int) -> dict[Sizes, Fraction]:
    r"""The unbiased estimator of :math:`\kappa_{r_1} \kappa_{r_2} \cdots` in centred power sums of ``n`` values.

    A product of cumulants is a sum over set partitions of products of moments, and a product of :math:`B` moments is
    estimated without bias by the mean over distinct indices, a sum over distinct indices divided by
    :math:`n (n-1) \cdots (n-B+1)`. One order gives the k-statistic, several a polykay.

    Args:
        orders: :math:`r_1, r_2, \dots`; a 1 is allowed where the estimated quantity as a whole does not depend on the mean.
        n: number of values, at least the sum of the orders.

    Returns:
        Orders of the power sums :math:`S_p = \sum (x - \bar x)^p` in a product -> its coefficient.

    Raises:
        ValueError: for fewer values than the sum of the orders.

    Source:
        Fisher, Proceedings of the London Mathematical Society 30 (1930) 199; Tukey, JASA 45 (1950) 501.

    Example:
        >>> unbiased_coefficients((2,), 5)
        {(2,): Fraction(1, 4)}
    """
    if n < sum(orders):
        raise InputError(f"n={n} is too small", f"at least {sum(orders)}")
    return {
        sums: sum((Fraction(a, math.perm(n, count)) for count, a in by_count.items()), Fraction(0))
        for sums, by_count in _centred_terms(orders).items()
    }


@functools.cache
def squared_coefficients(order: int, n: int) -> dict[tuple[tuple[int, ...], ...], Fraction]:
    r"""The unbiased estimator of the square of a joint cumulant, :math:`\kappa(x_0, \dots, x_{r-1})^2`.

    The square is that of two copies of the variables, ``0, ..., r-1`` and ``r, ..., 2r-1``: a partition of all ``2r`` stands
    for the product of its blocks' centred sums.

    Args:
        order: ``r``, 1 or more.
        n: number of values, at least ``2 r``.

    Returns:
        Set partition without singletons -> coefficient.

    Example:
        >>> squared_coefficients(1, 5)
        {((0, 1),): Fraction(-1, 20)}
    """
    found: dict[tuple[tuple[int, ...], ...], Fraction] = {}
    second = [[[i + order for i in block] for block in blocks] for blocks in set_partitions(order)]
    for one, two in itertools.product(set_partitions(order), second):
        parts = [*one, *two]
        weight = Fraction(moebius(len(one)) * moebius(len(two)), math.perm(n, len(parts)))
        for groups in set_partitions(len(parts)):
            blocks = tuple(sorted(tuple(sorted(i for part in group for i in parts[part])) for group in groups))
            if all(len(block) > 1 for block in blocks):
                found[blocks] = found.get(blocks, Fraction(0)) + weight * math.prod(moebius(len(g)) for g in groups)
    return found
