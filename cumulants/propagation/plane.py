r"""Cumulants of every layer by integrating the law of the input, free of sampling noise: the reference for all else.

The expectation of anything in a network on blocks of two variables is an integral over the plane,
:math:`E g = \int g(x_1, x_2)\, p(x_1) p(x_2)\, dx_1 dx_2`. It is taken on triangles that no kink crosses, with Gauss rules.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...errors import InputError
from ..joint import check_entries
from ..kstatistics import check_order
from ..moments import moments_to_cumulants
from .network import Network
from .panels import ELSE, NODES, law_atoms, law_panels
from .pieces import REACH
from .points import CHUNK_CELLS, check_product, product_points
from .receptive_fields import has_partial_fields, local_laws
from .tensors import PointLaw, VectorLaw, with_mean
from .triangles import Triangles, grid, nodes_needed, pack, quarter, rule, split_at_kinks

log = logging.getLogger("renorm")

PART_POINTS = 2**22  # points of all members that are held at a time
MAX_REFINEMENTS = 14
TOLERANCE = 1e-12  # of a moment of an output over one triangle, relative to the whole
LEFT_OVER = 1e-6  # the same of all triangles that are not refined any more
MORE_NODES = 2  # of the rule that judges another
SECONDS_A_POINT, SECONDS_A_UNIT = 4e-7, 4e-8  # of one core, for a point of a rule, and for a unit's value at it
LONG = 5.0  # seconds, above which the time is announced


class Part(NamedTuple):
    """Points for some of the members.

    Attributes:
        network: these members.
        points: shape ``(M or 1, b, P)``.
        weights: shape ``(M or 1, P)``, with sum 1.
    """

    network: Network
    points: Tensor
    weights: Tensor


class Cubature:
    """Points and weights that integrate all layers of a network over the law of a block.

    Args:
        network: the members.
        law: anything with ``atoms``, ``pdf``, ``support``, ``breakpoints``, ``cumulants``, ``exact_cumulants`` and ``scipy``.
        order: highest order of the cumulants.

    Raises:
        ValueError: for too many blocks of atoms, or a density with ``b`` other than 2.
    """

    def __init__(self, network: Network, law: Any, order: int) -> None:
        self.network = network
        self.law = law
        self.order = order
        self.exists = self._existing_order()
        self._power = max(self.exists, 1) * network.growth
        self._points = self._one_dimensional()
        self._announced = False

    def _existing_order(self) -> int:
        if self.law.atoms() is not None:
            return self.order
        # a moment of order n of the output needs one of order n * growth of the input
        known = len(self.law.exact_cumulants(self.order * self.network.growth)) // self.network.growth
        return min(self.order, known)

    def _one_dimensional(self) -> tuple[Tensor, Tensor] | None:
        """Points and weights of a single variable that make those of a block as their product; None for a density."""
        atoms = law_atoms(self.law, self._power)
        block_size = self.network.block_size
        if atoms is None and block_size != 2:
            raise InputError(f"block_size={block_size} is too many to integrate a density", "2")
        if atoms is None:
            return None
        values, weights = (torch.from_numpy(table).to(self.network.device) for table in atoms)
        return values, weights

    def layers(self) -> dict[str, VectorLaw]:
        """Every layer by name; nodes of a graph that depend on few variables are integrated over those alone."""
        network = self.network
        if self._points is not None:
            if has_partial_fields(network):
                return local_laws(network, *self._points, self.order, self.exists)
            check_product(len(self._points[0]), network.block_size)
        sizes = network.sizes()
        return {name: CubatureLaw(self, i, sizes[i]) for i, name in enumerate(network.names())}

    @functools.cached_property
    def _kept(self) -> list[Part] | None:
        """All points, unless they take too much memory: they are then made again each time that they are needed."""
        parts = []
        for part in self._make():
            parts.append(part)
            if len(parts) * PART_POINTS > 4 * PART_POINTS:
                return None
        return parts

    def parts(self) -> Iterator[Part]:
        """Points for all members, some members at a time."""
        yield from self._make() if self._kept is None else self._kept

    def _make(self) -> Iterator[Part]:
        members = self.network.members
        if self._points is not None:
            yield Part(self.network, *product_points(*self._points, self.network.block_size))
            return
        start, step = 0, 1
        while start < members:
            part = self.network.part(slice(start, start + step))
            x, w = self._triangle_points(part)
            yield Part(part, x, w)
            start += step
            step = max(1, PART_POINTS // x.shape[-1])

    @torch.no_grad()  # no kink contributes to a derivative: all layers are continuous
    def _triangle_points(self, network: Network) -> tuple[Tensor, Tensor]:
        panels = law_panels(self.law, self._power)
        first = grid(panels, network.members, network.device)
        network = _located(network, first)
        triangles = split_at_kinks(first, network)
        if not self._announced:
            self._announce(len(triangles.member))
        if not is_polynomial_on_triangles(network):
            triangles = _refined(triangles, network, panels.pdf, max(self.exists, 1))
        x, w = _weighted_points(triangles, panels.pdf, network.members)
        return x, w / w.sum(dim=1, keepdim=True)

    def _announce(self, triangles: int) -> None:
        """Say beforehand, once, what takes long: densities that are singular at an end take very many panels."""
        self._announced = True
        rules = (
            [NODES, NODES] if is_polynomial_on_triangles(self.network) else [NODES, NODES, NODES, NODES + MORE_NODES]
        )
        points = triangles * sum(nodes**2 for nodes in rules)
        seconds = points * (SECONDS_A_POINT + SECONDS_A_UNIT * sum(self.network.sizes())) * self.network.members
        if seconds > LONG:
            log.warning("propagate: quadrature of %s on %d triangles takes about %.0f s", self.law, triangles, seconds)

    @functools.cached_property
    def marginals(self) -> list[Tensor]:
        """Cumulants of every unit of every layer, in the order of ``network.names()``: ``(order, M, units)`` each."""
        parts = [_marginals(part, self.exists) for part in self.parts()]
        return [torch.cat(layer, dim=1) for layer in zip(*parts, strict=True)]


class PointCubature(Cubature):
    """The points of a discrete joint law, such as data.

    Args:
        network: the members.
        law: of the input.
        order: highest order of the cumulants.
    """

    def __init__(self, network: Network, law: PointLaw, order: int) -> None:
        self.network, self.law, self.order = network, law, order
        self.exists = min(order, law.exists)
        self._points = None

    def _make(self) -> Iterator[Part]:
        device = self.network.device
        weights = self.law.weights.to(device)
        yield Part(self.network, self.law.values.to(device), weights.expand(len(self.law.values), -1))


def at_points(network: Network, law: PointLaw, order: int) -> dict[str, VectorLaw]:
    """Every layer as the image of the points of a discrete joint law."""
    return PointCubature(network, law, order).layers()


def has_straight_kinks(network: Network) -> bool:
    """Whether all kinks are straight lines where no other kink crosses: the layers before them are affine there."""
    kinked = [layer for layer, nonlinearity in enumerate(network.nonlinear) if nonlinearity.breaks]
    return all(nonlinearity.is_piecewise_affine for nonlinearity in network.nonlinear[: max(kinked, default=0)])


def is_polynomial_on_triangles(network: Network) -> bool:
    """Whether all layers are polynomials between straight kinks."""
    return has_straight_kinks(network) and all(nonlinearity.pieces is not None for nonlinearity in network.nonlinear)


class CubatureLaw(VectorLaw):
    """One layer under a :class:`Cubature`.

    Args:
        cubature: the points.
        layer: position of the layer among ``network.names()``.
        units: number of its units.
    """

    def __init__(self, cubature: Cubature, layer: int, units: int) -> None:
        self._cubature, self._layer = cubature, layer
        self.members, self.units, self.order = cubature.network.members, units, cubature.order

    def cumulants(self, n: int) -> Tensor:
        """From central joint moments."""
        check_order(n, self.order)
        if n == 1 or self.units == 1:
            return self.marginal(n).view(self.members, *[self.units] * n)
        check_entries(self.units, n)
        exists = self._cubature.exists
        parts = [
            PointLaw(part.network.walk(part.points)[self._layer], part.weights, self.order, exists).cumulants(n)
            for part in self._cubature.parts()
        ]
        return torch.cat(parts)

    def marginal(self, n: int) -> Tensor:
        """From central moments, those of all layers at once."""
        check_order(n, self.order)
        if n > self._cubature.exists:
            shape, device = (self.members, self.units), self._cubature.network.device
            return torch.full(shape, math.nan, dtype=torch.float64, device=device)
        return self._cubature.marginals[self._layer][n - 1]


def quadrature(network: Network, law: Any, order: int) -> dict[str, VectorLaw]:
    """Every layer as the image of the input's points; cumulants that do not exist are NaN."""
    return Cubature(network, law, order).layers()


