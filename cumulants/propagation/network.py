"""A model as plain float64 algebra: affine maps with a nonlinearity between each two, whatever the model's precision."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from ...errors import InputError


class Nonlinearity:
    """One layer's activation in float64, differentiable with respect to its parameters.

    Args:
        module: an activation with ``forward``, and ``piecewise() -> (breaks, origins, coefficients) | None``.
        nodes: how many nodes of a graph share each of the activation's units.
    """

    def __init__(self, module: Any, nodes: int = 1) -> None:
        self.pieces = module.piecewise()
        self.nodes = nodes
        self._module = copy.deepcopy(module).double()
        # one row a member, whether given or trained
        given = {name: getattr(self._module, name) for name in getattr(module, "_exact", ())}
        self._tensors = given | {name: p.double() for name, p in module.named_parameters()}

    def part(self, members: slice | list[int]) -> Nonlinearity:
        """The activation of some of the members."""
        part = copy.copy(self)
        part._tensors = {name: tensor[members] for name, tensor in self._tensors.items()}
        if self.pieces is not None:
            part.pieces = self.pieces._replace(coefficients=self.pieces.coefficients[members])
        return part

    def on_nodes(self, nodes: int) -> Nonlinearity:
        """The activation on another number of nodes."""
        part = copy.copy(self)
        part.nodes = nodes
        return part

    def under(self, mean: Tensor, std: Tensor) -> Nonlinearity:
        """The same as far as it matters to units of these means and standard deviations, shape ``(M, d)`` each.

        May be overridden where it takes a search to find out what a function is made of.
        """
        return self

    def named(self, unit: int) -> str:
        """What the function of a unit is called, for a message."""
        return f"activation={type(self._module).__name__}"

    @property
    def ends(self) -> list[float]:
        """Where panels end: at breaks, and where the function changes fast."""
        return self.breaks

    def __call__(self, z: Tensor) -> Tensor:
        """Apply to ``(M, d, P)``, element by element."""
        by_node = z.view(len(z), -1, self.nodes, z.shape[2])
        value: Tensor = functional_call(self._module, self._tensors, (by_node,))
        return value.flatten(1, 2)

    @functools.cached_property
    def breaks(self) -> list[float]:
        """Where the function is not smooth, in increasing order."""
        return [] if self.pieces is None else self.pieces.breaks.tolist()

    @property
    def is_piecewise_affine(self) -> bool:
        """True for linear, relu, leaky relu and splines of degree 1."""
        return self.pieces is not None and self.pieces.coefficients.shape[-1] <= 2

    @property
    def growth(self) -> int:
        """The power of z that bounds the function far out; activations without pieces are taken to grow like z at most."""
        if self.pieces is None:
            return 1
        outer = self.pieces.coefficients[:, :, [0, -1]]
        used = [p for p in range(outer.shape[-1]) if bool((outer[..., p] != 0).any())]
        return max([1, *used])

    @property
    def is_leaky(self) -> bool:
        """True for relu and leaky relu: one kink at 0, slope 1 above it, nothing constant."""
        if not self.is_piecewise_affine or self.breaks != [0.0]:
            return False
        constant, slope = self.pieces.coefficients.unbind(dim=-1)
        return bool((constant == 0).all()) and bool((slope[:, :, 1] == 1).all()) and not bool(self.pieces.origins.any())

    @property
    def is_continuous(self) -> bool:
        """Whether the pieces meet; some splines jump to zero at their ends."""
        breaks, origins, rows = self.pieces
        powers = torch.arange(rows.shape[-1], device=rows.device)
        left = (rows[:, :, :-1] * (breaks - origins[:-1]).unsqueeze(-1) ** powers).sum(dim=-1)
        right = (rows[:, :, 1:] * (breaks - origins[1:]).unsqueeze(-1) ** powers).sum(dim=-1)
        return bool(((left - right).abs() <= 1e-12 * (1 + left.abs())).all())

    def pieces_by_unit(self) -> Any:
        """The pieces with one row of coefficients for each pre-activation, or one for all."""
        rows = self.pieces.coefficients
        return (
            self.pieces
            if rows.shape[1] == 1
            else self.pieces._replace(coefficients=rows.repeat_interleave(self.nodes, 1))
        )

    def polynomial(self) -> Tensor | None:
        """Coefficients ``(M, units or 1, degree + 1)``, lowest power first; None where the function has breaks."""
        if self.pieces is None or self.breaks:
            return None
        coefficients: Tensor = self.pieces.coefficients[:, :, 0]
        return coefficients


@dataclass(frozen=True)
class Network:
    """The members of a model as affine maps and nonlinearities.

    Attributes:
        affine: weight ``(M, out, in)`` and bias ``(M, out)`` of every layer, float64.
        nonlinear: one for each hidden layer.
        nodes: nodes of the graph for graph networks, whose pre-activations are ``(feature, node)`` pairs; 1 for others.
    """

    affine: list[tuple[Tensor, Tensor]]
    nonlinear: list[Nonlinearity]
    nodes: int = 1

    @property
    def members(self) -> int:
        """Number of networks, ``M``."""
        return len(self.affine[0][0])

    @property
    def device(self) -> torch.device:
        """Where the weights are, and all that is made for them."""
        return self.affine[0][0].device

    @property
    def block_size(self) -> int:
        """Number of inputs, ``b``."""
        return self.affine[0][0].shape[2]

    @property
    def depth(self) -> int:
        """Number of hidden layers."""
        return len(self.nonlinear)

    @property
    def growth(self) -> int:
        """The power of the input that bounds the output."""
        power = 1
        for nonlinearity in self.nonlinear:
            power *= nonlinearity.growth
        return power

    @property
    def is_polynomial(self) -> bool:
        """Whether every activation is a polynomial."""
        return all(nonlinearity.polynomial() is not None for nonlinearity in self.nonlinear)

    def sizes(self) -> list[int]:
        """Numbers of units of the layers, in the order of :meth:`names`."""
        hidden = [weight.shape[1] for weight, _ in self.affine[:-1] for _ in ("pre", "act")]
        return [*hidden, self.affine[-1][0].shape[1]]

    def part(self, members: slice | list[int]) -> Network:
        """Some of the members."""
        affine = [(weight[members], bias[members]) for weight, bias in self.affine]
        return Network(affine, [nonlinearity.part(members) for nonlinearity in self.nonlinear], self.nodes)

    def names(self) -> list[str]:
        """Names of the layers, ``pre0, act0, ..., out``."""
        hidden = [f"{kind}{layer}" for layer in range(self.depth) for kind in ("pre", "act")]
        return [*hidden, "out"]

    def pre(self, layer: int, h: Tensor) -> Tensor:
        """The affine map of one layer, ``(M, in, P) -> (M, out, P)``."""
        weight, bias = self.affine[layer]
        return torch.baddbmm(bias.unsqueeze(-1), weight, h.expand(len(weight), -1, -1))

    def walk(self, x: Tensor) -> list[Tensor]:
        """Values of all layers in the order of :meth:`names` at points ``(M or 1, b, P)``."""
        values = []
        for layer, nonlinearity in enumerate(self.nonlinear):
            values.append(self.pre(layer, x))
            x = nonlinearity(values[-1])
            values.append(x)
        return [*values, self.pre(self.depth, x)]


def read_network(model: Any) -> Network:
    """The algebra of a model.

    Args:
        model: anything with ``dense() -> [(weight (M, out, in), bias (M, out) or None), ...]``, ``activations`` and, for
            graph networks, as many nodes as inputs.

    Raises:
        ValueError: for a model of another kind.
    """
    if not (hasattr(model, "dense") and hasattr(model, "activations")):
        raise InputError(
            f"model={type(model).__name__} has no dense layers and activations",
            "models that are a chain of them, and define affine_layers and activations, such as renorm.zoo.MLP",
        )
    affine = []
    for weight, bias in model.dense():
        shift = weight.new_zeros(weight.shape[:2]) if bias is None else bias
        affine.append((weight.double(), shift.double()))
    # a graph network's hidden layer has its features at every node
    nodes = affine[0][0].shape[1] // len(model.activations[0].units)
    return Network(affine, [Nonlinearity(module, nodes) for module in model.activations], nodes)
