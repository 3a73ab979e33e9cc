"""Loaded models are ready to use, and train on when asked; what does not fit a model is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import renorm
from renorm.cumulants import propagate
from renorm.datamodules import CLTDataModule
from renorm.runs.checkpoint import load_model
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.zoo import GNN, MLP

from ..devices.pretend_device import pretend_device

NAME = "mlp_leaky_relu_free.uniform"


@pytest.mark.parametrize("arguments", [{}, {"members": "all"}, {"epoch": 3}])
def test_a_pretrained_model_can_be_drawn_at_once(arguments: dict[str, object]) -> None:
    model = renorm.load_pretrained(NAME, **arguments)
    assert not model.training
    assert model(torch.zeros(3, 2)).numpy().shape == (model.num_members, 3)


def test_a_checkpoints_model_can_be_drawn_at_once(tmp_path: Path) -> None:
    trainer = quiet_trainer(1, accelerator="cpu", default_root_dir=tmp_path)
    trainer.fit(MLP(width=2), CLTDataModule(batch_size=4, steps_per_epoch=1))
    trainer.save_checkpoint(tmp_path / "some.ckpt")
    model = load_model(tmp_path / "some.ckpt")
    assert not model.training
    model(torch.zeros(1, 2)).numpy()


def test_it_trains_on_when_asked(tmp_path: Path) -> None:
    model = renorm.load_pretrained(NAME)
    before = [parameter.clone() for parameter in model.parameters()]
    trainer = quiet_trainer(2, accelerator="cpu", default_root_dir=tmp_path)
    data = CLTDataModule(batch_size=4, steps_per_epoch=2)
    with pytest.raises(ValueError, match=r"no parameters that require gradients; allowed: after model.unfreeze\(\)"):
        trainer.fit(model, data)
    model.unfreeze()
    assert model.training
    propagate(model, "uniform()", method="quadrature")["out"].cumulants(2).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    quiet_trainer(2, accelerator="cpu", default_root_dir=tmp_path).fit(model, data)
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize(
    "arguments", [{"weights": "fixed", "activation": "spline"}, {"activation": "spline", "spline": "fixed"}]
)
def test_what_is_fixed_stays_so(arguments: dict[str, str]) -> None:
    model = MLP(width=2, **arguments)
    trained = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert set(trained.values()) == {True, False}
    model.freeze()
    model.unfreeze()
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == trained


def test_blocks_of_another_precision_are_refused_in_one_line() -> None:
    x = torch.zeros(3, 2, dtype=torch.float64)
    line = r"^x has dtype float64, the model float32; allowed: x.to\(torch.float32\) or model.to\(torch.float64\)$"
    for method in (MLP().forward, MLP().trace, GNN().forward):
        with pytest.raises(ValueError, match=line):
            method(x)
    assert MLP().to(torch.float64)(x).dtype == MLP().double()(x).dtype == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        MLP()(x.float())


def test_blocks_of_another_device_are_refused_in_one_line() -> None:
    with pretend_device() as device:
        line = rf"^x is on cpu, the model on {device}; allowed: x.to\('{device}'\) or model.to\('cpu'\)$"
        with pytest.raises(ValueError, match=line):
            MLP().to(device)(torch.zeros(3, 2))


def test_models_and_data_say_what_they_are() -> None:
    model = MLP(negative_slope=[0.5, 0.9], symmetry="full", replicas=3)
    assert str(model) == (
        "MLP(block_size=2, activation='leaky_relu', negative_slope=[0.5, 0.9], replicas=3, width=8, depth=1, "
        "symmetry='full'): 6 members of 4 parameters"
    )
    assert "aggregation" not in str(GNN())
    assert "layer='sage', aggregation='max'" in str(GNN(layer="sage", aggregation="max")).replace(
        ", width=8, depth=1, symmetry='free'", ""
    )
    assert "graph='ring'" in repr(GNN(graph="ring", block_size=4))
    data = CLTDataModule(train_laws="gamma(shape=3)", held_out_laws="rademacher()")
    assert str(data) == repr(data)
    for part in (
        "block_size=2",
        "map='central_limit()'",
        "gamma(shape=3)",
        "'rademacher()'",
        "batch_size=256",
    ):
        assert part in str(data)
