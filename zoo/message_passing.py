r"""Message-passing layers of all members at once, on one small graph that is part of the layer.

Hidden values have shape ``(M, features, nodes, N)``: the graph is an axis of the tensor, so that a batch needs no batch of
graphs. The layers are torch_geometric's :class:`~torch_geometric.nn.MessagePassing` with ``node_dim=-2``. A message is the same
along all edges that leave a node, so that it is not copied for each of them, and ``aggregate`` is a dense product with a
matrix of a few nodes: many times faster than to gather and scatter along the edges. With the same weights, each layer equals
torch_geometric's convolution of the same name, and takes the same ``aggregation`` where that one takes ``aggr``.

Importing this module imports torch_geometric; nothing else in renorm does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import MessagePassing

from ..errors import InputError
from .layers import MemberRandom, StackedLinear, TiedTensor
from .symmetry.graphs import ConvOrbits


class StackedConv(MessagePassing):  # type: ignore[misc]
    r"""Base of the layers: what a node receives and what it keeps, weighed by ``linear``.

    Args:
        members: number of members ``M``.
        adjacency: ``A[i, j] = 1`` where ``j`` sends to ``i``, shape ``(nodes, nodes)``.
        orbits: which weights are tied.
        bias: whether the layer has a bias.

    Shapes:
        ``(in, nodes, N)``, the same for all members, or ``(M, in, nodes, N)`` -> ``(M, out, nodes, N)``.
    """

    def __init__(self, members: int, adjacency: Tensor, orbits: ConvOrbits, bias: bool) -> None:
        super().__init__(aggr=None, node_dim=-2)
        self.linear = StackedLinear(members, orbits.weight, orbits.bias if bias else None)
        # PyG's fused path, message_and_aggregate, would need a sparse tensor, which torch.compile refuses
        self.register_buffer("edges", adjacency.T.nonzero().T.contiguous(), persistent=False)
        self.edges: Tensor
        self._exact = self.neighbour_matrix(adjacency)
        self.register_buffer("neighbours", self._exact.to(torch.get_default_dtype()), persistent=False)
        self.neighbours: Tensor

    def neighbour_matrix(self, adjacency: Tensor) -> Tensor:
        """How much node ``i`` takes of what ``j`` sends, shape ``(nodes, nodes)``; the adjacency by default."""
        return adjacency

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> StackedConv:
        # a float32 model that is turned into float64 must not keep rounded matrices
        super()._apply(fn, recurse)
        self.neighbours = self._exact.to(device=self.neighbours.device, dtype=self.neighbours.dtype)
        return self

    def reset_parameters(self, random: MemberRandom) -> None:
        """Draw the initial weights, member by member, as a layer of an MLP with ``hops * in`` inputs would."""
        self.linear.reset_parameters(random)

    def message(self, h: Tensor) -> Tensor:
        """What every node sends, along all its edges."""
        return h

    def weigh(self, *hops: Tensor) -> Tensor:
        """Multiply the features of every hop, ``(..., in, nodes, N)``, by their weights and add the bias."""
        stacked = hops[0] if len(hops) == 1 else torch.cat(hops, dim=-3)
        z: Tensor = self.linear(stacked.flatten(-2))
        return z.view(*z.shape[:-1], *stacked.shape[-2:])

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """The layer as one dense affine map of all nodes' features.

        Raises:
            ValueError: for a layer that is not linear in the messages.
        """
        raise InputError(
            f"layer={LAYER_NAMES[type(self)]!r} is not affine and has no dense equivalent",
            ", ".join(name for name, layer in LAYERS.items() if issubclass(layer, LinearConv)),
        )


class LinearConv(StackedConv):
    """Base of the layers that are affine in what they receive."""

    def aggregate(self, inputs: Tensor) -> Tensor:
        """What every node receives from its neighbours."""
        return torch.matmul(self.neighbours, inputs)

    def hop_matrices(self) -> Tensor:
        """Node-by-node matrix of every hop, shape ``(M or 1, hops, nodes, nodes)``."""
        identity = torch.eye(len(self.neighbours), dtype=self.neighbours.dtype, device=self.neighbours.device)
        return torch.stack([self.neighbours, identity]).unsqueeze(0)

    def dense(self) -> tuple[Tensor, Tensor | None]:
        r"""The layer as one dense affine map of all nodes' features.

        .. math:: D_{(o,i),(f,j)} = \sum_{\text{hops } h} W_{ohf}\, P^{(h)}_{ij}

        Returns:
            Weight ``(M, out * nodes, in * nodes)`` and bias ``(M, out * nodes)`` or None; features vary slower than nodes,
            as in ``h.flatten(1, 2)``. Differentiable.
        """
        hops = self.hop_matrices()
        weight = self.linear.weight()
        weight = weight.view(*weight.shape[:2], hops.shape[1], -1)
        dense = torch.einsum("mohf,mhij->moifj", weight, hops.expand(len(weight), -1, -1, -1))
        bias = self.linear.bias
        nodes = len(self.neighbours)
        return dense.flatten(3).flatten(1, 2), None if bias is None else bias().repeat_interleave(nodes, dim=1)


class NeighbourConv(LinearConv):
    """Base of the layers that aggregate what their neighbours hold: its sum, its mean or, feature by feature, the largest.

    Without neighbours all three are 0. With ``max`` the layer is not linear in its messages.

    Args:
        members: number of members ``M``.
        adjacency: ``A[i, j] = 1`` where ``j`` sends to ``i``, shape ``(nodes, nodes)``.
        orbits: which weights are tied.
        bias: whether the layer has a bias.
        aggregation: ``sum``, ``mean`` or ``max``; the layer's own by default.
    """

    own_aggregation: ClassVar[str] = "sum"

    def __init__(
        self, members: int, adjacency: Tensor, orbits: ConvOrbits, bias: bool, aggregation: str | None = None
    ) -> None:
        chosen = aggregation or self.own_aggregation
        if chosen == "mean":
            adjacency = adjacency / adjacency.sum(dim=1, keepdim=True).clamp(min=1)
        super().__init__(members, adjacency, orbits, bias)
        self.aggregation = chosen
        self.sources = sources_of(self._exact)

    def aggregate(self, inputs: Tensor) -> Tensor:
        """What every node receives from its neighbours."""
        if self.aggregation == "max":
            return largest(inputs, self.sources)
        received: Tensor = super().aggregate(inputs)
        return received

    def hop_matrices(self) -> Tensor:
        """Node-by-node matrix of every hop.

        Raises:
            ValueError: where the largest message is taken, which no matrix does.
        """
        if self.aggregation == "max":
            raise InputError("aggregation='max' is not affine and has no dense equivalent", "sum, mean")
        return super().hop_matrices()


class GraphConv(NeighbourConv):
    r"""Separate weights for neighbours and self, :math:`z_i = W_1 \sum_{j \to i} h_j + W_2 h_i + b`.

    Source:
        Morris et al., AAAI 2019, eq. 5; :class:`torch_geometric.nn.GraphConv`.
    """

    def forward(self, h: Tensor) -> Tensor:
        """Apply the layer."""
        return self.weigh(self.propagate(self.edges, h=h), h)


class SAGEConv(NeighbourConv):
    r"""Mean over the neighbours, :math:`z_i = W_1 \frac{1}{d_i} \sum_{j \to i} h_j + W_2 h_i + b`; without neighbours, 0.

    Source:
        Hamilton, Ying and Leskovec, NeurIPS 2017; :class:`torch_geometric.nn.SAGEConv`.
    """

    own_aggregation = "mean"

    def forward(self, h: Tensor) -> Tensor:
        """Apply the layer."""
        return self.weigh(self.propagate(self.edges, h=h), h)


class GCNConv(LinearConv):
    r"""One weight, normalised by degree, :math:`z_i = W \sum_j \hat A_{ij} h_j + b`.

    :math:`\hat A = D^{-1/2} (A + I) D^{-1/2}`, with the in-degrees ``D`` of ``A + I``.

    Source:
        Kipf and Welling, ICLR 2017, eq. 2; :class:`torch_geometric.nn.GCNConv`.
    """

    def neighbour_matrix(self, adjacency: Tensor) -> Tensor:
        """The normalised adjacency, self-loops included."""
        loops = with_self_loops(adjacency)
        scale = loops.sum(dim=1).rsqrt()
        return scale[:, None] * loops * scale

    def hop_matrices(self) -> Tensor:
        """The normalised adjacency alone."""
        return self.neighbours[None, None]

    def forward(self, h: Tensor) -> Tensor:
        """Apply the layer."""
        return self.weigh(self.propagate(self.edges, h=h))


class GINConv(NeighbourConv):
    r"""One weight, self scaled by a trained number, :math:`z_i = W [(1 + \epsilon) h_i + \sum_{j \to i} h_j] + b`.

    :math:`\epsilon` starts at 0; where self and neighbours are tied it stays there.

    Source:
        Xu, Hu, Leskovec and Jegelka, ICLR 2019, eq. 4.1, with one linear layer as its network;
        :class:`torch_geometric.nn.GINConv`.
    """

    def __init__(
        self, members: int, adjacency: Tensor, orbits: ConvOrbits, bias: bool, aggregation: str | None = None
    ) -> None:
        super().__init__(members, adjacency, orbits, bias, aggregation)
        self.epsilon = None if orbits.tied else nn.Parameter(torch.zeros(members, 1))

    def hop_matrices(self) -> Tensor:
        """The adjacency with ``1 + epsilon`` added to its diagonal."""
        neighbours, identity = super().hop_matrices()[0].unbind()
        own = identity if self.epsilon is None else (1 + self.epsilon).view(-1, 1, 1, 1) * identity
        return neighbours + own.reshape(-1, 1, *identity.shape)

    def reset_parameters(self, random: MemberRandom) -> None:
        """Draw the initial weights; epsilon starts at 0."""
        super().reset_parameters(random)
        if self.epsilon is not None:
            nn.init.zeros_(self.epsilon)

    def forward(self, h: Tensor) -> Tensor:
        """Apply the layer."""
        received = self.propagate(self.edges, h=h) + h
        if self.epsilon is not None:
            received = torch.addcmul(received, self.epsilon.view(-1, 1, 1, 1), h)
        return self.weigh(received)


class EdgeConv(StackedConv):
    r"""Messages from both ends, the largest kept, :math:`z_i = \max_{j \to i} (W_1 h_j + W_2 h_i + b)`; without neighbours, 0.

    torch_geometric writes the message as :math:`\Theta_1 h_i + \Theta_2 (h_j - h_i)`, which is this with
    :math:`\Theta_2 = W_1` and :math:`\Theta_1 = W_1 + W_2`.

    Source:
        Wang et al., ACM Transactions on Graphics 38 (2019) 146, eq. 8, with one linear layer as its network;
        :class:`torch_geometric.nn.EdgeConv`.
    """

    def __init__(self, members: int, adjacency: Tensor, orbits: ConvOrbits, bias: bool) -> None:
        super().__init__(members, adjacency, orbits, bias)
        self.sources = sources_of(self._exact)

    def aggregate(self, inputs: Tensor) -> Tensor:
        """The largest value that each node receives, feature by feature; 0 where it receives none."""
        return largest(inputs, self.sources)

    def forward(self, h: Tensor) -> Tensor:
        """Apply the layer."""
        neighbour, own = self.linear.weight().chunk(2, dim=-1)
        # a node's own part is the same in all its messages: the maximum is over the neighbours' parts alone
        received = self.propagate(self.edges, h=transform(neighbour, h))
        z: Tensor = received + transform(own, h)
        if self.linear.bias is not None:
            z = z + self.linear.bias()[..., None, None]
        if not all(self.sources):
            z = z * self.neighbours.any(dim=1).to(z.dtype).unsqueeze(-1)
        return z


class GATConv(StackedConv):
    r"""Attention, one head, :math:`z_i = \sum_j \alpha_{ij} W h_j + b` over the neighbours and the node itself.

    .. math:: \alpha_{ij} = \mathrm{softmax}_j\, \mathrm{LeakyReLU}_{0.2}(a_s \cdot W h_j + a_t \cdot W h_i)

    Source:
        Velickovic et al., ICLR 2018, eq. 1-4; :class:`torch_geometric.nn.GATConv`.
    """

    negative_slope: ClassVar[float] = 0.2

    def __init__(self, members: int, adjacency: Tensor, orbits: ConvOrbits, bias: bool) -> None:
        super().__init__(members, adjacency, orbits, bias)
        self.from_source = TiedTensor(members, orbits.bias)
        self.from_target = TiedTensor(members, orbits.bias)
        self.sources = sources_of(self._exact)

    def neighbour_matrix(self, adjacency: Tensor) -> Tensor:
        """The adjacency with self-loops."""
        return with_self_loops(adjacency)

    def reset_parameters(self, random: MemberRandom) -> None:
        """Draw the initial weights and attention vectors."""
        super().reset_parameters(random)
        for attention in (self.from_source, self.from_target):
            attention.reset_parameters(attention.shape[0] ** -0.5, random)

    def aggregate(self, inputs: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Mean of what each node receives, weighed by attention.

        Args:
            inputs: what every node sends, shape ``(M, out, nodes, N)``.
            source: what a node adds to the attention paid to it, shape ``(M, nodes, N)``.
            target: what a node adds to the attention that it pays.
        """
        received = []
        # target by target, so that no tensor has features, sources and targets at once
        for i, sources in enumerate(self.sources):
            if len(sources) == 1:
                received.append(inputs[:, :, sources[0]])  # all attention is on one
                continue
            chosen = consecutive(sources)
            score = functional.leaky_relu(target[:, i, None] + source[:, chosen], self.negative_slope)
            received.append((score.softmax(dim=1).unsqueeze(1) * inputs[:, :, chosen]).sum(dim=2))
        return torch.stack(received, dim=2)

    def forward(self, h: Tensor) -> Tensor:
        """Apply the layer."""
        weight = self.linear.weight()
        source, target = (
            transform(vector().unsqueeze(1) @ weight, h).squeeze(1) for vector in (self.from_source, self.from_target)
        )
        # attention sums to one, so that the bias may be added before as well as after
        z: Tensor = self.propagate(self.edges, h=self.weigh(h), source=source, target=target)
        return z


