"""The activations that act on each number by a formula."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .base import Activation, Piecewise


class Linear(Activation):
    """The identity, z."""

    name, parity = "linear", "odd"

    def forward(self, z: Tensor) -> Tensor:
        """Apply the activation."""
        return z

    def piecewise(self) -> Piecewise:
        """One cell, one power."""
        return self._pieces([], [[0.0, 1.0]])


class Quadratic(Activation):
    """z + alpha z².

    Args:
        members: number of members.
        units: orbit of each unit, shape ``(units,)``.
        alpha: coefficient of the square; a list is a grid.
    """

    name, grid = "quadratic", ("alpha",)

    def __init__(self, members: int, units: Tensor, alpha: float | list[float] = 0.5) -> None:
        super().__init__(members, units)
        self.member_parameter("alpha", alpha)
        self.alpha: Tensor

    def forward(self, z: Tensor) -> Tensor:
        """Apply the activation."""
        return z + self.like(self.alpha, z) * z * z

    def piecewise(self) -> Piecewise:
        """One cell."""
        return self._pieces([], [[0.0, 1.0, self._exact["alpha"]]])


class ReLU(Activation):
    """max(z, 0)."""

    name = "relu"

    def forward(self, z: Tensor) -> Tensor:
        """Apply the activation."""
        return functional.relu(z)

    def piecewise(self) -> Piecewise:
        """Two cells that meet at 0."""
        return self._pieces([0.0], [[0.0, 0.0], [0.0, 1.0]])


class LeakyReLU(Activation):
    """max(z, 0) + negative_slope min(z, 0).

    Args:
        members: number of members.
        units: orbit of each unit, shape ``(units,)``.
        negative_slope: slope below zero; a list is a grid.
    """

    name, grid = "leaky_relu", ("negative_slope",)

    def __init__(self, members: int, units: Tensor, negative_slope: float | list[float] = 0.1) -> None:
        super().__init__(members, units)
        self.member_parameter("negative_slope", negative_slope)
        self.negative_slope: Tensor

    def forward(self, z: Tensor) -> Tensor:
        """Apply the activation."""
        # max(z, 0) - slope max(-z, 0): exact, and several times faster than torch.where, which is not vectorised
        return torch.addcmul(functional.relu(z), -self.like(self.negative_slope, z), functional.relu(-z))

    def piecewise(self) -> Piecewise:
        """Two cells that meet at 0."""
        return self._pieces([0.0], [[0.0, self._exact["negative_slope"]], [0.0, 1.0]])


class Tanh(Activation):
    """tanh(z)."""

    name, parity, fuses = "tanh", "odd", False

    def forward(self, z: Tensor) -> Tensor:
        """Apply the activation."""
        return torch.tanh(z)


class GELU(Activation):
    """z Φ(z), with Φ the normal distribution function."""

    name, fuses = "gelu", False

    def forward(self, z: Tensor) -> Tensor:
        """Apply the activation."""
        return functional.gelu(z)
