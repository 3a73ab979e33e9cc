"""What of the trainer's settings would give wrong numbers, or other numbers for every member, is refused in words."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from .datamodules import CLTDataModule
from .zoo import StackedModel


def check_trainer(trainer: Trainer, asked: Any, model: StackedModel, data: CLTDataModule) -> None:
    """Refuse strategies that take members apart, one loss scale for all members, and steps of fewer batches than others.

    Args:
        trainer: as it was built.
        asked: its settings.
        model: the stack.
        data: its data.

    Raises:
        ValueError: naming the setting, its value and what is allowed.
    """
    if type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy):
        raise ValueError(
            f"trainer.strategy={_name(asked['strategy'])} shares out the weights of a stack, which every process needs "
            "whole; allowed: auto, ddp, ddp_spawn"
        )
    if str(asked["precision"]) in ("16-mixed", "16"):
        if trainer.strategy.root_device.type == "cpu":
            raise ValueError("trainer.precision=16-mixed would be bf16-mixed on a CPU; allowed: bf16-mixed, 32-true, 64-true")
        if model.num_members > 1:
            raise ValueError(
                "trainer.precision=16-mixed scales the losses of all members by one factor, which depends on all of them; "
                "allowed: bf16-mixed, 32-true, 64-true, or one member"
            )
    batches = trainer.accumulate_grad_batches
    if data.steps_per_epoch % batches:
        raise ValueError(
            f"trainer.accumulate_grad_batches={batches} leaves a smaller step at the end of an epoch; "
            f"allowed: divisors of data.steps_per_epoch={data.steps_per_epoch}"
        )


def _name(strategy: Any) -> str:
    return strategy if isinstance(strategy, str) else type(strategy).__name__
