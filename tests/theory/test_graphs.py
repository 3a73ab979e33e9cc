"""Propagation on graphs: exact against enumeration, and joint cumulants against nodes taken as independent."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from renorm.cumulants import moments_to_cumulants, propagate
from renorm.cumulants.propagation.exact import GaussCubature, exact
from renorm.cumulants.propagation.inputs import IdenticalInput
from renorm.cumulants.propagation.network import Network, Nonlinearity, read_network
from renorm.cumulants.propagation.plane import CubatureLaw
from renorm.cumulants.propagation.propagate import layerwise
from renorm.cumulants.propagation.receptive_fields import LocalLaw
from renorm.cumulants.propagation.tensors import WithinNodes
from renorm.datamodules.laws.exact import cumulants_of
from renorm.zoo import GNN, MLP, activations


class Atoms:
    """A law on a few points."""

    def __init__(self, atoms: dict[Fraction, Fraction]) -> None:
        self._atoms = atoms

    def atoms(self) -> list[tuple[Fraction, Fraction]]:
        return sorted(self._atoms.items())

    def exact_cumulants(self, order: int) -> list[Fraction]:
        return cumulants_of([sum((p * x**n for x, p in self.atoms()), Fraction(0)) for n in range(order + 1)])

    def cumulants(self, order: int) -> Tensor:
        return torch.tensor([float(kappa) for kappa in self.exact_cumulants(order)], dtype=torch.float64)


SKEW = Atoms({Fraction(-1): Fraction(2, 5), Fraction(0): Fraction(1, 5), Fraction(3, 2): Fraction(2, 5)})


def enumerated(model: GNN, law: Atoms, layer: str) -> Tensor:
    """Cumulants 1 to 4 of every unit of a layer, going through all blocks with the model's own forward pass."""
    values = [float(x) for x, _ in law.atoms()]
    weights = [float(p) for _, p in law.atoms()]
    blocks = torch.tensor(list(itertools.product(values, repeat=model.block_size)), dtype=torch.float64)
    mass = torch.tensor(list(itertools.product(weights, repeat=model.block_size)), dtype=torch.float64).prod(dim=1)
    with torch.no_grad():
        h = model.trace(blocks)[layer].reshape(model.num_members, -1, len(blocks))
    mean = h @ mass
    moments = torch.stack([((h - mean.unsqueeze(-1)) ** n) @ mass for n in range(1, 5)])
    kappas = moments_to_cumulants(moments)
    return torch.cat([mean.unsqueeze(0), kappas[1:]])


@pytest.mark.parametrize("graph", ["ring", "star", "complete", "path"])
@pytest.mark.parametrize("layer", ["graph_conv", "gcn", "sage", "gin"])
@pytest.mark.parametrize("nodes", [3, 7])
def test_exact_is_the_enumeration_of_all_blocks(graph: str, layer: str, nodes: int) -> None:
    model = GNN(
        graph=graph, layer=layer, readout="mean", block_size=nodes, activation="quadratic", width=2, depth=2, seed=3
    )
    model = model.double().requires_grad_(False)
    result = propagate(model, SKEW, method="exact")
    for name in ("pre0", "act0", "pre1", "out"):
        reference = enumerated(model, SKEW, name)
        assert torch.allclose(result.marginals(name), reference, rtol=1e-8, atol=1e-11), name


@pytest.mark.parametrize("graph", ["ring", "star"])
@pytest.mark.parametrize("nodes", [5, 7])
def test_joint_cumulants_beat_independent_nodes_from_the_second_order_up(graph: str, nodes: int) -> None:
    model = GNN(graph=graph, readout="mean", block_size=nodes, activation="quadratic", alpha=0.1, width=1, depth=2)
    model = model.double().requires_grad_(False)
    for conv in model.hidden:
        conv.linear.weight.theta.copy_(torch.tensor([[0.5, 0.6]]))  # neighbours, self
        conv.linear.bias.theta.fill_(0.1)
    model.readout.weight.theta.fill_(1.0)
    reference = enumerated(model, SKEW, "out")[:, 0, 0]
    joint = propagate(model, SKEW, method="edgeworth").marginals("out")[:, 0, 0]
    independent = propagate(model, SKEW, method="independent_nodes").marginals("out")[:, 0, 0]
    error, without = (joint - reference).abs(), (independent - reference).abs()
    assert (error[1:] < without[1:]).all()
    assert error[1] < 0.01 * without[1]
    assert error[2] < 0.1 * without[2]


def test_the_ring_that_shows_it() -> None:
    """Three layers 0.6 x_i + 0.5 (both neighbours) + 0.1, then z + 0.1 z^2, on a ring of seven; mean over the nodes."""
    nodes = 7
    matrix = 0.6 * torch.eye(nodes, dtype=torch.float64)
    for i in range(nodes):
        matrix[i, (i + 1) % nodes] = matrix[i, (i - 1) % nodes] = 0.5
    bias = torch.full((1, nodes), 0.1, dtype=torch.float64)
    readout = torch.full((1, 1, nodes), 1 / nodes, dtype=torch.float64)
    quadratic = activations.find("quadratic")(1, torch.zeros(1, dtype=torch.long), alpha=0.1)
    network = Network(
        [(matrix.unsqueeze(0), bias)] * 3 + [(readout, torch.zeros(1, 1, dtype=torch.float64))],
        [Nonlinearity(quadratic, nodes)] * 3,
        nodes,
    )
    truth = exact(network, SKEW, 4)["out"]
    printed = {
        (4, True): ["0.73", "0.026", "0.001", "4e-05"],
        (2, False): ["0.98", "0.68", "0.31", "0.14"],
        (4, False): ["1", "1.02", "1.14", "1.43"],
    }
    for (closure, independent), digits in printed.items():
        found = layerwise(network, IdenticalInput(SKEW), closure, independent)["out"]
        ratios = [float(found.marginal(n) / truth.marginal(n)) for n in (1, 2, 3, 4)]
        for ratio, text in zip(ratios, digits, strict=True):
            # as many digits as are printed
            step = 10.0 ** -(len(text.partition(".")[2])) if "e" not in text else 1e-5
            assert abs(ratio - float(text)) <= max(0.51 * step, 0.005 if text == "1" else 0)


