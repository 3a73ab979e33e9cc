r"""Joint cumulants of nonlinear functions as a sum over connected diagrams.

For a vector whose Gaussian part has the variances :math:`\sigma_i^2`, with standardised joint cumulants
:math:`\lambda_v = \kappa_v / \prod \sigma_i^{v_i}`,

.. math::
    \kappa(f_1, \dots, f_r) = \sum \prod_v \frac{1}{m_v!} \Big(\frac{\lambda_v}{\prod_i v_i!}\Big)^{m_v}
    \prod_i E\big[f_i\, He_{d_i}(g_i)\big], \qquad d_i = \sum_v m_v v_i,

over connected multisets of hyperedges :math:`v \in N^r` of two or more legs, except two legs on one site: those are in the
Gaussian. For polynomials the sum is finite and exact. Source: McCullagh, Tensor Methods in Statistics (1987), chapter 3.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

LETTERS = "abcdefgh"

Edge = tuple[int, ...]  # legs on each site


class Limits(NamedTuple):
    """Which diagrams are summed.

    Attributes:
        legs: most legs on a site.
        size: most legs of a hyperedge, the closure order.
        excess: most legs beyond two, in all hyperedges together; 2 is Edgeworth's second order.
        pairs: most pairs, given the excess that is spent: ``pairs[excess]``.
    """

    legs: int
    size: int
    excess: int
    pairs: tuple[int, ...]


class Diagram(NamedTuple):
    """A multiset of hyperedges, and the permutations of sites that give its distinct images."""

    edges: tuple[tuple[Edge, int], ...]
    degrees: tuple[int, ...]
    weight: float
    images: tuple[tuple[int, ...], ...]


@functools.cache
def diagrams(labels: tuple[int, ...], limits: Limits) -> tuple[Diagram, ...]:
    """All connected diagrams on as many sites as there are labels, up to permutations of sites with the same label.

    Example:
        A pair of quadratic functions of a Gaussian: one line, or two.

        >>> [diagram.edges for diagram in diagrams((1, 1), Limits(legs=2, size=2, excess=0, pairs=(2,)))]
        [(((1, 1), 1),), (((1, 1), 2),)]
    """
    sites = len(labels)
    symmetries = [
        order
        for order in itertools.permutations(range(sites))
        if all(labels[o] == a for o, a in zip(order, labels, strict=True))
    ]
    pairs = [edge for edge in _edges(sites, 2) if max(edge) == 1]
    higher = [edge for size in range(3, limits.size + 1) for edge in _edges(sites, size)]
    found: list[Diagram] = []
    seen: set[tuple[Edge, ...]] = set()
    for chosen in _higher_multisets(higher, limits):
        spent = sum(sum(edge) - 2 for edge in chosen)
        most = limits.pairs[min(spent, len(limits.pairs) - 1)]
        for count in range(most + 1):
            for lines in itertools.combinations_with_replacement(pairs, count):
                edges = tuple(sorted((*chosen, *lines)))
                degrees = tuple(map(sum, zip(*edges, strict=True))) if edges else (0,) * sites
                if edges in seen or max(degrees) > limits.legs or not _is_connected(edges, sites):
                    continue
                images: dict[tuple[Edge, ...], tuple[int, ...]] = {}
                for order in symmetries:
                    images.setdefault(tuple(sorted(tuple(edge[o] for o in order) for edge in edges)), order)
                seen.update(images)
                found.append(_diagram(edges, degrees, tuple(images.values())))
    return tuple(found)


def _edges(sites: int, size: int) -> list[Edge]:
    rows = itertools.combinations_with_replacement(range(sites), size)
    return [tuple(row.count(site) for site in range(sites)) for row in rows]


def _higher_multisets(edges: list[Edge], limits: Limits) -> list[tuple[Edge, ...]]:
    found: list[tuple[Edge, ...]] = [()]
    layer: list[tuple[tuple[Edge, ...], int, int]] = [((), 0, 0)]
    while layer:
        following = []
        for chosen, start, spent in layer:
            for position in range(start, len(edges)):
                total = spent + sum(edges[position]) - 2
                grown = (*chosen, edges[position])
                if total <= limits.excess and max(map(sum, zip(*grown, strict=True))) <= limits.legs:
                    following.append((grown, position, total))
        found += [chosen for chosen, _, _ in following]
        layer = following
    return found


def _is_connected(edges: Sequence[Edge], sites: int) -> bool:
    reached = {0}
    while True:
        grown = reached | {i for edge in edges if any(edge[j] for j in reached) for i in range(sites) if edge[i]}
        if grown == reached:
            return len(reached) == sites
        reached = grown


def _diagram(edges: tuple[Edge, ...], degrees: tuple[int, ...], images: tuple[tuple[int, ...], ...]) -> Diagram:
    counted = tuple((edge, edges.count(edge)) for edge in dict.fromkeys(edges))
    weight = 1.0
    for edge, count in counted:
        weight /= math.factorial(count) * math.prod(map(math.factorial, edge)) ** count
    return Diagram(counted, degrees, weight, images)


def sum_diagrams(
    functions: Sequence[Tensor], labels: tuple[int, ...], joint: Sequence[Tensor], limits: Limits
) -> Tensor:
    r"""The joint cumulants :math:`\kappa(f_1(z_i), f_2(z_j), \dots)` for all indices of the sites.

    Args:
        functions: for each site :math:`E[f(z_i) He_k(g_i)]`, shape ``(degree + 1, M, d)``; equal for equal labels.
        labels: which function is at which site, one integer each.
        joint: standardised joint cumulants of orders 1, 2, ..., shapes ``(M, d)``, ``(M, d, d)``, ...; the first is not used.
        limits: which diagrams to sum.

    Returns:
        Shape ``(M, d, ..., d)``, one axis for each site.
    """
    sites = len(labels)
    total = joint[0].new_zeros(len(joint[0]), *[joint[0].shape[1]] * sites)
    tables: dict[Edge, Tensor] = {}
    for diagram in diagrams(labels, limits):
        terms, operands = [], []
        for site, degree in enumerate(diagram.degrees):
            terms.append(f"m{LETTERS[site]}")
            operands.append(functions[site][degree])
        for edge, count in diagram.edges:
            axes = [site for site in range(sites) if edge[site]]
            legs = tuple(edge[site] for site in axes)
            if legs not in tables:
                tables[legs] = _with_equal_legs(joint[sum(legs) - 1], legs)
            terms.append("m" + "".join(LETTERS[site] for site in axes))
            operands.append(tables[legs] ** count)
        value = _elementwise(terms, operands, sites) * diagram.weight
        for order in diagram.images:
            # site i of the image plays the part of site order[i]
            total = total + value.permute(0, *(1 + o for o in order))
    return total


def _with_equal_legs(tensor: Tensor, legs: tuple[int, ...]) -> Tensor:
    """The entries of a symmetric tensor with ``legs[0]`` equal indices, then ``legs[1]``, and so on."""
    axes = LETTERS[: len(legs)]
    repeated = "".join(letter * count for letter, count in zip(axes, legs, strict=True))
    value: Tensor = torch.einsum(f"m{repeated}->m{axes}", tensor)
    return value


def _elementwise(terms: list[str], operands: list[Tensor], sites: int) -> Tensor:
    """The product of tensors whose axes are named, aligned to the sites."""
    value: Tensor | None = None
    # small factors first: most products are then of few entries
    for term, operand in sorted(zip(terms, operands, strict=True), key=lambda pair: len(pair[0])):
        shape = [operand.shape[0]] + [1] * sites
        for axis, letter in enumerate(term[1:], start=1):
            shape[1 + LETTERS.index(letter)] = operand.shape[axis]
        aligned = operand.reshape(shape)
        value = aligned if value is None else value * aligned
    assert value is not None
    return value
