"""Optimiser steps that skip Lightning's hooks where none of them is used.

Around every step Lightning calls some forty hooks, builds closures and collects metrics. For a small stack this costs more than
the step itself, and most of it does nothing here. A lean step calls only what does something, in Lightning's order, and updates
Lightning's counters. Runs with unusual settings use Lightning's loop. What a stack computes in a lean step is taken in as few
calls as possible, see :mod:`renorm.training.whole_step`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy

from ..datamodules.blocks import Blocks
from .compilation import CompiledLosses
from .logged_results import LoggedResults
from .stack import StackedModel
from .whole_step import WholeStep

# called by a lean step for the callbacks that have them
AROUND_BATCH = ("on_train_batch_start", "on_train_batch_end")
# never called by a lean step
INSIDE_STEP = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")
OF_TRANSFER = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
OWN_PACKAGES = ("renorm", "lightning")  # whose callbacks change no model between two steps
OF_MODULE = (*AROUND_BATCH, *INSIDE_STEP, *OF_TRANSFER, "backward", "optimizer_step", "lr_scheduler_step")

log = logging.getLogger("renorm")


class LeanEpochLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, with lean steps.

    Attributes:
        lean: whether this epoch takes lean steps, see :func:`what_is_unusual`.
    """

    lean = False
    _whole: WholeStep | None = None  # None where a stack is not trained by whole steps
    _is_watched = False  # whether callbacks of other authors see every step
    _said: str | None = None
    _hooks: dict[str, list[Callable[..., None]]]  # of callbacks, around a batch
    _callbacks = 0  # how many there were

    @classmethod
    def in_place_of(cls, loop: _TrainingEpochLoop) -> LeanEpochLoop:
        """A loop that continues from the state of Lightning's: with its bounds, its counters and its validation loop."""
        new = cls(loop.trainer, min_steps=loop.min_steps, max_steps=loop.max_steps)
        new.__dict__.update(loop.__dict__)
        for logging_loop in (new, new.val_loop):
            logging_loop._results = LoggedResults.in_place_of(logging_loop._results)
        return new

    def on_run_start(self, data_fetcher: Any) -> None:
        """Start an epoch; callbacks may have come or gone since the last one."""
        unusual = what_is_unusual(self.trainer)
        self.lean = unusual is None
        model: Any = self.trainer.lightning_module
        if isinstance(model, StackedModel):
            obstacle = unusual or WholeStep.obstacle(self.trainer)
            if obstacle is None:
                self._whole = self._whole or WholeStep(self.trainer)
            if isinstance(model._training_losses, CompiledLosses):
                model._training_losses.in_one_call = self.lean and model.device.type == "cpu"
                if obstacle is not None and obstacle != self._said:
                    log.info("a step is taken in several calls, which is slower for small stacks: %s", obstacle)
                self._said = obstacle
        if self._whole is not None:
            self._whole.pause()
        super().on_run_start(data_fetcher)

    def advance(self, data_fetcher: Any) -> None:
        """Take one step, and those that follow until Lightning has more to do: to log, to validate, to end an epoch."""
        trainer = self.trainer
        if not self.lean or self.restarting or trainer.should_stop:
            if self._whole is not None:
                self._whole.pause()
            super().advance(data_fetcher)
            return
        self.val_loop.restarting = False
        self._find_hooks()
        every = max(1, trainer.log_every_n_steps)
        if (self._batches_that_stepped + 1) % every == 0:
            if self._whole is not None:
                self._whole.pause()
            self._advance_lean(data_fetcher, logs=True)
            return
        more = self._quiet_steps(every)
        self._advance_lean(data_fetcher)
        while more and trainer.log_every_n_steps == every and not (trainer.should_stop or trainer.received_sigterm):
            self._batches_that_stepped += 1  # all that Lightning would do now
            if len(trainer.callbacks) != self._callbacks:
                self._find_hooks()
            self._advance_lean(data_fetcher)
            more -= 1

    def on_advance_end(self, data_fetcher: Any) -> None:
        """Validate, if it is time; after which everything about a step is looked at again, and gradients are gone."""
        if self._whole is not None and self._should_check_val_fx(data_fetcher):
            self._whole.pause()
        super().on_advance_end(data_fetcher)

    def _quiet_steps(self, every: int) -> int:
        """How many lean steps may follow the next one before Lightning does more between two steps than to count them."""
        trainer, ready = self.trainer, self.batch_progress.current.ready + 1
        if trainer._val_check_time_interval is not None or trainer.num_training_batches == math.inf:
            return 0
        if any(config.reduce_on_plateau for config in trainer.lr_scheduler_configs):
            return 0
        bounds = [int(trainer.num_training_batches) - ready, every - 1 - (self._batches_that_stepped + 1) % every]
        if self.max_steps != -1:
            bounds.append(self.max_steps - self.global_step - 1)
        if trainer.val_check_batch not in (None, math.inf):
            across_epochs = trainer.check_val_every_n_epoch is None
            taken = self.batch_progress.total.ready + 1 if across_epochs else ready
            bounds.append(-taken % int(trainer.val_check_batch))
        return max(0, min(bounds))

    def teardown(self) -> None:
        """Give parameters memory of their own again, and let go of compiled code."""
        if self._whole is not None:
            self._whole.release()
            self._whole = None
        super().teardown()

    def _advance_lean(self, data_fetcher: Any, logs: bool = False) -> None:
        trainer, progress = self.trainer, self.batch_progress
        batch, _, _ = next(data_fetcher)
        batch_idx = self.batch_idx + 1
        progress.is_last_batch = data_fetcher.done
        device = trainer.strategy.root_device
        if isinstance(batch, Blocks):  # past Lightning's search for tensors in all kinds of containers
            if batch.x.device != device:
                batch = batch.to(device, non_blocking=True)
        else:
            batch = trainer.strategy.batch_to_device(batch)
        progress.increment_ready()
        if logs or self._is_watched:
            trainer._logger_connector.on_batch_start(batch)
        else:  # nobody logs anything
            trainer._logger_connector._first_loop_iter = trainer._logger_connector._first_loop_iter is None
        self._call("on_train_batch_start", batch, batch_idx)
        progress.increment_started()
        loss = self._step(batch, batch_idx, logs)
        progress.increment_processed()
        if trainer.lr_scheduler_configs:
            self.update_lr_schedulers("step", update_plateau_schedulers=False)
            if self._num_ready_batches_reached():
                self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        self._call("on_train_batch_end", {"loss": loss.detach()}, batch, batch_idx)
        logs = logs or trainer.should_stop  # as Lightning does, with what was logged last
        if logs:
            trainer._logger_connector.on_batch_end()
        elif self._is_watched:
            trainer._results.batch = None
        progress.increment_completed()
        if logs:
            trainer._logger_connector.update_train_step_metrics()

    def _step(self, batch: Any, batch_idx: int, logs: bool) -> torch.Tensor:
        trainer, counters = self.trainer, self.automatic_optimization.optim_progress.optimizer
        model: Any = trainer.lightning_module
        optimizer = trainer.optimizers[0]
        model._current_fx_name = "training_step"
        if self._whole is not None:
            if self._is_watched:
                self._whole.pause()
            total = self._whole(batch, logs)
            if total is not None:
                model._current_fx_name = None
                counters.step.increment_ready()
                counters.zero_grad.increment_ready()
                counters.zero_grad.increment_started()
                counters.zero_grad.increment_completed()
                counters.step.increment_completed()
                return total
        counters.step.increment_ready()
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
        for method in self._hooks[hook]:
            method(self.trainer, model, *arguments)
        model._current_fx_name = None

    def _find_hooks(self) -> None:
        """Look up whom to call around a batch, since callbacks may change."""
        callbacks: list[Callback] = self.trainer.callbacks
        self._hooks = {hook: [getattr(each, hook) for each in callbacks if _has(each, hook)] for hook in AROUND_BATCH}
        self._callbacks = len(callbacks)
        self._is_watched = any(
            type(each).__module__.partition(".")[0] not in OWN_PACKAGES or hook in vars(each)
            for hook in AROUND_BATCH
            for each in callbacks
            if _has(each, hook)
        )


