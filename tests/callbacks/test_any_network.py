"""Diagnostics of modules that are not stacks: what hooks measure is right, training does not notice, and misuse is one line."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from scipy import stats
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.utils.data import DataLoader, TensorDataset
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GraphConv, global_add_pool

import renorm
from renorm.callbacks import CumulantDiagnostics, SymmetryBreaking, TheoryGap
from renorm.callbacks.hooked_network import HookedNetwork, find_modules
from renorm.callbacks.layer_cumulants import sampled_cumulants
from renorm.callbacks.named_weights import named_weights
from renorm.callbacks.probe import Probe, ProbeData, copied
from renorm.cumulants import kstat, propagate
from renorm.datamodules import CLTDataModule, laws
from renorm.errors import InputError
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.zoo import GNN, MLP
from renorm.zoo.activations import find as find_activation
from renorm.zoo.symmetry import SignedPermutation

from ..forked import run_together
from ..reliability.runs import free_port, join_group

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class Net(LightningModule):
    """A network with all that makes hooks hard: in-place changes, dropout, batch norm, a shared module, a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.BatchNorm1d(6), nn.Dropout(0.5))
        self.act = nn.Tanh()
        self.mix = nn.Linear(6, 6)
        self.lstm = nn.LSTM(6, 3)
        self.head = nn.Linear(6, 3)
        self.never = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.mix(self.act(self.encoder(x))))
        return self.head(h) + self.lstm(h)[0]

    def training_step(self, batch: list[Tensor]) -> Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def make(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    return Net()


def loader(rows: int = 24, seed: int = 1, width: int = 4, shuffle: bool = True) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(rows, width, generator=generator), torch.randint(0, 3, (rows,), generator=generator)
    return DataLoader(TensorDataset(x, y), batch_size=8, shuffle=shuffle)


def fit(model: LightningModule, *callbacks: Any, **settings: Any) -> Trainer:
    trainer = quiet_trainer(6, accelerator="cpu", callbacks=list(callbacks), **settings)
    trainer.fit(model, loader())
    return trainer


def hooked(module: LightningModule, layers: Any = None, rows: int = 256) -> HookedNetwork:
    return HookedNetwork(module, quiet_trainer(1, accelerator="cpu"), layers, rows)


# ---- what is measured ----------------------------------------------------------------------------------------------


def test_values_are_those_of_each_module_in_evaluation_mode() -> None:
    model, x = make(), torch.randn(10, 4)
    traced = hooked(model, ["encoder.*", "act", "mix", "head"]).trace(x)
    assert list(traced) == ["encoder.0", "encoder.1", "encoder.2", "encoder.3", "act", "act@2", "mix", "head"]
    assert model.training
    model.eval()
    with torch.no_grad():
        h = model.encoder[0](x)
        assert torch.equal(traced["encoder.0"], h.T[None])  # not what the next module made of it in place
        h = model.encoder[2](h.relu())
        assert torch.equal(traced["encoder.3"], h.T[None])
        h = model.mix(h.tanh())
        assert torch.equal(traced["act@2"], h.tanh().T[None])
        assert torch.equal(traced["head"], model.head(h.tanh()).T[None])


@settings(max_examples=20, deadline=None)
@given(st.integers(8, 40), st.lists(st.integers(1, 3), min_size=0, max_size=3), st.integers(0, 10_000))
def test_cumulants_are_those_of_every_unit_behind_the_batch_axis(rows: int, shape: list[int], seed: int) -> None:
    """Against scipy's, of every entry of outputs of any shape."""

    class Shaped(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Identity()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x * self.scale)

    x = np.random.default_rng(seed).gamma(2.0, size=(rows, *shape))
    found = sampled_cumulants(hooked(Shaped().double(), ["layer"]), torch.from_numpy(x))["layer"]
    flat = x.reshape(rows, -1)
    assert found.k.shape == (4, 1, flat.shape[1])
    expected = np.array([[stats.kstat(column, n) for column in flat.T] for n in (1, 2, 3, 4)])
    np.testing.assert_allclose(found.k[:, 0].numpy(), expected, rtol=1e-8, atol=1e-8)
    assert found.covariance is not None
    np.testing.assert_allclose(found.covariance[0], np.cov(flat.T).reshape(flat.shape[1], -1), rtol=1e-9, atol=1e-12)


def graphs(sizes: list[int], seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    made = []
    for nodes in sizes:
        edges = (torch.rand(nodes, nodes, generator=generator) < 0.6).fill_diagonal_(False).nonzero().T
        made.append(Data(x=torch.randn(nodes, 2, generator=generator), edge_index=edges, num_nodes=nodes))
    return Batch.from_data_list(made)


class GraphNet(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.readout = GraphConv(2, 3), nn.Linear(3, 1)

    def forward(self, batch: Batch) -> Tensor:
        return self.readout(global_add_pool(self.conv(batch.x, batch.edge_index), batch.batch))


def test_nodes_are_told_apart_by_the_batch_vector() -> None:
    model, batch = GraphNet(), graphs([5] * 12)
    found = sampled_cumulants(hooked(model, ["conv", "readout"]), batch)
    with torch.no_grad():
        values = model.conv(batch.x, batch.edge_index).double()
    by_graph = torch.stack([values[batch.batch == graph] for graph in range(12)])  # (graphs, nodes, features)
    torch.testing.assert_close(found["conv"].k[:, 0], kstat(by_graph.mT.flatten(1), 4))
    sums, own = kstat(by_graph.sum(dim=1), 4), kstat(by_graph.flatten(1), 4).view(4, 5, 3).sum(dim=1)
    across = found["conv"].across_nodes
    assert across is not None
    torch.testing.assert_close(across[1:, 0], (sums - own)[1:], rtol=1e-6, atol=1e-6)
    assert found["readout"].k.shape == (4, 1, 1)
    assert found["readout"].across_nodes is None


def test_nodes_of_graphs_of_several_sizes_are_one_sample_of_each_feature() -> None:
    model, batch = GraphNet(), graphs([3, 4, 5, 6])
    found = sampled_cumulants(hooked(model, ["conv", "readout"]), batch)
    with torch.no_grad():
        values = model.conv(batch.x, batch.edge_index).double()
    torch.testing.assert_close(found["conv"].k[:, 0], kstat(values, 4))
    assert found["readout"].k.shape == (4, 1, 1)


def test_a_loader_is_read_until_there_are_enough_rows_and_only_once() -> None:
    probe, network = Probe(loader(24)), hooked(make(), ["head"], rows=10)
    first = network.trace(probe)["head"]
    assert first.shape == (1, 3, 16)  # two batches of 8
    assert torch.equal(network.trace(probe)["head"], first)  # though the loader shuffles


def test_members_of_a_stack_are_measured_by_hooks() -> None:
    x = torch.randn(20, 2)
    model = MLP(width=3, depth=2, replicas=4)
    found = hooked(model, ["hidden.*"]).trace(x)  # not the modules inside that only hold weights
    assert list(found) == ["hidden.0", "hidden.1"]
    assert model.trace(x)["pre1"].equal(found["hidden.1"])
    torch.manual_seed(0)
    stack = renorm.stack(lambda: nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1)), members=3)
    assert stack.vectorized
    found = hooked(stack, ["network.1"]).trace(x)["network.1"]
    state = dict(stack.network.named_parameters())
    for member in range(3):
        expected = (x @ state["0.weight"][member].T + state["0.bias"][member]).tanh()
        torch.testing.assert_close(found[member].T, expected)
    assert stack.vectorized
    graph = GNN(graph="ring", block_size=3, width=2, replicas=2)
    assert (
        graph.trace(torch.randn(6, 3))["act0"].shape
        == hooked(graph, ["activations.0"]).trace(torch.randn(6, 3))["activations.0"].shape
    )


def test_layers_of_a_stack_on_a_probe() -> None:
    model, x = MLP(width=3, replicas=2), torch.randn(50, 2)
    callback = CumulantDiagnostics(probe=x)
    trainer = quiet_trainer(2, accelerator="cpu", callbacks=[callback])
    trainer.fit(model, CLTDataModule(steps_per_epoch=2, batch_size=8))
    expected = sampled_cumulants(model, x)
    assert list(callback.results["probe"]) == list(expected)
    for name, layer in expected.items():
        assert torch.equal(callback.results["probe"][name].k, layer.k)


class Writing(Net):
    """It writes into its input."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mul_(2))


def test_a_network_that_writes_into_its_input_leaves_the_probe_alone() -> None:
    model, x = Writing(), torch.randn(8, 4)
    probe = (x.clone(), torch.zeros(8))
    network = hooked(model, ["head"])
    first = network.trace(probe)["head"]
    assert torch.equal(probe[0], x)
    assert torch.equal(network.trace(probe)["head"], first)
    batch = graphs([3, 4])
    changed = copied(batch)
    changed.x.zero_()
    assert batch.x.all()


def test_calls_aliases_and_modules_without_a_forward_by_name() -> None:
    model, x = make(), torch.randn(8, 4)
    model.same = model.head
    traced = hooked(model, ["act@2", "same"]).trace(x)
    assert list(traced) == ["act@2", "same"]
    assert torch.equal(traced["same"], hooked(model, ["head"]).trace(x)["head"])
    assert list(find_modules(model, ["*head", "*same"])) == ["head", "same"]
    assert "same" not in find_modules(model, ["*"])  # one module, once
    assert list(hooked(model, ["act@1"]).trace(x)) == ["act"]
    model.blocks = nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 6)])
    with pytest.raises(
        InputError, match=r"layers='blocks' is a ModuleList, which has no forward; allowed: blocks.0, bl"
    ):
        hooked(model, ["blocks"])
    assert list(find_modules(model, ["blocks*"])) == ["blocks.0", "blocks.1"]


class Bare(LightningModule):
    """Without weights."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x)


def test_a_module_without_weights() -> None:
    x = torch.randn(8, 4)
    assert torch.equal(hooked(Bare()).trace(x)["act"][0].T, x.tanh())
    with pytest.raises(InputError, match=r"layers=None of Bare have no weight \(out, in\)"):
        named_weights(hooked(Bare()))


# ---- weights that are made of others ---------------------------------------------------------------------------------

MAKERS: dict[str, Callable[[nn.Linear], Any]] = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "weight norm by a hook": lambda layer: WeightNorm.apply(layer, "weight", 0),
    "spectral norm by a hook": lambda layer: SpectralNorm.apply(layer, "weight", 1, 0, 1e-12),
    "pruning": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
}


