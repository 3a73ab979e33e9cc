"""Graph networks: what they compute, what leaves them unchanged, and that they train, save and load as MLPs do."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch_geometric.data import Batch, Data

import renorm.maps
from renorm import create_model, list_models
from renorm.cli import main
from renorm.cumulants import propagate
from renorm.cumulants.propagation.propagate import METHODS
from renorm.datamodules import CLTDataModule
from renorm.zoo import GNN, MLP, StackedModel, clt_map, list_activations
from renorm.zoo.gnn import AGGREGATED, AGGREGATIONS, free_parameters
from renorm.zoo.graphs import GRAPHS, adjacency, edge_list
from renorm.zoo.registry import find_variant
from renorm.zoo.symmetry.graphs import HOPS, symmetries_of

from ..conftest import Run

LAYERS = list(HOPS)
CASES = [(layer, symmetry) for layer in LAYERS for symmetry in symmetries_of(layer)]
READOUTS = ["target", "mean", "sum", "max"]


def blocks(size: int, rows: int = 6) -> Tensor:
    return torch.randn(rows, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def train(model: StackedModel, steps: int) -> StackedModel:
    optimizer = model.configure_optimizers()
    data = CLTDataModule(block_size=model.block_size, batch_size=32)
    for step in range(steps):
        x = data.batch("train", epoch=0, step=step).x.to(next(model.parameters()).dtype)
        optimizer.zero_grad()
        model.loss(model(x), clt_map(x)).sum().backward()
        optimizer.step()
    return model


# ---- what it computes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layer", "readout"), [*itertools.product(LAYERS, READOUTS)])
def test_layers_have_the_shapes_and_names_of_an_mlp(layer: str, readout: str) -> None:
    model = GNN(graph="path", block_size=5, layer=layer, readout=readout, width=4, depth=3, replicas=2)
    values = model.trace(torch.randn(7, 5))
    assert list(values) == ["pre0", "act0", "pre1", "act1", "pre2", "act2", "out"]
    assert {tuple(v.shape) for name, v in values.items() if name != "out"} == {(2, 4, 5, 7)}
    assert values["out"].shape == (2, 7)
    hidden = values["act2"]
    pooled = {"target": hidden[:, :, 4], "mean": hidden.mean(2), "sum": hidden.sum(2), "max": hidden.amax(2)}[readout]
    torch.testing.assert_close(values["out"], model.readout(pooled)[:, 0])


@pytest.mark.parametrize("readout", READOUTS[:3])
@pytest.mark.parametrize(("layer", "symmetry"), [case for case in CASES if case[0] not in ("edge_conv", "gat")])
def test_dense_equivalent_is_the_network(layer: str, symmetry: str, readout: str) -> None:
    model = GNN(
        graph="star", block_size=4, layer=layer, symmetry=symmetry, readout=readout, depth=2, width=4, replicas=3
    )
    model, x = model.double(), blocks(4)
    h = x.T.expand(3, -1, -1)
    *hidden, (weight, bias) = model.dense()
    for (w, b), activation in zip(hidden, model.activations, strict=True):
        assert b is not None
        z = w @ h + b.unsqueeze(-1)
        h = activation(z.unflatten(1, (4, 4))).flatten(1, 2)
    out = weight @ h
    assert (bias is None) == symmetry.startswith("odd")
    torch.testing.assert_close(
        (out if bias is None else out + bias.unsqueeze(-1))[:, 0], model(x), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("layer", ["edge_conv", "gat"])
def test_no_dense_equivalent(layer: str) -> None:
    with pytest.raises(ValueError, match=rf"layer='{layer}' is not affine"):
        GNN(layer=layer).dense()


def test_what_is_not_affine_is_named_wherever_dense_refuses() -> None:
    choices = [(layer, None) for layer in LAYERS] + list(itertools.product(AGGREGATED, AGGREGATIONS))
    named = set()
    for (layer, aggregation), readout in itertools.product(choices, READOUTS):
        model = GNN(layer=layer, aggregation=aggregation, readout=readout, width=2)
        named.add(model.not_affine)
        if model.not_affine is None:
            assert len(model.dense()) == 2
        else:
            with pytest.raises(ValueError, match="is not affine and has no dense equivalent; allowed: "):
                model.dense()
    assert named == {None, "layer='edge_conv'", "layer='gat'", "aggregation='max'", "readout='max'"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("argument", ["aggregation", "readout"])
def test_cumulants_do_not_propagate_through_a_maximum(method: str, argument: str) -> None:
    with pytest.raises(ValueError, match=rf"^{argument}='max' is not affine and has no dense equivalent; allowed: "):
        propagate(GNN(graph="ring", block_size=3, width=2, **{argument: "max"}), "rademacher()", method=method)


def test_on_a_pair_graph_conv_is_the_mlp() -> None:
    """Same initial weights, same outputs, same path: the target of a pair sees what the MLP sees."""
    arguments: dict[str, Any] = {"activation": "leaky_relu", "negative_slope": [0.2, 0.9], "replicas": 2, "seed": 3}
    for symmetry, of_mlp in (
        ("free", "free"),
        ("tied", "input"),
        ("hidden", "hidden"),
        ("full", "full"),
        ("odd", "odd"),
    ):
        gnn, mlp = GNN(symmetry=symmetry, **arguments).double(), MLP(symmetry=of_mlp, **arguments).double()
        x = blocks(2)
        for steps in (0, 20):
            train(gnn, steps)
            train(mlp, steps)
            torch.testing.assert_close(gnn(x), mlp(x), rtol=1e-9, atol=1e-11)
            numbers = [[tuple(p.shape) for p in model.parameters()] for model in (gnn, mlp)]
            assert numbers[0] == numbers[1]


@pytest.mark.parametrize("layer", LAYERS)
def test_a_target_sees_as_far_as_the_network_is_deep(layer: str) -> None:
    for depth in (1, 2, 3):
        model = GNN(graph="path", block_size=6, layer=layer, depth=depth, activation="tanh").double()
        x = blocks(6).requires_grad_()
        (gradient,) = torch.autograd.grad(model(x).sum(), x)
        seen = gradient.abs().sum(0) > 0
        # the largest of several messages need not be the farthest
        assert not seen[: 5 - depth].any()
        assert layer == "edge_conv" or seen[5 - depth :].all()


# ---- symmetry of the graph -------------------------------------------------------------------------------------------


def automorphisms(graph: str, nodes: int) -> list[list[int]]:
    matrix = adjacency(edge_list(graph, nodes), nodes)
    found = [list(p) for p in itertools.permutations(range(nodes))]
    return [p for p in found if torch.equal(matrix[p][:, p], matrix)]


@pytest.mark.parametrize(("graph", "number"), [("ring", 10), ("star", 24), ("complete", 120), ("path", 2)])
@pytest.mark.parametrize(
    "arguments",
    [
        *({"layer": layer, "readout": "mean"} for layer in LAYERS),
        {"layer": "sage", "aggregation": "max", "readout": "max"},
    ],
    ids=lambda arguments: "-".join(arguments.values()),
)
def test_permuting_the_nodes_by_a_symmetry_of_the_graph_permutes_every_layer(
    arguments: dict[str, Any], graph: str, number: int
) -> None:
    model = GNN(graph=graph, block_size=5, depth=2, replicas=2, activation="gelu", **arguments).double()
    x = blocks(5)
    values = model.trace(x)
    group = automorphisms(graph, 5)
    assert len(group) == number
    for p in group:
        permuted = model.trace(x[:, p])
        for name, value in values.items():
            expected = value if name == "out" else value[:, :, p]
            torch.testing.assert_close(permuted[name], expected, rtol=1e-13, atol=1e-13)
    others = [list(p) for p in itertools.permutations(range(5)) if list(p) not in group][:3]
    assert all(not torch.allclose(model(x[:, p]), values["out"]) for p in others)


# ---- graphs as torch_geometric has them ------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", [*GRAPHS, [[0, 1], [2, 1], [1, 1]]], ids=str)
def test_a_batch_of_graphs_is_a_batch_of_blocks(graph: str | list[list[int]]) -> None:
    size = 2 if graph in ("pair", "pair_both") else 3
    model = GNN(graph=graph, block_size=size, layer="sage", replicas=3).double()
    x = blocks(size)
    edges = torch.tensor(edge_list(graph, size)).T
    graphs = [Data(x=row.unsqueeze(1), edge_index=edges[:, torch.randperm(edges.shape[1])]) for row in x]
    assert torch.equal(model(Batch.from_data_list(graphs)), model(x))
    assert torch.equal(model(graphs[2]), model(x[2:3]))
    assert torch.equal(model(Data(x=x[0], edge_index=edges)), model(x[:1]))
    assert torch.equal(model.trace(Batch.from_data_list(graphs))["act0"], model.trace(x)["act0"])


@pytest.mark.parametrize(
    ("graphs", "says"),
    [
        (
            Data(x=torch.zeros(4, 1), edge_index=torch.tensor([[0], [1]])),
            r"other edges .*allowed: edge_index \[\(0, 1\)\]",
        ),
        (Data(x=torch.zeros(2, 1), edge_index=torch.tensor([[1], [0]])), r"other edges than the model's"),
        (Data(x=torch.zeros(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]])), r"other edges than the model's"),
        (Data(x=torch.zeros(3, 1), edge_index=torch.tensor([[0], [1]])), r"shape \(3, 1\); allowed: \(2 N, 1\)"),
        (Data(x=torch.zeros(2, 2), edge_index=torch.tensor([[0], [1]])), r"shape \(2, 2\); allowed: \(2 N, 1\)"),
        (Data(edge_index=torch.tensor([[0], [1]])), r"Data has no x or no edge_index"),
        (Data(x=torch.zeros(2, 1)), r"Data has no x or no edge_index"),
        ([[0.0, 1.0]], r"list has no x or no edge_index; allowed: blocks \(N, 2\), or graphs"),
        (torch.zeros(3, 5), r"x has shape \(3, 5\); allowed: \(N, 2\)"),
    ],
)
def test_other_graphs_are_refused(graphs: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        GNN()(graphs)


# ---- training, as if alone -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layer", "aggregation"), [*((layer, None) for layer in LAYERS), ("gin", "max")])
def test_a_member_of_a_stack_trains_as_if_alone(layer: str, aggregation: str | None) -> None:
    arguments: dict[str, Any] = {
        "graph": "ring",
        "block_size": 4,
        "layer": layer,
        "aggregation": aggregation,
        "readout": aggregation or "mean",
        "depth": 2,
        "width": 4,
        "activation": "leaky_relu",
        "negative_slope": [0.1, 0.7],
        "replicas": 3,
    }
    stack = train(GNN(**arguments).double(), 25)
    start = GNN(**arguments).double()
    assert not torch.allclose(stack(blocks(4)), start(blocks(4)))
    for member in (0, 4, 5):
        alone = train(GNN(**arguments, members=[member]).double(), 25)
        torch.testing.assert_close(alone(blocks(4))[0], stack(blocks(4))[member], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("activation", list_activations())
@pytest.mark.parametrize(("layer", "symmetry"), CASES)
def test_every_parameter_gets_a_gradient(layer: str, symmetry: str, activation: str) -> None:
    model = GNN(
        graph="path", block_size=3, layer=layer, symmetry=symmetry, activation=activation, depth=2, replicas=8, width=4
    ).double()
    x = 2 * blocks(3, rows=200)
    model.loss(model(x), clt_map(x)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        # a linear network that is odd has no use for the bias of its pairs: f(x) = w x + b - (-w x + b)
        cancels = symmetry.startswith("odd") and activation == "linear" and "bias" in name
        # a member may start with a dead unit, not all do; a spline may have cells that no value reaches
        used = (parameter.grad.flatten(1) != 0).any(0)
        assert cancels or bool(used.any() if "activations" in name else used.all()), name


MAXIMUM = renorm.maps.parse("maximum()")


def test_the_maximum_by_weights_written_out() -> None:
    """max_i x_i = max_{j != i} x_j + relu(x_i - max_{j != i} x_j) at every node, or the largest that is read out."""
    x, normalised = blocks(8, rows=50), -math.log(8)
    of_nodes = GNN(
        graph="complete", block_size=8, layer="sage", aggregation="max", readout="mean", width=3, activation="relu"
    )
    of_readout = GNN(graph="complete", block_size=8, layer="sage", readout="max", width=1, activation="linear")
    written = {
        # rows of the features: weight of what is received, of a node's own; then the readout's weights
        of_nodes: ([[-1.0, 1.0], [1.0, 0.0], [-1.0, 0.0]], [1.0, 1.0, -1.0]),
        of_readout: ([[0.0, 1.0]], [1.0]),
    }
    for model, (hidden, readout) in written.items():
        model.double()
        conv: Any = model.hidden[0]
        conv.linear.weight.fill(torch.tensor(hidden, dtype=torch.float64))
        conv.linear.bias.fill(torch.zeros(len(hidden), dtype=torch.float64))
        model.readout.weight.fill(torch.tensor([readout], dtype=torch.float64))
        model.readout.bias.fill(torch.tensor([normalised], dtype=torch.float64))  # type: ignore[union-attr]
        torch.testing.assert_close(model(x)[0], MAXIMUM(x), rtol=0, atol=1e-14)


def test_the_largest_message_learns_the_maximum_where_others_of_equal_size_do_not() -> None:
    common: dict[str, Any] = {"block_size": 8, "activation": "relu", "replicas": 2}
    models = {
        "max": GNN(graph="complete", layer="sage", aggregation="max", readout="mean", width=20, **common),
        "Deep Sets": MLP(symmetry="permutation", width=160, **common),
        "MLP": MLP(width=8, **common),
    }
    assert {sum(p.numel() for p in model.parameters()) for model in models.values()} == {2 * 81}
    errors = {}
    for name, model in models.items():
        random = torch.Generator().manual_seed(0)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(200):
            x = torch.randn(64, 8, generator=random)
            optimizer.zero_grad()
            model.loss(model(x), MAXIMUM(x)).sum().backward()
            optimizer.step()
        x = torch.randn(2000, 8, generator=random)
        errors[name] = float((model(x) - MAXIMUM(x)).detach().square().mean())
    # about 0.0004, 0.03 and 0.17
    assert 10 * errors["max"] < errors["Deep Sets"] < errors["MLP"]


def test_gradients_are_clipped_member_by_member() -> None:
    model = GNN(layer="gin", replicas=2).double()
    x = blocks(2)
    (model(x)[0].sum() * 1e6 + model(x)[1].sum()).backward()
    before = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.configure_gradient_clipping(model.configure_optimizers(), gradient_clip_val=100.0)
    after = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.equal(a[1], b[1]) for a, b in zip(after, before, strict=True))
    assert float(sum(a[0].square().sum() for a in after)) == pytest.approx(1e4, rel=1e-6)


def test_a_network_learns_the_map() -> None:
    model = GNN(graph="ring", block_size=4, layer="graph_conv", readout="mean", activation="linear", replicas=4)
    train(model.double(), 400)
    x = blocks(4, rows=500)
    assert float((model(x) - clt_map(x)).detach().square().mean(1).max()) < 1e-3


def test_fixed_weights_stay() -> None:
    model = GNN(activation="spline", weights="fixed", layer="gin")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train(model, 3)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"activations.0.theta"}


# ---- checkpoints, names, command line --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"graph": [[0, 1], [1, 2], [2, 1]], "block_size": 3, "layer": "gin", "depth": 2},
        {"graph": "star", "block_size": 3, "layer": "gat", "readout": "sum", "activation": "spline"},
        {"graph": "pair_both", "layer": "edge_conv", "symmetry": ["tied", "full"], "depth": 2},
        {"graph": "complete", "block_size": 3, "layer": "gin", "aggregation": "max", "readout": "max"},
    ],
)
def test_checkpoints_are_loaded_safely(arguments: dict[str, Any], tmp_path: Path) -> None:
    model = GNN(replicas=2, **arguments)
    data = CLTDataModule(block_size=model.block_size, batch_size=16, steps_per_epoch=2, val_samples=16)
    quiet: dict[str, Any] = {"enable_progress_bar": False, "logger": False, "enable_model_summary": False}
    trainer = Trainer(max_epochs=1, accelerator="cpu", enable_checkpointing=False, limit_val_batches=0, **quiet)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    checkpoint = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert checkpoint["hyper_parameters"].items() >= arguments.items()
    loaded = GNN.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    x = torch.randn(5, model.block_size)
    assert torch.equal(loaded(x), model(x))


def test_a_name_and_another_graph() -> None:
    model = create_model("gnn_edge_conv_quadratic_tied", replicas=5, graph="ring", block_size=4)
    assert isinstance(model, GNN)
    assert model(torch.zeros(3, 4)).shape == (5, 3)


def test_sizes_are_counted_without_building() -> None:
    for name in list_models("gnn_*"):
        model = create_model(name)
        expected = sum(p.numel() for p in model.parameters() if p.requires_grad)
        assert free_parameters(**find_variant(name).arguments) == expected, name


def test_torch_geometric_is_imported_by_graph_networks_only(renorm: Run, tmp_path: Path) -> None:
    code = (
        "import sys, renorm, renorm.zoo; from renorm.cli import main; "
        "assert main(['zoo', 'list']) == 0; renorm.create_model('mlp_relu_free'); renorm.zoo.GNN; "
        "assert 'torch_geometric' not in sys.modules; "
        "renorm.create_model('gnn_gcn_relu_free'); assert 'torch_geometric' in sys.modules"
    )
    (tmp_path / "script.py").write_text(code)
    done = renorm(cwd=tmp_path, script=tmp_path / "script.py")
    assert done.returncode == 0, done.stderr
    assert "gnn_gcn_relu_free" in done.stdout


QUICK = ("--data.steps_per_epoch", "4", "--data.val_samples", "64", "--data.test_samples", "64")


def test_fit_and_test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ("--trainer.default_root_dir", str(tmp_path))
    name = "gnn_graph_conv_leaky_relu_free"
    assert main(["fit", "--config", name, "--trainer.max_epochs", "1", *QUICK, *root]) == 0
    checkpoint = tmp_path / name / "version_0" / "checkpoints" / "best.ckpt"
    assert torch.load(checkpoint, weights_only=True)["renorm"]["recipe"]["model"]["class_path"] == "renorm.zoo.GNN"
    assert main(["test", "--ckpt_path", str(checkpoint)]) == 0
    assert "gaussian(mean=1, std=3)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model.graph", "rign"], "graph='rign' is unknown"),
        (["--model.graph", "[[0, 5]]"], "graph=[[0, 5]] is no list of edges"),
        (["--model.layer", "cheb"], "layer='cheb' is unknown; allowed: graph_conv"),
        (["--model.readout", "first"], "readout='first' is unknown; allowed: target, mean, sum, max"),
        (["--model.aggregation", "median"], "aggregation='median' is unknown; allowed: sum, mean, max"),
        (
            ["--model.aggregation", "max", "--model.layer", "gcn"],
            "aggregation='max' is not for layer='gcn', which has its own; allowed: null, or layer graph_conv, sage, gin",
        ),
        (
            ["--model.aggregation", "max", "--model.symmetry", "odd"],
            "symmetry='odd' is not odd with aggregation='max': the largest of -x is not minus that of x; allowed: free,",
        ),
        (["--model.layer", "gat", "--model.symmetry", "odd"], "symmetry='odd' would switch off the attention"),
        (["--model.symmetry", "input"], "symmetry='input' is unknown for graphs"),
        (["--model.block_size", "3", "--data.block_size", "3"], "graph='pair' has 2 nodes and block_size=3"),
        (["--model.depth", "0"], "depth=0"),
        (["--model.width", "0"], "width=0"),
    ],
)
def test_bad_input_on_the_command_line(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--model", "GNN", "--trainer.default_root_dir", str(tmp_path), *words]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert says in error[0]


@pytest.mark.parametrize(
    "make", [lambda: GNN(graph="ring", block_size=3, replicas=2), lambda: MLP(block_size=3, replicas=2)]
)
def test_each_member_may_have_blocks_of_its_own(make: Any) -> None:
    model, x = make().double(), torch.randn(2, 7, 3, dtype=torch.float64)
    own = model(x)
    for m in range(2):
        torch.testing.assert_close(own[m], model(x[m])[m], rtol=1e-12, atol=1e-12)
    with pytest.raises(
        ValueError, match=r"x has shape \(3, 7, 3\); allowed: \(N, 3\), one block a row, or \(2, N, 3\)"
    ):
        model(torch.zeros(3, 7, 3))
