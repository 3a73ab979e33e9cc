"""Stacked graph networks: the variables of a block are the nodes of one small graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..checks import check_at_least, check_bool, check_one_of, primitive
from ..errors import InputError
from ..training.stack import StackedModel
from .activations import find
from .graphs import adjacency, edge_list
from .layers import StackedLinear
from .symmetry.graphs import HOPS, graph_orbits, symmetries_of
from .symmetry.orbits import Orbits
from .symmetry.symmetry import DoesNotFitError

if TYPE_CHECKING:
    from torch_geometric.data import Data

READOUTS = ("target", "mean", "sum", "max")
AGGREGATIONS = ("sum", "mean", "max")
# layers that receive what their neighbours hold, and can aggregate it
AGGREGATED = ("graph_conv", "sage", "gin")
# values of arguments with which a layer or the readout is not affine, activations aside
NOT_AFFINE = {"layer": ("edge_conv", "gat"), "aggregation": ("max",), "readout": ("max",)}


class GNN(StackedModel):
    r"""Graph networks: ``depth`` message-passing layers, an activation after each, then a linear readout.

    Each variable of a block is the one feature of its node. The readout takes the features of the ``target``, which is the
    last node, or their ``mean``, ``sum`` or ``max`` over all nodes, to one number. With ``graph="pair"``,
    ``layer="graph_conv"`` and one layer, a GNN is an MLP of the same width: it starts from the same weights and trains to the
    same ones.

    Args:
        graph: ``pair``, ``pair_both``, ``ring``, ``star``, ``complete``, ``path``, or pairs ``[source, target]`` of nodes; see
            :func:`renorm.zoo.graphs.edge_list`.
        layer: ``graph_conv``, ``gcn``, ``sage``, ``gin``, ``edge_conv`` or ``gat``; see :mod:`renorm.zoo.message_passing`.
        readout: ``target``, ``mean``, ``sum`` or ``max``, the largest value of each feature.
        width: features of a node in each hidden layer.
        depth: number of message-passing layers; a readout of the target sees the nodes within ``depth`` edges of it.
        symmetry: ``free``, ``tied``, ``hidden``, ``full``, ``odd`` or ``odd_tied``; a list gives one for each layer. ``gcn`` and
            ``gat`` have one weight for a node and its neighbours, and are always tied; ``gat`` and the aggregation
            ``max`` cannot be odd.
        bias: whether layers have a bias.
        aggregation: what ``graph_conv``, ``sage`` and ``gin`` take of their neighbours' features, ``sum``, ``mean`` or ``max``;
            by default the mean for ``sage`` and the sum for the others. The other layers have none to choose.
        **kwargs: see :class:`renorm.zoo.StackedModel`.

    Shapes:
        ``(N, b) -> (M, N)``; hidden layers ``(M, features, nodes, N)``.

    Raises:
        ValueError: for a value out of range, in one line that names it and what is allowed.

    Source:
        Ashworth, Lio and Caso, arXiv 2510.16591, for the two-node directed graph.

    Example:
        >>> model = GNN(graph="ring", block_size=4, layer="sage", readout="mean", replicas=3)
        >>> model(torch.zeros(5, 4)).shape
        torch.Size([3, 5])
        >>> model.trace(torch.zeros(5, 4))["act0"].shape
        torch.Size([3, 8, 4, 5])
    """

    def __init__(
        self,
        graph: str | list[list[int]] = "pair",
        layer: str = "graph_conv",
        readout: str = "target",
        width: int = 8,
        depth: int = 1,
        symmetry: str | list[str] = "free",
        bias: bool = True,
        aggregation: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        graph, width, depth = primitive("graph", graph), primitive("width", width), primitive("depth", depth)
        bias = primitive("bias", bias)
        check_one_of("layer", layer, HOPS)
        check_one_of("readout", readout, READOUTS)
        check_at_least("width", width, 1)
        check_at_least("depth", depth, 1)
        check_bool("bias", bias)
        check_aggregation(layer, aggregation)
        self.edges = edge_list(graph, self.block_size)
        self.readout_kind = readout
        orbits, weight, offset = graph_orbits(layer, symmetry, [1, *[width] * depth, 1], aggregation)
        from .message_passing import LAYERS  # imports torch_geometric, which no MLP needs

        matrix = adjacency(self.edges, self.block_size)
        chosen = {} if aggregation is None else {"aggregation": aggregation}
        self.hidden = nn.ModuleList(LAYERS[layer](self.num_members, matrix, ties, bias, **chosen) for ties in orbits)
        self.readout = StackedLinear(self.num_members, weight, offset if bias else None)
        self.activations = nn.ModuleList(self.make_activation(torch.from_numpy(ties.bias.index)) for ties in orbits)
        self.reset_parameters()

    def initialised_layers(self) -> Iterator[Any]:
        """Message-passing layers from the input to the output, the readout, then the activations."""
        yield from self.hidden
        yield self.readout
        yield from self.activations

    def work(self, rows: int) -> int:
        """Values of hidden units that one step computes: every node has units of its own."""
        return super().work(rows) * self.block_size

    @property
    def fuses(self) -> bool:
        """Not through a maximum over nodes, which takes a compiler minutes."""
        return super().fuses and "max" not in (self.hparams["aggregation"], self.readout_kind)

    # ---- what the members compute --------------------------------------------------------------------------------

    def walk(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Name and value of every layer in turn, batch last."""
        h = x.mT.unsqueeze(-3)  # (1 feature, nodes, N), shared by all members, or (M, 1 feature, nodes, N)
        for i, (layer, activation) in enumerate(zip(self.hidden, self.activations, strict=True)):
            z = layer(h)
            yield f"pre{i}", z
            h = activation(z)
            yield f"act{i}", h
        yield "out", self.readout(self._pool(h)).squeeze(1)

    def _pool(self, h: Tensor) -> Tensor:
        """Features that are read out, ``(M, features, nodes, N) -> (M, features, N)``."""
        if self.readout_kind == "target":
            return h[:, :, -1]
        if self.readout_kind == "max":
            return h.amax(dim=2)
        return h.mean(dim=2) if self.readout_kind == "mean" else h.sum(dim=2)

    def forward(self, x: Tensor | Data) -> Tensor:
        """Outputs of all members, ``(N, b)`` or ``(M, N, b) -> (M, N)``; also of torch_geometric's ``Data`` or ``Batch``."""
        return super().forward(self._blocks(x))

    def trace(self, x: Tensor | Data) -> dict[str, Tensor]:
        """Values of all layers, hidden ones ``(M, features, nodes, N)``, ``out`` ``(M, N)``."""
        return super().trace(self._blocks(x))

    def _blocks(self, x: Tensor | Data) -> Tensor:
        return x if isinstance(x, Tensor) else blocks_of(x, self.edges, self.block_size)

    def affine_layers(self) -> list[StackedLinear]:
        """The weights of the message-passing layers, which all nodes share, then the readout."""
        hidden: Iterable[Any] = self.hidden
        return [*(layer.linear for layer in hidden), self.readout]

    def symmetric_subspaces(self) -> dict[str, list[Orbits]]:
        """Orbits of every layer's weight, for each symmetry that fits the features and ties anything."""
        layer, sizes = self.hparams["layer"], [1, *[int(self.hparams["width"])] * len(self.hidden), 1]
        subspaces = {}
        for name in symmetries_of(layer, self.hparams["aggregation"]):
            try:
                layers, readout, _ = graph_orbits(layer, name, sizes)
            except DoesNotFitError:
                continue
            weights = [*(conv.weight for conv in layers), readout]
            if not all(weight.is_free for weight in weights):
                subspaces[name] = weights
        return subspaces

    @property
    def not_affine(self) -> str | None:
        """The argument with which a layer or the readout is not affine, activations aside, as ``name=value``.

        Example:
            >>> GNN(aggregation="max").not_affine
            "aggregation='max'"
        """
        given = {name: self.hparams[name] for name, values in NOT_AFFINE.items() if self.hparams[name] in values}
        return next((f"{name}={value!r}" for name, value in given.items()), None)

    def dense(self) -> list[tuple[Tensor, Tensor | None]]:
        r"""Every layer as a dense affine map of all nodes' features, the readout included; differentiable.

        An MLP with these weights, and the same activation for all nodes of a feature, is the same network.

        Returns:
            Weight ``(M, out * nodes, in * nodes)`` and bias ``(M, out * nodes)`` or None of each layer, the readout's
            ``(M, 1, in * nodes)`` and ``(M, 1)``; features vary slower than nodes, as in ``h.flatten(1, 2)``.

        Raises:
            ValueError: for ``edge_conv``, ``gat`` and the aggregation ``max``, which are not linear in their messages, and for
                the readout ``max``.

        Example:
            >>> [tuple(weight.shape) for weight, _ in GNN(width=8).dense()]
            [(1, 16, 2), (1, 1, 16)]
        """
        if self.readout_kind == "max":
            raise InputError("readout='max' is not affine and has no dense equivalent", "target, mean, sum")
        weight, bias = self.readout.weight(), self.readout.bias
        nodes = torch.zeros(self.block_size, dtype=weight.dtype, device=weight.device)
        if self.readout_kind == "target":
            nodes[-1] = 1.0
        else:
            nodes += 1.0 / self.block_size if self.readout_kind == "mean" else 1.0
        readout = torch.einsum("mof,n->mofn", weight, nodes).flatten(2)
        hidden: Iterable[Any] = self.hidden
        return [*(layer.dense() for layer in hidden), (readout, None if bias is None else bias())]