class Made(Net):
    def __init__(self, maker: str) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 6), nn.Tanh())
        MAKERS[maker](self.encoder[0])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x))


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("maker", MAKERS)
def test_weights_that_are_made_of_others(maker: str) -> None:
    """They are found, are those of the next pass, and training does not notice."""
    cumulants = CumulantDiagnostics(probe=torch.randn(9, 4, generator=torch.Generator().manual_seed(0)))
    symmetry = SymmetryBreaking(layers=["encoder.0"], generators=["input"])
    models = []
    for callbacks in ([], [cumulants, symmetry]):
        torch.manual_seed(0)
        models.append(Made(maker))
        fit(models[-1], *callbacks)
    for one, other in zip(*(model.state_dict().values() for model in models), strict=True):
        assert torch.equal(one, other)
    assert list(cumulants.results["probe"]) == ["encoder.0", "encoder.1", "head"]
    assert list(named_weights(hooked(models[1]))) == ["encoder.0", "mix", "head", "never"]
    model = models[0].eval()
    model(torch.randn(2, 4))  # makes the weight
    weight = model.encoder[0].weight.detach().double()
    nearest = weight.mean(dim=1, keepdim=True).expand_as(weight)
    expected = float((weight - nearest).norm() / weight.norm())
    assert float(symmetry.results["encoder.0"]["input"]) == pytest.approx(expected, rel=1e-6)