def with_self_loops(adjacency: Tensor) -> Tensor:
    """The adjacency with ones on its diagonal."""
    return adjacency.clone().fill_diagonal_(1.0)


def sources_of(adjacency: Tensor) -> list[list[int]]:
    """The nodes that every node receives from."""
    return [row.nonzero().flatten().tolist() for row in adjacency]


def largest(sent: Tensor, sources: list[list[int]]) -> Tensor:
    """The largest value that each node receives, feature by feature; 0 where it receives none.

    Args:
        sent: what every node sends, shape ``(..., nodes, N)``.
        sources: the nodes that every node receives from.
    """
    nodes = sent.unbind(-2)

    def of(values: list[Tensor]) -> Tensor:
        if len(values) > 1:
            return torch.stack(values).amax(0)
        return values[0] if values else torch.zeros_like(nodes[0])

    return torch.stack([of([nodes[j] for j in senders]) for senders in sources], dim=-2)


def consecutive(nodes: list[int]) -> list[int] | slice:
    """A slice where the nodes are consecutive, which saves a copy."""
    first, last = nodes[0], nodes[-1]
    return slice(first, last + 1) if last - first + 1 == len(nodes) else nodes


def transform(weight: Tensor, h: Tensor) -> Tensor:
    """Multiply every node's features by ``weight``: ``(M, out, in)`` with ``(M or none, in, nodes, N)``."""
    z = torch.matmul(weight, h.flatten(-2))
    return z.view(*z.shape[:-1], *h.shape[-2:])


LAYERS: dict[str, type[StackedConv]] = {
    "graph_conv": GraphConv,
    "gcn": GCNConv,
    "sage": SAGEConv,
    "gin": GINConv,
    "edge_conv": EdgeConv,
    "gat": GATConv,
}
LAYER_NAMES = {layer: name for name, layer in LAYERS.items()}
