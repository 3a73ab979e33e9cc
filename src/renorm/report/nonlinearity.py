r"""How far an activation is from linear on the values that it takes in its network.

The index of one unit is the relative distance of its activation from the best affine function of its own pre-activation,

.. math:: \nu^2 = \min_{a, b} \frac{E\,(\phi(z) - a - b z)^2}{\mathrm{Var}\,\phi(z)} = 1 - \mathrm{corr}(z, \phi(z))^2

between 0 for a line and 1. It does not change when z or phi is scaled or shifted.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..datamodules.laws import Law
from ..datamodules.laws.quadrature import block_rule
from ..training.stack import StackedModel


def unit_parts(pre: Tensor, act: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Variance of an activation about its best affine fit, and its whole variance.

    Args:
        pre: pre-activations, shape ``(..., N)``.
        act: activations, same shape.
        weight: weights of the N points, which sum to 1.

    Returns:
        Two tensors of shape ``(...)``.

    Example:
        >>> z = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
        >>> [round(float(part), 4) for part in unit_parts(z, z.abs(), torch.full((3,), 1 / 3).double())]
        [0.2222, 0.2222]
    """
    z = pre - (pre @ weight).unsqueeze(-1)
    y = act - (act @ weight).unsqueeze(-1)
    spread, whole, cross = z.square() @ weight, y.square() @ weight, (z * y) @ weight
    slope = torch.where(spread > 0, cross / spread.clamp_min(torch.finfo(spread.dtype).tiny), 0.0)
    # about the fit itself: a difference of two variances would lose what is left of a nearly linear function
    return (y - slope.unsqueeze(-1) * z).square() @ weight, whole


@torch.no_grad()
def nonlinearity(model: StackedModel, law: Law) -> dict[str, Tensor]:
    r"""Index of every hidden layer of an MLP and of the whole network, of every member.

    A layer's index weighs its units by what they give to the next layer, with :math:`q_j = \sum_i W_{ij}^2`:
    :math:`\nu^2 = \sum_j q_j \nu_j^2 \mathrm{Var}\,\phi_j \,/ \sum_j q_j \mathrm{Var}\,\phi_j`, so that idle units
    do not count. The
    network's own index is its distance from the best affine function of the block, over its standard deviation.

    Args:
        model: the stack.
        law: law of the variables, with a variance.

    Returns:
        ``act0``, ``act1``, ... and ``out``, shape ``(M,)`` each, float64.

    Example:
        >>> from renorm.datamodules import laws
        >>> from renorm.zoo import MLP
        >>> found = nonlinearity(MLP(activation="linear"), laws.parse("uniform()"))
        >>> {name: bool(index < 1e-6) for name, index in found.items()}
        {'act0': True, 'out': True}
    """
    return layer_indices(model.double_copy(), *block_rule(law, model.block_size))


@torch.no_grad()
def layer_indices(model: StackedModel, x: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """Indices of :func:`nonlinearity` on weighted blocks.

    Args:
        model: the stack, in the precision of the blocks.
        x: blocks, shape ``(N, b)``.
        weight: weights of the blocks, which sum to 1.
    """
    layers = model.trace(x)
    found = {}
    for i, (outgoing, _) in enumerate(model.dense()[1:]):
        bent, whole = unit_parts(layers[f"pre{i}"], layers[f"act{i}"], weight)
        share = outgoing.square().sum(dim=1)
        found[f"act{i}"] = ((share * bent).sum(dim=1) / (share * whole).sum(dim=1)).sqrt()
    return found | {"out": network_index(layers["out"], x, weight)}


def network_index(out: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Distance of outputs from the best affine function of the block, over their standard deviation.

    Args:
        out: outputs, shape ``(M, N)``.
        x: blocks, shape ``(N, b)``.
        weight: weights of the blocks, which sum to 1.

    Returns:
        Shape ``(M,)``.
    """
    root = weight.sqrt()
    affine = torch.linalg.qr(torch.cat([torch.ones_like(x[:, :1]), x], dim=1) * root[:, None]).Q
    scaled = out * root
    left = scaled - (scaled @ affine) @ affine.mT
    spread = (out - (out @ weight).unsqueeze(-1)).square() @ weight
    index: Tensor = (left.square().sum(dim=-1) / spread).sqrt()
    return index
