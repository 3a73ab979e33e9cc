"""A symmetry of your own: one class, then every command of renorm knows it.

python examples/own_symmetry.py fit --config mlp_relu_free --model.symmetry halves --model.block_size 4 --data.block_size 4
"""

from __future__ import annotations

import sys

import numpy as np

from renorm.cli import main
from renorm.zoo import Symmetry
from renorm.zoo.symmetry import GroupElement, SignedPermutation


class Halves(Symmetry):
    """Invariant under exchanging the two halves of the block, and of every hidden layer along with them."""

    name = "halves"

    def generators(self, sizes: list[int]) -> list[GroupElement]:
        if any(size % 2 for size in sizes[:-1]):
            raise ValueError("halves need an even block and an even width")
        # axis 0 is the block, then come the hidden layers; the output, the last axis, stays as it is
        return [{axis: SignedPermutation(np.roll(np.arange(n), n // 2)) for axis, n in enumerate(sizes[:-1])}]


if __name__ == "__main__":
    sys.exit(main())
