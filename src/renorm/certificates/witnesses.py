r"""Arguments that hold for any map: a network that cannot tell two blocks apart, while the map can.

Each names the two blocks, its witness, so that a reader can check the map's two values by hand.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..maps import BlockMap
from ..zoo.mlp import MLP
from ..zoo.symmetry.orbits import Orbits
from ..zoo.symmetry.symmetry import moves, network_group, orbits_of
from .finding import Finding, impossible

SIMPLE = (0.0, 1.0, -1.0, 2.0)  # values of variables, of which a witness is easily read
MOST_BLOCKS = 4096
DIFFERENT = 1e-9


def axis_sizes(model: MLP) -> list[int]:
    """Lengths of the axes of a network: block, hidden layers, output."""
    return [model.block_size, *[int(model.hparams["width"])] * int(model.hparams["depth"]), 1]


def simple_blocks(block_map: BlockMap, block_size: int) -> Tensor:
    """Blocks that are easily read, of values that the map's variables take, shape ``(K, b)``; all there are for few values."""
    values = SIMPLE if block_map.values is None else block_map.values
    blocks = itertools.islice(itertools.product(values, repeat=block_size), MOST_BLOCKS)
    return torch.tensor(list(blocks), dtype=torch.float64)


def by_symmetry(model: MLP, block_map: BlockMap) -> Finding | None:
    """The network is invariant, or odd, under a group element under which the map is not."""
    sizes = axis_sizes(model)
    x = simple_blocks(block_map, model.block_size)
    for element in network_group(model.hparams["symmetry"], sizes):
        block, output = moves(element, 0, sizes[0]), moves(element, len(sizes) - 1, 1)
        moved = torch.empty_like(x)
        moved[:, torch.from_numpy(block.image)] = block.sign * x
        wanted = output.sign * block_map(x)
        if (found := _first_difference(x, moved, wanted, block_map(moved))) is not None:
            one, other = found
            if torch.equal(one, other):
                lines = (
                    f"The symmetry takes {_text(one)} to itself and f to -f: f is 0 there for all weights,",
                    f"while the map takes it to {_value(block_map, one)}.",
                )
                return impossible(*lines, infimum="positive")
            sign = "" if output.sign > 0 else "-"
            lines = (
                f"Under this symmetry f{_text(other)} = {sign}f{_text(one)} for all weights,",
                f"while the map takes {_text(one)} to {_value(block_map, one)} and {_text(other)} to {_value(block_map, other)}.",
            )
            return impossible(*lines, infimum="positive")
    return None


def by_kernel(model: MLP, block_map: BlockMap) -> Finding | None:
    """The first layer maps two blocks to the same numbers whatever its weights, and the map does not."""
    weight, _ = orbits_of(network_group(model.hparams["symmetry"], axis_sizes(model)), axis_sizes(model))[0]
    kernel = common_kernel(weight)
    if not len(kernel):
        return None
    x = simple_blocks(block_map, model.block_size)
    seen = np.round(x.numpy() - x.numpy() @ kernel.T @ kernel, 9) + 0.0  # what the first layer sees; no -0
    groups = np.unique(seen, axis=0, return_inverse=True)[1].ravel()
    y = block_map(x)
    for group in range(groups.max() + 1):
        rows = np.flatnonzero(groups == group)
        values = y[rows]
        if float(values.max() - values.min()) > DIFFERENT:
            one, other = x[rows[int(values.argmin())]], x[rows[int(values.argmax())]]
            lines = (
                "The symmetry ties the columns of the first layer: what follows sees only the weighted sums that it forms,",
                f"which are the same for {_text(one)} and {_text(other)}, while the map takes them to "
                f"{_value(block_map, one)} and {_value(block_map, other)}.",
            )
            return Finding("not representable", lines, "positive")
    return None


def common_kernel(weight: Orbits) -> NDArray[np.float64]:
    """Orthonormal directions that every weight of these orbits takes to 0, shape ``(count, in)``."""
    each = [np.where(weight.index == orbit, weight.sign, 0) for orbit in range(weight.count)]
    stacked = np.concatenate(each, axis=0).astype(np.float64)
    _, singular, directions = np.linalg.svd(stacked)
    rank = int((singular > 1e-9).sum())
    kernel: NDArray[np.float64] = directions[rank:]
    return kernel


def by_origin(model: MLP, block_map: BlockMap) -> Finding | None:
    """Without biases, and with activations that are 0 at 0, the network is 0 at 0."""
    if model.hparams["bias"] or block_map.values is not None or model.hparams["activation"] == "spline":
        return None
    zero = torch.zeros(1, model.block_size, dtype=torch.float64)
    hidden = torch.zeros(model.num_members, int(model.hparams["width"]), 1, dtype=torch.float64)
    at_zero = model.activations[0](hidden)
    value = float(block_map(zero))
    if bool(at_zero.any()) or abs(value) <= DIFFERENT:
        return None
    lines = (f"There are no biases, and phi(0) = 0: f is 0 at the block of zeros, which the map takes to {value:g}.",)
    return Finding("not representable", lines, "positive")


def _first_difference(x: Tensor, moved: Tensor, wanted: Tensor, y: Tensor) -> tuple[Tensor, Tensor] | None:
    different = torch.nonzero((y - wanted).abs() > DIFFERENT)
    return None if not len(different) else (x[different[0, 0]], moved[different[0, 0]])


def _text(block: Tensor) -> str:
    return f"({', '.join(f'{value + 0.0:g}' for value in block.tolist())})"


def _value(block_map: BlockMap, block: Tensor) -> str:
    return f"{float(block_map(block)) + 0.0:.6g}"


def any_map(model: MLP, block_map: BlockMap) -> Finding | None:
    """The first argument of this file that applies; None where none does."""
    for argument in (by_symmetry, by_kernel, by_origin):
        if (finding := argument(model, block_map)) is not None:
            return finding
    return None