# ---- a run ---------------------------------------------------------------------------------------------------------


def test_training_does_not_notice() -> None:
    alone, watched = make(), make()
    torch.manual_seed(3)
    fit(alone)
    torch.manual_seed(3)
    fit(watched, CumulantDiagnostics(layers=["encoder.*"], probe=loader(16)), SymmetryBreaking(layers=["mix"]))
    for one, other in zip(alone.state_dict().values(), watched.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert not any(module._forward_hooks for module in watched.modules())


def test_no_hook_is_left_when_a_fit_fails() -> None:
    class Failing(CumulantDiagnostics):
        def measure(self, model: Any, data: Any) -> Any:
            super().measure(model, data)
            model.module.head.bias = None  # the next pass, inside the hooks, fails
            model.module.head.forward = None
            return super().measure(model, data)

    model = make()
    with pytest.raises(InputError, match=r"fails in Net: TypeError"):
        fit(model, Failing(layers=["encoder.*"], probe=torch.randn(8, 4)))
    assert not any(module._forward_hooks for module in model.modules())


def test_without_names_the_modules_that_return_a_tensor_are_measured() -> None:
    callback = CumulantDiagnostics(probe=torch.randn(9, 4))
    fit(make(), callback)
    names = [*(f"encoder.{i}" for i in range(4)), "act", "act@2", "mix", "head"]
    assert list(callback.results["probe"]) == names  # neither the LSTM nor what is never called


def test_two_diagnostics_of_a_resumed_fit_go_on_with_their_own_histories(tmp_path: Path) -> None:
    def fitted(epochs: int, ckpt_path: Path | None = None) -> list[CumulantDiagnostics]:
        both = [CumulantDiagnostics(layers=[name], probe=torch.ones(8, 4)) for name in ("head", "encoder.*")]
        trainer = quiet_trainer(-1, max_epochs=epochs, accelerator="cpu", callbacks=both)
        trainer.fit(make(), loader(), ckpt_path=ckpt_path)
        trainer.save_checkpoint(tmp_path / "saved.ckpt")
        return both

    before = fitted(2)
    for callback, earlier in zip(fitted(3, tmp_path / "saved.ckpt"), before, strict=True):
        assert callback._history["probe"][:2] == earlier._history["probe"]
        assert [row[0] for row in callback._history["probe"]] == [0, 1, 2]
    assert [len(callback._history["probe"][0]) for callback in before] == [1 + 4, 1 + 4 * 4]


def test_nothing_is_left_when_a_pass_is_interrupted_or_a_validation_fails() -> None:
    class Interrupted(Net):
        def forward(self, x: Tensor) -> Tensor:
            super().forward(x)
            raise KeyboardInterrupt

        def validation_step(self, batch: Any) -> None:
            raise RuntimeError("validation")

    model = Interrupted()
    state = torch.random.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        hooked(model).trace(torch.randn(8, 4, generator=torch.Generator()))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.training
    assert not any(one._forward_hooks for one in model.modules())
    model.forward = functools.partial(Net.forward, model)  # type: ignore[method-assign]
    trainer = quiet_trainer(
        4, accelerator="cpu", callbacks=[CumulantDiagnostics(probe=torch.randn(8, 4))], limit_val_batches=1
    )
    with pytest.raises(RuntimeError, match="validation"):
        trainer.fit(model, loader(), loader(shuffle=False))
    assert not any(one._forward_hooks for one in model.modules())


def one_of_two(rank: int, port: int, folder: Path) -> None:
    """One of two processes of a fit, which writes down what it has measured."""
    join_group(rank, 2, port)
    callbacks = [CumulantDiagnostics(layers=["encoder.0"], probe=loader(16)), SymmetryBreaking(layers=["head"])]
    model = Read()
    strategy = DDPStrategy(process_group_backend="gloo", find_unused_parameters=True)
    trainer = quiet_trainer(4, accelerator="cpu", devices=2, strategy=strategy, callbacks=callbacks)
    trainer.fit(model, loader())
    measured = [sorted(callback.results) for callback in callbacks]
    hooks = sum(len(one._forward_hooks) for one in model.modules())
    (folder / str(rank)).write_text(f"{measured}, {hooks} hooks, {trainer.global_step} steps")


def test_two_processes(tmp_path: Path) -> None:
    """The first measures, the other waits for nothing, and the fit ends."""
    port = free_port()
    assert run_together(one_of_two, [(rank, port, tmp_path) for rank in (0, 1)]) == [0, 0]
    assert (tmp_path / "0").read_text() == "[['probe'], ['head']], 0 hooks, 4 steps"
    assert (tmp_path / "1").read_text() == "[[], []], 0 hooks, 4 steps"


@pytest.mark.draws
def test_the_digits_example(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    trainer = example("digits_classifier").main(str(tmp_path), epochs=2)
    folder = Path(trainer.logger.log_dir)
    cumulants, symmetry = trainer.callbacks[:2]
    layers = ["encoder.0", "encoder.1", "encoder.2", "encoder.3", "encoder.4", "head"]
    assert list(cumulants.results["probe"]) == layers
    events = EventAccumulator(str(folder)).Reload()
    for layer in layers:
        for n in (1, 2, 3, 4):
            last = float(cumulants.results["probe"][layer].k[n - 1].mean())
            assert events.Scalars(f"cumulants/probe/{layer}/k{n}")[-1].value == pytest.approx(last, rel=1e-5)
    images = {"cumulant_flow/probe", "cumulant_history/probe", "symmetry/asymmetry"}
    assert images <= set(events.Tags()["images"])
    table = pq.read_table(folder / "cumulants").to_pylist()
    assert len(table) == 2 * (64 + 4 * 16 + 10)
    assert {row["epoch"] for row in table} == {0, 1}
    weight = trainer.lightning_module.encoder[1].weight.detach().double()
    mirrored = weight.view(16, 8, 8).flip(-1).flatten(1)
    expected = float((weight - mirrored).norm() / 2 / weight.norm())
    assert float(symmetry.results["encoder.1"]["mirror"]) == pytest.approx(expected, rel=1e-12)
    (row,) = [row for row in pq.read_table(folder / "symmetry").to_pylist() if row["epoch"] == 1]
    assert row["asymmetry"] == pytest.approx(expected)


def test_the_graph_example(tmp_path: Path) -> None:
    trainer = example("graph_regression").main(str(tmp_path), epochs=1)
    folder = Path(trainer.logger.log_dir)
    cumulants, symmetry = trainer.callbacks[:2]
    assert cumulants.results["probe"]["first"].k.shape == (4, 1, 64)
    assert cumulants.results["probe"]["first"].across_nodes.shape == (4, 1, 8)
    assert cumulants.results["probe"]["readout"].k.shape == (4, 1, 1)
    assert list(symmetry.results) == ["first.lin_rel", "second.lin_rel", "readout"]
    header = (folder / "metrics.csv").read_text().partition("\n")[0].split(",")
    assert {"cumulants/probe/first/k2_across_nodes", "symmetry/readout/asymmetry/hidden"} <= set(header)
    table = pq.read_table(folder / "cumulants").to_pylist()
    assert len(table) == 2 * 64 + 1


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- symmetry ------------------------------------------------------------------------------------------------------


def test_asymmetry_of_named_weights_is_the_distance_to_their_mean_over_the_group() -> None:
    model = make()
    roll = SignedPermutation(np.roll(np.arange(6), 1))
    callback = SymmetryBreaking(layers=["mix", "head"], generators=[{0: roll, 1: roll}])
    fit(model, callback)
    weights = {"mix": model.mix.weight.detach().double(), "head": model.head.weight.detach().double()}
    mix = torch.stack([weights["mix"].roll((k, k), (0, 1)) for k in range(6)]).mean(dim=0)
    head = weights["head"].mean(dim=1, keepdim=True).expand(3, 6)
    for name, nearest in (("mix", mix), ("head", head)):
        expected = float((weights[name] - nearest).norm() / weights[name].norm())
        assert float(callback.results[name]["own"]) == pytest.approx(expected, rel=1e-12)


def test_registered_symmetries_of_a_chain_of_modules() -> None:
    callback = SymmetryBreaking(layers=["encoder.0", "mix", "head"])
    fit(make(), callback)
    assert {"input", "hidden", "full"} <= set(callback.results["encoder.0"])
    assert "hidden" in callback.results["head"]


def test_generators_on_the_layers_of_a_stack() -> None:
    model = MLP(width=4, replicas=3)
    callback = SymmetryBreaking(generators=["input"])
    trainer = quiet_trainer(2, accelerator="cpu", callbacks=[callback])
    trainer.fit(model, CLTDataModule(steps_per_epoch=2, batch_size=8))
    standard = SymmetryBreaking()
    standard.prepare(model, None)  # type: ignore[arg-type]
    assert list(callback.results) == ["pre0"]
    assert torch.equal(callback.results["pre0"]["input"], standard.measure(model, None)["pre0"]["input"])  # type: ignore[arg-type]


# ---- theory --------------------------------------------------------------------------------------------------------


class Chain(nn.Module):
    """A network that ``propagate`` can read: it says what its affine maps and activations are."""

    def __init__(self) -> None:
        super().__init__()
        self.pre0, self.out = nn.Linear(3, 4), nn.Linear(4, 1)
        self.act0 = find_activation("quadratic")(1, torch.arange(4))
        self.activations = [self.act0]

    def dense(self) -> list[tuple[Tensor, Tensor | None]]:
        return [(layer.weight[None], layer.bias[None]) for layer in (self.pre0, self.out)]

    def forward(self, x: Tensor) -> Tensor:
        h = self.act0(self.pre0(x).T[None])
        return self.out(h[0].T)


class Around(Net):
    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part


def test_theory_against_hooks_on_what_propagate_reads() -> None:
    model = Around(MLP(width=3, activation="tanh", replicas=2))
    callback = TheoryGap(laws="uniform()", network="part", samples=400)
    fit(model, callback)
    (gaps,) = callback.results.values()
    predicted = propagate(model.part, "uniform()", 4, 4, "edgeworth")
    torch.testing.assert_close(gaps["act0"].predicted, predicted.marginals("act0"))
    for layer in ("pre0", "act0", "out"):
        z = gaps[layer].gap[:2] / gaps[layer].stderr[:2]
        assert z.abs().max() < 6


def test_theory_of_modules_by_their_names() -> None:
    model = Around(Chain())
    model.part.act0.requires_grad_(False)
    network = HookedNetwork(model, quiet_trainer(1, accelerator="cpu")).part("part").with_layers(["pre0", "out"])
    x = laws.parse("uniform()").sample((10, 3), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network.trace(x)["pre0"][0].T, model.part.pre0(x).detach())
    callback = TheoryGap(laws="uniform()", network="part", samples=500, method="gaussian")
    with pytest.raises(InputError, match=r"layers: 'act0' returns shape \(1, 4, 500\) for a probe of 500 rows"):
        fit(model, callback)
    with pytest.raises(InputError, match="network='part' is for modules that are not stacks; allowed: None"):
        TheoryGap(laws="uniform()", network="part").prepare(MLP(), CLTDataModule())
    with pytest.raises(InputError, match=r"net\.lstm \(LSTM\)"):
        fit(make(), TheoryGap(laws="uniform()"))
    with pytest.raises(InputError, match="TheoryGap has no laws of the input; allowed: laws="):
        fit(model, TheoryGap(network="part"))
    with pytest.raises(InputError, match=r"network='prt' matches no module of Around; did you mean 'part'"):
        fit(model, TheoryGap(laws="uniform()", network="prt"))


class Read(Net):
    """A network that ``propagate`` reads as it is: batch norm in evaluation mode, a module that is called twice."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.mix(self.act(self.encoder(x)))))


def test_theory_of_any_network() -> None:
    torch.manual_seed(2)
    model = Read()
    callback = TheoryGap(laws="gaussian()", samples=4000)
    fit(model, callback)
    (gaps,) = callback.results.values()
    assert {"encoder.0", "encoder.1", "encoder.2", "act", "mix", "act@2", "head", "out"} <= set(gaps)
    assert model.training
    for name in ("encoder.0", "encoder.1", "encoder.2"):
        assert (gaps[name].gap[:2] / gaps[name].stderr[:2]).abs().max() < 6, name
    for name in ("act", "mix", "act@2", "out"):  # within the closure's error
        assert gaps[name].relative[:2].abs().max() < 0.2, name


class Named(Net):
    """Its last module is called ``out`` and is not its output."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        return 3 * self.out(self.encoder(x)).expand(-1, 3)


def test_a_module_called_out_is_not_the_networks_output() -> None:
    model = Named()
    callback = TheoryGap(laws="gaussian()", samples=4000)
    fit(model, callback)
    (gaps,) = callback.results.values()
    assert gaps["out"].measured.shape[2] == 3
    assert gaps["out"].relative[:2].abs().max() < 0.2


class HeadFirst(LightningModule):
    """Defined in another order than it is called, with two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 3)
        self.encoder = parametrizations.weight_norm(nn.Linear(4, 6))

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        h = self.encoder(x)
        return h, {"y": self.head(h.tanh()), "first": h[:, 0]}


def gaps_of(module: LightningModule, callback: TheoryGap) -> Any:
    """The gaps of the first law."""
    network = HookedNetwork(module, quiet_trainer(1, accelerator="cpu"))
    callback.prepare(network, ProbeData(None))
    return next(iter(callback.measure(network, ProbeData(None)).values()))


def check_gaps(gaps: Any, sizes: dict[str, int], orders: int = 2) -> None:
    assert {layer: gaps[layer].measured.shape[2] for layer in sizes} == sizes
    for layer in sizes:
        z = gaps[layer].gap[:orders] / gaps[layer].stderr[:orders]
        assert z.abs().max() < 6, layer


def test_the_inputs_size_is_that_with_which_the_network_runs() -> None:
    torch.manual_seed(0)
    gaps = gaps_of(HeadFirst(), TheoryGap(laws="gaussian()", samples=500))
    check_gaps(gaps, {"encoder": 6, "out": 6 + 3 + 1}, orders=1)


def test_theory_of_a_single_layer() -> None:
    check_gaps(gaps_of(make(), TheoryGap(laws="uniform()", network="head", samples=500)), {"out": 3})


def test_theory_of_inputs_of_a_given_shape() -> None:
    model = Around(nn.Sequential(nn.Conv1d(2, 3, 2), nn.Flatten(), nn.Linear(9, 1)))
    with pytest.raises(InputError, match=r"shape=None: Sequential does not say; allowed: the shape of one input"):
        gaps_of(model, TheoryGap(laws="uniform()", network="part"))
    gaps = gaps_of(model, TheoryGap(laws="uniform()", network="part", shape=[2, 4], samples=500))
    check_gaps(gaps, {"part.0": 9, "out": 1} if "part.0" in gaps else {"0": 9, "out": 1})
    with pytest.raises(InputError, match="shape=None: Identity does not say"):
        gaps_of(Around(nn.Identity()), TheoryGap(laws="uniform()", network="part"))


def test_theory_of_a_graph_network() -> None:
    """On a graph whose nodes differ, so that the order of nodes and features matters."""

    class OnGraph(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.readout = GraphConv(2, 3), nn.Linear(3, 1)

        def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
            return self.readout(global_add_pool(self.conv(x, edge_index), batch))

    torch.manual_seed(0)
    edges = [[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 0, 2]]
    callback = TheoryGap(laws="gamma(shape=4)", shape=[4, 2], edge_index=edges, samples=1000)
    check_gaps(gaps_of(OnGraph(), callback), {"conv": 12, "out": 1})
    with pytest.raises(InputError, match="edge_index has nodes from 0 to 3, out of range; allowed: 0 to 2"):
        gaps_of(OnGraph(), TheoryGap(laws="uniform()", shape=[3, 2], edge_index=edges))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"laws": 3}, "laws=3 is not a list of laws; allowed: one or more"),
        ({"laws": []}, "laws=[] measures nothing; allowed: one or more"),
        ({"network": ["encoder"]}, "network=['encoder'] is not a name; allowed: the name of one module"),
        ({"shape": 4}, "shape=4 is not a shape; allowed: whole numbers >= 1"),
        ({"shape": [4, 0]}, "shape=[4, 0] is not a shape; allowed: whole numbers >= 1"),
        ({"edge_index": [[0], [1]]}, "edge_index without a shape says nothing of the features; allowed: shape="),
        ({"edge_weight": [1.0], "shape": [1, 1]}, "edge_weight without edge_index; allowed: both, or edge_index alone"),
    ],
)
def test_arguments_of_the_theory_that_mean_nothing_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        TheoryGap(**arguments)
    assert str(caught.value).startswith(message)


class Diverging(Read):
    def training_step(self, batch: list[Tensor]) -> Tensor:
        return super().training_step(batch) * torch.nan


def test_a_network_that_diverges_ends_no_fit() -> None:
    model = Diverging()
    callback = TheoryGap(laws="gaussian()", samples=100)
    fit(model, callback)
    assert callback.results == {}
    assert not model.head.bias.isfinite().any()


# ---- bad input -----------------------------------------------------------------------------------------------------

GOOD = torch.zeros(9, 4)


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (
            CumulantDiagnostics(layers=["encodr.0"], probe=GOOD),
            "layers='encodr.0' matches no module of Net; did you mean 'encoder.0'",
        ),
        (
            CumulantDiagnostics(layers=["lstm"], probe=GOOD),
            "layers: 'lstm' returns a tuple for a probe of 9 rows; allowed: modules that return a tensor (N, ...)",
        ),
        (
            CumulantDiagnostics(layers=["head", "never"], probe=GOOD),
            "layers='never' is not called when the probe passes; allowed: head",
        ),
        (
            CumulantDiagnostics(layers="never", probe=GOOD),
            "layers='never' is not called when the probe passes; allowed: modules that forward calls",
        ),
        (
            CumulantDiagnostics(layers=["act@3"], probe=GOOD),
            "layers='act@3' is called 2 times, not 3 when the probe passes; allowed: act, act@2",
        ),
        (
            CumulantDiagnostics(layers=["*stm"], probe=GOOD),
            "layers: 'lstm' returns a tuple for a probe of 9 rows; allowed: modules that return a tensor (N, ...)",
        ),
        (
            CumulantDiagnostics(probe=GOOD.index_fill(0, torch.tensor([2]), torch.nan)),
            "probe has 4 numbers that are not finite, and then so has encoder.0; allowed: finite numbers",
        ),
        (
            CumulantDiagnostics(probe=torch.zeros(9, 5)),
            "probe of shape (9, 5) fails in Net: RuntimeError: mat1 and mat2",
        ),
        (CumulantDiagnostics(probe=torch.zeros(3, 4)), "probe has 3 rows; allowed: 4 or more"),
        (CumulantDiagnostics(probe=DataLoader([])), "probe is a loader without batches"),
        (CumulantDiagnostics(layers=["head"]), "probe=None says nothing of what Net takes; allowed: a batch"),
        (
            CumulantDiagnostics(method="quadrature"),
            "method='quadrature' needs a stack, such as renorm.zoo.MLP; allowed: sampling",
        ),
        (SymmetryBreaking(layers=["hed"]), "layers='hed' matches no module of Net; did you mean 'head'"),
        (SymmetryBreaking(layers=["act"]), "layers='act' has no weight of shape (out, in); allowed"),
        (
            SymmetryBreaking(layers=["encoder.0", "head", "never"]),
            "layers: 'never' has 1 inputs, the one before it 3 outputs",
        ),
        (
            SymmetryBreaking(layers=["head"], generators=[{0: SignedPermutation(np.arange(5))}]),
            "symmetry='own' takes axis 0 to image=[0, 1, 2, 3, 4]; allowed: a permutation of 0 to 5",
        ),
        (
            SymmetryBreaking(layers=["head"], generators={"none": [{}]}),
            "generators='none' move no weight of layers with the sizes [6, 3]",
        ),
        (SymmetryBreaking(layers=["head"], generators=["hiden"]), "symmetry='hiden' is unknown; allowed: free"),
    ],
)
def test_misuse_is_one_line_before_training(callback: Any, message: str) -> None:
    model = make()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(InputError) as caught:
        fit(model, callback)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": []}, r"layers=\[\] is not a list of names"),
        ({"layers": 3}, "layers=3 is not a list of names"),
        ({"probe": "batch"}, "probe='batch' is not a batch"),
        ({"probe": torch.zeros(4, 2), "laws": "uniform()"}, "laws='uniform()' beside a probe"),
        ({"layers": "a", "method": "quadrature"}, "method='quadrature' with layers"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("()", r"\(\)")):
        CumulantDiagnostics(**arguments)
    with pytest.raises(InputError, match=r"generators=3 is a int; allowed: names of symmetries"):
        SymmetryBreaking(generators=3)
