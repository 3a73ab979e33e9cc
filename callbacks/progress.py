"""How far a run is: a bar on a terminal, lines where the output goes to a file."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.trainer.states import TrainerFn

from ..progress import Told, lines_if_long

LOOK = 0.2  # seconds between two looks at how far a run is


class ProgressBar(TQDMProgressBar):
    """Lightning's bar, refreshed rarely enough to cost nothing, and without bars for validation."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=20)

    def init_validation_tqdm(self) -> Tqdm:
        """Disable the bar: a validation takes a fraction of a second per law, and the bar would only flicker."""
        return Tqdm(disable=True)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return the losses, without the version number of the run's folder."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class ProgressLines(Callback):
    """Lines about a run that takes longer than two seconds, one every ten seconds, on the standard error output.

    In a file every repainting of a bar would be one more line.

    Args:
        tell: called with what is running, how much of it is done and how much there is; writes the lines by default.
    """

    def __init__(self, tell: Told | None = None) -> None:
        self._tell = tell
        self._done, self._total = 0, math.inf
        self._next = -math.inf

    def _start(self, trainer: Trainer, total: float) -> None:
        self._total, self._next = total, -math.inf
        if self._tell is None:
            # as processes print one and the same, only the first one does
            self._tell = lines_if_long(sys.stderr) if trainer.is_global_zero else lambda *_: None

    def _show(self, trainer: Trainer, done: float) -> None:
        now = time.monotonic()
        if self._tell is not None and (now >= self._next or done >= self._total):
            self._next = now + LOOK
            self._tell(str(getattr(trainer.state.fn, "value", "")), done, self._total)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start to count the steps of the whole fit."""
        self._start(trainer, float(trainer.estimated_stepping_batches))
        self._show(trainer, trainer.global_step)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Say how many steps are taken, if it is time."""
        if time.monotonic() >= self._next and trainer.global_step < self._total:
            self._show(trainer, trainer.global_step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say that the fit has ended, also if it did so before its last step."""
        self._total = trainer.global_step
        self._show(trainer, trainer.global_step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count batches of a validation that is not a fit's."""
        self._start_judging(trainer, trainer.num_val_batches)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count batches of a test."""
        self._start_judging(trainer, trainer.num_test_batches)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count batches of predictions."""
        self._start_judging(trainer, trainer.num_predict_batches)

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Say how many batches are judged."""
        self._one_more(trainer)

    def on_test_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Say how many batches are judged."""
        self._one_more(trainer)

    def on_predict_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Say how many batches are predicted."""
        self._one_more(trainer)

    def _start_judging(self, trainer: Trainer, batches: Any) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            self._done = 0
            self._start(trainer, float(sum(batches)))
            self._show(trainer, 0)

    def _one_more(self, trainer: Trainer) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            self._done += 1
            self._show(trainer, self._done)
