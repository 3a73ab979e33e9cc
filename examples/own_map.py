"""A map of your own: the midrange, which is odd and permutation symmetric, but not linear.

    python examples/own_map.py fit --config mlp_relu_free --data.map "midrange()" --name midrange

Everything then knows it: test, predict, resumed runs and sweeps; with --import examples/own_map.py, the command renorm too.
"""

from dataclasses import dataclass

from torch import Tensor

from renorm.cli import main
from renorm.maps import BlockMap


@dataclass(frozen=True)
class Midrange(BlockMap):
    """The middle between the largest and the smallest variable of a block."""

    name, parity, permutation_symmetric = "midrange", "odd", True

    def __call__(self, x: Tensor) -> Tensor:
        """From blocks of shape (..., b) to targets of shape (...)."""
        return (x.amax(dim=-1) + x.amin(dim=-1)) / 2


if __name__ == "__main__":
    raise SystemExit(main())
