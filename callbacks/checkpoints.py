"""Which checkpoints a run keeps: the best by validation loss on the training laws, and the last."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException


class BestCheckpoint(ModelCheckpoint):
    """Keep ``best.ckpt``, the lowest median validation loss; never chosen by a held-out law, which would spoil its figures."""

    def __init__(self) -> None:
        super().__init__(
            monitor="loss/val",
            filename="best",
            save_top_k=1,
            auto_insert_metric_name=False,
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )


class LastCheckpoint(ModelCheckpoint):
    """Keep ``last.ckpt``, from which ``--ckpt_path last`` resumes, also in the middle of an epoch.

    It is saved after every epoch, every ``every_n_steps`` steps where that is given, when training ends, and when the
    process is asked to stop.

    Args:
        every_n_steps: also save every so many steps; 0 for never.
    """

    def __init__(self, every_n_steps: int = 0) -> None:
        if every_n_steps < 0:
            raise ValueError(f"every_n_steps={every_n_steps} is out of range; allowed: whole numbers >= 0")
        super().__init__(
            filename="last",
            save_top_k=1,
            every_n_train_steps=every_n_steps or None,
            auto_insert_metric_name=False,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save at the interval in steps, and where ``max_steps`` ends training in the middle of an epoch."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        # after this hook Lightning counts the epoch as whole, and a resumed run would skip the rest of it
        stops_here = trainer.global_step == trainer.max_steps
        if stops_here and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after the epoch, whatever the interval in steps."""
        self._save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end of training, which may lie in the middle of an epoch."""
        self._save(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save when the process is asked to stop; Lightning raises that between two steps, where the state is whole."""
        if isinstance(exception, SIGTERMException):
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))
