"""The symmetries that come with renorm."""

from __future__ import annotations

import numpy as np

from ...errors import InputError
from .orbits import GroupElement, SignedPermutation, copies, pair_swap, symmetric_group
from .symmetry import Symmetry


class Free(Symmetry):
    """No weights tied."""

    name = "free"

    def generators(self, sizes: list[int]) -> list[GroupElement]:
        """None."""
        return []


class Input(Symmetry):
    """Invariant under permuting the block."""

    name = "input"

    def generators(self, sizes: list[int]) -> list[GroupElement]:
        """Permutations of the block that leave the units where they are: a function of the block's sum."""
        return [{0: element} for element in symmetric_group(sizes[0])]


class Hidden(Symmetry):
    """Invariant under permuting the units of a hidden layer."""

    name = "hidden"

    def generators(self, sizes: list[int]) -> list[GroupElement]:
        """Permutations of every hidden layer, each by itself."""
        return [{axis: element} for axis in range(1, len(sizes) - 1) for element in symmetric_group(sizes[axis])]


class Full(Symmetry):
    """Input and hidden together."""

    name = "full"

    def generators(self, sizes: list[int]) -> list[GroupElement]:
        """Those of both."""
        return Input().generators(sizes) + Hidden().generators(sizes)


class Odd(Symmetry):
    """f(-x) = -f(x) through sign-flipped pairs of units."""

    name = "odd"

    def generators(self, sizes: list[int]) -> list[GroupElement]:
        """One: the block and the output change sign, and the two units of every pair change places."""
        for width in sizes[1:-1]:
            if width % 2:
                raise InputError(f"width={width} is odd, and symmetry={self.name!r} pairs the units", "even widths")
        flip: GroupElement = {axis: pair_swap(sizes[axis]) for axis in range(1, len(sizes) - 1)}
        return [flip | {axis: SignedPermutation.identity(sizes[axis], sign=-1) for axis in (0, len(sizes) - 1)}]


class OddInput(Odd):
    """Odd and input together."""

    name = "odd_input"

    def generators(self, sizes: list[int]) -> list[GroupElement]:
        """Those of both."""
        return Input().generators(sizes) + super().generators(sizes)


class BlockGroup(Symmetry):
    r"""Base of groups that permute the block, and the hidden units along with it; the output is invariant.

    A hidden layer holds copies of the block, channels: unit ``c b + i`` is the one of channel ``c`` at position ``i``. Layers
    before the output are equivariant, and the output sums over the positions of each channel. Unlike under ``input``, which
    leaves the units where they are, the network need not be a function of the block's sum.

    Source:
        Zaheer et al., Deep Sets, NeurIPS 2017; Ravanbakhsh, Schneider and Póczos, Equivariance through parameter-sharing, ICML
        2017.
    """

    def on_block(self, size: int) -> list[SignedPermutation]:
        """Generators of the group, as permutations of a block of ``size``."""
        raise NotImplementedError(f"{type(self).__name__} must say how it permutes the block")

    def generators(self, sizes: list[int]) -> list[GroupElement]:
        """Each element on the block and, copy by copy, on every hidden layer.

        Raises:
            ValueError: for a width that is not a multiple of the block's size.
        """
        block = sizes[0]
        for width in sizes[1:-1]:
            if width % block:
                raise InputError(
                    f"width={width} does not hold whole copies of the block, which symmetry={self.name!r} permutes",
                    f"multiples of block_size={block}",
                )
        return [
            {0: element} | {axis: copies(element, sizes[axis]) for axis in range(1, len(sizes) - 1)}
            for element in self.on_block(block)
        ]


class Cyclic(BlockGroup):
    """Invariant under rotating the block, with the units of a channel along with it."""

    name = "cyclic"

    def on_block(self, size: int) -> list[SignedPermutation]:
        """The shift by one: weights of a channel are a circular convolution."""
        return [SignedPermutation(np.roll(np.arange(size), 1))]


class Dihedral(BlockGroup):
    """Invariant under rotating and reflecting the block, with the units of a channel along with it."""

    name = "dihedral"

    def on_block(self, size: int) -> list[SignedPermutation]:
        """The shift by one and the reversal."""
        return [*Cyclic().on_block(size), SignedPermutation(np.arange(size)[::-1])]


class Permutation(BlockGroup):
    """Invariant under permuting the block, with the units of a channel along with it."""

    name = "permutation"

    def on_block(self, size: int) -> list[SignedPermutation]:
        """All permutations: weights between two channels are ``a`` on the diagonal and ``b`` off it."""
        return symmetric_group(size)
