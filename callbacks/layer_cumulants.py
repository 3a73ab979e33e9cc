"""Cumulants of every unit of every layer under a law: measured on a sample, or integrated without noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..cumulants import PowerSums, power_sums
from ..datamodules.laws import Law
from ..datamodules.laws.quadrature import block_rule
from ..training.stack import StackedModel
from .hooked_network import Measured

ORDER = 4
CHUNK_CELLS = 2**22  # values of a layer that quadrature holds at a time


@dataclass(frozen=True)
class LayerCumulants:
    r"""Cumulants of one layer under one law, of every member and unit (for graphs, every unit of every node).

    Attributes:
        k: :math:`k_1, \dots, k_4`, shape ``(4, M, units)``, float64.
        stderr: standard errors, same shape; 0 if the law is integrated instead of sampled.
        covariance: joint second cumulants of the units, shape ``(M, units, units)``; None if there are too many units.
        across_nodes: for graphs, the sum of all joint cumulants between nodes,
            :math:`k_n(\sum_v h_v) - \sum_v k_n(h_v)`, of every feature, shape ``(4, M, features)``; 0 for all n if the nodes are
            independent, and always for n = 1. None for layers without nodes.
    """

    k: Tensor
    stderr: Tensor
    covariance: Tensor | None
    across_nodes: Tensor | None = None

    def without_diverged(self, model: Measured) -> LayerCumulants:
        """Return the same cumulants with NaN for members that have diverged."""
        exclude, covariance, across = model.divergence.exclude, self.covariance, self.across_nodes
        return LayerCumulants(
            exclude(self.k, dim=1),
            exclude(self.stderr, dim=1),
            None if covariance is None else exclude(covariance),
            None if across is None else exclude(across, dim=1),
        )

    def nodes_first(self) -> LayerCumulants:
        """Return the same cumulants with the features of each node together; they are ordered by feature otherwise."""
        if self.across_nodes is None:
            return self
        features = self.across_nodes.shape[-1]
        k, stderr = (t.reshape(*t.shape[:-1], features, -1).mT.flatten(-2) for t in (self.k, self.stderr))
        return LayerCumulants(k, stderr, None, self.across_nodes)

    @property
    def skewness(self) -> Tensor:
        r"""Standardised third cumulant :math:`k_3 / k_2^{3/2}`, shape ``(M, units)``; NaN for a constant unit."""
        return self.k[2] / self.k[1] ** 1.5

    @property
    def excess_kurtosis(self) -> Tensor:
        r"""Standardised fourth cumulant :math:`k_4 / k_2^2`, shape ``(M, units)``; NaN for a constant unit."""
        return self.k[3] / self.k[1] ** 2


def sampled_cumulants(
    model: Measured, x: Any, members: list[int] | None = None, most_units: int | None = None
) -> dict[str, LayerCumulants]:
    """Return unbiased estimates from a sample of blocks.

    Args:
        model: the stack, or another network with hooks.
        x: blocks, shape ``(N, b)``, or what else the network takes.
        members: positions of the members in the stack; all by default.
        most_units: layers of more units have no covariance matrix; by default all have one.

    Returns:
        Layer name -> estimates.

    Example:
        >>> from renorm.zoo import MLP
        >>> layers = sampled_cumulants(MLP(width=3, replicas=5), torch.randn(100, 2))
        >>> list(layers), layers["act0"].k.shape, layers["act0"].covariance.shape
        (['pre0', 'act0', 'out'], torch.Size([4, 5, 3]), torch.Size([5, 3, 3]))
    """
    with torch.no_grad():
        layers = model.trace(x).items()
        chosen = {name: values if members is None else values[members] for name, values in layers}
        return {name: _estimate(values, most_units) for name, values in chosen.items()}


def units_last(values: Tensor) -> Tensor:
    """Return a layer's values as ``(M, N, units)``, from ``(M, units, ..., N)`` or, for the output, ``(M, N)``."""
    return values.reshape(values.shape[0], -1, values.shape[-1]).mT


