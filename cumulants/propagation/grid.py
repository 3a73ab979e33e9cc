r"""A network's first layer under a closure, where the block is small: all of its cumulants from one grid of points.

The pre-activations are linear in the block, so that a closure of their joint law is one of the block's, whose variables are
independent: Edgeworth's second-order density of them is a polynomial times a Gaussian, and is integrated on a grid.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...maps import Hermite
from .tensors import BlockLaw

REACH = 7.5  # standard deviations
NODES = {2: 64, 3: 24}  # for each variable, by block size
FINER = {2: (128, 256, 512), 3: (48, 96)}  # for functions that change fast
TOLERANCE = 1e-2  # of the widest unit's standard deviation to the order: the error of a grid


def block_grid(block_size: int, count: int | None = None) -> tuple[Tensor, Tensor]:
    """Equal steps over a standard normal block of 2 or 3 variables, ``(b, P)`` and weights ``(P,)``.

    With equal steps the error of a kink has a sign that changes from place to place along the kink, and averages out.
    """
    g = torch.linspace(-REACH, REACH, count or NODES[block_size], dtype=torch.float64)
    density = torch.exp(-0.5 * g * g)
    nodes = torch.cartesian_prod(*[g] * block_size)
    weights = torch.cartesian_prod(*[density / density.sum()] * block_size).prod(dim=1)
    return nodes.T.contiguous(), weights


def edgeworth_ratio(g: Tensor, third: Tensor, fourth: Tensor) -> Tensor:
    r"""Edgeworth's second-order density of i.i.d. variables over the Gaussian's.

    .. math::
        1 + \sum_i \Big[\frac{\lambda_3}{6} He_3(g_i) + \frac{\lambda_4}{24} He_4(g_i) + \frac{\lambda_3^2}{72} He_6(g_i)\Big]
        + \sum_{i<j} \frac{\lambda_3^2}{36} He_3(g_i) He_3(g_j)

    Args:
        g: standardised variables, shape ``(b, P)``.
        third: :math:`\lambda_3`, a number.
        fourth: :math:`\lambda_4`, a number.

    Returns:
        Shape ``(P,)``.

    Source:
        McCullagh, Tensor Methods in Statistics (1987), section 5.4.
    """
    he = Hermite().polynomials(g, 6)
    single = third / 6 * he[3] + fourth / 24 * he[4] + third**2 / 72 * he[6]
    pairs = (he[3].sum(dim=0).square() - he[3].square().sum(dim=0)) / 2
    return 1 + single.sum(dim=0) + third**2 / 36 * pairs


def edgeworth_points(block: BlockLaw, closure: int, nodes: int | None = None) -> tuple[Tensor, Tensor]:
    """Points of the block ``(b, P)`` and signed weights ``(P,)`` of its law under a closure."""
    g, weights = (table.to(block.weight.device) for table in block_grid(block.block_size, nodes))
    mean, variance, third, fourth = block.kappas[:4]
    std = variance.sqrt()
    if closure > 2:
        fourth = fourth / variance**2 if closure > 3 else torch.zeros_like(fourth)
        weights = weights * edgeworth_ratio(g, third / std**3, fourth)
    return mean + std * g, weights
