r"""Arguments for the maximum of a block, :math:`(\max_i x_i - c_b) / s_b`.

It bends exactly where its two largest variables are equal, and it changes along every direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from ..maps import BlockMap
from ..zoo.mlp import MLP
from ..zoo.symmetry.symmetry import network_group
from .finding import Finding, impossible, undecided
from .mlp import Architecture, Nonlinear, set_weights
from .witnesses import axis_sizes

SMOOTH = ("tanh", "gelu")  # beside polynomials


def examine_maximum(model: MLP, block_map: BlockMap) -> Finding:
    """Find weights, which are then left in ``model``, or a reason why there are none, or neither."""
    architecture = Architecture.of(model)
    phi, b = architecture.nonlinear, model.block_size
    if is_smooth(phi):
        return not_smooth(phi)
    if phi.bounded:
        return impossible(f"|phi| is bounded for {phi.name}, and with it f, while the maximum is not.")
    if architecture.channels[0] < b:
        return impossible(
            f"The first layer forms {architecture.channels[0]} different sums of {b} variables: some direction v that is not 0 "
            "changes none of them,",
            "and f(x + v) = f(x). The maximum of x and of x + v differ where a variable with v_i != 0 is the largest by far.",
        )
    if phi.slope == -1:
        return impossible(
            "phi(z) = |z|: far out f grows alike in opposite directions, f(t u) and f(-t u) differ by a bounded amount.",
            "The maximum of t u and of -t u does not grow alike: t and 0 for u = (1, 0, ..., 0).",
        )
    if phi.slope is None or architecture.fixed_weights:
        return undecided(f"{phi.name} and the maximum")
    if architecture.depth == 1 and b > 2:
        return impossible(
            "With one hidden layer f bends along whole hyperplanes only: the units that bend on one of them either cancel",
            f"everywhere or nowhere. For b = {b} the maximum bends along x_1 = x_2 only where these two are the largest.",
        )
    if architecture.depth == 1 and architecture.channels[0] == 2:
        return impossible(
            "Two different units bend along one line each. The maximum bends along x_1 = x_2 and nowhere else, so that both",
            "bend there, or cancel: f is then a function of x_1 - x_2 alone, or a straight plane. The maximum is neither.",
            "A kink far out is as good as none: the error falls to 0 as the bias of the unit that hands on x_2 grows.",
            infimum="zero, not attained",
        )
    return _tournament(architecture, model, block_map)


def is_smooth(phi: Nonlinear) -> bool:
    """Whether an activation is known to be differentiable everywhere."""
    return phi.polynomial is not None or phi.name in SMOOTH


def not_smooth(phi: Nonlinear) -> Finding:
    """A network that is differentiable is not the maximum."""
    return impossible(
        f"phi is differentiable for {phi.name}, and so is f, everywhere.",
        "The maximum is not where its two largest variables are equal.",
        infimum="positive" if phi.polynomial is not None else "unknown",
    )


@dataclass
class _Layer:
    """Rows of weights of one hidden layer, and how the values that it carries are read from its units."""

    rows: list[Tensor]
    reads: list[dict[int, float]]


def _tournament(architecture: Architecture, model: MLP, block_map: BlockMap) -> Finding:
    """Pairs play, layer by layer: three units hold the larger of two numbers, two units hand one on."""
    slope = architecture.nonlinear.slope
    assert slope is not None
    rounds = math.ceil(math.log2(model.block_size))
    if architecture.depth < rounds:
        return _no_argument(f"{architecture.depth} hidden layers and blocks of {model.block_size}")
    group = network_group(model.hparams["symmetry"], axis_sizes(model))
    if group and model.block_size > 2:
        return _no_argument(f"{architecture.symmetry} and blocks of {model.block_size}")
    reads = list(torch.eye(model.block_size, dtype=torch.float64))
    matrices: list[Tensor] = []
    for _ in range(architecture.depth):
        layer = _play(reads, slope)
        copies = model.block_size if group else 1  # units that the symmetry moves along with the block
        if len(layer.rows) * copies > architecture.width:
            return _no_argument(f"{architecture.width} units a layer, fewer than {len(layer.rows) * copies},")
        matrix, reads = _spread(layer, architecture.width, copies, first=not matrices)
        matrices.append(matrix)
    scale, shift = _scale_and_shift(block_map, model.block_size)
    matrices.append((reads[0] * scale)[None])
    try:
        set_weights(model, matrices)
        *_, last = model.affine_layers()
        assert last.bias is not None  # without one, f is 0 at 0, which was seen before
        last.bias.fill(torch.full(last.bias.shape, shift, dtype=torch.float64))
    except InputError:  # the symmetry ties these weights otherwise
        return _no_argument(architecture.symmetry)
    lines = (
        "max(p, q) = q + relu(p - q), where "
        f"relu(z) = {f'(phi(z) {-slope:+g} z) / {1 - slope:g}' if slope else 'phi(z)'} and "
        f"z = {f'(phi(z) - phi(-z)) / {1 + slope:g}' if slope else 'phi(z) - phi(-z)'}:",
        "three units hold the larger of two numbers, two units hand a number on, and pairs play until one is left.",
    )
    return Finding("representable", lines, "attained")


def _play(values: list[Tensor], slope: float) -> _Layer:
    """One round between values that are read by rows over the layer before."""
    layer = _Layer([], [])
    for position in range(0, len(values) - 1, 2):
        p, q = values[position : position + 2]
        bend = p - q
        # max = phi(bend) / (1 - slope) + the straight rest, carried by a pair of units
        rest = q - slope / (1 - slope) * bend
        first = len(layer.rows)
        layer.rows += [bend, rest, -rest]
        layer.reads.append({first: 1 / (1 - slope), first + 1: 1 / (1 + slope), first + 2: -1 / (1 + slope)})
    if len(values) % 2:
        first = len(layer.rows)
        layer.rows += [values[-1], -values[-1]]
        layer.reads.append({first: 1 / (1 + slope), first + 1: -1 / (1 + slope)})
    return layer


def _spread(layer: _Layer, width: int, copies: int, first: bool) -> tuple[Tensor, list[Tensor]]:
    """The layer's matrix, and rows that read its values; a unit that the symmetry copies has the block the other way round."""
    matrix = torch.zeros(width, len(layer.rows[0]), dtype=torch.float64)
    reads = [torch.zeros(width, dtype=torch.float64) for _ in layer.reads]
    for unit, row in enumerate(layer.rows):
        for copy in range(copies):
            # the larger of two is the mean of what both orders of the block say
            matrix[unit * copies + copy] = row.flip(0) if first and copy else row
            for read, weights in zip(reads, layer.reads, strict=True):
                read[unit * copies + copy] = weights.get(unit, 0.0) / copies
    return matrix, reads


def _scale_and_shift(block_map: BlockMap, block_size: int) -> tuple[float, float]:
    """The map is ``scale * max + shift``: from its values at blocks of zeros and of ones."""
    blocks = torch.tensor([[0.0], [1.0]], dtype=torch.float64).expand(2, block_size)
    shift, at_one = block_map(blocks).tolist()
    return at_one - shift, shift


def _no_argument(what: str) -> Finding:
    return undecided(f"{what} and the maximum")
