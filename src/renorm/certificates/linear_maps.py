r"""Linear maps beside the central limit: their certificates follow from its own.

:math:`b^{-1/\alpha} S` is the central-limit map times a number, which the output layer takes up. :math:`x_k` comes from it by
a change of the first layer: where no element of the symmetry permutes the block, a network f that is S/sqrt(b) becomes x_k by
the weights that read sqrt(b) x_k in the place of S, and one that is x_k becomes S/sqrt(b) in the same way.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from ..errors import InputError
from ..maps import BlockMap, Stable
from ..zoo.mlp import MLP
from ..zoo.symmetry.symmetry import moves, network_group
from .finding import Finding, undecided
from .mlp import Architecture, examine
from .witnesses import axis_sizes


@torch.no_grad()
def examine_stable(model: MLP, block_map: BlockMap) -> Finding:
    """As for the central limit, with the output's weights times a number."""
    assert isinstance(block_map, Stable)
    finding = examine(Architecture.of(model), model)
    factor = model.block_size ** (0.5 - 1 / block_map.alpha)
    if finding.verdict == "representable":
        *_, last = model.affine_layers()
        last.weight.theta.mul_(factor)
        if last.bias is not None:
            last.bias.theta.mul_(factor)
    line = f"The map is {factor:.6g} times S/sqrt(b), and the output layer takes the number up; so as for the central limit:"
    return Finding(finding.verdict, (line, *finding.derivation), finding.infimum)


@torch.no_grad()
def examine_decimation(model: MLP, block_map: BlockMap) -> Finding:
    """As for the central limit, with another first layer, where the symmetry leaves the block's order alone."""
    sizes = axis_sizes(model)
    group = network_group(model.hparams["symmetry"], sizes)
    if any((moves(element, 0, sizes[0]).image != np.arange(sizes[0])).any() for element in group):
        return _no_argument()
    finding = examine(Architecture.of(model), model)
    if finding.verdict == "representable" and not _read_one(model, block_map):
        return _no_argument()
    line = (
        "With weights that read sqrt(b) x_k in the place of S, and back, the map is the central limit's; so as for it:"
    )
    return Finding(finding.verdict, (line, *finding.derivation), finding.infimum)


def _read_one(model: MLP, block_map: BlockMap) -> bool:
    """Replace equal weights of the block's variables by one of the kept variable; False where they are not equal."""
    first = next(iter(model.affine_layers())).weight
    weight = first()[0]
    if not torch.equal(weight, weight[:, :1].expand_as(weight)):
        return False
    kept = block_map(torch.eye(model.block_size, dtype=torch.float64))  # 1 for the variable that the map keeps
    try:
        first.fill(weight[:, :1] * math.sqrt(model.block_size) * kept)
    except InputError:
        return False
    return True


def _no_argument() -> Finding:
    return undecided("this symmetry and decimation")