def units_and_sums(values: Tensor) -> Tensor:
    """Return a layer's values as ``(M, N, units)``, for graphs followed by every feature's sum over the nodes."""
    units = units_last(values)
    return units if values.ndim < 4 else torch.cat([units, values.sum(dim=2).mT], dim=2)


def _of_layer(nodes: int | None, k: Tensor, stderr: Tensor, covariance: Tensor | None) -> LayerCumulants:
    """Separate the units of a graph's layer from the sums that :func:`units_and_sums` appends."""
    if nodes is None:
        return LayerCumulants(k, stderr, covariance)
    units = k.shape[-1] * nodes // (nodes + 1)
    of_units, of_sums = k[..., :units], k[..., units:]
    across = of_sums - of_units.reshape(*of_units.shape[:-1], -1, nodes).sum(dim=-1)
    across[0] = 0.0  # means add up
    of_pairs = None if covariance is None else covariance[:, :units, :units]
    return LayerCumulants(of_units, stderr[..., :units], of_pairs, across)


def _nodes(values: Tensor) -> int | None:
    return values.shape[2] if values.ndim == 4 else None


def _estimate(layer: Tensor, most_units: int | None = None) -> LayerCumulants:
    values = units_and_sums(layer).double()
    sums = power_sums(values, 2 * ORDER, dim=1)
    covariance = None
    if most_units is None or values.shape[2] <= most_units:
        deviation = values - sums.mean.unsqueeze(1)
        covariance = deviation.mT @ deviation / (values.shape[1] - 1)
    return _of_layer(_nodes(layer), sums.kstat(ORDER), sums.kstat_stderr(ORDER), covariance)


def integrated_cumulants(model: StackedModel, law: Law) -> dict[str, LayerCumulants]:
    r"""Return the cumulants without noise, by quadrature over a block's law in float64.

    Exact to about 1e-10 for smooth activations, and to about 1e-5 for activations with kinks.

    Args:
        model: the stack, with blocks of 2 or 3 variables.
        law: law of the variables, with a variance.

    Raises:
        InputError: for larger blocks and laws that quadrature cannot do.

    Example:
        >>> from renorm.datamodules import laws
        >>> from renorm.zoo import MLP
        >>> layers = integrated_cumulants(MLP(activation="linear", symmetry="odd", width=2), laws.parse("gaussian()"))
        >>> bool(layers["out"].k[2:].abs().max() < 1e-10)
        True
    """
    blocks, weights = block_rule(law, model.block_size)
    device = next(model.parameters()).device
    twin = model.double_copy()
    blocks, weights = blocks.to(device), weights.to(device)
    with torch.no_grad():
        at_mean = twin.trace(weights[None] @ blocks)
        centres = {name: units_and_sums(value)[:, 0] for name, value in at_mean.items()}
        widest = max(centre.numel() for centre in centres.values())
        parts = torch.split(blocks, max(1, CHUNK_CELLS // widest)), torch.split(weights, max(1, CHUNK_CELLS // widest))
        sums = {name: torch.zeros(ORDER, *centre.shape).to(centre) for name, centre in centres.items()}
        squares = {name: torch.zeros(*c.shape, c.shape[-1]).to(c) for name, c in centres.items()}
        for x, w in zip(*parts, strict=True):
            for name, value in twin.trace(x).items():
                deviation = units_and_sums(value) - centres[name].unsqueeze(1)
                squares[name] += deviation.mT @ (w[:, None] * deviation)
                power = torch.ones_like(deviation)
                for p in range(ORDER):
                    power = power * deviation
                    sums[name][p] += torch.einsum("n,mnu->mu", w, power)
    return {name: _exact(_nodes(at_mean[name]), centres[name], sums[name], squares[name]) for name in centres}


def _exact(nodes: int | None, centre: Tensor, sums: Tensor, squares: Tensor) -> LayerCumulants:
    expectations = PowerSums(torch.ones_like(centre), centre, sums)
    _, second, third, fourth = expectations.central()
    k = torch.stack([expectations.mean, second, third, fourth - 3 * second.square()])
    covariance = squares - sums[0].unsqueeze(-1) * sums[0].unsqueeze(-2)
    return _of_layer(nodes, k, torch.zeros_like(k), covariance)
