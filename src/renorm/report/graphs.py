"""Predicted and measured cumulants of graph networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..callbacks.layer_cumulants import units_last
from ..cumulants import kstat, propagate
from ..datamodules import CLTDataModule
from ..training.stack import StackedModel
from .fits import fit

ORDERS = 4
CHUNK = 20_000  # blocks that are evaluated at once; those of hidden layers, which are looked at more coarsely
METHODS: dict[str, dict[str, Any]] = {
    "independent": {"method": "independent_nodes", "closure": 4},
    "joint2": {"method": "gaussian", "closed_at": "layers"},
    "joint4": {"method": "edgeworth", "closure": 4, "closed_at": "layers"},
    "exact": {"method": "exact"},
    "quadrature": {"method": "quadrature"},
}


def compare_graph(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Predict and measure the cumulants of every layer, at every stop of the training.

    Args:
        settings: see :func:`renorm.report.fits.fit`, with one training law; and ``methods``, names of :data:`METHODS`, and
            ``samples``, blocks of the measurement.

    Returns:
        ``stops``: for each stop, method -> layer -> gap of each order and member, see :func:`gaps`.
    """

    def look(model: StackedModel, data: CLTDataModule, step: int) -> dict[str, Any]:
        law = data.train_laws[0]
        model.requires_grad_(False)
        generator = torch.Generator().manual_seed(step + 1)
        x = law.sample((settings["samples"], model.block_size), generator=generator).double()
        measured = measure(model.double_copy(), x)
        found = {}
        for name in settings["methods"]:
            theory = propagate(model, law, order=ORDERS, **METHODS[name])
            found[name] = {layer: gaps(theory.marginals(layer), k).tolist() for layer, k in measured.items()}
        model.requires_grad_(True)
        return found

    return {"stops": fit(settings, look)}


@torch.no_grad()
def measure(model: StackedModel, x: Tensor) -> dict[str, Tensor]:
    """Cumulants of every layer: of the output from the whole sample, of hidden layers from its first part.

    Args:
        model: the stack, in float64.
        x: blocks, shape ``(N, b)``.

    Returns:
        Layer -> shape ``(4, M, units)``.
    """
    found = {name: kstat(units_last(values), ORDERS, dim=1) for name, values in model.trace(x[:CHUNK]).items()}
    out = torch.cat([model(part) for part in torch.split(x, CHUNK)], dim=1)
    return found | {"out": kstat(out, ORDERS, dim=1).unsqueeze(-1)}


def gaps(predicted: Tensor, measured: Tensor) -> Tensor:
    r"""How far predicted cumulants are from measured ones, relative to these, over the units of a layer.

    .. math:: g_n = \frac{\big(\sum_u (\hat\kappa_{n,u} - \kappa_{n,u})^2 / \sigma_u^{2n}\big)^{1/2}}
        {\big(\sum_u \kappa_{n,u}^2 / \sigma_u^{2n}\big)^{1/2}}

    0 for a right prediction, 1 for that of nothing at all. Sums over units, because a single cumulant may happen to vanish.

    Args:
        predicted: shape ``(r, M, units)``.
        measured: same shape.

    Returns:
        Shape ``(r, M)``.

    Example:
        >>> k = torch.ones(2, 1, 3)
        >>> gaps(torch.zeros_like(k), k).tolist(), gaps(k, k).tolist()
        ([[1.0], [1.0]], [[0.0], [0.0]])
    """
    orders = torch.arange(1, len(measured) + 1, dtype=measured.dtype).view(-1, 1, 1)
    # a dead unit has no scale, and does not count
    scale = torch.where(measured[1] > 0, measured[1], torch.inf).sqrt() ** orders
    difference = ((predicted.to(measured) - measured) / scale).square().sum(dim=-1).sqrt()
    whole: Tensor = (measured / scale).square().sum(dim=-1).sqrt()
    return difference / whole


def counting_gap(senders: int, order: int, depth: int = 2) -> float:
    r"""Gap at the mean readout of a linear graph network whose nodes are taken as independent, a matter of counting.

    Let every node add up, with equal weights, its own value and its neighbours', d values in all, in each of L layers, and
    the readout take the mean over N nodes. A variable reaches the readout along :math:`d^L` ways, all with the same value:
    the cumulant of order n is :math:`N (d^L/N)^n \kappa_n`. Nodes that are taken as independent have d times the cumulant
    after each layer, and the readout :math:`N d^L \kappa_n / N^n`. The gap is

    .. math:: g_n = 1 - d^{-L(n-1)}, \qquad g_2 = 1 - 1/d^2 \text{ at } L = 2

    Args:
        senders: d, neighbours and the node itself, of a graph where all nodes have as many.
        order: n.
        depth: L.

    Example:
        >>> counting_gap(4, 2), counting_gap(4, 1)
        (0.9375, 0.0)
    """
    return 1 - float(senders) ** (-depth * (order - 1))