def _marginals(part: Part, order: int) -> list[Tensor]:
    """From sums of powers about values near the mean, over points in chunks."""
    network, points, weights = part
    points, weights = points.expand(network.members, -1, -1), weights.expand(network.members, -1)
    centres = network.walk((points @ weights.unsqueeze(-1)).detach())
    size = max(1, CHUNK_CELLS // sum(centre.numel() for centre in centres))
    sums: list[Tensor] | None = None
    for x, w in zip(torch.split(points, size, -1), torch.split(weights, size, -1), strict=True):
        rows = [_power_sums(h - centre, w, order) for h, centre in zip(network.walk(x), centres, strict=True)]
        sums = rows if sums is None else [a + b for a, b in zip(sums, rows, strict=True)]
    assert sums is not None
    # the moments about the centre are those of a variable whose first cumulant is the distance of the mean from it
    kappas = [moments_to_cumulants(total) for total in sums]
    return [with_mean(k, k[0] + centre.squeeze(-1)) for k, centre in zip(kappas, centres, strict=True)]


def _power_sums(deviation: Tensor, weights: Tensor, order: int) -> Tensor:
    w = weights.unsqueeze(-1)
    power, sums = deviation, [(deviation @ w).squeeze(-1)]
    for _ in range(order - 1):
        power = power * deviation
        sums.append((power @ w).squeeze(-1))
    return torch.stack(sums)


def _weighted_points(triangles: Triangles, pdf: Any, members: int) -> tuple[Tensor, Tensor]:
    needed = nodes_needed(triangles)
    points, weights, member = [], [], []
    for nodes in torch.unique(needed).tolist():
        chosen = triangles.take(needed == nodes)
        x, w = rule(chosen.corners, nodes)
        points.append(x.flatten(0, 1))
        weights.append((w * _density(pdf, x)).flatten())
        member.append(chosen.member.repeat_interleave(nodes * nodes))
    x, place = pack(torch.cat(member), torch.cat(points), members)
    w = x.new_zeros(x.shape[:2])
    w[torch.cat(member), place] = torch.cat(weights)
    return x.mT.contiguous(), w


def _density(pdf: Any, x: Tensor) -> Tensor:
    """Density of a pair of independent variables, ``(..., 2) -> (...)``."""
    # laws are scipy's, which are on the CPU
    return torch.from_numpy(pdf(x.cpu().numpy())).to(x.device).prod(dim=-1)


def _located(network: Network, triangles: Triangles) -> Network:
    """The network with functions that were looked at where the triangles' corners lead."""
    packed, _ = pack(triangles.member, triangles.corners, network.members)
    values = network.walk(packed.flatten(1, 2).mT)[:-1:2]
    nonlinear = []
    for nonlinearity, pre in zip(network.nonlinear, values, strict=True):
        low, high = pre.amin(dim=-1), pre.amax(dim=-1)
        nonlinear.append(nonlinearity.under((low + high) / 2, (high - low) / (2 * REACH)))
    return replace(network, nonlinear=nonlinear)


def _refined(triangles: Triangles, network: Network, pdf: Any, order: int) -> Triangles:
    """Quarter triangles until two rules agree on the moments of the output."""
    done: list[Triangles] = []
    whole: Tensor | None = None
    for _ in range(MAX_REFINEMENTS):
        fine = _moments(triangles, network, pdf, order, MORE_NODES)
        gap = (_moments(triangles, network, pdf, order, 0) - fine).abs()
        if whole is None:
            whole = fine.new_zeros(network.members, *fine.shape[1:])
            whole.index_add_(0, triangles.member, fine.abs())
        bad = (gap > TOLERANCE * whole[triangles.member]).flatten(1).any(dim=1)
        done.append(triangles.take(~bad))
        if not bool(bad.any()):
            break
        triangles = quarter(triangles.take(bad))
    else:
        assert whole is not None
        left = torch.zeros_like(whole).index_add_(0, triangles.member, gap[bad].repeat(4, 1, 1) / 4)
        if not bool((left <= LEFT_OVER * whole).all()):
            raise InputError(f"method='quadrature' does not converge: the network changes too fast; {ELSE}")
        done.append(triangles)
    return Triangles(*(torch.cat(parts) for parts in zip(*done, strict=True)))


def _moments(triangles: Triangles, network: Network, pdf: Any, order: int, more: int) -> Tensor:
    """Integrals of the powers of the outputs over each triangle, shape ``(K, order + 1, outputs)``."""
    result = triangles.corners.new_zeros(len(triangles.member), order + 1, network.sizes()[-1])
    needed = nodes_needed(triangles)
    for nodes in torch.unique(needed).tolist():
        chosen = needed == nodes
        part = triangles.take(chosen)
        x, w = rule(part.corners, nodes + more)
        w = w * _density(pdf, x)
        packed, place = pack(part.member, x, network.members)
        out = network.walk(packed.flatten(1, 2).mT)[-1].mT
        out = out.reshape(*packed.shape[:3], -1)[part.member, place]
        result[chosen] = torch.stack([(w.unsqueeze(2) * out**k).sum(dim=1) for k in range(order + 1)], dim=1)
    return result