def check_aggregation(layer: str, aggregation: str | None) -> None:
    """Raise a ValueError unless the layer can aggregate its neighbours' features that way; None is the layer's own."""
    if aggregation is None:
        return
    check_one_of("aggregation", aggregation, AGGREGATIONS)
    if layer not in AGGREGATED:
        raise InputError(
            f"aggregation={aggregation!r} is not for layer={layer!r}, which has its own",
            f"null, or layer {', '.join(AGGREGATED)}",
        )


def free_parameters(
    layer: str,
    activation: str,
    symmetry: str,
    weights: str = "trained",
    width: int = 8,
    aggregation: str | None = None,
    **own: Any,
) -> int:
    """Numbers that one member of depth 1 trains, counted without building the network: that imports torch_geometric.

    Args:
        layer: name of the message-passing layer.
        activation: name of the activation.
        symmetry: name of the symmetry.
        weights: ``trained`` or ``fixed``.
        width: features of a node.
        aggregation: what a node takes of its neighbours' features; no number is trained for it.
        **own: parameters of the activation.

    Example:
        >>> [free_parameters("graph_conv", "relu", symmetry) for symmetry in ("free", "tied", "full")]
        [33, 25, 4]
    """
    (conv,), weight, bias = graph_orbits(layer, symmetry, [1, width, 1], aggregation)
    nonlinearity = find(activation)(1, torch.from_numpy(conv.bias.index), **own)
    trained = sum(p.numel() for p in nonlinearity.parameters() if p.requires_grad)
    if weights == "fixed":
        return trained
    of_layer = {"gin": 0 if conv.tied else 1, "gat": 2 * conv.bias.count}.get(layer, 0)  # epsilon; attention vectors
    return trained + of_layer + sum(orbits.count for orbits in (conv.weight, conv.bias, weight, bias))


