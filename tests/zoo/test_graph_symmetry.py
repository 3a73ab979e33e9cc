"""Symmetries of graph networks: numbers of free parameters by hand, and the invariances that they are named after."""

from __future__ import annotations

import pytest
import torch

from renorm.zoo import GNN
from renorm.zoo.symmetry.graphs import GRAPH_SYMMETRIES, HOPS, graph_orbits, symmetries_of

CASES = [(layer, symmetry) for layer in HOPS for symmetry in symmetries_of(layer)]


@pytest.mark.parametrize(
    ("symmetry", "two_hops", "one_hop"),
    [
        # weight and bias of a first and a second layer of 8 features, then of the readout
        ("free", [(16, 8), (128, 8), (8, 1)], [(8, 8), (64, 8), (8, 1)]),
        ("tied", [(8, 8), (64, 8), (8, 1)], [(8, 8), (64, 8), (8, 1)]),
        ("hidden", [(2, 1), (2, 1), (1, 1)], [(1, 1), (1, 1), (1, 1)]),
        ("full", [(1, 1), (1, 1), (1, 1)], [(1, 1), (1, 1), (1, 1)]),
        ("odd", [(8, 4), (64, 4), (4, 0)], [(4, 4), (32, 4), (4, 0)]),
        ("odd_tied", [(4, 4), (32, 4), (4, 0)], [(4, 4), (32, 4), (4, 0)]),
        (["tied", "free"], [(8, 8), (128, 8), (8, 1)], [(8, 8), (64, 8), (8, 1)]),
        (["free", "full"], [(16, 8), (8, 1), (1, 1)], [(8, 8), (8, 1), (1, 1)]),
        (["odd_tied", "odd"], [(4, 4), (64, 4), (4, 0)], [(4, 4), (32, 4), (4, 0)]),
    ],
)
def test_numbers_of_free_parameters(
    symmetry: str | list[str], two_hops: list[tuple[int, int]], one_hop: list[tuple[int, int]]
) -> None:
    for layer, expected in (("sage", two_hops), ("gcn", one_hop)):
        layers, weight, bias = graph_orbits(layer, symmetry, [1, 8, 8, 1])
        assert [(ties.weight.count, ties.bias.count) for ties in layers] + [(weight.count, bias.count)] == expected


def build(layer: str, symmetry: str) -> GNN:
    graph = {"graph": "star", "block_size": 4, "readout": "sum"}
    return GNN(layer=layer, symmetry=symmetry, depth=2, width=4, replicas=3, activation="gelu", **graph).double()


X = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("layer", "symmetry"), CASES)
def test_odd_networks_are_odd_and_no_others(layer: str, symmetry: str) -> None:
    model = build(layer, symmetry)
    assert torch.allclose(model(-X), -model(X), rtol=1e-12, atol=1e-13) == symmetry.startswith("odd")


@pytest.mark.parametrize(("layer", "symmetry"), CASES)
def test_hidden_features_are_interchangeable(layer: str, symmetry: str) -> None:
    hidden = build(layer, symmetry).trace(X)["act1"]
    same = torch.allclose(hidden, hidden.roll(1, dims=1), rtol=1e-12, atol=1e-13)
    assert same == (symmetry in ("hidden", "full"))


@pytest.mark.parametrize(("layer", "symmetry"), CASES)
def test_tied_networks_do_not_tell_a_node_from_its_neighbours(layer: str, symmetry: str) -> None:
    """On a pair that sends both ways, both nodes then receive the same."""
    model = GNN(layer=layer, symmetry=symmetry, graph="pair_both", activation="gelu", width=4).double()
    if layer in ("edge_conv", "gat"):
        # the maximum is over one message from both ends; attention depends on who pays it, whatever the weights
        weight = model.hidden[0].linear.weight()  # type: ignore[operator, union-attr]
        assert layer == "gat" or torch.equal(*weight.chunk(2, dim=-1)) == (symmetry in ("tied", "full", "odd_tied"))
        return
    z = model.trace(X[:, :2])["pre0"]
    same = torch.allclose(z[:, :, 0], z[:, :, 1], rtol=1e-12, atol=1e-13)
    with_one_weight = layer == "gcn" or (layer == "gin")  # epsilon starts at 0
    assert same == (with_one_weight or symmetry in ("tied", "full", "odd_tied"))


def test_epsilon_of_a_tied_layer_stays_zero() -> None:
    names = {
        symmetry: {name for name, _ in GNN(layer="gin", symmetry=symmetry).named_parameters()}
        for symmetry in symmetries_of("gin")
    }
    has_epsilon = {symmetry for symmetry, found in names.items() if any("epsilon" in name for name in found)}
    assert has_epsilon == {"free", "hidden", "odd"}


def test_which_symmetries_a_layer_can_have() -> None:
    assert symmetries_of("gat") == ["free", "tied", "hidden", "full"]
    assert all(symmetries_of(layer) == [*GRAPH_SYMMETRIES] for layer in HOPS if layer != "gat")
    assert symmetries_of("sage", "mean") == [*GRAPH_SYMMETRIES]


def test_of_the_largest_only_messages_cannot_be_odd() -> None:
    """The readout's maximum takes the features after the odd pairs were made, the layer's the variables themselves."""
    x, given = X[:, :4], {"graph": "ring", "block_size": 4, "width": 4, "activation": "gelu"}
    for arguments in ({"readout": "max"}, {"aggregation": "sum", "readout": "max", "depth": 2}):
        odd = GNN(**given, **arguments, symmetry="odd").double()
        torch.testing.assert_close(odd(-x), -odd(x), rtol=1e-12, atol=1e-13)
        assert odd(x).abs().min() > 1e-3
    assert symmetries_of("sage", "max") == [name for name in GRAPH_SYMMETRIES if not name.startswith("odd")]
    assert GNN(**given, aggregation="max").symmetric_subspaces().keys() == {"tied", "hidden", "full"}
    with pytest.raises(
        ValueError, match=r"^symmetry='odd_tied' is not odd with aggregation='max'.*; allowed: free, tied"
    ):
        GNN(**given, aggregation="max", symmetry="odd_tied")


@pytest.mark.parametrize(
    ("layer", "symmetry", "says"),
    [
        ("sage", "input", r"symmetry='input' is unknown for graphs; allowed: free, tied, hidden, full, odd, odd_tied"),
        ("sage", None, r"symmetry=None is unknown for graphs"),
        ("sage", ["free", ["full"]], r"symmetry=\['free', \['full'\]\] is unknown for graphs"),
        ("sage", ["free"], r"symmetry=\['free'\] names 1 layers; allowed: one name, or one for each of 2"),
        ("sage", ["odd", "free"], r"mixes odd layers with others; allowed: odd in every layer or in none"),
        ("gat", "odd", r"symmetry='odd' would switch off the attention of layer='gat'; allowed: free, tied, hidden"),
        ("gat", ["odd_tied", "odd"], r"would switch off the attention"),
    ],
)
def test_refuses_in_one_line(layer: str, symmetry: str | list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        graph_orbits(layer, symmetry, [1, 4, 4, 1])
    assert "\n" not in str(error.value)


def test_pairs_need_an_even_width() -> None:
    with pytest.raises(ValueError, match=r"width=3 is odd, and symmetry='odd' pairs the units; allowed: even widths"):
        GNN(symmetry="odd", width=3)
