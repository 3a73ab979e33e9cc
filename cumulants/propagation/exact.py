r"""Exact cumulants of polynomial networks: the Gauss rule of the law has no error, and fractions have no rounding."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InputError
from ..joint import check_entries
from ..kstatistics import check_order
from ..partitions import moebius, set_partitions
from .gauss_rules import gauss_rule
from .network import Network
from .plane import Cubature
from .tensors import VectorLaw

MAX_TERMS = 20_000  # of a polynomial in fractions

Polynomial = dict[tuple[int, ...], Fraction]  # powers of the variables -> coefficient


class GaussCubature(Cubature):
    r"""The points of a polynomial network: exact to order ``n`` with the Gauss rule of degree :math:`n \prod_l \deg \phi_l`.

    Args:
        network: members whose activations are all polynomials.
        law: anything with ``exact_cumulants``.
        order: highest order of the cumulants.

    Raises:
        ValueError: for other activations, laws without the moments, or blocks of too many points.
    """

    def _one_dimensional(self) -> tuple[Tensor, Tensor]:
        check_polynomial(self.network)
        if not self.exists:
            raise InputError(f"law={str(self.law)!r} has no finite moments for this network", "other laws")
        values, weights = gauss_rule(self.law, self._power)
        return torch.from_numpy(values).to(self.network.device), torch.from_numpy(weights).to(self.network.device)


def check_polynomial(network: Network) -> None:
    """Raise a ValueError where an activation is not a polynomial."""
    if not network.is_polynomial:
        raise InputError("method='exact' is for polynomial activations; allowed here: quadrature, gaussian, edgeworth")


def exact(network: Network, law: Any, order: int) -> dict[str, VectorLaw]:
    """Every layer of a polynomial network without truncation, differentiable; see :class:`GaussCubature`."""
    return GaussCubature(network, law, order).layers()


class RationalLaw(VectorLaw):
    """One layer of a polynomial network in fractions: its units are polynomials of the block's variables.

    Args:
        polynomials: for each member and unit.
        moments: of one variable, order 0 and up.
        order: highest order of the cumulants.
        device: where tensors are put; the fractions are Python's.
    """

    def __init__(
        self,
        polynomials: list[list[Polynomial]],
        moments: Sequence[Fraction],
        order: int,
        device: torch.device | None = None,
    ) -> None:
        self.members, self.units, self.order = len(polynomials), len(polynomials[0]), order
        self._polynomials, self._moments, self._device = polynomials, moments, device
        self._known: dict[tuple[int, tuple[int, ...]], Fraction] = {}

    def fractions(self, n: int) -> NDArray[np.object_]:
        """Joint cumulants of order ``n`` as ``fractions.Fraction``, an object array of shape ``(M, d, ..., d)``."""
        check_order(n, self.order)
        check_entries(self.units, n)
        result = np.empty((self.members, *[self.units] * n), dtype=object)
        for member in range(self.members):
            for units in itertools.combinations_with_replacement(range(self.units), n):
                kappa = self._cumulant(member, units)
                for order in itertools.permutations(units):
                    result[(member, *order)] = kappa
        return result

    def cumulants(self, n: int) -> Tensor:
        """The fractions, rounded."""
        return torch.from_numpy(self.fractions(n).astype(np.float64)).to(self._device)

    def marginal(self, n: int) -> Tensor:
        """The fractions of single units, rounded."""
        check_order(n, self.order)
        rows = [[float(self._cumulant(m, (i,) * n)) for i in range(self.units)] for m in range(self.members)]
        return torch.tensor(rows, dtype=torch.float64, device=self._device)

    def _cumulant(self, member: int, units: tuple[int, ...]) -> Fraction:
        total = Fraction(0)
        for blocks in set_partitions(len(units)):
            term = Fraction(moebius(len(blocks)))
            for block in blocks:
                term *= self._moment(member, tuple(units[i] for i in block))
            total += term
        return total

    def _moment(self, member: int, units: tuple[int, ...]) -> Fraction:
        key = (member, units)
        if key not in self._known:
            product = functools.reduce(multiply, (self._polynomials[member][unit] for unit in units))
            self._known[key] = sum((c * self._expectation(powers) for powers, c in product.items()), Fraction(0))
        return self._known[key]

    def _expectation(self, powers: tuple[int, ...]) -> Fraction:
        value = Fraction(1)
        for power in powers:
            value *= self._moments[power]
        return value


def in_fractions(network: Network, law: Any, order: int) -> dict[str, VectorLaw]:
    """Every layer of a polynomial network in fractions: no rounding at all, and no derivatives.

    Raises:
        ValueError: for other activations, and laws whose cumulants are irrational or do not exist.
    """
    check_polynomial(network)
    moments = _rational_moments(law, order * network.growth)
    b = network.block_size
    variables: list[Polynomial] = [{tuple(int(i == j) for i in range(b)): Fraction(1)} for j in range(b)]
    units = [variables] * network.members
    one: Polynomial = {(0,) * b: Fraction(1)}
    found: dict[str, VectorLaw] = {}
    for layer, nonlinearity in enumerate(network.nonlinear):
        units = _affine(units, *network.affine[layer], one)
        found[f"pre{layer}"] = RationalLaw(units, moments, order, network.device)
        units = _activated(units, nonlinearity.polynomial(), one)
        found[f"act{layer}"] = RationalLaw(units, moments, order, network.device)
    outputs = _affine(units, *network.affine[-1], one)
    return found | {"out": RationalLaw(outputs, moments, order, network.device)}


def _rational_moments(law: Any, order: int) -> list[Fraction]:
    kappas = law.exact_cumulants(order)
    if len(kappas) < order or not all(isinstance(kappa, int | Fraction) for kappa in kappas):
        raise InputError(f"law={str(law)!r} has no rational cumulants to order {order}", "rational=False")
    moments = [Fraction(1)]
    for n in range(1, order + 1):
        moments.append(
            sum((math.comb(n - 1, k - 1) * kappas[k - 1] * moments[n - k] for k in range(1, n + 1)), Fraction(0))
        )
    return moments


def multiply(p: Polynomial, q: Polynomial) -> Polynomial:
    """Product of two polynomials.

    Example:
        >>> multiply({(1,): Fraction(1), (0,): Fraction(1)}, {(1,): Fraction(1), (0,): Fraction(-1)})
        {(2,): Fraction(1, 1), (0,): Fraction(-1, 1)}
    """
    result: Polynomial = {}
    for a, c in p.items():
        for b, e in q.items():
            powers = tuple(map(sum, zip(a, b, strict=True)))
            result[powers] = result.get(powers, Fraction(0)) + c * e
    if len(result) > MAX_TERMS:
        raise InputError(f"rational=True leads to polynomials of {len(result)} terms", f"{MAX_TERMS}, or False")
    return {powers: c for powers, c in result.items() if c}


def _combine(terms: list[tuple[Fraction, Polynomial]]) -> Polynomial:
    result: Polynomial = {}
    for factor, polynomial in terms:
        for powers, c in polynomial.items():
            result[powers] = result.get(powers, Fraction(0)) + factor * c
    return {powers: c for powers, c in result.items() if c}


def _affine(units: list[list[Polynomial]], weight: Tensor, bias: Tensor, one: Polynomial) -> list[list[Polynomial]]:
    rows = []
    for polynomials, matrix, shift in zip(units, weight.tolist(), bias.tolist(), strict=True):
        images = []
        for row, b in zip(matrix, shift, strict=True):
            terms = [(Fraction(w), polynomial) for w, polynomial in zip(row, polynomials, strict=True)]
            images.append(_combine([(Fraction(b), one), *terms]))
        rows.append(images)
    return rows


def _activated(units: list[list[Polynomial]], coefficients: Tensor | None, one: Polynomial) -> list[list[Polynomial]]:
    assert coefficients is not None
    result = []
    for polynomials, rows in zip(units, coefficients.tolist(), strict=True):
        by_unit = rows * len(polynomials) if len(rows) == 1 else rows
        result.append([_composed(row, polynomial, one) for row, polynomial in zip(by_unit, polynomials, strict=True)])
    return result


def _composed(coefficients: list[float], polynomial: Polynomial, one: Polynomial) -> Polynomial:
    """Horner's rule."""
    value: Polynomial = {}
    for coefficient in reversed(coefficients):
        value = _combine([(Fraction(1), multiply(value, polynomial)), (Fraction(coefficient), one)])
    return value