def _has(callback: Callback, hook: str) -> bool:
    """Whether a callback does something in a hook, by its class or, as a ``LambdaCallback``, by itself."""
    return hook in vars(callback) or getattr(type(callback), hook) is not getattr(Callback, hook)


def what_is_unusual(trainer: Trainer) -> str | None:
    """What a fit has that a lean step leaves out; None for one device, full precision, and no hooks inside a step."""
    model: Any = trainer.lightning_module
    callbacks: Any = trainer.callbacks  # type: ignore[attr-defined]
    own = ("training_step", "optimizer_zero_grad", "configure_gradient_clipping")
    data = getattr(trainer, "datamodule", None)
    usual = {
        "several processes, or another strategy": type(trainer.strategy) is SingleDeviceStrategy,
        "another precision": type(trainer.precision_plugin) is Precision,
        "a profiler": type(trainer.profiler) is PassThroughProfiler,  # type: ignore[attr-defined]
        "gradients of several batches": trainer.accumulate_grad_batches == 1,
        "a trial run": not trainer.fast_dev_run,  # type: ignore[attr-defined]
        "the detection of anomalies": not trainer._detect_anomaly,
        "an optimiser that may need a closure": all(map(_takes_no_closure, trainer.optimizers)),
        "hooks of the model": _same(type(model), LightningModule, OF_MODULE) and _same(type(model), StackedModel, own),
        "hooks of the data module": data is None or _same(type(data), LightningDataModule, OF_TRANSFER),
        "callbacks with hooks inside a step": not any(_has(each, hook) for each in callbacks for hook in INSIDE_STEP),
    }
    return next((what for what, is_usual in usual.items() if not is_usual), None)


def _takes_no_closure(optimizer: torch.optim.Optimizer) -> bool:
    return type(optimizer).__module__.startswith("torch.optim.") and not isinstance(optimizer, torch.optim.LBFGS)


def _same(cls: type, base: type, names: tuple[str, ...]) -> bool:
    return all(getattr(cls, name) is getattr(base, name) for name in names)
