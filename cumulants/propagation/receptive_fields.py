r"""Exact cumulants of graph networks from receptive fields: what no input joins has no joint cumulant.

A node of layer :math:`l` depends on the variables within :math:`l` hops of it, its receptive field. Where the fields of a
tuple of nodes split into groups without a common variable, the groups are independent and the tuple's joint cumulant is zero;
for the others the variables in the union of the fields are enough. The output is a sum of one term a node, so that its
cumulants are sums over connected tuples, and a ring of 16 nodes costs no more blocks of points than one of 9.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..joint import check_entries
from ..kstatistics import check_order
from .network import Network
from .points import CHUNK_CELLS, check_product, product_points
from .tensors import PointLaw, VectorLaw


@dataclass(frozen=True)
class Fields:
    """Which variables the nodes of each layer depend on.

    Attributes:
        network: members whose units are ``(feature, node)`` pairs, with a variable at every node.
        by_layer: for each of ``network.names()`` but ``out``, the set of variables of every node.
    """

    network: Network
    by_layer: list[list[frozenset[int]]]

    @staticmethod
    def of(network: Network) -> Fields:
        """Read off the weights that are not zero; a node always counts as its own neighbour."""
        nodes = network.nodes
        reach = torch.eye(nodes, dtype=torch.bool)
        by_layer = []
        for weight, _ in network.affine[:-1]:
            hears = (
                weight.detach().view(len(weight), -1, nodes, weight.shape[2] // nodes, nodes).ne(0).any(3).any(1).any(0)
            )
            reach = (hears.cpu() | torch.eye(nodes, dtype=torch.bool)).float() @ reach.float() > 0
            fields = [frozenset(row.nonzero().flatten().tolist()) for row in reach]
            by_layer += [fields, fields]  # before and after the activation
        return Fields(network, by_layer)

    @property
    def are_partial(self) -> bool:
        """Whether any node of any layer misses any variable."""
        return any(len(field) < self.network.nodes for fields in self.by_layer for field in fields)


def has_partial_fields(network: Network) -> bool:
    """Whether a network lives on a graph, some of whose nodes depend on some of the variables only."""
    return network.nodes > 1 and network.nodes == network.block_size and Fields.of(network).are_partial


def connected(fields: list[frozenset[int]]) -> bool:
    """Whether sets hang together through common elements.

    Example:
        >>> connected([frozenset({0, 1}), frozenset({3}), frozenset({2, 3}), frozenset({1, 2})])
        True
        >>> connected([frozenset({0, 1}), frozenset({2, 3})])
        False
    """
    joined, rest = set(fields[0]), list(fields[1:])
    while rest:
        near = [field for field in rest if joined & field]
        if not near:
            return False
        rest = [field for field in rest if not joined & field]
        joined = joined.union(*near)
    return True


class LocalLaw(VectorLaw):
    """One layer of a graph network, from the points of each tuple of nodes' own variables.

    Args:
        fields: of the network.
        layer: position of the layer among ``network.names()``.
        values: points of one variable, shape ``(q,)``.
        weights: their weights.
        order: highest order of the cumulants.
        exists: highest order that exists; cumulants above it are NaN.

    Raises:
        ValueError: when a cumulant needs too many blocks of points.
    """

    def __init__(self, fields: Fields, layer: int, values: Tensor, weights: Tensor, order: int, exists: int) -> None:
        self._fields, self._layer, self._values, self._weights = fields, layer, values, weights
        self._exists = exists
        self._is_output = layer == len(fields.by_layer)
        self.members, self.units, self.order = fields.network.members, fields.network.sizes()[layer], order
        self._features = 1 if self._is_output else self.units // fields.network.nodes

    # ---- the parts that the layer is made of: a node's features, or its term of the output -------------------------

    @functools.cached_property
    def _nodes(self) -> list[int]:
        """Nodes that have a part in the layer."""
        network = self._fields.network
        if not self._is_output:
            return list(range(network.nodes))
        heard = network.affine[-1][0].detach().view(self.members, -1, network.nodes).ne(0).any(1).any(0)
        return [int(node) for node in heard.nonzero().flatten()]

    def _field(self, node: int) -> frozenset[int]:
        return self._fields.by_layer[min(self._layer, len(self._fields.by_layer) - 1)][node]

    def _variables(self, chosen: tuple[int, ...]) -> list[int]:
        """What some nodes depend on together."""
        return sorted(frozenset().union(*(self._field(node) for node in chosen)))

    def _law(self, chosen: tuple[int, ...]) -> PointLaw:
        """Joint law of the parts of some nodes, ``(node, feature)`` in this order."""
        variables = self._variables(chosen)
        check_product(len(self._values), len(variables), "receptive field")
        network = restricted(self._fields.network, variables)
        points, weights = product_points(self._values, self._weights, len(variables))
        at = [variables.index(node) for node in chosen]
        size = max(1, CHUNK_CELLS // sum(network.sizes()))
        parts = [self._parts(network, x, at) for x in torch.split(points, size, -1)]
        return PointLaw(torch.cat(parts, -1), weights, self.order, self._exists)

    def _parts(self, network: Network, x: Tensor, at: list[int]) -> Tensor:
        """Values ``(M, nodes * features, P)`` of the parts of nodes."""
        value = network.walk(x)[min(self._layer, 2 * network.depth - 1)]
        by_node = value.view(len(value), -1, network.nodes, value.shape[-1])[:, :, at]
        if self._is_output:
            weight = network.affine[-1][0].view(len(value), -1, network.nodes, 1)[:, :, at]
            by_node = (weight * by_node).sum(dim=1, keepdim=True)
        return by_node.transpose(1, 2).flatten(1, 2)

    # ---- cumulants -----------------------------------------------------------------------------------------------

    def cumulants(self, n: int) -> Tensor:
        """Joint cumulants, of connected tuples of nodes only; the others are exactly zero."""
        check_order(n, self.order)
        check_entries(self.units, n)
        if n > self._exists:
            return self._values.new_full((self.members, *[self.units] * n), math.nan)
        if self._is_output:
            return self._output_cumulant(n).view(self.members, *[1] * n)
        total = self._values.new_zeros(self.members, *[len(self._nodes), self._features] * n)
        for chosen, by_node in self._connected_tensors(n):
            for places in itertools.product(range(len(chosen)), repeat=n):
                if len(set(places)) == len(chosen):
                    total[at_nodes([chosen[place] for place in places])] = by_node[at_nodes(places)]
        # a layer's units are (feature, node) pairs
        by_feature = [0, *itertools.chain(*((2 * axis + 2, 2 * axis + 1) for axis in range(n)))]
        return total.permute(by_feature).reshape(self.members, *[self.units] * n)

    def marginal(self, n: int) -> Tensor:
        """Of every unit by itself."""
        check_order(n, self.order)
        if self._is_output or n > self._exists:
            shape = (self.members, self.units)
            return self._output_cumulant(n).view(shape) if n <= self._exists else self._values.new_full(shape, math.nan)
        return torch.stack([law.marginal(n) for law in self._node_laws], dim=2).flatten(1)

    @functools.cached_property
    def _node_laws(self) -> list[PointLaw]:
        return [self._law((node,)) for node in self._nodes]

    def _output_cumulant(self, n: int) -> Tensor:
        r"""The sum of the joint cumulants of all tuples of the output's terms, and the bias for n = 1; shape ``(M,)``."""
        total = self._values.new_zeros(self.members)
        for chosen, by_node in self._connected_tensors(n):
            for places in itertools.combinations_with_replacement(range(len(chosen)), n):
                if len(set(places)) == len(chosen):
                    orders = math.factorial(n) // math.prod(math.factorial(places.count(i)) for i in set(places))
                    total = total + orders * by_node[at_nodes(places)].flatten()
        return total + self._fields.network.affine[-1][1].squeeze(1) if n == 1 else total

    def _connected_tensors(self, n: int) -> list[tuple[tuple[int, ...], Tensor]]:
        """Sets of at most ``n`` nodes whose fields hang together, and their parts' ``(M, nodes, features, nodes, ...)``."""
        sets = [chosen for size in range(1, n + 1) for chosen in itertools.combinations(self._nodes, size)]
        sets = [chosen for chosen in sets if connected([self._field(node) for node in chosen])]
        # the widest is refused before the others are worked out, which may take minutes
        check_product(
            len(self._values), max((len(self._variables(chosen)) for chosen in sets), default=0), "receptive field"
        )
        laws = ((chosen, self._law(chosen)) for chosen in sets)
        return [
            (chosen, law.cumulants(n).view(self.members, *[len(chosen), self._features] * n)) for chosen, law in laws
        ]


