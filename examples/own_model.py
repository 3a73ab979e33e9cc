"""An architecture of your own: one class that builds its layers and computes its outputs.

python examples/own_model.py fit --model DeepSets --model.width 16 --model.replicas 8
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor

from renorm.cli import main
from renorm.zoo import StackedModel


class DeepSets(StackedModel):
    """rho(mean_i phi(x_i)): whatever its weights, it does not see the order of the variables."""

    def __init__(self, width: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.phi, self.rho = self.linear(1, width), self.linear(width, width)
        self.phi_activation = self.make_activation(torch.arange(width))
        self.rho_activation = self.make_activation(torch.arange(width))
        self.readout = self.linear(width, 1)
        self.reset_parameters()

    def outputs(self, x: Tensor) -> Tensor:
        variables = x.mT.flatten(-2).unsqueeze(-2)  # (1, b N), or (M, 1, b N): every variable by itself
        features = self.phi_activation(self.phi(variables))  # (M, width, b N)
        pooled = features.unflatten(-1, (self.block_size, -1)).mean(dim=-2)  # (M, width, N)
        return self.readout(self.rho_activation(self.rho(pooled))).squeeze(1)


if __name__ == "__main__":
    sys.exit(main())
