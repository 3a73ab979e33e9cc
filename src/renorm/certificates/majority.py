r"""Arguments for the majority of an odd number of signs: is there a network that is right on all blocks of ±1?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..maps import BlockMap
from ..zoo.mlp import MLP
from .finding import Finding, impossible, undecided
from .mlp import Architecture
from .witnesses import axis_sizes, simple_blocks

MONOTONE = ("tanh",)  # strictly, beside straight lines and leaky relus of positive slope
Weights = list[tuple[Tensor, Tensor]]


def examine_majority(model: MLP, block_map: BlockMap) -> Finding:
    """Find weights, which are then left in ``model``, or a reason why there are none, or neither."""
    architecture = Architecture.of(model)
    phi, b = architecture.nonlinear, model.block_size
    if phi.polynomial is not None and (len(phi.polynomial) - 1) ** architecture.depth < b:
        degree = (len(phi.polynomial) - 1) ** architecture.depth
        return impossible(
            f"f is a polynomial of degree {degree}; on signs, where x_i^2 = 1, one of at most {degree} variables a term.",
            f"Written so, the majority has the term x_1 ... x_{b} with the factor {top_coefficient(block_map, b):g}, and the "
            "terms are unique.",
            infimum="positive",
        )
    one_channel = architecture.channels[0] == 1
    one_to_one = phi.name in MONOTONE or (phi.slope is not None and phi.slope > 0)
    if one_channel and (
        (one_to_one and architecture.is_single_channel) or (architecture.depth == 1 and _one_kink(architecture))
    ):
        return impossible(
            "f is a function of one sum w.x, strictly monotone or with one kink. Blocks of one answer have the same w.x,",
            "unless they lie on the flat side of a relu, where at most one of the answers lies. Any variable of a block of equal",
            "signs can change its sign without changing the answer, so that w = 0. Where the function folds (a slope below 0),",
            "the same value on both sides of the fold makes those of x and -x equal, whose answers are opposite.",
        )
    for weights in () if architecture.fixed_weights else _candidates(architecture, model):
        if _fits(model, weights, block_map):
            lines = (
                "Two kinks, at S = -1 and S = 1, make a function of the sum that is -1 below, 1 above, and straight between:",
                "phi(S + 1) - phi(S - 1) is flat on both sides, for every slope of phi but 1.",
            )
            return Finding("representable", lines, "attained")
    return undecided(f"{architecture} and the majority")


def _one_kink(architecture: Architecture) -> bool:
    return architecture.nonlinear.slope is not None


def top_coefficient(block_map: BlockMap, block_size: int) -> float:
    """Factor of the product of all signs in the multilinear form of a map, the mean of ``R(x) x_1 ... x_b``.

    Source:
        O'Donnell, Analysis of Boolean Functions (2014), section 1.2.

    Example:
        >>> from renorm import maps
        >>> top_coefficient(maps.parse("majority()"), 3)
        -0.5
    """
    x = simple_blocks(block_map, block_size)
    return float((block_map(x) * x.prod(dim=-1)).mean())


def _candidates(architecture: Architecture, model: MLP) -> Iterator[Weights]:
    """Weights whose first layer has its kinks at S = -1 and S = 1, in the ways that symmetries allow."""
    slope, b, width = architecture.nonlinear.slope, model.block_size, architecture.width
    if slope is None or not architecture.bias:
        return
    size = 1 / (1 - slope)  # of the step from 2 slope to 2, made one from -1 to 1
    # (weight of the sum, bias, weight of the output) of each unit
    two = [(1.0, 1.0, size), (1.0, -1.0, -size)]
    # under an odd symmetry units come in pairs, one the other's mirror image
    pairs = [(1.0, 1.0, size / 2), (-1.0, 1.0, -size / 2), (1.0, -1.0, -size / 2), (-1.0, -1.0, size / 2)]
    for units, offset in ((two, -size * (1 + slope)), (pairs, 0.0)):
        for copies in (1, b):
            if len(units) * copies <= width and architecture.depth == 1:
                yield _one_layer([unit for unit in units for _ in range(copies)], copies, offset, b, width)
    if slope == 0 and architecture.depth == 2:
        yield _two_bends(b, width)


def _one_layer(units: list[tuple[float, float, float]], copies: int, offset: float, b: int, width: int) -> Weights:
    weight, bias, out = (torch.zeros(shape, dtype=torch.float64) for shape in ((width, b), (width,), (1, width)))
    for position, (of_sum, shift, read) in enumerate(units):
        weight[position], bias[position], out[0, position] = of_sum, shift, read / copies
    return [(weight, bias), (out, torch.tensor([offset], dtype=torch.float64))]


def _two_bends(b: int, width: int) -> Weights:
    """All units alike: relu(2 - relu(S + 1)) is 2 below, 0 above."""
    one = torch.ones(width, dtype=torch.float64)
    return [
        (one[:, None].expand(width, b), one),
        (-one.expand(width, width) / width, 2 * one),
        (-one[None] / width, one[:1]),
    ]


@torch.no_grad()
def _fits(model: MLP, weights: Weights, block_map: BlockMap) -> bool:
    """Give the network these weights, where its symmetry allows them, and try all blocks."""
    try:
        for layer, (weight, bias) in zip(model.affine_layers(), weights, strict=True):
            layer.weight.fill(weight)
            if layer.bias is not None:
                layer.bias.fill(bias)
    except InputError:
        return False
    x = simple_blocks(block_map, axis_sizes(model)[0])
    return bool(np.isclose(model(x)[0].numpy(), block_map(x).numpy(), atol=1e-9).all())
