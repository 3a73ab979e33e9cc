"""Message-passing layers: each against torch_geometric's own convolution, with the same weights and the same graph."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric import nn as stock

from renorm.zoo.graphs import adjacency, edge_list
from renorm.zoo.layers import MemberRandom
from renorm.zoo.message_passing import LAYERS, StackedConv
from renorm.zoo.symmetry.graphs import HOPS, graph_orbits, symmetries_of

MEMBERS, WIDTH, BATCH = 3, 4, 6
GRAPHS: dict[str, tuple[str | list[list[int]], int]] = {
    "pair": ("pair", 2),
    "pair_both": ("pair_both", 2),
    "ring": ("ring", 5),
    "star": ("star", 4),
    "complete": ("complete", 4),
    "path": ("path", 4),
    # directed; node 0 receives nothing, node 1 has a self-loop, node 3 sends nothing
    "any": ([[0, 1], [1, 1], [2, 1], [0, 2], [1, 2], [1, 3]], 4),
}
CASES = [(layer, graph, symmetry) for layer in LAYERS for graph in GRAPHS for symmetry in symmetries_of(layer)]
AGGREGATIONS = ["sum", "mean", "max"]
AGGREGATED = [
    (layer, aggregation, symmetry)
    for layer in ("graph_conv", "sage", "gin")
    for aggregation in AGGREGATIONS
    for symmetry in ("free", "full")
]


def build(
    layer: str, graph: str, symmetry: str, position: int, bias: bool = True, aggregation: str | None = None
) -> StackedConv:
    """The first or the second layer of a network of two, in float64, with weights drawn for every member."""
    edges, nodes = GRAPHS[graph]
    ties = graph_orbits(layer, symmetry, [1, WIDTH, WIDTH, 1])[0][position]
    chosen = {} if aggregation is None else {"aggregation": aggregation}
    conv = LAYERS[layer](MEMBERS, adjacency(edge_list(edges, nodes), nodes), ties, bias, **chosen).double()
    conv.reset_parameters(MemberRandom(0, list(range(MEMBERS))))
    if getattr(conv, "epsilon", None) is not None:
        conv.epsilon.data = torch.tensor([[0.3], [-0.2], [1.1]], dtype=torch.float64)
    return conv


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None).double()
    layer.weight.data = weight
    if bias is not None:
        layer.bias.data = bias
    return layer


def graph_conv(conv: Any, w: Tensor, b: Tensor | None, m: int) -> nn.Module:
    into = w.shape[1] // 2
    other = stock.GraphConv(into, len(w), aggr=conv.aggregation, bias=b is not None).double()
    other.lin_rel, other.lin_root = linear(w[:, :into], b), linear(w[:, into:], None)
    return other


def sage(conv: Any, w: Tensor, b: Tensor | None, m: int) -> nn.Module:
    into = w.shape[1] // 2
    other = stock.SAGEConv(into, len(w), aggr=conv.aggregation, bias=b is not None).double()
    other.lin_l, other.lin_r = linear(w[:, :into], b), linear(w[:, into:], None)
    return other


def gcn(conv: Any, w: Tensor, b: Tensor | None, m: int) -> nn.Module:
    other = stock.GCNConv(w.shape[1], len(w), bias=b is not None).double()
    other.lin.weight.data = w
    if b is not None:
        other.bias.data = b
    return other


def gin(conv: Any, w: Tensor, b: Tensor | None, m: int) -> nn.Module:
    other = stock.GINConv(nn.Identity(), aggr=conv.aggregation).double()
    other.eps.fill_(0.0 if conv.epsilon is None else float(conv.epsilon[m].detach()))
    other.nn = linear(w, b)  # set afterwards, because the constructor draws new weights
    return other


def edge_conv(conv: Any, w: Tensor, b: Tensor | None, m: int) -> nn.Module:
    neighbour, own = w.chunk(2, dim=1)
    other = stock.EdgeConv(nn.Identity(), aggr="max").double()
    other.nn = linear(torch.cat([neighbour + own, neighbour], dim=1), b)
    return other


def gat(conv: Any, w: Tensor, b: Tensor | None, m: int) -> nn.Module:
    other = stock.GATConv(w.shape[1], len(w), heads=1, bias=b is not None).double()
    other.lin.weight.data = w
    other.att_src.data, other.att_dst.data = conv.from_source()[m].view(1, 1, -1), conv.from_target()[m].view(1, 1, -1)
    if b is not None:
        other.bias.data = b
    return other


STOCK: dict[str, Callable[[Any, Tensor, Tensor | None, int], nn.Module]] = {
    "graph_conv": graph_conv,
    "gcn": gcn,
    "sage": sage,
    "gin": gin,
    "edge_conv": edge_conv,
    "gat": gat,
}


def apply_stock(conv: Any, layer: str, graph: str, h: Tensor) -> Tensor:
    """The stock convolution of every member on a disjoint union of N graphs."""
    edges, nodes = GRAPHS[graph]
    one = torch.tensor(edge_list(edges, nodes)).T
    union = torch.cat([one + nodes * i for i in range(BATCH)], dim=1)
    results = []
    for m in range(MEMBERS):
        bias = None if conv.linear.bias is None else conv.linear.bias()[m].detach()
        other = STOCK[layer](conv, conv.linear.weight()[m].detach(), bias, m)
        inputs = (h if h.ndim == 3 else h[m]).permute(2, 1, 0).flatten(0, 1)  # (N * nodes, in)
        results.append(other(inputs, union).view(BATCH, nodes, -1).permute(2, 1, 0))
    return torch.stack(results)


def inputs_of(graph: str, position: int) -> Tensor:
    nodes = GRAPHS[graph][1]
    shape = (1, nodes, BATCH) if position == 0 else (MEMBERS, WIDTH, nodes, BATCH)
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()


def test_the_documented_layers_exist() -> None:
    assert list(LAYERS) == list(HOPS) == ["graph_conv", "gcn", "sage", "gin", "edge_conv", "gat"]


@pytest.mark.parametrize(("layer", "graph", "symmetry"), CASES)
@pytest.mark.parametrize("position", [0, 1], ids=["first", "second"])
def test_layer_is_the_stock_convolution(layer: str, graph: str, symmetry: str, position: int) -> None:
    conv, h = build(layer, graph, symmetry, position), inputs_of(graph, position)
    ours, theirs = conv(h), apply_stock(conv, layer, graph, h)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    upstream = torch.randn(ours.shape, dtype=torch.float64)
    # so are the derivatives by what comes in, ties of the maximum included
    gradients = [torch.autograd.grad(value, h, upstream)[0] for value in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("layer", "aggregation", "symmetry"), AGGREGATED)
@pytest.mark.parametrize("graph", ["pair", "complete", "any"])
@pytest.mark.parametrize("position", [0, 1], ids=["first", "second"])
def test_every_aggregation_is_the_stock_one(
    layer: str, aggregation: str, symmetry: str, graph: str, position: int
) -> None:
    conv, h = build(layer, graph, symmetry, position, aggregation=aggregation), inputs_of(graph, position)
    h.data[..., 1, :] = h.data[..., 0, :]  # ties share the gradient of the largest
    ours, theirs = conv(h), apply_stock(conv, layer, graph, h)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    upstream = torch.randn(ours.shape, dtype=torch.float64)
    gradients = [torch.autograd.grad(value, h, upstream)[0] for value in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


def test_the_layers_own_aggregations_are_those_of_their_papers() -> None:
    assert {layer: build(layer, "pair", "free", 0).aggregation for layer in ("graph_conv", "sage", "gin")} == {
        "graph_conv": "sum",
        "sage": "mean",
        "gin": "sum",
    }


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("graph", ["pair", "ring", "any"])
def test_without_bias(layer: str, graph: str) -> None:
    conv, h = build(layer, graph, "free", 1, bias=False), inputs_of(graph, 1)
    assert conv.linear.bias is None
    torch.testing.assert_close(conv(h), apply_stock(conv, layer, graph, h), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", LAYERS)
def test_gradient_of_every_weight(layer: str) -> None:
    conv, h = build(layer, "any", "free", 1), inputs_of("any", 1)
    names, values = zip(*conv.named_parameters(), strict=True)

    def value(*parameters: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(conv, dict(zip(names, parameters, strict=True)), (h.detach(),))
        return result

    assert torch.autograd.gradcheck(value, values)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_of_single_precision_can_be_made_double(layer: str) -> None:
    conv = build(layer, "star", "free", 1)
    there_and_back = build(layer, "star", "free", 1).float().double()
    assert torch.equal(there_and_back.neighbours, conv.neighbours)


@pytest.mark.parametrize(
    ("layer", "aggregation"), [*((layer, None) for layer in LAYERS), ("sage", "max"), ("gin", "max")]
)
def test_a_layer_is_one_graph_of_the_compiler(layer: str, aggregation: str | None) -> None:
    conv, h = build(layer, "any", "free", 1, aggregation=aggregation), inputs_of("any", 1)
    torch._dynamo.reset()
    compiled = torch.compile(conv, backend="eager", fullgraph=True)
    # the compiler is given short sums where eager calls a matrix product: processors round the two differently
    torch.testing.assert_close(compiled(h), conv(h), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_can_be_copied_and_sent_to_other_processes(layer: str) -> None:
    conv, h = build(layer, "any", "free", 1), inputs_of("any", 1)
    for twin in (copy.deepcopy(conv), pickle.loads(pickle.dumps(conv))):
        assert torch.equal(twin(h), conv(h))


AFFINE = ["graph_conv", "gcn", "sage", "gin"]


@pytest.mark.parametrize(("layer", "graph", "symmetry"), [case for case in CASES if case[0] in AFFINE])
@pytest.mark.parametrize("position", [0, 1], ids=["first", "second"])
def test_dense_equivalent(layer: str, graph: str, symmetry: str, position: int) -> None:
    conv, h = build(layer, graph, symmetry, position), inputs_of(graph, position)
    weight, bias = conv.dense()
    nodes = GRAPHS[graph][1]
    assert weight.shape == (MEMBERS, WIDTH * nodes, (1 if position == 0 else WIDTH) * nodes)
    assert bias is not None
    flat = h.flatten(0, 1).expand(MEMBERS, -1, -1) if position == 0 else h.flatten(1, 2)
    expected = conv(h).flatten(1, 2)
    torch.testing.assert_close(weight @ flat + bias.unsqueeze(-1), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", ["graph_conv", "sage", "gin"])
@pytest.mark.parametrize("graph", ["complete", "any"])
def test_dense_equivalent_of_aggregations(layer: str, graph: str) -> None:
    h = inputs_of(graph, 1)
    for aggregation in ("sum", "mean"):
        conv = build(layer, graph, "free", 1, aggregation=aggregation)
        weight, bias = conv.dense()
        expected = conv(h).flatten(1, 2)
        torch.testing.assert_close(weight @ h.flatten(1, 2) + bias.unsqueeze(-1), expected, rtol=1e-12, atol=1e-12)
    conv = build(layer, graph, "free", 1, aggregation="max")
    for read in (conv.dense, conv.hop_matrices):
        with pytest.raises(ValueError, match=r"^aggregation='max' is not affine .*; allowed: sum, mean$"):
            read()


@pytest.mark.parametrize("layer", ["edge_conv", "gat"])
def test_layers_that_are_not_affine_have_no_dense_equivalent(layer: str) -> None:
    says = rf"layer='{layer}' is not affine .*; allowed: graph_conv, gcn, sage, gin"
    with pytest.raises(ValueError, match=says):
        build(layer, "pair", "free", 0).dense()
