"""Data of your own: blocks of successive values of an AR(1) process, which are correlated.

    python examples/own_data.py fit --config mlp_relu_free --data AR1 --data.rho 0.7 --data.train_laws "gaussian()" --name ar1

The map is taken from --data.map as always. As the blocks are not independent, nothing is called exact; diagnostics show what
the data show.
"""

from typing import Any

import torch
from torch import Tensor

from renorm.cli import main
from renorm.datamodules import CLTDataModule


class AR1(CLTDataModule):
    """x_(i+1) = rho x_i + sqrt(1 - rho^2) e_i, with innovations e from each law."""

    def __init__(self, rho: float = 0.7, **settings: Any) -> None:
        super().__init__(**settings)
        self.rho = rho

    def draw(self, law: Any, rows: int, generator: torch.Generator) -> Tensor:
        """Blocks of shape (rows, b)."""
        e = law.blocks(rows, self.block_size, generator)
        x = [e[:, 0]]
        for innovation in e.T[1:]:
            x.append(self.rho * x[-1] + (1 - self.rho**2) ** 0.5 * innovation)
        return torch.stack(x, dim=1)


if __name__ == "__main__":
    raise SystemExit(main())
