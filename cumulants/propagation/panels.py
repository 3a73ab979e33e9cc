r"""One-dimensional laws made ready for quadrature: their atoms, or panels on which Gauss rules are exact to rounding."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError

Array = NDArray[np.float64]

ELSE = "allowed: narrower laws, edgeworth, or sampling"
NODES = 8  # the Gauss rule that a panel is fit for
TOLERANCE = 1e-13  # of a panel's integral, relative to the whole
MAX_ROUNDS = 250  # of bisection; a singular density needs many
MAX_DOUBLINGS = 300  # of the outermost panel; slow tails need many
MAX_PANELS = 2000  # of one law; singular densities take some hundreds
MAX_DISTANCE = 1e8  # of the mean from 0, in standard deviations: digits are lost to it, and then panels are many
MAX_COUNTS = 10**6  # values of a law on the integers


@dataclass(frozen=True)
class Panels:
    r"""Intervals on which the density is smooth enough for an eight-point Gauss rule.

    Attributes:
        edges: lower and upper ends, shape ``(panels, 2)``.
        mass: :math:`\int p\,(1 + |u|^q)` of each panel, relative to the whole, u the standardised variable; ``(panels,)``.
        pdf: the density.
    """

    edges: Array
    mass: Array
    pdf: Callable[[Any], Array]


def law_atoms(law: Any, power: int) -> tuple[Array, Array] | None:
    """Values and probabilities of a discrete law; those of an infinite one as far as ``|x|**power`` can matter.

    Args:
        law: anything with ``atoms() -> [(value, probability), ...] | None`` and ``scipy()``.
        power: highest power of the variable that will be integrated.

    Returns:
        Two arrays, or None for a law with a density.
    """
    atoms = law.atoms()
    if atoms is not None:
        return np.array([float(x) for x, _ in atoms]), np.array([float(p) for _, p in atoms])
    distribution = law.scipy()
    if hasattr(getattr(distribution, "dist", distribution), "pmf"):
        return _counts(distribution, power)
    return None


def _counts(distribution: Any, power: int) -> tuple[Array, Array]:
    """A law on the integers, cut where its tail is below rounding."""
    mean, std = float(distribution.mean()), float(distribution.std())
    reach = math.ceil((10 + power) * std + 40)
    if reach > MAX_COUNTS:
        raise InputError(
            f"method='quadrature': a law of standard deviation {std:.3g} has too many values to be summed; {ELSE}"
        )
    x = np.arange(max(math.floor(mean) - reach, *np.atleast_1d(distribution.support()[0])), math.floor(mean) + reach)
    p = distribution.pmf(x)
    kept = p * (1 + np.abs((x - mean) / std) ** power) > 1e-18
    return x[kept].astype(np.float64), p[kept] / p[kept].sum()


@functools.lru_cache(maxsize=64)
def law_panels(law: Any, power: int) -> Panels:
    r"""Panels on which the law's density times any power up to ``power`` is integrated to about 1e-13.

    Panels grow by doubling into infinite tails until what is left is negligible for :math:`\int |x|^q p`, then each is
    bisected until Gauss rules of 8 and 12 nodes agree. A density that is singular at an end other than 0, as the arcsine
    law's, is resolved to the spacing of floating-point numbers there, which leaves an error of 1e-8.

    Args:
        law: anything with ``pdf``, ``support``, ``breakpoints`` and ``cumulants``.
        power: highest power ``q`` of the variable that will be integrated; its moment must exist.

    Raises:
        ValueError: for a law without a mean or a usable density, or whose integral takes too many panels.
    """
    if not law.exact_cumulants(1):
        raise InputError(f"law={str(law)!r} has no mean; allowed for method='quadrature': laws with one")
    if getattr(law, "slow_density", False):
        raise InputError(f"law={str(law)!r} has no density in closed form; {ELSE}")
    first, second = (float(kappa) for kappa in law.cumulants(2))
    std = math.sqrt(second) if math.isfinite(second) and second > 0 else 1.0
    if abs(first) > MAX_DISTANCE * std:
        raise InputError(f"law={str(law)!r} is {abs(first) / std:.1g} widths away from 0; {ELSE}")

    def pdf(x: Any) -> Array:
        # where a singularity is closer than the spacing of numbers, what is left of it is left out
        p = law.pdf(x)
        return np.asarray(np.where(np.isfinite(p), p, 0.0), dtype=np.float64)

    def weighted(x: Array) -> Array:
        p = pdf(x)
        far = np.abs((x - first) / std) ** power
        return np.asarray(np.stack([p, np.where(p != 0, p * far, 0.0)]), dtype=np.float64)

    try:
        with np.errstate(over="raise", invalid="raise"):
            done, masses = _bisected(_reaching(law, first, std, weighted), weighted)
    except FloatingPointError:
        raise InputError(f"law={str(law)!r} reaches too far for |x|^{power} to be integrated; {ELSE}") from None
    except _TooManyError:
        raise InputError(f"law={str(law)!r} is not integrated on {MAX_PANELS} panels; {ELSE}") from None
    whole = masses.sum(axis=0)
    if not (whole != 0).all():  # the density is 0 at all points: it is narrower than the steps between them
        raise InputError(
            f"law={str(law)!r} is too narrow where it is, to be integrated; allowed: wider laws, edgeworth, or sampling"
        )
    order = np.argsort(done[:, 0])
    # a density may be negative in places; what counts is how much a panel holds
    return Panels(done[order], np.abs(masses / whole).sum(axis=1)[order], pdf)


class _TooManyError(Exception):
    """More panels than there is time for."""


def gauss(edges: Array, nodes: int, function: Callable[[Array], Array]) -> Array:
    """Integrals of a vector-valued function over panels, shape ``(panels, values)``."""
    t, w = np.polynomial.legendre.leggauss(nodes)
    half = (edges[:, 1:] - edges[:, :1]) / 2
    values = function(edges.mean(axis=1, keepdims=True) + half * t)
    return np.asarray((values * (half * w)).sum(axis=-1).T, dtype=np.float64)


def _reaching(law: Any, mean: float, std: float, weighted: Callable[[Array], Array]) -> Array:
    """The first panels: between breakpoints, and doubling into infinite tails."""
    low, high = law.support()
    inner = [point for point in law.breakpoints() if low <= point <= high]
    inner += [end for end in (low, high) if math.isfinite(end)]
    if not inner:
        inner = [mean]
    points = sorted(set(inner))
    for end, edge, sign in ((low, points[0], -1), (high, points[-1], 1)):
        if math.isfinite(end):
            continue
        step, whole, before = std, np.zeros(2), np.zeros(2)
        for doubling in range(MAX_DOUBLINGS):
            ends = sorted((edge, edge + sign * step))
            part = gauss(np.array([ends]), 24, weighted)[0]
            whole = whole + part
            edge += sign * step
            points.append(edge)
            # the tail is taken to fall at least as fast as it just did
            ratio = np.abs(part) / np.maximum(np.abs(before), 1e-300)
            rest = np.where(ratio < 1, np.abs(part) * ratio / np.maximum(1 - ratio, 1e-3), np.inf)
            if doubling > 3 and bool((rest <= TOLERANCE * whole).all()):
                break
            before, step = part, 2 * step if doubling else step
    points.sort()
    return np.stack([points[:-1], points[1:]], axis=1)


def _bisected(edges: Array, weighted: Callable[[Array], Array]) -> tuple[Array, Array]:
    done: list[Array] = []
    masses: list[Array] = []
    for _ in range(MAX_ROUNDS):
        coarse, fine = gauss(edges, NODES, weighted), gauss(edges, NODES + 4, weighted)
        whole = fine.sum(axis=0) + sum(m.sum(axis=0) for m in masses)
        tiny = edges[:, 1] - edges[:, 0] <= 1e-15 * np.abs(edges).max(axis=1)
        good = (np.abs(coarse - fine) <= TOLERANCE * whole).all(axis=1) | tiny
        done.append(edges[good])
        masses.append(fine[good])
        edges = edges[~good]
        if not len(edges):
            break
        if len(edges) + sum(map(len, done)) > MAX_PANELS:
            raise _TooManyError
        middle = edges.mean(axis=1)
        edges = np.concatenate([np.stack([edges[:, 0], middle], 1), np.stack([middle, edges[:, 1]], 1)])
    return np.concatenate(done), np.concatenate(masses)
