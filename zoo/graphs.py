"""Small graphs whose nodes are the variables of a block: named ones, or any list of edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ..errors import InputError

Edge: TypeAlias = tuple[int, int]  # source, target: the direction in which messages go


def _pair(nodes: int) -> list[Edge]:
    return [(0, 1)]


def _pair_both(nodes: int) -> list[Edge]:
    return [(0, 1), (1, 0)]


def _path(nodes: int) -> list[Edge]:
    return [edge for i in range(nodes - 1) for edge in ((i, i + 1), (i + 1, i))]


def _ring(nodes: int) -> list[Edge]:
    # a ring of two is one edge in both directions, not two
    return sorted({edge for i in range(nodes) for edge in ((i, (i + 1) % nodes), ((i + 1) % nodes, i))})


def _star(nodes: int) -> list[Edge]:
    hub = nodes - 1
    return [edge for leaf in range(hub) for edge in ((leaf, hub), (hub, leaf))]


def _complete(nodes: int) -> list[Edge]:
    return [(i, j) for i in range(nodes) for j in range(nodes) if i != j]


GRAPHS: dict[str, Callable[[int], list[Edge]]] = {
    "pair": _pair,
    "pair_both": _pair_both,
    "ring": _ring,
    "star": _star,
    "complete": _complete,
    "path": _path,
}


def edge_list(graph: str | list[list[int]], nodes: int) -> list[Edge]:
    r"""The edges of a graph as pairs ``(source, target)``; messages go from source to target.

    ``pair`` is the directed edge 0 -> 1 and ``pair_both`` adds 1 -> 0, both for two nodes only; ``ring``, ``star`` (its hub
    is the last node), ``complete`` and ``path`` have every edge in both directions, and any number of nodes.

    Args:
        graph: a name, or distinct pairs ``[source, target]``; a pair of equal nodes is a self-loop.
        nodes: number of nodes, 2 or more.

    Raises:
        ValueError: for an unknown name, a name that does not fit the number of nodes, or pairs that are not a graph.

    Example:
        >>> edge_list("ring", 3)
        [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
        >>> edge_list([[0, 2], [1, 2]], 3)
        [(0, 2), (1, 2)]
    """
    if isinstance(graph, str):
        if graph not in GRAPHS:
            raise InputError(f"graph={graph!r} is unknown", f"{', '.join(GRAPHS)}, or a list of pairs of nodes")
        if graph in ("pair", "pair_both") and nodes != 2:
            raise InputError(
                f"graph={graph!r} has 2 nodes and block_size={nodes}",
                "block_size=2, or graphs of any size: ring, star, complete, path, a list of pairs of nodes",
            )
        return GRAPHS[graph](nodes)
    if not isinstance(graph, list | tuple) or not all(_is_edge(edge, nodes) for edge in graph):
        raise InputError(
            f"graph={graph!r} is not a list of edges", f"{', '.join(GRAPHS)}, or pairs of nodes from 0 to {nodes - 1}"
        )
    edges = [(source, target) for source, target in graph]
    if not edges or len(set(edges)) < len(edges):
        raise InputError(f"graph={graph!r} has no edge, or one twice", "one or more distinct pairs of nodes")
    return edges


def _is_edge(edge: Any, nodes: int) -> bool:
    is_pair = isinstance(edge, list | tuple) and len(edge) == 2
    return is_pair and all(type(node) is int and 0 <= node < nodes for node in edge)


def adjacency(edges: list[Edge], nodes: int) -> Tensor:
    """The adjacency matrix ``A[i, j] = 1`` where ``j`` sends to ``i``, shape ``(nodes, nodes)``, float64.

    Example:
        >>> adjacency([(0, 1)], 2).tolist()
        [[0.0, 0.0], [1.0, 0.0]]
    """
    matrix = torch.zeros(nodes, nodes, dtype=torch.float64)
    sources, targets = torch.tensor(edges).T
    matrix[targets, sources] = 1.0
    return matrix
