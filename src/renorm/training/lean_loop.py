"""Optimiser steps that skip Lightning's hooks where none of them is used.

Around every step Lightning calls some forty hooks, builds closures and collects metrics. For a small stack this costs more than
the step itself, and most of it does nothing here. A lean step calls only what does something, in Lightning's order, and updates
Lightning's counters. Steps that log, and runs with unusual settings, use Lightning's loop.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy

from ..datamodules.blocks import Blocks
from .stack import StackedModel

# called by a lean step for the callbacks that have them
AROUND_BATCH = ("on_train_batch_start", "on_train_batch_end")
# never called by a lean step
INSIDE_STEP = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")
OF_TRANSFER = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
OF_MODULE = (*AROUND_BATCH, *INSIDE_STEP, *OF_TRANSFER, "backward", "optimizer_step", "lr_scheduler_step")


class LeanEpochLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, with lean steps between those that log.

    Attributes:
        lean: whether this epoch takes lean steps, see :func:`is_ordinary`.
    """

    lean = False

    @classmethod
    def in_place_of(cls, loop: _TrainingEpochLoop) -> LeanEpochLoop:
        """A loop that continues from the state of Lightning's: with its bounds, its counters and its validation loop."""
        new = cls(loop.trainer, min_steps=loop.min_steps, max_steps=loop.max_steps)
        new.__dict__.update(loop.__dict__)
        return new

    def on_run_start(self, data_fetcher: Any) -> None:
        """Start an epoch; callbacks may have come or gone since the last one."""
        self.lean = is_ordinary(self.trainer)
        super().on_run_start(data_fetcher)

    def advance(self, data_fetcher: Any) -> None:
        """Take one step."""
        trainer = self.trainer
        logs = (self._batches_that_stepped + 1) % max(1, trainer.log_every_n_steps) == 0
        if not self.lean or logs or self.restarting or trainer.should_stop:
            super().advance(data_fetcher)
        else:
            self._advance_lean(data_fetcher)

    def _advance_lean(self, data_fetcher: Any) -> None:
        trainer, progress = self.trainer, self.batch_progress
        model: Any = trainer.lightning_module
        self.val_loop.restarting = False
        batch, _, _ = next(data_fetcher)
        batch_idx = self.batch_idx + 1
        progress.is_last_batch = data_fetcher.done
        if isinstance(batch, Blocks):  # past Lightning's search for tensors in all kinds of containers
            batch = batch.to(trainer.strategy.root_device, non_blocking=True)
        else:
            batch = trainer.strategy.batch_to_device(batch)
        progress.increment_ready()
        trainer._logger_connector.on_batch_start(batch)
        self._call("on_train_batch_start", batch, batch_idx)
        progress.increment_started()
        loss = self._step(model, batch, batch_idx)
        progress.increment_processed()
        if trainer.lr_scheduler_configs:
            self.update_lr_schedulers("step", update_plateau_schedulers=False)
            if self._num_ready_batches_reached():
                self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        self._call("on_train_batch_end", {"loss": loss.detach()}, batch, batch_idx)
        trainer._results.batch = None
        progress.increment_completed()

    def _step(self, model: Any, batch: Any, batch_idx: int) -> torch.Tensor:
        trainer, counters = self.trainer, self.automatic_optimization.optim_progress.optimizer
        optimizer = trainer.optimizers[0]
        counters.step.increment_ready()
        model._current_fx_name = "training_step"
        loss: torch.Tensor = model.training_step(batch, batch_idx)
        model._current_fx_name = None
        counters.zero_grad.increment_ready()
        counters.zero_grad.increment_started()
        model.optimizer_zero_grad(trainer.current_epoch, batch_idx, optimizer)
        counters.zero_grad.increment_completed()
        loss.backward()  # type: ignore[no-untyped-call]
        if trainer.gradient_clip_val:
            model.configure_gradient_clipping(optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm)
        optimizer.step()
        counters.step.increment_completed()
        return loss

    def _call(self, hook: str, *arguments: Any) -> None:
        model: Any = self.trainer.lightning_module
        model._current_fx_name = hook
        # looked up every time, since callbacks may change; a lookup costs almost nothing
        for callback in self.trainer.callbacks:
            if getattr(type(callback), hook) is not getattr(Callback, hook):
                getattr(callback, hook)(self.trainer, model, *arguments)
        model._current_fx_name = None


def is_ordinary(trainer: Trainer) -> bool:
    """Whether a fit has nothing that a lean step leaves out: one device, full precision, no hooks inside a step."""
    model = trainer.lightning_module
    own = ("training_step", "optimizer_zero_grad", "configure_gradient_clipping")
    data = getattr(trainer, "datamodule", None)
    return (
        type(trainer.strategy) is SingleDeviceStrategy
        and type(trainer.precision_plugin) is Precision
        and type(trainer.profiler) is PassThroughProfiler  # type: ignore[attr-defined]
        and trainer.accumulate_grad_batches == 1
        and not (trainer.fast_dev_run or trainer._detect_anomaly)  # type: ignore[attr-defined]
        and all(_takes_no_closure(optimizer) for optimizer in trainer.optimizers)
        and _same(type(model), LightningModule, OF_MODULE)
        and _same(type(model), StackedModel, own)
        and (data is None or _same(type(data), LightningDataModule, OF_TRANSFER))
        and all(_same(type(callback), Callback, INSIDE_STEP) for callback in trainer.callbacks)  # type: ignore[attr-defined]
    )


def _takes_no_closure(optimizer: torch.optim.Optimizer) -> bool:
    return type(optimizer).__module__.startswith("torch.optim.") and not isinstance(optimizer, torch.optim.LBFGS)


def _same(cls: type, base: type, names: tuple[str, ...]) -> bool:
    return all(getattr(cls, name) is getattr(base, name) for name in names)
