"""What of the trainer's settings would give wrong numbers, or other numbers for every member, is refused in words."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from .datamodules import CLTDataModule
from .zoo import StackedModel

ALLOWED = "allowed: bf16-mixed, 32-true, 64-true"


def check_settings(asked: Any, model: StackedModel, data: CLTDataModule) -> None:
    """Refuse precisions that round the data or couple the members, and steps of fewer batches than others.

    Args:
        asked: the trainer's settings.
        model: the stack.
        data: its data.

    Raises:
        ValueError: naming the setting, its value and what is allowed.
    """
    precision = str(asked["precision"])
    if precision in ("16-true", "bf16-true"):
        raise ValueError(
            f"trainer.precision={precision} rounds the data to three digits, and metrics would measure that; {ALLOWED}"
        )
    if precision in ("16-mixed", "16"):
        if asked["accelerator"] == "cpu" or not torch.cuda.is_available():
            raise ValueError(f"trainer.precision={precision} would be bf16-mixed on a CPU; {ALLOWED}")
        if model.num_members > 1:
            raise ValueError(
                f"trainer.precision={precision} scales the losses of all members by one factor, which depends on all of "
                f"them; {ALLOWED}, or one member"
            )
    batches = asked["accumulate_grad_batches"] or 1
    if data.steps_per_epoch % batches:
        raise ValueError(
            f"trainer.accumulate_grad_batches={batches} leaves a smaller step at the end of an epoch; "
            f"allowed: divisors of data.steps_per_epoch={data.steps_per_epoch}"
        )


def check_strategy(trainer: Trainer, asked: Any) -> None:
    """Refuse strategies that take members apart.

    Raises:
        ValueError: naming the strategy and what is allowed.
    """
    if type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy):
        raise ValueError(
            f"trainer.strategy={_name(asked['strategy'])} shares out the weights of a stack, which every process needs "
            "whole; allowed: auto, ddp, ddp_spawn"
        )


def _name(strategy: Any) -> str:
    return strategy if isinstance(strategy, str) else type(strategy).__name__
