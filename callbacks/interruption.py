"""Ctrl-C and SIGTERM stop training between two steps, where its state can be saved."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], Any]


class Interrupted(SIGTERMException):
    """The process was asked to stop; ends it with exit code 130 for Ctrl-C and 143 for SIGTERM, as shells count.

    Args:
        number: number of the signal.
        between_steps: whether training stopped between two steps, so that a checkpoint can be saved.
    """

    def __init__(self, number: int, between_steps: bool = False) -> None:
        super().__init__(128 + number)
        self.number = number
        self.between_steps = between_steps


@contextlib.contextmanager
def signals_handled(handler: Handler) -> Iterator[None]:
    """Call ``handler`` for Ctrl-C and SIGTERM; a signal that is ignored, as for background jobs of a shell, stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        for number, before in earlier.items():
            if before is not signal.SIG_IGN:
                signal.signal(number, handler)
        yield
    finally:
        for number, before in earlier.items():
            signal.signal(number, before)


def stop_at_once(number: int, frame: FrameType | None = None) -> None:
    """Stop immediately, wherever the process is.

    Raises:
        Interrupted: always.
    """
    raise Interrupted(number)


class StopBetweenSteps(Callback):
    """Stop training between two steps on the first signal, and immediately on the second.

    A validation or the diagnostics at the end of an epoch are finished first. With several processes all stop at the same
    step, whichever of them receives the signal.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._handled = contextlib.ExitStack()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replace Lightning's handler, with which the processes of a group may stop at different steps."""
        self._received = None
        self._handled.enter_context(signals_handled(self._receive))

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None:
            stop_at_once(number)
        self._received = number

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Stop if a signal was received; an optimiser step has just been taken.

        Raises:
            Interrupted: if a signal was received.
        """
        if batch_idx % trainer.accumulate_grad_batches:
            return  # accumulated gradients are not part of a checkpoint
        number = self._received
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(number is not None, all=False)
            number = (number or signal.SIGTERM) if asked else None
        if number is not None:
            raise Interrupted(number, between_steps=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the earlier handlers."""
        self._handled.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore the earlier handlers."""
        self._handled.close()
