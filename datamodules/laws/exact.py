"""Exact arithmetic for moments and cumulants: fractions where numbers are rational, 4096 bits where they are not."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeAlias

# Fraction, or mpmath's mpf (which is untyped) where a number is irrational
Number: TypeAlias = Any

BITS = 4096
# Parameters lie within 10^±30, so a cumulant of order 8 that is not zero is above 2^-2000 of the terms it is the sum
# of: what is below 2^-ZERO_BITS of them is rounding at 4096 bits, and the true sum is zero.
ZERO_BITS = 3000


@functools.cache
def context() -> Any:
    """An mpmath context of 4096 bits, apart from the user's own."""
    import mpmath

    ctx = mpmath.mp.clone()
    ctx.prec = BITS
    return ctx


@functools.cache
def zeta(n: int) -> Number:
    """Riemann's ζ(n), n >= 2."""
    return context().zeta(n)


@functools.cache
def euler_gamma() -> Number:
    """Euler's constant γ."""
    return +context().euler


def to_mpf(x: Number) -> Number:
    """Any number at 4096 bits."""
    return context().mpf(x.numerator) / x.denominator if isinstance(x, int | Fraction) else x


def to_float(x: Number) -> float:
    """Nearest double; infinite beyond its range."""
    try:
        return float(x)
    except OverflowError:
        return math.copysign(math.inf, x)


def product(*factors: Number) -> Number:
    """Product, rational where all factors are, and exactly 0 where one factor is."""
    if any(factor == 0 for factor in factors):
        return Fraction(0)
    if not all(isinstance(factor, int | Fraction) for factor in factors):
        factors = tuple(to_mpf(factor) for factor in factors)
    return math.prod(factors)


def total(terms: Sequence[Number]) -> Number:
    """Sum, rational where all terms are; exactly 0 where terms that are not rational cancel."""
    if all(isinstance(term, int | Fraction) for term in terms):
        return sum(terms, Fraction(0))
    big = [to_mpf(term) for term in terms]
    result = context().fsum(big)
    rounding = context().ldexp(context().fsum(big, absolute=True), -ZERO_BITS)
    return Fraction(0) if abs(result) <= rounding else result


def quotient(x: Number, y: Number) -> Number:
    """Ratio of x to y, rational where both are."""
    return product(x, 1 / Fraction(y) if isinstance(y, int | Fraction) else 1 / y)


def root(x: Number) -> Number:
    """Square root, rational where it can be."""
    if isinstance(x, Fraction):
        top, bottom = math.isqrt(x.numerator), math.isqrt(x.denominator)
        if top * top == x.numerator and bottom * bottom == x.denominator:
            return Fraction(top, bottom)
    return context().sqrt(to_mpf(x))


def moments_of(cumulants: Sequence[Number]) -> list[Number]:
    r"""Raw moments :math:`m_0, \dots, m_n` from cumulants :math:`\kappa_1, \dots, \kappa_n`.

    .. math:: m_n = \sum_{k=1}^{n} \binom{n-1}{k-1} \kappa_k m_{n-k}

    Example:
        >>> moments_of([0, 1, 0, 0])
        [Fraction(1, 1), Fraction(0, 1), Fraction(1, 1), Fraction(0, 1), Fraction(3, 1)]
    """
    moments: list[Number] = [Fraction(1)]
    for n in range(1, len(cumulants) + 1):
        terms = [product(math.comb(n - 1, k - 1), cumulants[k - 1], moments[n - k]) for k in range(1, n + 1)]
        moments.append(total(terms))
    return moments


def cumulants_of(moments: Sequence[Number]) -> list[Number]:
    r"""Cumulants :math:`\kappa_1, \dots, \kappa_n` from raw moments :math:`m_0, \dots, m_n`, about any origin.

    .. math:: \kappa_n = m_n - \sum_{k=1}^{n-1} \binom{n-1}{k-1} \kappa_k m_{n-k}

    Example:
        >>> cumulants_of([Fraction(1), Fraction(0), Fraction(1), Fraction(0), Fraction(1)])
        [Fraction(0, 1), Fraction(1, 1), Fraction(0, 1), Fraction(-2, 1)]
    """
    cumulants: list[Number] = []
    for n in range(1, len(moments)):
        terms = [product(-math.comb(n - 1, k - 1), cumulants[k - 1], moments[n - k]) for k in range(1, n)]
        cumulants.append(total([moments[n], *terms]))
    return cumulants


def shifted(cumulants: Sequence[Number], shift: Number) -> list[Number]:
    """Cumulants after adding a constant to the variable."""
    return [total([cumulants[0], shift]), *cumulants[1:]] if cumulants else []
