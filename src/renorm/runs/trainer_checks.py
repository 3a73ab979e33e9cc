"""What of the trainer's settings would give wrong numbers, or other numbers for every member, is refused in words."""

from __future__ import annotations

import os
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from ..datamodules import CLTDataModule
from ..errors import InputError
from ..zoo import StackedModel

ALLOWED = "allowed: bf16-mixed, 32-true, 64-true"
# the smallest value of settings of which Lightning takes any, and fails later or does something else; None is its default
SMALLEST = {
    "accumulate_grad_batches": 1,
    "check_val_every_n_epoch": 1,
    "gradient_clip_val": 0,
    "log_every_n_steps": 0,
    "min_epochs": 0,
    "min_steps": 0,
    "num_nodes": 1,
    "num_sanity_val_steps": -1,
}
MOST_DEVICES = max(16, 2 * (os.cpu_count() or 1))  # processes of one machine: each imports PyTorch anew
PROFILERS = ("simple", "advanced", "pytorch")


def check_settings(asked: Any, model: StackedModel, data: CLTDataModule) -> None:
    """Refuse precisions that round the data or couple the members, and steps of fewer batches than others.

    Args:
        asked: the trainer's settings.
        model: the stack.
        data: its data.

    Raises:
        ValueError: naming the setting, its value and what is allowed.
    """
    check_ranges(asked)
    precision = str(asked["precision"])
    if precision in ("16-true", "bf16-true"):
        raise InputError(
            f"trainer.precision={precision} rounds the data to three digits, and metrics would measure that; {ALLOWED}"
        )
    if precision in ("16-mixed", "16"):
        if asked["accelerator"] == "cpu" or not torch.cuda.is_available():
            raise InputError(f"trainer.precision={precision} would be bf16-mixed on a CPU; {ALLOWED}")
        if model.num_members > 1:
            raise InputError(
                f"trainer.precision={precision} scales the losses of all members by one factor, which depends on all of "
                f"them; {ALLOWED}, or one member"
            )
    batches = asked["accumulate_grad_batches"] or 1
    steps = getattr(data, "steps_per_epoch", None)  # which data modules of one's own need not have
    if steps is not None and steps % batches:
        raise InputError(
            f"trainer.accumulate_grad_batches={batches} leaves a smaller step at the end of an epoch",
            f"divisors of data.steps_per_epoch={steps}",
        )


def check_ranges(asked: Any) -> None:
    """Refuse numbers that Lightning divides by, and values that it takes though they mean nothing.

    Raises:
        ValueError: naming the setting, its value and what is allowed.
    """
    devices = str(asked["devices"])
    if devices.isdecimal() and int(devices) > MOST_DEVICES:
        raise InputError(f"trainer.devices={devices} is out of range", f"up to {MOST_DEVICES} on one machine")
    for name, smallest in SMALLEST.items():
        value = asked[name]
        if value is not None and not value >= smallest:
            raise InputError(f"trainer.{name}={value!r} is out of range", f"numbers >= {smallest}, null")
    if asked["val_check_interval"] == 0:
        raise InputError("trainer.val_check_interval=0 is out of range", "> 0, or trainer.limit_val_batches=0")
    if asked["barebones"]:
        raise InputError("trainer.barebones=True leaves out logs and checkpoints, which a run is for", "False")
    if isinstance(asked["profiler"], str) and asked["profiler"] not in PROFILERS:
        raise InputError(f"trainer.profiler={asked['profiler']!r} is unknown", ", ".join(PROFILERS))


def check_strategy(trainer: Trainer, asked: Any) -> None:
    """Refuse strategies that take members apart, and waiting for machines that nobody starts.

    Raises:
        ValueError: naming the strategy and what is allowed.
    """
    if type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy):
        raise InputError(
            f"trainer.strategy={_name(asked['strategy'])} shares out the weights of a stack, which every process needs "
            "whole",
            "auto, ddp, ddp_spawn",
        )
    environment = getattr(trainer.strategy, "cluster_environment", None)
    alone = isinstance(environment, LightningEnvironment) and not {"NODE_RANK", "GROUP_RANK"} & os.environ.keys()
    if trainer.num_nodes > 1 and alone:
        raise InputError(
            f"trainer.num_nodes={trainer.num_nodes} waits for other machines",
            "1, or to start the processes by torchrun or SLURM",
        )


def refused_setting(error: BaseException) -> str | None:
    """The setting that a library itself found wrong: the trainer or the optimiser; None for an error of another kind."""
    if isinstance(error, MisconfigurationException):
        return "trainer"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not isinstance(error, ValueError):
        return None
    module = trace.tb_frame.f_globals.get("__name__", "")
    known = {
        "lightning.": "trainer",
        "torch.optim.lr_scheduler": "model.lr_scheduler",
        "torch.optim": "model.optimizer",
    }
    return next((setting for start, setting in known.items() if module.startswith(start)), None)


def _name(strategy: Any) -> str:
    return strategy if isinstance(strategy, str) else type(strategy).__name__
