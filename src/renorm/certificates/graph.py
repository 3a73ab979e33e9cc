r"""The arguments behind certificates of graph networks whose layers are linear in the messages.

With activations out of the way, a number at every node goes through :math:`x \to (w_1 P_1 + w_2 P_2)\, x` at each layer, P the
node-by-node matrices of its hops, and the readout takes :math:`\rho \cdot x`. The map needs
:math:`\rho \prod_l (\sum_h w_{lh} P_{lh}) = (1, \dots, 1)/\sqrt b`: a few equations for a few numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..zoo.activations.spline import Spline
from ..zoo.gnn import GNN
from ..zoo.symmetry.graphs import ConvOrbits, generators, graph_orbits
from ..zoo.symmetry.symmetry import is_odd
from .finding import Finding, undecided
from .mlp import Nonlinear, count_channels

STARTS = 20
RESIDUAL = 1e-12

Array = NDArray[np.float64]


def examine_graph(model: GNN) -> Finding:
    """Find weights, which are stored in ``model``, or a reason why there are none, or neither."""
    layer, phi = str(model.hparams["layer"]), Nonlinear.of(model)
    unseen = unseen_nodes(model)
    if unseen:
        lines = (f"The readout hears nothing of node {unseen[0]} within {len(model.hidden)} steps along the edges,",)
        return Finding(
            "not representable", (*lines, "so f does not depend on its variable, while the map does."), "positive"
        )
    if model.not_affine is not None:
        return undecided(f"{model.not_affine}, which is not affine")
    if model.hparams["weights"] == "fixed":
        return undecided("these fixed weights")
    if phi.bounded:
        lines = (f"|phi| is bounded for {phi.name}, and with it f, while S/sqrt(b) is not.",)
        return Finding("not representable", lines, "unknown")
    if phi.slope == -1:
        lines = ("phi(z) = |z|: along any line all nodes grow alike on both sides, and so does f; S changes sign.",)
        return Finding("not representable", lines, "unknown")
    sizes = [1, *[int(model.hparams["width"])] * len(model.hidden), 1]
    ties, _, _ = graph_orbits(layer, model.hparams["symmetry"], sizes)
    one_channel = any(count_channels(one.weight, one.bias) == 1 for one in ties)
    straight = (
        phi.is_affine and phi.polynomial is not None and phi.polynomial[0] == 0
    ) or phi.trained_spline == "affine"
    if one_channel and not straight:
        return _one_feature(model, phi)
    if not straight and phi.odd_slope is None:
        return undecided(f"{phi.name} on graphs")
    scalars = hop_weights(model, ties)
    if scalars is None:
        return Finding("undecided", ("no weights of the hops were found that give (1, ..., 1)/sqrt(b)",), "unknown")
    odd = is_odd(generators(layer, model.hparams["symmetry"], sizes), sizes)
    return _hand_on(model, phi, odd, scalars, straight)


def unseen_nodes(model: GNN) -> list[int]:
    """Nodes that are further from what is read out than there are layers."""
    nodes = model.block_size
    reached = {nodes - 1} if model.readout_kind == "target" else set(range(nodes))
    for _ in model.hidden:
        reached |= {source for source, target in model.edges if target in reached}
    return sorted(set(range(nodes)) - reached)


def _one_feature(model: GNN, phi: Nonlinear) -> Finding:
    """All features of a node are one: the kinks or squares of all nodes have one sign."""
    curved = phi.slope is not None or (phi.polynomial is not None and len(phi.polynomial) == 3)
    if len(model.hidden) > 1 or not curved:
        return undecided(f"{phi.name} with one feature a node")
    what = "The kinks of all nodes bend" if phi.slope is not None else "The squares of all nodes curve"
    lines = (
        "All features of a node are one: f = A sum_i rho_i phi(z_i) + d, with rho_i >= 0 and z_i affine in x.",
        f"{what} f to the same side, that of A, and cannot cancel: f is affine only where A = 0 or all z_i are",
        "constant, and then it is constant.",
    )
    return Finding("not representable", lines, "unknown")


def hop_matrices(model: GNN, position: int, tied: bool) -> list[Tensor]:
    """Node-by-node matrices of a layer whose weights may differ; epsilon of ``gin`` counts as a weight of its own."""
    conv: Any = model.hidden[position]
    if getattr(conv, "epsilon", None) is not None:
        return [conv.neighbours, torch.eye(model.block_size, dtype=conv.neighbours.dtype)]
    hops = list(conv.hop_matrices()[0].detach())
    return [torch.stack(hops).sum(0)] if tied else hops


def readout_row(model: GNN) -> Array:
    """Weight of each node in the readout."""
    nodes = model.block_size
    if model.readout_kind == "target":
        return np.asarray(np.eye(nodes)[-1], dtype=np.float64)
    return np.full(nodes, 1 / nodes if model.readout_kind == "mean" else 1.0)


def hop_weights(model: GNN, ties: list[ConvOrbits]) -> list[Array] | None:
    """Weights of the hops of every layer with which the network is the map; None if none are found."""
    from scipy.optimize import least_squares

    hops = [[h.double().numpy() for h in hop_matrices(model, i, one.tied)] for i, one in enumerate(ties)]
    counts = [len(matrices) for matrices in hops]
    splits = np.cumsum(counts)[:-1]
    target = np.full(model.block_size, 1 / math.sqrt(model.block_size))

    def residual(numbers: Array) -> Array:
        row = readout_row(model)
        for matrices, weights in zip(reversed(hops), reversed(np.split(numbers, splits)), strict=True):
            row = row @ sum(w * p for w, p in zip(weights, matrices, strict=True))
        return np.asarray(row - target, dtype=np.float64)

    random = np.random.default_rng(0)
    for start in [np.ones(sum(counts)), *random.normal(size=(STARTS, sum(counts)))]:
        found = least_squares(residual, start, xtol=1e-15, ftol=1e-15, gtol=1e-15)
        if np.abs(found.fun).max() < RESIDUAL and np.abs(found.x).min() > 1e-6:
            return [np.asarray(part, dtype=np.float64) for part in np.split(found.x, splits)]
    return None


def _hand_on(model: GNN, phi: Nonlinear, odd: bool, scalars: list[Array], straight: bool) -> Finding:
    """Carry a number at every node from layer to layer: by straight lines, or by a pair of features."""
    width = int(model.hparams["width"])
    signs = torch.tensor([(-1.0) ** i for i in range(width)], dtype=torch.float64)
    if straight:
        carry = signs if odd else torch.ones(width, dtype=torch.float64)
        gain = 1.0 if phi.polynomial is None else phi.polynomial[1]
        read = carry / (width * gain)
        for activation in model.activations:
            if isinstance(activation, Spline):
                with torch.no_grad():
                    activation.theta.copy_(activation.greville.to(activation.theta).expand_as(activation.theta))
        lines = ["Straight activations hand a number on at every node, and the hops can be weighed so that"]
    else:
        assert phi.odd_slope is not None
        carry = torch.zeros(width, dtype=torch.float64)
        carry[:2] = signs[:2]
        read = carry / phi.odd_slope
        lines = [
            f"Two features of a node carry z and -z: phi(z) - phi(-z) = {phi.odd_slope:g} z. The hops can be weighed so that"
        ]
    lines.append("the readout of what the nodes hand on is S/sqrt(b); all biases are 0.")
    source = torch.ones(1, dtype=torch.float64)
    for conv, weights in zip(model.hidden, scalars, strict=True):
        linear: Any = conv.linear
        hops = linear.weight.shape[1] // len(source)
        values = torch.from_numpy(weights)
        epsilon = getattr(conv, "epsilon", None)
        if epsilon is not None:
            with torch.no_grad():
                epsilon.fill_(float(values[1] / values[0] - 1))
        own = values[:1].expand(hops) if epsilon is not None or len(values) < hops else values
        linear.weight.fill(torch.einsum("o,h,f->ohf", carry, own, source).flatten(1))
        source = read
        if linear.bias is not None:
            linear.bias.fill(torch.zeros(linear.bias.shape, dtype=torch.float64))
    model.readout.weight.fill(source.unsqueeze(0))
    if model.readout.bias is not None:
        model.readout.bias.fill(torch.zeros(model.readout.bias.shape, dtype=torch.float64))
    return Finding("representable", tuple(lines), "attained")
