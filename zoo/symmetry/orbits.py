r"""Which weights are tied: a symmetry as the orbits of a group that acts on the network's axes.

A network is a chain of axes, input block -> hidden units -> ... -> output. A group element acts on each axis by a signed
permutation, and on a weight between two axes through both. Invariance of the network under the group means that weights
in one orbit are equal up to sign, ``W = sign * theta[index]``, and that a weight which the group maps to its own
negative is zero. Everything else (which weights exist, how many are free, which output bias must vanish) follows.
``TiedTensor`` in ``zoo/layers.py`` is such a weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True)
class SignedPermutation:
    """How one group element acts on one axis: element ``i`` goes to ``image[i]``, times ``sign``.

    Attributes:
        image: where each position goes, shape ``(size,)``.
        sign: 1 or -1.
    """

    image: NDArray[np.int64]
    sign: int = 1

    @staticmethod
    def identity(size: int, sign: int = 1) -> SignedPermutation:
        """The element that moves nothing, with or without a change of sign."""
        return SignedPermutation(np.arange(size), sign)


# axis 0 is the input block, axis depth + 1 the output; an axis that is absent is left alone
GroupElement: TypeAlias = dict[int, SignedPermutation]


@dataclass(frozen=True)
class Orbits:
    r"""The orbits of the entries of one tensor: ``W = sign * theta[index]``.

    Attributes:
        index: which free parameter each entry equals, shape of the tensor; 0 where ``sign`` is 0.
        sign: +1, -1, or 0 where the symmetry forces the entry to vanish; shape of the tensor.
        representatives: flat position of the first entry of each orbit, shape ``(count,)``.
    """

    index: NDArray[np.int64]
    sign: NDArray[np.int64]
    representatives: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Number of free parameters."""
        return len(self.representatives)

    @property
    def is_free(self) -> bool:
        """True where every entry is its own orbit, so that ``theta`` is ``W`` itself."""
        return self.count == self.index.size


def symmetric_group(size: int) -> list[SignedPermutation]:
    """Generators of all permutations of an axis: a transposition and the cycle."""
    if size < 2:
        return []
    swap = np.arange(size)
    swap[[0, 1]] = swap[[1, 0]]
    return [SignedPermutation(swap), SignedPermutation(np.roll(np.arange(size), 1))]


def pair_swap(size: int) -> SignedPermutation:
    """Swap units ``2i`` and ``2i + 1``."""
    return SignedPermutation(np.arange(size) ^ 1)


def copies(element: SignedPermutation, size: int) -> SignedPermutation:
    """An element of the block's group on an axis that holds copies of the block, one after the other.

    Example:
        >>> copies(SignedPermutation(np.array([1, 2, 0])), 6).image.tolist()
        [1, 2, 0, 4, 5, 3]
    """
    block = len(element.image)
    first = block * (np.arange(size) // block)
    return SignedPermutation(first + element.image[np.arange(size) % block], element.sign)


def orbits(shape: tuple[int, ...], actions: Sequence[tuple[SignedPermutation, ...]]) -> Orbits:
    r"""Orbits of the entries of a tensor under signed permutations of its axes.

    Args:
        shape: the tensor's shape.
        actions: for each generator of the group, its action on each axis.

    Returns:
        The orbits; the entries of one orbit are equal up to ``sign``.

    Example:
        >>> tie_columns = (SignedPermutation.identity(2), SignedPermutation(np.array([1, 0])))
        >>> orbits((2, 2), [tie_columns]).index.tolist()
        [[0, 0], [1, 1]]
    """
    size = int(np.prod(shape))
    entries = np.arange(size)
    # node e is "+entry e", node size + e is "-entry e"; an entry joined to its own negative must vanish
    sources, targets = [], []
    for action in actions:
        grid = np.meshgrid(*(axis.image for axis in action), indexing="ij")
        image = np.ravel_multi_index([g.ravel() for g in grid], shape)
        flipped = np.prod([axis.sign for axis in action]) < 0
        sources += [entries, entries + size]
        targets += [image + size * flipped, image + size * (not flipped)]
    if not actions:
        return Orbits(entries.reshape(shape), np.ones(shape, dtype=np.int64), entries)
    source, target = np.concatenate(sources), np.concatenate(targets)
    graph = coo_array((np.ones(len(source)), (source, target)), shape=(2 * size, 2 * size))
    _, label = connected_components(graph, directed=False)
    positive, negative = label[:size], label[size:]
    vanishes = positive == negative
    # an orbit and its mirror image are one orbit; its first entry counts as positive
    orbit_label = np.where(vanishes, -1, np.minimum(positive, negative))
    labels, first, index = np.unique(orbit_label, return_index=True, return_inverse=True)
    if vanishes.any():
        labels, first, index = labels[1:], first[1:], np.maximum(index - 1, 0)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    if len(labels) == 0:
        return Orbits(np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(0, np.int64))
    representatives = first[order]
    index = rank[index]
    same_side = positive == positive[representatives[index]]
    sign = np.where(vanishes, 0, np.where(same_side, 1, -1))
    return Orbits(np.where(vanishes, 0, index).reshape(shape), sign.reshape(shape), representatives)