def test_what_no_input_joins_has_no_joint_cumulants() -> None:
    """On a path nodes 0 and 3 hear from different nodes after one layer."""
    model = GNN(graph=[[0, 1], [2, 3]], block_size=4, activation="leaky_relu", width=2, seed=1).requires_grad_(False)
    law = propagate(model, "gamma(shape=3)", closed_at="layers")["act0"]
    node = torch.arange(8) % 4
    group = torch.div(node, 2, rounding_mode="floor")
    for n in (2, 3, 4):
        tensor = law.cumulants(n)[0]
        for units in itertools.product(range(8), repeat=n):
            if len({int(group[u]) for u in units}) > 1:
                assert abs(float(tensor[units])) < 1e-14


@pytest.mark.parametrize("graph", ["ring", "path", "star", [[0, 1], [2, 3], [3, 2]]])
@pytest.mark.parametrize("readout", ["target", "sum"])
def test_receptive_fields_give_what_all_points_give(graph: str | list[list[int]], readout: str) -> None:
    model = GNN(graph=graph, readout=readout, block_size=5, activation="quadratic", width=2, depth=2, seed=4)
    model = model.double().requires_grad_(False)
    cubature = GaussCubature(read_network(model), SKEW, 4)
    found = cubature.layers()
    for i, name in enumerate(cubature.network.names()):
        everywhere = CubatureLaw(cubature, i, found[name].units)
        for n in (1, 2, 3, 4):
            assert isinstance(found[name], LocalLaw)
            assert torch.allclose(found[name].cumulants(n), everywhere.cumulants(n), rtol=1e-9, atol=1e-12), (name, n)
            assert torch.allclose(found[name].marginal(n), everywhere.marginal(n), rtol=1e-9, atol=1e-12), (name, n)


def test_receptive_fields_reach_graphs_whose_blocks_are_too_many() -> None:
    """3**16 blocks are refused; the fields of four connected nodes have nine variables at most."""
    model = GNN(graph="ring", readout="mean", block_size=16, activation="quadratic", width=2, seed=1)
    model = model.double().requires_grad_(False)
    found = propagate(model, SKEW, method="exact")
    assert (found["act0"].cumulants(2)[0, 0, 3:14] == 0).all()  # nodes 3 or more apart hear from different variables
    # a ring of seven, which can be gone through, has the same joint cumulants of neighbours
    small = GNN(graph="ring", readout="mean", block_size=7, activation="quadratic", width=2, seed=1).double()
    small.load_state_dict(model.state_dict())
    local = propagate(small.requires_grad_(False), SKEW, method="exact")["act0"].cumulants(2)
    wide = found["act0"].cumulants(2)
    for distance in range(3):
        assert torch.allclose(wide[0, 5, 5 + distance], local[0, 3, 3 + distance], rtol=1e-12)
    # and the variance of a mean over n nodes follows from them
    row = torch.cat([found["out"].marginal(2), propagate(small, SKEW, method="exact")["out"].marginal(2)])
    assert torch.allclose(16 * row[0], 7 * row[1], rtol=1e-12)
    deep = GNN(graph="ring", readout="mean", block_size=16, activation="quadratic", width=1, depth=2).double()
    with pytest.raises(ValueError, match=r"receptive field=16 has 3\*\*16 blocks of points"):
        propagate(deep.requires_grad_(False), SKEW, method="exact")["out"].marginal(4)


def test_independent_nodes_keep_what_is_within_a_node() -> None:
    model = GNN(graph="ring", block_size=3, activation="tanh", width=2, depth=2, seed=1).requires_grad_(False)
    pre = propagate(model, "gamma(shape=3)", closed_at="layers")["pre1"]
    masked = WithinNodes(pre, 3)
    for n in (2, 3):
        for units in itertools.product(range(6), repeat=n):
            kept = len({u % 3 for u in units}) == 1
            value = float(masked.cumulants(n)[(0, *units)])
            assert value == (float(pre.cumulants(n)[(0, *units)]) if kept else 0.0)


def test_a_pair_is_the_mlp_of_the_same_width() -> None:
    gnn = GNN(graph="pair", layer="graph_conv", activation="relu", width=3, seed=2).requires_grad_(False)
    mlp = MLP(activation="relu", width=3, seed=2).requires_grad_(False)
    for method in ("gaussian", "edgeworth", "quadrature"):
        one = propagate(gnn, "gamma(shape=5)", method=method).marginals("out")
        other = propagate(mlp, "gamma(shape=5)", method=method).marginals("out")
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)
