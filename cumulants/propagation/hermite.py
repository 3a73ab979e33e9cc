r"""Hermite coefficients of any function under a Gaussian: what derivatives of it are on average."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .gaussian import gauss_legendre, normal_pdf
from .normal_panels import refined_edges, standard_edges

PANEL_NODES = 12
MODERATE = 160  # degree of the polynomials that panels one wide are fit for
CHUNK_CELLS = 2**24  # values of polynomials that are held at a time
LEAST_NODES = 512  # of a unit that are summed at once, where polynomials are few


def gaussian_nodes(edges: Tensor) -> tuple[Tensor, Tensor]:
    """A rule for a standard normal variable: nodes and weights (the density included), shape ``(M, d, P)`` each.

    Args:
        edges: where the panels meet, increasing, shape ``(M, d, panels + 1)``.
    """
    nodes, weights = (table.to(edges.device) for table in gauss_legendre(PANEL_NODES))
    width = edges.diff(dim=-1).unsqueeze(-1)
    g = edges[..., :-1, None] + width * nodes
    return g.flatten(-2), (width * weights * normal_pdf(g)).flatten(-2)


def hermite_coefficients(
    function: Callable[[Tensor], Tensor],
    mean: Tensor,
    std: Tensor,
    breaks: list[float],
    degree: int,
    powers: int = 1,
    name: Callable[[int], str] = lambda unit: "the function",
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
        name: what the function of a unit is called, for a message.

    Returns:
        Shape ``(powers, degree + 1, M, d)``; the entry ``[0, 0]`` is the mean :math:`E f` itself.

    Raises:
        InputError: for a function that is not integrated to 1e-10, such as one with a pole.

    Example:
        >>> square = hermite_coefficients(torch.square, torch.zeros(1, 1).double(), torch.ones(1, 1).double(), [], 2)
        >>> [round(value, 6) + 0.0 for value in square.flatten().tolist()]
        [1.0, 0.0, 1.414214]
    """
    panel = (
        1.0 if degree <= MODERATE else math.sqrt(MODERATE / degree)
    )  # polynomials have zeros about 1/sqrt(degree) apart
    edges = standard_edges(mean, std, breaks, panel)
    g, weights = gaussian_nodes(refined_edges(function, mean, std, edges, powers, name))
    values = function(mean.unsqueeze(-1) + std.unsqueeze(-1) * g)
    first = (values * weights).sum(dim=-1)
    centred = values - first.unsqueeze(-1)
    size = max(LEAST_NODES if degree <= MODERATE else 1, CHUNK_CELLS // (mean.numel() * (degree + 1)))
    parts = zip(*(torch.split(table, size, -1) for table in (g, weights, centred)), strict=True)
    coefficients = torch.stack([_averages(at, w, c, degree, powers) for at, w, c in parts]).sum(dim=0)
    mean_in_place = torch.zeros_like(coefficients)
    mean_in_place[0, 0] = 1.0
    return coefficients + mean_in_place * first


def _averages(g: Tensor, weights: Tensor, centred: Tensor, degree: int, powers: int) -> Tensor:
    """Sums over some of the nodes, shape ``(powers, degree + 1, M, d)``."""
    basis, previous = torch.ones_like(g), torch.zeros_like(g)
    polynomials = []
    for k in range(degree + 1):
        polynomials.append(basis)
        basis, previous = (g * basis - math.sqrt(k) * previous) / math.sqrt(k + 1), basis
    stacked = torch.stack(polynomials, dim=-2)  # (M, d, degree + 1, P)
    functions, table = weights, []
    for _ in range(powers):
        functions = functions * centred
        table.append((stacked @ functions.unsqueeze(-1)).squeeze(-1).movedim(-1, 0))
    return torch.stack(table)
