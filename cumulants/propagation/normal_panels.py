r"""Panels of the standard normal axis that are halved until a function is integrated on each of them.

On every panel the rule of 12 nodes is compared with the same rule on its two halves. What differs by more than 1e-10 of the
whole is halved; so that functions that change fast, or are not smooth where nobody knew it, are resolved where they do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from .gaussian import TINY, gauss_legendre, normal_pdf
from .pieces import REACH

NODES = 12
PROBES = 4  # polynomials on a panel, whose products with the function are integrated as well: nothing cancels in all
TOLERANCE = 1e-10  # of a moment of the function, on each panel
EPSILON = 2.0**-46  # rounding of the argument and of the function's values, some units in the last place
TAIL = 1e-4  # of a moment: the outermost standard deviation's share at most
DIVERGED = 1e60  # units of this size are those of a network that diverged: what overflows there is nobody's function
MAX_ROUNDS = 48
MAX_PANELS = 2**12  # of a unit
SMOOTHER = "functions that are finite and change more slowly where the law of their input is"


def standard_edges(mean: Tensor, std: Tensor, breaks: list[float], panel: float = 1.0) -> Tensor:
    r"""Panels for :math:`g = (z - \mu)/\sigma`, about one wide, that end where z crosses a break.

    Args:
        mean: shape ``(M, d)``.
        std: shape ``(M, d)``.
        breaks: points on the axis of z.
        panel: largest width.

    Returns:
        Where the panels meet, increasing, shape ``(M, d, panels + 1)``; some of them are empty.
    """
    count = round(2 * REACH / panel)
    grid = torch.linspace(-REACH, REACH, count + 1, dtype=mean.dtype, device=mean.device)
    kinks = torch.tensor(breaks, dtype=mean.dtype, device=mean.device)
    crossing = (kinks - mean.detach().unsqueeze(-1)) / std.detach().clamp(min=TINY).unsqueeze(-1)
    return torch.cat([grid.expand(*mean.shape, -1), crossing.clamp(-REACH, REACH)], dim=-1).sort(dim=-1).values


@torch.no_grad()
def refined_edges(
    function: Callable[[Tensor], Tensor],
    mean: Tensor,
    std: Tensor,
    edges: Tensor,
    powers: int,
    name: Callable[[int], str] = lambda unit: "the function",
) -> Tensor:
    """Halve panels until the function and its powers are integrated.

    Args:
        function: acts on ``(M, d, P)`` element by element.
        mean: shape ``(M, d)``.
        std: shape ``(M, d)``.
        edges: where the panels meet, shape ``(M, d, panels + 1)``.
        powers: highest power of the centred function.
        name: what the function of a unit is called, for a message.

    Returns:
        The same with more panels, or the edges themselves where nothing needed to be halved.

    Raises:
        InputError: for a function that is not finite, or needs more than 4096 panels.

    Example:
        >>> mean, std = torch.zeros(1, 1).double(), torch.ones(1, 1).double()
        >>> edges = standard_edges(mean, std, [])
        >>> refined_edges(torch.tanh, mean, std, edges, powers=2) is edges
        True
        >>> refined_edges(lambda z: torch.tanh(100 * z), mean, std, edges, powers=2).shape[-1] > edges.shape[-1]
        True
    """
    known = (mean.abs() + REACH * std < DIVERGED).unsqueeze(-1)
    lower, upper = edges[..., :-1], edges[..., 1:]
    centre: Tensor | None = None
    added: list[Tensor] = []
    for _ in range(MAX_ROUNDS):
        values, density = _values(function, mean, std, lower, upper)
        _check_finite(values, known, name)
        if centre is None:
            centre = (values * density * _tests(edges.device)[:, 0, 0]).sum(dim=(-1, -2))
            deviation = (values - centre[..., None, None]).abs()
            fine = density * _tests(edges.device)[:, 0, 1]
            moments = [torch.ones_like(mean), *((deviation**p * fine).sum(dim=(-1, -2)) for p in range(1, powers + 1))]
            _check_tails(deviation, fine, known & ((upper > REACH - 1) | (lower < 1 - REACH)), moments, std, name)
            rounding = EPSILON * (1 + mean.abs() / std.clamp(min=TINY))
            noise = EPSILON * values.abs().amax(dim=(-1, -2))
            allowed = torch.stack(
                [(TOLERANCE + rounding) * moments[p] + p * noise * moments[p - 1] for p in range(1, powers + 1)]
            )
        gaps = _gaps(values - centre[..., None, None], density, powers)
        bad = (gaps > allowed.unsqueeze(-1)).any(dim=0) & known
        if not bool(bad.any()):
            break
        lower, upper, middle = _halves(lower, upper, bad)
        added.append(middle)
        panels = edges.shape[-1] + sum(table.shape[-1] for table in added)
        if panels > MAX_PANELS:
            raise _not_integrated(bad, name)
    else:
        raise _not_integrated(bad, name)
    return torch.cat([edges, *added], dim=-1).sort(dim=-1).values if added else edges


def _values(
    function: Callable[[Tensor], Tensor], mean: Tensor, std: Tensor, lower: Tensor, upper: Tensor
) -> tuple[Tensor, Tensor]:
    """Values at the nodes of panels and of their halves, and the density times the panel's width: ``(M, d, panels, 36)``."""
    nodes, _ = gauss_legendre(NODES)
    places = torch.cat([nodes, nodes / 2, (1 + nodes) / 2]).to(lower.device)
    width = (upper - lower).unsqueeze(-1)
    g = lower.unsqueeze(-1) + width * places
    z = mean[..., None, None] + std[..., None, None] * g
    return function(z.flatten(-2)).view_as(g), normal_pdf(g) * width


