"""Stacks of any module: each member is what plain PyTorch trains by itself, whichever way the stack is computed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv

import renorm
from renorm.datamodules import CLTDataModule
from renorm.runs.checkpoint import load_model
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.zoo import ModuleStack
from renorm.zoo.module_stack import find_maker, path_of

STEPS = 5


class Perceptron(nn.Sequential):
    """An MLP of plain PyTorch, with the output ``(N, 1)``."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(2, 6), nn.Tanh(), nn.LayerNorm(6), nn.Linear(6, 1))


class Graph(nn.Module):
    """A graph network of PyG on the two variables of a block."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.readout = GCNConv(1, 5), nn.Linear(5, 1)
        self.register_buffer("edges", torch.tensor([[0, 1], [1, 0]]))

    def forward(self, x: Tensor) -> Tensor:
        first = 2 * torch.arange(len(x)).view(1, -1, 1)
        edges = (first + self.edges.unsqueeze(1)).flatten(1)
        h = torch.tanh(self.conv(x.reshape(-1, 1), edges))
        return self.readout(h.view(len(x), 2, -1).mean(dim=1)).squeeze(-1)


class Branching(nn.Module):
    """Control flow that depends on the data; the number is the same whichever way it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) if bool(x.sum() + self.layer.bias > 0) else self.layer(x) * 1.0


class Tied(nn.Module):
    """Two layers share one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(2, 2), nn.Linear(2, 2)
        self.other.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.other(torch.tanh(self.one(x))).sum(dim=-1)


def make_perceptron() -> nn.Module:
    return Perceptron()


NETWORKS = {Perceptron: True, Graph: False, Branching: False, Tied: True}


def trained_alone(model: ModuleStack, make: Callable[[], nn.Module], member: int) -> nn.Module:
    """One member, trained by plain PyTorch on the same batches."""
    network = make()
    network.load_state_dict({name: tensor[member] for name, tensor in model.network.state_dict().items()})
    data = CLTDataModule(steps_per_epoch=STEPS)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for step in range(STEPS):
        x = data.batch("train", 0, step).x
        optimizer.zero_grad()
        (network(x).view(-1) - x.sum(dim=1) / 2**0.5).square().mean().backward()
        optimizer.step()
    return network


@pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)
def test_each_member_trains_as_plain_pytorch_trains_it(make: type[nn.Module]) -> None:
    model = renorm.stack(make, members=3, seed=4)
    assert model.vectorized is NETWORKS[make]
    alone = [trained_alone(model, make, member) for member in range(3)]
    quiet_trainer(STEPS, accelerator="cpu").fit(model, CLTDataModule(steps_per_epoch=STEPS))
    for name, tensor in model.network.state_dict().items():
        torch.testing.assert_close(tensor, torch.stack([network.state_dict()[name] for network in alone]))


@pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)
def test_the_loop_and_vmap_are_one_contract(make: type[nn.Module]) -> None:
    model = renorm.stack(make, members=3).double()
    x = torch.randn(3, 5, 2, dtype=torch.float64)
    each = torch.stack([model(block)[m] for m, block in enumerate(x)])
    torch.testing.assert_close(model(x), each)
    torch.testing.assert_close(model.double_copy()(x), model(x))
    model.vectorized = False
    torch.testing.assert_close(model(x), each)


def test_a_member_is_the_same_in_a_stack_of_any_size() -> None:
    weights = renorm.stack(Perceptron, 4, seed=7).network[0].weight
    assert torch.equal(renorm.stack(Perceptron, 2, seed=7).network[0].weight, weights[:2])
    assert torch.equal(ModuleStack(Perceptron, replicas=4, members=[3, 1], seed=7).network[0].weight, weights[[3, 1]])
    assert len({tuple(member.flatten().tolist()) for member in weights}) == 4
    assert not torch.equal(renorm.stack(Perceptron, 4, seed=8).network[0].weight, weights)


def test_nothing_global_is_drawn_and_initial_weights_can_be_put_back() -> None:
    before = torch.random.get_rng_state()
    model = renorm.stack(Perceptron, 2)
    assert torch.equal(torch.random.get_rng_state(), before)
    initial = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        model.network[0].weight.zero_()
    model.reset_parameters()
    assert all(torch.equal(tensor, initial[name]) for name, tensor in model.state_dict().items())


def test_shared_and_frozen_parameters_stay_so() -> None:
    network = renorm.stack(Tied, 2).network
    assert network.one.weight is network.other.weight
    model = renorm.stack(lambda: nn.Sequential(nn.Linear(2, 3).requires_grad_(False), nn.Linear(3, 1)), 2)
    model.freeze()
    model.unfreeze()
    assert [layer.weight.requires_grad for layer in model.network] == [False, True]


def test_a_diverged_member_harms_no_other() -> None:
    model, healthy = renorm.stack(Perceptron, 3), renorm.stack(Perceptron, 3)
    with torch.no_grad():
        model.network[0].weight[1] = torch.inf
    for stack in (model, healthy):
        quiet_trainer(STEPS, accelerator="cpu").fit(stack, CLTDataModule(steps_per_epoch=STEPS))
    assert list(model.divergence.steps) == [1]
    assert torch.equal(model.network[0].weight[[0, 2]], healthy.network[0].weight[[0, 2]])


def test_what_the_run_should_know_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    def dropping() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5), nn.Linear(4, 1))

    with caplog.at_level(logging.INFO, logger="renorm"):
        for make in (Branching, dropping):
            quiet_trainer(2, accelerator="cpu").fit(renorm.stack(make, 2), CLTDataModule(steps_per_epoch=1))
    said = [record.message for record in caplog.records]
    assert sum("one after the other" in line for line in said) == 1
    assert sum("random numbers" in line for line in said) == 1


def test_members_drop_units_of_their_own() -> None:
    model = renorm.stack(lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 1)), 2)
    assert model.vectorized
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    one, other = model.train()(torch.ones(64, 2))
    assert not torch.equal(one, other)
    one, other = model.eval()(torch.ones(64, 2))
    assert torch.equal(one, other)


class Strange(nn.Module):
    """Returns a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.layer(x),)


