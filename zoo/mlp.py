"""Stacked multilayer perceptrons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..checks import check_at_least, check_bool, primitive
from ..training.stack import StackedModel
from .layers import StackedLinear
from .symmetry.orbits import Orbits
from .symmetry.symmetry import layer_orbits, subspaces


class MLP(StackedModel):
    r"""Multilayer perceptrons with tied or free weights, :math:`f(x) = W_L \phi(\dots \phi(W_0 x + b_0) \dots) + b_L`.

    Args:
        width: units in each hidden layer.
        depth: number of hidden layers.
        symmetry: ``free``, ``input``, ``hidden``, ``full``, ``odd``, ``odd_input``, ``cyclic``, ``dihedral``, ``permutation`` or
            one of your own, see :func:`renorm.zoo.list_symmetries`; a list gives one for each hidden layer.
        bias: whether layers have a bias.
        **kwargs: see :class:`renorm.zoo.StackedModel`.

    Shapes:
        ``(N, b) -> (M, N)``, or ``(M, N, b) -> (M, N)``.

    Raises:
        ValueError: for a value out of range, in one line that names it and what is allowed.

    Source:
        Ashworth, Lio and Caso, arXiv 2510.16591; odd symmetries are this project's.

    Example:
        >>> model = MLP(width=8, activation="quadratic", symmetry="full", replicas=3)
        >>> model(torch.zeros(5, 2)).shape
        torch.Size([3, 5])
    """

    def __init__(
        self,
        width: int = 8,
        depth: int = 1,
        symmetry: str | list[str] = "free",
        bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        width, depth, bias = primitive("width", width), primitive("depth", depth), primitive("bias", bias)
        check_at_least("width", width, 1)
        check_at_least("depth", depth, 1)
        check_bool("bias", bias)
        orbits = layer_orbits(symmetry, [self.block_size, *[width] * depth, 1])
        layers = [StackedLinear(self.num_members, w, b if bias else None) for w, b in orbits]
        self.hidden = nn.ModuleList(layers[:-1])
        self.readout = layers[-1]
        self.activations = nn.ModuleList(self.make_activation(torch.from_numpy(b.index)) for _, b in orbits[:-1])
        self.reset_parameters()

    def initialised_layers(self) -> Iterator[Any]:
        """Affine layers from the input to the output, then the activations."""
        yield from self.hidden
        yield self.readout
        yield from self.activations

    def affine_layers(self) -> list[StackedLinear]:
        """Hidden layers, then the readout."""
        return [*self.hidden, self.readout]

    def symmetric_subspaces(self) -> dict[str, list[Orbits]]:
        """Orbits of every layer's weight, for each symmetry that fits the sizes and ties anything."""
        return subspaces([layer.weight.shape[1] for layer in self.affine_layers()] + [1])

    def walk(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Name and value of every layer in turn, batch last."""
        h = x.mT
        for i, (layer, activation) in enumerate(zip(self.hidden, self.activations, strict=True)):
            z = layer(h)
            yield f"pre{i}", z
            h = activation(z)
            yield f"act{i}", h
        yield "out", self.readout(h).squeeze(1)