def blocks_of(graphs: Data, edges: list[tuple[int, int]], nodes: int) -> Tensor:
    """Node features of a torch_geometric ``Data`` or ``Batch`` as blocks.

    Args:
        graphs: ``N`` graphs, with ``x`` of shape ``(N * nodes, 1)`` or ``(N * nodes,)``, and ``edge_index``.
        edges: the edges that every one of the graphs must have, in any order.
        nodes: the number of nodes that every one of the graphs must have.

    Returns:
        Shape ``(N, nodes)``.

    Raises:
        ValueError: where the features are not one number a node, or the graphs are not the model's.
    """
    x, index = getattr(graphs, "x", None), getattr(graphs, "edge_index", None)
    if not isinstance(x, Tensor) or not isinstance(index, Tensor):
        raise InputError(f"x={type(graphs).__name__} has no x or no edge_index", f"blocks (N, {nodes}), or graphs")
    if x.shape not in ((len(x),), (len(x), 1)) or len(x) % nodes:
        raise InputError(
            f"x has node features of shape {tuple(x.shape)}",
            f"({nodes} N, 1), one number a node, {nodes} nodes a graph",
        )
    sources, targets = torch.tensor(edges, device=x.device).T
    first = nodes * torch.arange(len(x) // nodes, device=x.device).unsqueeze(1)
    wanted = (first + sources) * len(x) + first + targets
    found = index[0] * len(x) + index[1]
    if not torch.equal(wanted.flatten().sort().values, found.sort().values):
        raise InputError("x has graphs with other edges than the model's", f"edge_index {edges} in every graph")
    return x.view(-1, nodes)