@functools.cache
def _tests(device: torch.device) -> Tensor:
    """Weights of the rule and of that on the halves, times Legendre polynomials: shape ``(36, PROBES, 2)``."""
    nodes, weights = gauss_legendre(NODES)
    places = torch.cat([nodes, nodes / 2, (1 + nodes) / 2])
    probes = torch.from_numpy(np.polynomial.legendre.legvander(2 * places.numpy() - 1, PROBES - 1))
    table = torch.zeros(len(places), PROBES, 2, dtype=torch.float64)
    table[:NODES, :, 0] = weights.unsqueeze(1) * probes[:NODES]
    table[NODES:, :, 1] = torch.cat([weights, weights]).unsqueeze(1) / 2 * probes[NODES:]
    return table.to(device)


def _gaps(deviation: Tensor, density: Tensor, powers: int) -> Tensor:
    """Largest differences of the two rules over the probes, shape ``(powers, M, d, panels)``."""
    tests = _tests(deviation.device)
    difference = tests[..., 0] - tests[..., 1]
    power, gaps = density, []
    for _ in range(powers):
        power = power * deviation
        gaps.append((power @ difference).abs().amax(dim=-1))
    return torch.stack(gaps)


def _halves(lower: Tensor, upper: Tensor, bad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The halves of the panels that are bad; a unit with fewer of them than another gets empty ones at the end."""
    most = int(bad.sum(dim=-1).max())
    chosen = bad.to(torch.uint8).argsort(dim=-1, descending=True, stable=True)[..., :most]
    is_bad = bad.gather(-1, chosen)
    low, high = (torch.where(is_bad, end.gather(-1, chosen), REACH) for end in (lower, upper))
    middle = (low + high) / 2
    return torch.cat([low, middle], dim=-1), torch.cat([middle, high], dim=-1), middle


def _check_finite(values: Tensor, known: Tensor, name: Callable[[int], str]) -> None:
    wrong = ~values.isfinite().all(dim=-1) & known
    if bool(wrong.any()):
        unit = int(wrong.flatten(2).any(dim=-1).any(dim=0).nonzero()[0])
        raise InputError(f"{name(unit)} is not finite at some of the values that its input takes", SMOOTHER)


def _check_tails(
    deviation: Tensor,
    weights: Tensor,
    outermost: Tensor,
    moments: list[Tensor],
    std: Tensor,
    name: Callable[[int], str],
) -> None:
    """Raise an InputError where a mean or a variance lies beyond the panels; units that are all but constant may be so."""
    for p in range(1, min(3, len(moments))):
        outside = (deviation**p * weights * outermost.unsqueeze(-1)).sum(dim=(-1, -2))
        wrong = (outside > TAIL * moments[p]) & (moments[p] > (TAIL * std) ** p)
        if bool(wrong.any()):
            unit = int(wrong.any(dim=0).nonzero()[0])
            raise InputError(
                f"{name(unit)} grows too fast: what it does beyond {REACH:g} standard deviations of its input matters",
                "functions that grow more slowly, or narrower laws",
            )


def _not_integrated(bad: Tensor, name: Callable[[int], str]) -> InputError:
    unit = int(bad.any(dim=-1).any(dim=0).nonzero()[0])
    return InputError(f"{name(unit)} is not integrated to {TOLERANCE:g} on {MAX_PANELS} panels", SMOOTHER)
