"""Cubature in the plane on triangles that no kink of a network crosses.

Whatever the depth, a network of piecewise-affine activations is affine between its kinks. Splitting triangles along the
kinks of one unit after the other leaves triangles on which every layer is a polynomial.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from .network import Network
from .panels import ELSE, NODES, TOLERANCE, Panels

# a rule of n nodes is enough for triangles smaller than this share of their panels, where n = 8 is enough for all of one
SHARE_OF_NODES = {3: 0.04, 4: 0.14, 5: 0.28, 6: 0.5, 7: 0.75}
MAX_PAIRS = 50_000  # of panels that hold mass: gigabytes of points, after kinks have split their triangles
ON_THE_LINE = 1e-13  # heights below this share of the largest are zero


class Triangles(NamedTuple):
    """Triangles of all members in one list.

    Attributes:
        corners: shape ``(K, 3, 2)``.
        member: whose triangle it is, shape ``(K,)``.
        panel: widths of the panels that it came from, shape ``(K, 2)``.
    """

    corners: Tensor
    member: Tensor
    panel: Tensor

    def take(self, index: Tensor) -> Triangles:
        """Some of the triangles."""
        return Triangles(self.corners[index], self.member[index], self.panel[index])


def grid(panels: Panels, members: int, device: torch.device | None = None) -> Triangles:
    """Two triangles for each pair of panels that holds more than a negligible mass, the same for every member.

    Raises:
        ValueError: for more pairs than there is memory for.
    """
    i, j = np.meshgrid(np.arange(len(panels.edges)), np.arange(len(panels.edges)), indexing="ij")
    mass = (panels.mass[:, None] * panels.mass[None, :]).ravel()
    ascending = np.argsort(mass)
    kept = np.sort(ascending[np.cumsum(mass[ascending]) > TOLERANCE])
    if len(kept) > MAX_PAIRS:
        raise InputError(f"method='quadrature': the law takes {len(kept)} pairs of panels", f"{MAX_PAIRS}; {ELSE}")
    x, y = panels.edges[i.ravel()[kept]], panels.edges[j.ravel()[kept]]

    def corner(a: int, b: int) -> np.ndarray:
        return np.stack([x[:, a], y[:, b]], axis=-1)

    lower = np.stack([corner(0, 0), corner(1, 0), corner(1, 1)], axis=1)
    upper = np.stack([corner(0, 0), corner(1, 1), corner(0, 1)], axis=1)
    corners = torch.from_numpy(np.concatenate([lower, upper])).to(device)
    width = torch.from_numpy(np.stack([x[:, 1] - x[:, 0], y[:, 1] - y[:, 0]], axis=-1)).to(device).repeat(2, 1)
    member = torch.arange(members, device=device).repeat_interleave(len(corners))
    return Triangles(corners.repeat(members, 1, 1), member, width.repeat(members, 1))


def split_at_kinks(triangles: Triangles, network: Network) -> Triangles:
    """Split until no kink of any layer crosses a triangle; kinks that are curved are followed by their chords."""
    for layer, nonlinearity in enumerate(network.nonlinear):
        if not nonlinearity.ends:
            continue
        heights = _heights(triangles, network, layer)
        for unit in range(heights.shape[2]):
            for at in nonlinearity.ends:
                triangles, heights = _split(triangles, heights, heights[:, :, unit] - at)
    return triangles


def _heights(triangles: Triangles, network: Network, layer: int) -> Tensor:
    """Pre-activations of one layer at the corners, shape ``(K, 3, units)``."""
    packed, place = pack(triangles.member, triangles.corners, network.members)
    value = packed.flatten(1, 2).transpose(1, 2)
    for before in range(layer):
        value = network.nonlinear[before](network.pre(before, value))
    heights: Tensor = network.pre(layer, value).mT.reshape(network.members, -1, 3, network.affine[layer][0].shape[1])
    return heights[triangles.member, place]


def pack(member: Tensor, rows: Tensor, members: int) -> tuple[Tensor, Tensor]:
    """Rows of a flat list sorted into ``(M, largest number, ...)``, and the place that each row got; zeros fill up."""
    order = torch.argsort(member, stable=True)
    counts = torch.bincount(member, minlength=members)
    starts = counts.cumsum(0) - counts
    place = torch.empty_like(member)
    place[order] = torch.arange(len(member), device=member.device) - starts[member[order]]
    packed = rows.new_zeros(members, int(counts.max()), *rows.shape[1:])
    packed[member, place] = rows
    return packed, place


def _split(triangles: Triangles, heights: Tensor, side: Tensor) -> tuple[Triangles, Tensor]:
    """Split the triangles whose corners lie on both sides of ``side = 0``, shape ``(K, 3)``, each into two or three."""
    sign = torch.where(side.abs() <= ON_THE_LINE * side.abs().amax(dim=1, keepdim=True), 0.0, side.sign())
    crossed = (sign.amin(dim=1) < 0) & (sign.amax(dim=1) > 0)
    if not bool(crossed.any()):
        return triangles, heights
    cut, sign, side = triangles.take(crossed), sign[crossed], side[crossed]
    values = torch.cat([cut.corners, heights[crossed]], dim=-1)
    # the corner that is alone on its side comes first
    lonely = torch.where(sign.sum(dim=1) > 0, -1.0, 1.0)
    first = (sign == lonely.unsqueeze(1)).to(torch.uint8).argmax(dim=1)
    turn = (first.unsqueeze(1) + torch.arange(3, device=first.device)) % 3
    values = values.gather(1, turn.unsqueeze(2).expand_as(values))
    side = torch.where(sign == 0, 0.0, side).gather(1, turn)
    tip, a, b = values.unbind(dim=1)
    ta, tb = (side[:, 0] / (side[:, 0] - side[:, k]) for k in (1, 2))
    on_a, on_b = tip + ta.unsqueeze(1) * (a - tip), tip + tb.unsqueeze(1) * (b - tip)
    parts = [(on_a, a, b, ta < 1), (on_a, b, on_b, tb < 1)]
    pieces = [(torch.stack([tip, on_a, on_b], dim=1), cut.member, cut.panel)]
    pieces += [(torch.stack([p, q, r], 1)[real], cut.member[real], cut.panel[real]) for p, q, r, real in parts]
    new, member, panel = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    old = triangles.take(~crossed)
    joined = Triangles(
        torch.cat([old.corners, new[..., :2]]), torch.cat([old.member, member]), torch.cat([old.panel, panel])
    )
    return joined, torch.cat([heights[~crossed], new[..., 2:]])


def quarter(triangles: Triangles) -> Triangles:
    """Four triangles in place of each."""
    a, b, c = triangles.corners.unbind(dim=1)
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    corners = torch.cat([torch.stack(t, dim=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    return Triangles(corners, triangles.member.repeat(4), triangles.panel.repeat(4, 1))


def nodes_needed(triangles: Triangles) -> Tensor:
    """Number of nodes in each direction that a triangle's size asks for, shape ``(K,)``."""
    extent = triangles.corners.amax(dim=1) - triangles.corners.amin(dim=1)
    share = (extent / triangles.panel).amax(dim=1)
    needed = torch.full_like(triangles.member, NODES)
    for nodes in sorted(SHARE_OF_NODES, reverse=True):
        needed[share <= SHARE_OF_NODES[nodes]] = nodes
    return needed


