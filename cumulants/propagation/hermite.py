r"""Hermite coefficients of any function under a Gaussian: what derivatives of it are on average."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .gaussian import TINY, gauss_legendre, normal_pdf

REACH = 11.0  # standard deviations that the rule covers
PANEL_NODES = 12


def gaussian_nodes(mean: Tensor, std: Tensor, breaks: list[float]) -> tuple[Tensor, Tensor]:
    r"""A rule for :math:`g = (z - \mu)/\sigma`, standard normal, on panels one wide that are split where z crosses a break.

    Args:
        mean: shape ``(M, d)``.
        std: shape ``(M, d)``.
        breaks: points on the axis of z.

    Returns:
        Nodes and weights (the density included), shape ``(M, d, P)`` each.
    """
    grid = torch.linspace(-REACH, REACH, round(2 * REACH) + 1, dtype=mean.dtype, device=mean.device)
    kinks = torch.tensor(breaks, dtype=mean.dtype, device=mean.device)
    crossing = (kinks - mean.detach().unsqueeze(-1)) / std.detach().clamp(min=TINY).unsqueeze(-1)
    edges = torch.cat([grid.expand(*mean.shape, -1), crossing.clamp(-REACH, REACH)], dim=-1).sort(dim=-1).values
    nodes, weights = (table.to(mean.device) for table in gauss_legendre(PANEL_NODES))
    width = edges.diff(dim=-1).unsqueeze(-1)
    g = edges[..., :-1, None] + width * nodes
    return g.flatten(-2), (width * weights * normal_pdf(g)).flatten(-2)


def hermite_coefficients(
    function: Callable[[Tensor], Tensor], mean: Tensor, std: Tensor, breaks: list[float], degree: int, powers: int = 1
) -> Tensor:
    r"""Averages :math:`F^{(p)}_k = E[(f(z) - E f)^p\, He_k(g)] / \sqrt{k!}` for powers of a function, z Gaussian.

    They are :math:`\sigma^k E[\partial^k f^p] / \sqrt{k!}`, whether or not the derivatives exist.

    Args:
        function: acts on ``(M, d, P)`` element by element.
        mean: shape ``(M, d)``.
        std: shape ``(M, d)``.
        breaks: where the function is not smooth.
        degree: highest ``k``.
        powers: highest ``p``.

    Returns:
        Shape ``(powers, degree + 1, M, d)``; the entry ``[0, 0]`` is the mean :math:`E f` itself.

    Example:
        >>> square = hermite_coefficients(torch.square, torch.zeros(1, 1).double(), torch.ones(1, 1).double(), [], 2)
        >>> [round(value, 6) + 0.0 for value in square.flatten().tolist()]
        [1.0, 0.0, 1.414214]
    """
    g, weights = gaussian_nodes(mean, std, breaks)
    values = function(mean.unsqueeze(-1) + std.unsqueeze(-1) * g)
    first = (values * weights).sum(dim=-1)
    centred = values - first.unsqueeze(-1)
    functions, basis, previous = weights, torch.ones_like(g), torch.zeros_like(g)
    table = []
    polynomials = []
    for k in range(degree + 1):
        polynomials.append(basis)
        basis, previous = (g * basis - math.sqrt(k) * previous) / math.sqrt(k + 1), basis
    stacked = torch.stack(polynomials, dim=-2)  # (M, d, degree + 1, P)
    for _ in range(powers):
        functions = functions * centred
        table.append((stacked @ functions.unsqueeze(-1)).squeeze(-1).movedim(-1, 0))
    coefficients = torch.stack(table)
    mean_in_place = torch.zeros_like(coefficients)
    mean_in_place[0, 0] = 1.0
    return coefficients + mean_in_place * first
