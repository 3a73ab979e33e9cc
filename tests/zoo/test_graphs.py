"""Graphs: the named ones against their definition, adjacency against the edges, and every wrong input in one line."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from renorm.zoo.graphs import GRAPHS, adjacency, edge_list

SIZES = [2, 3, 4, 7, 16]


def test_the_documented_graphs_exist() -> None:
    assert set(GRAPHS) == {"pair", "pair_both", "ring", "star", "complete", "path"}


@pytest.mark.parametrize("nodes", SIZES)
@pytest.mark.parametrize("name", ["ring", "star", "complete", "path"])
def test_every_named_graph_joins_the_nodes_that_its_name_says(name: str, nodes: int) -> None:
    joined = {
        "ring": lambda i, j: (i - j) % nodes in (1, nodes - 1),
        "star": lambda i, j: nodes - 1 in (i, j),
        "complete": lambda i, j: True,
        "path": lambda i, j: abs(i - j) == 1,
    }[name]
    expected = {(i, j) for i, j in itertools.permutations(range(nodes), 2) if joined(i, j)}
    edges = edge_list(name, nodes)
    assert set(edges) == expected
    assert len(edges) == len(expected)


def test_pairs() -> None:
    assert edge_list("pair", 2) == [(0, 1)]
    assert edge_list("pair_both", 2) == [(0, 1), (1, 0)]
    for name in ("ring", "star", "complete", "path"):
        assert set(edge_list(name, 2)) == {(0, 1), (1, 0)}


def test_any_edges() -> None:
    edges = [[2, 0], [0, 0], [1, 2]]
    assert edge_list(edges, 3) == [(2, 0), (0, 0), (1, 2)]
    assert adjacency(edge_list(edges, 3), 3).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("nodes", SIZES)
def test_adjacency_sends_along_the_edges(nodes: int) -> None:
    values = np.random.default_rng(0).normal(size=nodes)
    for name in ("ring", "star", "complete", "path"):
        received = np.zeros(nodes)
        for source, target in edge_list(name, nodes):
            received[target] += values[source]
        np.testing.assert_allclose(adjacency(edge_list(name, nodes), nodes).numpy() @ values, received, atol=1e-14)


@pytest.mark.parametrize(
    ("graph", "nodes", "says"),
    [
        ("rign", 3, r"graph='rign' is unknown; allowed: pair, pair_both, ring, star, complete, path, or a list"),
        ("pair", 3, r"graph='pair' has 2 nodes and block_size=3; allowed: block_size=2, or .* ring"),
        ("pair_both", 4, r"graph='pair_both' has 2 nodes and block_size=4"),
        (None, 2, r"graph=None is not a list of edges; allowed: pair"),
        ([], 2, r"graph=\[\] has no edge, or one twice"),
        ([[0, 1], [0, 1]], 2, r"has no edge, or one twice; allowed: one or more distinct pairs"),
        ([[0, 2]], 2, r"graph=\[\[0, 2\]\] is not a list of edges; .* pairs of nodes from 0 to 1"),
        ([[-1, 0]], 2, r"is not a list of edges"),
        ([[0, 1, 1]], 2, r"is not a list of edges"),
        ([[0, 1.0]], 2, r"is not a list of edges"),
        ([[True, False]], 2, r"is not a list of edges"),
        ([0, 1], 2, r"is not a list of edges"),
    ],
)
def test_refuses_in_one_line(graph: object, nodes: int, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        edge_list(graph, nodes)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