def at_nodes(nodes: Sequence[int]) -> tuple[int | slice, ...]:
    """The index of some nodes in a tensor of shape ``(M, nodes, features, nodes, features, ...)``."""
    index: list[int | slice] = [slice(None)]
    for node in nodes:
        index += [node, slice(None)]
    return tuple(index)


def restricted(network: Network, nodes: list[int]) -> Network:
    """A graph network on some of its nodes: right for those all of whose field is among them."""
    affine = []
    for layer, (weight, bias) in enumerate(network.affine):
        columns = weight.view(*weight.shape[:2], -1, network.nodes)[..., nodes].flatten(2)
        if layer < network.depth:
            rows = columns.view(len(weight), -1, network.nodes, columns.shape[-1])[:, :, nodes].flatten(1, 2)
            affine.append((rows, bias.view(len(bias), -1, network.nodes)[..., nodes].flatten(1)))
        else:
            affine.append((columns, bias))
    nonlinear = [nonlinearity.on_nodes(len(nodes)) for nonlinearity in network.nonlinear]
    return replace(network, affine=affine, nonlinear=nonlinear, nodes=len(nodes))


def local_laws(network: Network, values: Tensor, weights: Tensor, order: int, exists: int) -> dict[str, VectorLaw]:
    """Every layer of a graph network from points of one variable; see :class:`LocalLaw`."""
    fields = Fields.of(network)
    return {name: LocalLaw(fields, i, values, weights, order, exists) for i, name in enumerate(network.names())}
