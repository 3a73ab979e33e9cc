"""An activation of your own: one class, then every command of renorm knows it.

python examples/own_activation.py fit --model.activation sine --model.activation_args "{frequency: [0.25, 0.5, 1.0]}"
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from renorm.cli import main
from renorm.zoo import Activation


class Sine(Activation):
    """sin(frequency z) / frequency."""

    name = "sine"
    parity = "odd"
    grid = ("frequency",)  # may be a list: members of one stack then differ in it

    def __init__(self, members: int, units: Tensor, frequency: float | list[float] = 1.0) -> None:
        super().__init__(members, units)
        self.member_parameter("frequency", frequency)

    def forward(self, z: Tensor) -> Tensor:
        frequency = self.like(self.frequency, z)
        return torch.sin(frequency * z) / frequency


if __name__ == "__main__":
    sys.exit(main())
