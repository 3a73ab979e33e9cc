"""What an architecture must do is checked before its first step, and what it lacks is said in a line."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from examples.own_model import DeepSets
from torch import Tensor, nn

from renorm.certificates.certificate import certify
from renorm.cumulants import propagate
from renorm.datamodules import CLTDataModule
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.training.contract import check_architecture, left_out
from renorm.zoo import GNN, MLP, StackedModel
from renorm.zoo.symmetry.order_parameter import asymmetries


class Affine(StackedModel):
    """The least that an architecture has."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = self.linear(self.block_size, 1)
        self.reset_parameters()

    def outputs(self, x: Tensor) -> Tensor:
        return self.layer(x.mT).squeeze(1)


class OwnForward(Affine):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class NoComputation(StackedModel):
    def __init__(self) -> None:
        super().__init__()
        self.layer = self.linear(2, 1)
        self.reset_parameters()


class NoWeights(StackedModel):
    def __init__(self) -> None:
        super().__init__()
        self.layer = self.linear(2, 1)


class PlainLayer(Affine):
    def __init__(self) -> None:
        super().__init__(replicas=3)
        self.extra = nn.Linear(2, 1)
        self.reset_parameters()


class WrongShape(Affine):
    def outputs(self, x: Tensor) -> Tensor:
        return self.layer(x.mT)


class OneInputForAll(Affine):
    """Takes the first member's blocks for those of all."""

    def outputs(self, x: Tensor) -> Tensor:
        return super().outputs(x if x.ndim == 2 else x.flip(-2))


@pytest.mark.parametrize(
    "model", [MLP(), GNN(), Affine(replicas=2), Affine(block_size=5), DeepSets(replicas=3), OwnForward()]
)
def test_these_fulfil_the_contract(model: StackedModel) -> None:
    check_architecture(model)


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (NoComputation, "NoComputation fails on blocks of shape .*defines neither outputs nor walk"),
        (NoWeights, r"NoWeights has no initial weights; allowed: self.reset_parameters\(\)"),
        (PlainLayer, r"PlainLayer has the parameter extra.weight of shape \(1, 2\); allowed: \(3, ...\)"),
        (WrongShape, r"WrongShape turns blocks of shape \(3, 2\) into shape \(1, 1, 3\); allowed: \(1, 3\)"),
        (OneInputForAll, "OneInputForAll gives blocks .* other outputs"),
    ],
)
def test_what_breaks_the_contract_is_refused_before_the_first_step(cls: type[StackedModel], said: str) -> None:
    trainer = quiet_trainer(1, accelerator="cpu")
    with pytest.raises(ValueError, match=said):
        trainer.fit(cls(), CLTDataModule(steps_per_epoch=1))
    assert trainer.global_step == 0


def test_what_is_left_out_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    assert left_out(MLP()) is None
    assert left_out(GNN()) is None
    with caplog.at_level(logging.INFO, logger="renorm"):
        quiet_trainer(1, accelerator="cpu").fit(Affine(), CLTDataModule(steps_per_epoch=1))
    (line,) = [record.message for record in caplog.records if "left out" in record.message]
    assert all(name in line for name in ("Affine", "walk", "symmetric_subspaces", "affine_layers"))


@pytest.mark.parametrize("mode", ["auto", "false"])
def test_deep_sets_train_and_do_not_see_the_order(mode: str) -> None:
    model = DeepSets(width=4, replicas=3, block_size=3, compile=mode)
    before = model.phi.weight.theta.detach().clone()
    quiet_trainer(2, accelerator="cpu").fit(model, CLTDataModule(block_size=3, steps_per_epoch=2))
    assert bool((model.phi.weight.theta != before).flatten(1).any(dim=1).all())
    x = torch.randn(7, 3)
    torch.testing.assert_close(model(x), model(x[:, [2, 0, 1]]))
    torch.testing.assert_close(model.double_copy()(x.double()).float(), model(x))


def test_members_of_an_own_model_start_alike_in_a_stack_of_any_size() -> None:
    assert torch.equal(DeepSets(replicas=2).rho.weight(), DeepSets(replicas=5).rho.weight()[:2])
    assert torch.equal(DeepSets(replicas=5, members=[3]).rho.weight(), DeepSets(replicas=5).rho.weight()[[3]])


def test_what_an_own_model_cannot_do_is_a_line() -> None:
    with pytest.raises(ValueError, match=r"DeepSets has no dense layers and activations; allowed: .*affine_layers"):
        propagate(DeepSets(), "uniform()")
    with pytest.raises(ValueError, match=r"DeepSets cannot be examined.*; allowed: MLP, GNN"):
        certify(DeepSets())
    with pytest.raises(ValueError, match="DeepSets has no affine_layers; allowed"):
        DeepSets().dense()
    assert asymmetries(DeepSets()) == {}


def test_a_subclass_that_computes_something_else_is_not_certified_as_its_base() -> None:
    class Renamed(MLP):
        pass

    class Doubled(MLP):
        def outputs(self, x: Tensor) -> Tensor:
            return 2 * super().outputs(x)

    assert certify(Renamed(activation="linear")).verdict == "representable"
    with pytest.raises(ValueError, match="Doubled cannot be examined"):
        certify(Doubled(activation="linear"))


def test_a_constructor_without_kwargs_is_enough() -> None:
    class Small(Affine):
        def __init__(self, gain: float = 1.0) -> None:
            super().__init__(replicas=2)
            self.gain = gain

    twin = Small(gain=3.0).double_copy()
    assert twin.gain == 3.0
    assert twin.num_members == 2