def rule(corners: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    """A collapsed product rule on triangles, exact for polynomials of degree ``2 nodes - 1``.

    Args:
        corners: shape ``(K, 3, 2)``.
        nodes: nodes in each of two directions.

    Returns:
        Points ``(K, nodes**2, 2)`` and weights ``(K, nodes**2)``.

    Example:
        >>> x, w = rule(torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]), 2)
        >>> round(float((w * x[..., 0] ** 3).sum()), 6)
        0.05
    """
    shape, weights = (value.to(corners) for value in _barycentric(nodes))
    a, b, c = corners.unbind(dim=1)
    area = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).abs() / 2
    return torch.einsum("pk,nkc->npc", shape, corners), area.unsqueeze(1) * weights


@functools.cache
def _barycentric(nodes: int) -> tuple[Tensor, Tensor]:
    """Barycentric coordinates ``(nodes**2, 3)`` and weights with sum 1."""
    from scipy.special import roots_jacobi  # half a second, which closures do not need

    t, wt = np.polynomial.legendre.leggauss(nodes)
    s, ws = roots_jacobi(nodes, 0, 1)  # the weight 1 + s is the Jacobian of the collapsed square
    u, v = np.meshgrid((s + 1) / 2, (t + 1) / 2, indexing="ij")
    w = np.outer(ws / ws.sum(), wt / wt.sum())
    shape = np.stack([1 - u, u * (1 - v), u * v], axis=-1)
    return torch.from_numpy(shape.reshape(-1, 3)), torch.from_numpy(w.ravel())
