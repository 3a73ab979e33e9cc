"""The checkpoints that a run keeps, the best by validation loss and the last, and how they are written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from ..errors import InputError
from ..files.whole import whole_file
from .interruption import Interrupted

PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


class BestCheckpoint(ModelCheckpoint):
    """Keep ``best.ckpt``, the lowest median validation loss; held-out laws are never used to select it."""

    def __init__(self) -> None:
        super().__init__(
            monitor="loss/val",
            filename="best",
            save_top_k=1,
            auto_insert_metric_name=False,
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best so far, even if the run's folder was moved or is reached by another path."""
        super().load_state_dict(_in_folder(state_dict, self.dirpath))
        self.current_score = state_dict["current_score"]


class LastCheckpoint(ModelCheckpoint):
    """Keep ``last.ckpt``, from which ``--ckpt_path last`` resumes, also in the middle of an epoch.

    It is saved after every epoch, every ``every_n_steps`` steps if that is not 0, when training ends, and when the
    process is asked to stop.

    Args:
        every_n_steps: also save each time this many steps were taken; 0 for never.
    """

    def __init__(self, every_n_steps: int = 0) -> None:
        if every_n_steps < 0:
            raise InputError(f"every_n_steps={every_n_steps} is out of range", "whole numbers >= 0")
        super().__init__(
            filename="last",
            save_top_k=1,
            every_n_epochs=1,
            auto_insert_metric_name=False,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        self.every_n_steps = every_n_steps
        self._between_steps = False
        self._unlogged: dict[str, float] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log what belongs to the checkpoint's own step, if that was not yet logged when the checkpoint was saved."""
        super().on_train_start(trainer, pl_module)
        if self._unlogged:
            counters: Any = trainer.fit_loop.epoch_loop.batch_progress.total
            step = counters.processed - 1
            for logger in trainer.loggers:
                logger.log_metrics(self._unlogged, step=step // trainer.accumulate_grad_batches)
        self._unlogged = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Save every ``every_n_steps`` steps: before the next batch, when everything about the step has been logged."""
        every = self.every_n_steps
        if every and batch_idx and not trainer.global_step % every and not batch_idx % trainer.accumulate_grad_batches:
            self._save_between_steps(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if ``max_steps`` ends training in the middle of an epoch."""
        # after this hook Lightning counts the epoch as whole, and a resumed run would skip the rest of it
        stops_here = trainer.global_step == trainer.max_steps
        if stops_here and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            connector = trainer._logger_connector
            if connector.should_update_logs:  # which Lightning does after this hook
                logged = {name: float(value) for name, value in connector.metrics["log"].items()}
                self._unlogged = logged | {"epoch": trainer.current_epoch}
            self._save(trainer)
            self._unlogged = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after every epoch, whatever ``every_n_steps`` is."""
        self._save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save at the end of training, which may be in the middle of an epoch."""
        self._save(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save if the process was asked to stop and stopped between two steps."""
        started = trainer.fit_loop.epoch_loop.batch_progress.current.completed
        if isinstance(exception, Interrupted) and exception.between_steps and started:
            self._save_between_steps(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adjust Lightning's counters if the checkpoint is saved between two steps."""
        if self._between_steps:
            _count_as_after_the_step(checkpoint["loops"]["fit_loop"])

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the base class, and what remains to be logged for the last step."""
        return super().state_dict() | {"unlogged": self._unlogged}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what remains to be logged, but no path: the existing file will be overwritten."""
        self._unlogged = state_dict.get("unlogged", {})

    def _save_between_steps(self, trainer: Trainer) -> None:
        self._between_steps = True
        try:
            self._save(trainer)
        finally:
            self._between_steps = False

    def _save(self, trainer: Trainer) -> None:
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))


def _count_as_after_the_step(loop: dict[str, Any]) -> None:
    """Turn the counters of "the next batch is drawn" into those of "the last step was taken and its hooks have run".

    With the former, Lightning would resume at the next epoch if the batch is the last one, and log at steps that are off by one.
    """
    progress = loop["epoch_loop.batch_progress"]
    for counters in (progress["total"], progress["current"]):
        counters["ready"] -= 1
        counters["completed"] -= 1
    progress["is_last_batch"] = False
    loop["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1


def _in_folder(state: dict[str, Any], folder: str | Path | None) -> dict[str, Any]:
    """Return the state of a checkpoint callback with all paths in a folder, and without the best one if its file is missing."""
    if folder is None:
        return state
    paths = {key: str(Path(folder) / Path(state[key]).name) for key in PATHS if state.get(key)}
    best = {str(Path(folder) / Path(path).name): score for path, score in state.get("best_k_models", {}).items()}
    if not all(Path(path).is_file() for path in best):
        return (
            state
            | {"dirpath": folder, "best_model_path": "", "kth_best_model_path": "", "best_k_models": {}}
            | {
                "best_model_score": None,
                "kth_value": state["kth_value"].new_tensor(float("inf")),
                "last_model_path": "",
            }
        )
    return state | paths | {"dirpath": str(folder), "best_k_models": best}


class WholeCheckpointIO(TorchCheckpointIO):
    """Write checkpoints whole or not at all.

    Lightning writes into the system's folder for temporary files and moves the file from there. Between two file systems this
    is a copy: a process that is killed meanwhile leaves half a checkpoint in place of the earlier one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write beside the earlier file, wait for the disk, then replace it; remote paths are left to Lightning."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target, durable=True) as partial:
            partial.write_bytes(buffer.getbuffer())
