"""The number of threads that PyTorch computes on: no more than a step can use."""

from __future__ import annotations

import logging
import os
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from ..errors import InputError
from ..training.stack import StackedModel

# Values of hidden units that a step must compute for another thread to pay, see docs/performance.md: with fewer, threads wait
# for each other longer than they compute, and much longer on a shared machine. The load of the machine is not considered: the
# number of threads changes rounding, and a resumed run must end with the same bits.
CELLS_A_THREAD = 1e6
CHOSEN_BY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")

log = logging.getLogger("renorm")


class ChooseThreads(Callback):
    """Compute on no more threads than a step can use, as long as the trainer runs.

    Nothing changes on devices other than CPUs, or if the number of threads has been chosen already: by ``OMP_NUM_THREADS`` or
    ``MKL_NUM_THREADS``, by ``torch.set_num_threads`` with another number than PyTorch's own, or by ``threads``.

    Args:
        threads: number of threads; by default it depends on the work of a step.

    Raises:
        InputError: for a number below 1.
    """

    def __init__(self, threads: int | None = None) -> None:
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise InputError(f"threads={threads!r} is out of range", "whole numbers >= 1")
        self.threads = threads
        self._before: int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Choose the number of threads, and log it if it differs from PyTorch's."""
        before = torch.get_num_threads()
        chosen = self.threads or self._by_work(trainer, pl_module)
        if chosen is None or chosen == before:
            return
        self._before = before
        torch.set_num_threads(chosen)
        if trainer.is_global_zero:
            log.info("threads: %d of %d, as many as a step can use (OMP_NUM_THREADS decides otherwise)", chosen, before)

    def _by_work(self, trainer: Trainer, model: LightningModule) -> int | None:
        if not isinstance(model, StackedModel) or trainer.strategy.root_device.type != "cpu" or is_chosen():
            return None
        rows = _rows(trainer)
        return threads_for(model.work(rows)) if rows else None

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restore the number of threads."""
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore the number of threads."""
        self._restore()

    def _restore(self) -> None:
        if self._before is not None:
            torch.set_num_threads(self._before)
            self._before = None


def is_chosen() -> bool:
    """Whether the number of threads has been set by the user."""
    return any(os.environ.get(name) for name in CHOSEN_BY) or torch.get_num_threads() not in _own_choices()


def _own_choices() -> set[int]:
    """Numbers of threads that PyTorch may start with: the processors of the process, or half of them if they share cores."""
    affinity = getattr(os, "sched_getaffinity", None)
    available = len(affinity(0)) if affinity else os.cpu_count() or 1
    return {available, max(1, available // 2)}


def threads_for(work: float) -> int:
    """Return the number of threads for a step that computes ``work`` values of hidden units, at most PyTorch's current number.

    Example:
        >>> threads_for(2 * 8 * 256)  # two members of a 2-8-1 network, 256 blocks
        1
    """
    return max(1, min(torch.get_num_threads(), int(work / CELLS_A_THREAD)))


def _rows(trainer: Trainer) -> int:
    """Return the number of blocks in a step of this process."""
    data: Any = getattr(trainer, "datamodule", None)
    name = "batch_size" if trainer.state.fn == TrainerFn.FITTING else "eval_batch_size"
    return int(getattr(data, name, 0)) // trainer.world_size