sizes = iter([3, 4])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (3, "make=3 is a int; allowed: a function"),
        (lambda: 3, "builds a int; allowed: an nn.Module"),
        (
            nn.Linear,
            r"make='torch.nn.modules.linear.Linear' fails \(TypeError: .*; allowed: a function without arguments",
        ),
        (nn.Identity, "without parameters"),
        (lambda: nn.Linear(2, 3), r"turns shape \(4, 2\) into shape \(4, 3\); allowed: \(4,\) or \(4, 1\)"),
        (lambda: nn.Linear(5, 1), r"fails on shape \(4, 2\)"),
        (Strange, r"into a tuple; allowed: \(4,\)"),
        (lambda: nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1)), "changes its buffer 1.running_mean .*LayerNorm"),
        (
            lambda: nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1, track_running_stats=False)),
            "1 value|mixes the blocks",
        ),
        (lambda: nn.Sequential(nn.Softmax(dim=0), nn.Linear(2, 1)), "mixes the blocks of a batch"),
        (lambda: nn.Linear(2, 1).requires_grad_(False), "without trained parameters"),
        (lambda: nn.Sequential(nn.Linear(2, s := next(sizes)), nn.Linear(s, 1)), "builds networks of several kinds"),
        ("nowhere.make", r"'nowhere.make' is not a function of a module that is imported; allowed: --import"),
        ("os.abort", "'os.abort' is not known to build a network"),
        ("make", "'make' is not a function"),
    ],
)
def test_what_no_stack_can_be_made_of(make: Callable[[], nn.Module], said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        renorm.stack(make, 2)
    assert "; allowed: " in str(error.value)
    assert "\n" not in str(error.value)


def saved(model: ModuleStack, folder: Path) -> Path:
    trainer = quiet_trainer(2, accelerator="cpu")
    trainer.fit(model, CLTDataModule(steps_per_epoch=2))
    trainer.save_checkpoint(folder / "saved.ckpt")
    return folder / "saved.ckpt"


def test_a_named_function_is_found_by_its_checkpoint(tmp_path: Path) -> None:
    model = renorm.stack(make_perceptron, 2, seed=3)
    loaded = load_model(saved(model, tmp_path))
    x = torch.randn(5, 2)
    assert torch.equal(loaded(x), model.eval()(x))
    assert path_of(find_maker(path_of(make_perceptron))) == path_of(make_perceptron)


def test_a_lambda_is_restored_into_an_equal_stack(tmp_path: Path) -> None:
    def build() -> ModuleStack:
        return renorm.stack(lambda: Perceptron(), 2)

    model = build()
    path = saved(model, tmp_path)
    with pytest.raises(ValueError, match=r"<lambda>' is not a function of a module .*load_from_checkpoint"):
        load_model(path)
    again, trainer = build(), quiet_trainer(2, accelerator="cpu")
    trainer.fit(again, CLTDataModule(steps_per_epoch=2), ckpt_path=path)  # no step is left
    given = ModuleStack.load_from_checkpoint(path, make=Perceptron)
    for other in (again, given):
        assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_a_checkpoint_calls_nothing_that_builds_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(os, "abort", lambda: called.append("abort"))
    path = saved(renorm.stack(make_perceptron, 2), tmp_path)
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["hyper_parameters"]["make"] = "os.abort"
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match="not known to build a network"):
        load_model(path)
    assert called == []


def test_metrics_figures_and_tables_take_a_stack() -> None:
    model = renorm.stack(Perceptron, 2)
    assert renorm.evaluate(model, "gaussian()", samples=64).results["gaussian(mean=0, std=1)"]["mse"].shape == (2,)
    figure, _ = renorm.plot_map(model)
    assert "Perceptron" in figure.get_suptitle()
    assert repr(model).startswith("ModuleStack(block_size=2, replicas=2, make='")


def test_a_function_that_returns_one_network_again_and_again() -> None:
    network = Perceptron()
    with pytest.raises(
        ValueError, match="returns the same network each time; allowed: a function that makes a new one"
    ):
        renorm.stack(lambda: network, 3, 2)
