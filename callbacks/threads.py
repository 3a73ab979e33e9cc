"""How many threads PyTorch computes on: as many as the work of a step can use, and no more."""

from __future__ import annotations

import logging
import os
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from ..errors import InputError
from ..training.stack import StackedModel

# Values of hidden units that a step must compute for each thread to pay, see docs/performance.md: with fewer, threads wait for
# each other longer than they compute, and much longer where others use the machine, too. The load of the machine does not
# count: the number of threads changes rounding, and a run that is resumed must end with the same bits.
CELLS_A_THREAD = 1e6
CHOSEN_BY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")

log = logging.getLogger("renorm")


class ChooseThreads(Callback):
    """Compute on no more threads than a step can use, for as long as the trainer runs.

    Nothing is done on other devices than CPUs, nor where somebody chose already: by ``OMP_NUM_THREADS`` or
    ``MKL_NUM_THREADS``, by ``torch.set_num_threads`` with another number than PyTorch's own, or by ``threads``.

    Args:
        threads: so many; by default as the work of a step decides.

    Raises:
        ValueError: for a number below 1.
    """

    def __init__(self, threads: int | None = None) -> None:
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise InputError(f"threads={threads!r} is out of range", "whole numbers >= 1")
        self.threads = threads
        self._before: int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Choose, and say so where it is another number than PyTorch's."""
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
        """Give the threads back."""
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the threads back."""
        self._restore()

    def _restore(self) -> None:
        if self._before is not None:
            torch.set_num_threads(self._before)
            self._before = None


def is_chosen() -> bool:
    """Whether somebody said how many threads PyTorch should use."""
    return any(os.environ.get(name) for name in CHOSEN_BY) or torch.get_num_threads() not in _own_choices()


def _own_choices() -> set[int]:
    """Numbers of threads that PyTorch starts with by itself: of the processors of the process, or half where they share cores."""
    affinity = getattr(os, "sched_getaffinity", None)
    available = len(affinity(0)) if affinity else os.cpu_count() or 1
    return {available, max(1, available // 2)}


def threads_for(work: float) -> int:
    """Threads for a step that computes so many values of hidden units, up to those that PyTorch has now.

    Example:
        >>> threads_for(2 * 8 * 256)  # two members of a 2-8-1 network, 256 blocks
        1
    """
    return max(1, min(torch.get_num_threads(), int(work / CELLS_A_THREAD)))


def _rows(trainer: Trainer) -> int:
    """Blocks of a step of this process."""
    data: Any = getattr(trainer, "datamodule", None)
    name = "batch_size" if trainer.state.fn == TrainerFn.FITTING else "eval_batch_size"
    return int(getattr(data, name, 0)) // trainer.world_size
