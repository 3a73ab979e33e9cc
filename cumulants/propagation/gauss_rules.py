r"""Gauss quadrature for a law from its exact moments: few points that integrate polynomials without error."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError

DIGITS = 400  # moments of high order lose most of their digits on the way to a rule

Array = NDArray[np.float64]


@functools.lru_cache(maxsize=64)
def gauss_rule(law: Any, degree: int) -> tuple[Array, Array]:
    r"""Nodes and weights with :math:`E\,x^k = \sum_i w_i x_i^k` for all powers up to ``degree``.

    The nodes are the zeros of the polynomial orthogonal under the law, found from the three-term recurrence of its exact
    moments; a law on fewer atoms than nodes gives back its atoms.

    Args:
        law: anything with ``exact_cumulants(order)``, fractions or mpmath numbers.
        degree: highest power, 1 or more.

    Raises:
        ValueError: for a law without these moments.

    Source:
        Golub and Welsch, Mathematics of Computation 23 (1969) 221.

    Example:
        >>> from renorm.datamodules import laws
        >>> gauss_rule(laws.parse("gaussian()"), 3)
        (array([-1.,  1.]), array([0.5, 0.5]))
    """
    count = degree // 2 + 1
    kappas = law.exact_cumulants(2 * count)
    if len(kappas) < degree:
        raise InputError(f"law={str(law)!r} has moments up to order {len(kappas)}", f"laws that have {degree}")
    ctx = _context()
    moments = _moments([_number(ctx, kappa) for kappa in kappas])
    if len(kappas) < 2 * count:
        moments.append(ctx.mpf(0))  # of an even degree, the last moment has no part in the rule
    diagonal, below = _recurrence(ctx, moments, count)
    nodes = [_polished(ctx, x, diagonal, below) for x in _first_guess(diagonal, below)]
    weights = [1 / ctx.fsum(p * p for p in _orthonormal(ctx, x, diagonal, below)[0]) for x in nodes]
    return np.array([float(x) for x in nodes]), np.array([float(w) for w in weights])


@functools.cache
def _context() -> Any:
    import mpmath

    ctx = mpmath.mp.clone()
    ctx.dps = DIGITS
    return ctx


def _number(ctx: Any, x: Any) -> Any:
    return ctx.mpf(x.numerator) / x.denominator if isinstance(x, int | Fraction) else ctx.mpf(x)


def _moments(kappas: Sequence[Any]) -> list[Any]:
    moments = [1]
    for n in range(1, len(kappas) + 1):
        moments.append(sum(math.comb(n - 1, k - 1) * kappas[k - 1] * moments[n - k] for k in range(1, n + 1)))
    return moments


def _recurrence(ctx: Any, moments: Sequence[Any], count: int) -> tuple[list[Any], list[Any]]:
    r"""Coefficients of :math:`p_{k+1} = (x - a_k) p_k - b_k p_{k-1}` by Chebyshev's algorithm; fewer for a law on few atoms."""
    before, row = [ctx.mpf(0)] * len(moments), [ctx.mpf(m) for m in moments]
    diagonal, below = [row[1] / row[0]], [row[0]]
    for k in range(1, count):
        following = [ctx.mpf(0)] * len(moments)
        for i in range(k, 2 * count - k):
            following[i] = row[i + 1] - diagonal[-1] * row[i] - below[-1] * before[i]
        # what is left of a moment that cancelled
        if abs(following[k]) <= ctx.mpf(10) ** (-DIGITS // 2) * abs(row[k - 1]) * (1 + abs(moments[2])):
            break
        diagonal.append(following[k + 1] / following[k] - row[k] / row[k - 1])
        below.append(following[k] / row[k - 1])
        before, row = row, following
    return diagonal, below


def _first_guess(diagonal: Sequence[Any], below: Sequence[Any]) -> Array:
    from scipy.linalg import eigvalsh_tridiagonal

    roots = [math.sqrt(b) for b in below[1:]]
    return np.asarray(eigvalsh_tridiagonal([float(a) for a in diagonal], roots), dtype=np.float64)


def _orthonormal(ctx: Any, x: Any, diagonal: Sequence[Any], below: Sequence[Any]) -> tuple[list[Any], Any, Any]:
    """Orthonormal polynomials below the last, then the last and its derivative up to a factor."""
    values = [ctx.mpf(1)]
    p, dp, p_before, dp_before = ctx.mpf(1), ctx.mpf(0), ctx.mpf(0), ctx.mpf(0)
    norm = ctx.mpf(1)
    for k, (a, b) in enumerate(zip(diagonal, below, strict=True)):
        lower = b if k else ctx.mpf(0)
        p, p_before, dp, dp_before = (
            (x - a) * p - lower * p_before,
            p,
            p + (x - a) * dp - lower * dp_before,
            dp,
        )
        if k + 1 < len(diagonal):
            norm = norm * below[k + 1]
            values.append(p / ctx.sqrt(norm))
    return values, p, dp


def _polished(ctx: Any, guess: float, diagonal: Sequence[Any], below: Sequence[Any]) -> Any:
    """A zero of the last polynomial by Newton's method."""
    x = ctx.mpf(guess)
    for _ in range(6):
        _, p, slope = _orthonormal(ctx, x, diagonal, below)
        x = x - p / slope
    return x
