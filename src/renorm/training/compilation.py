"""Compile the training loss of a stack where that saves time.

In eager mode every operation reads and writes the values of all members and blocks in memory. In compiled code the values of
a hidden layer stay in registers; the backward pass computes them again, which is cheaper than reading them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from ..errors import InputError
from .one_call import OneCall, settings_of

if TYPE_CHECKING:
    from .stack import StackedModel

Losses: TypeAlias = Callable[[Tensor, Tensor], Tensor]

# a hidden layer's values must not be written to memory merely because they are read often
INLINE = {"realize_reads_threshold": 1000, "realize_opcount_threshold": 10_000, "realize_acc_reads_threshold": 1000}
# hidden units x blocks x members x steps from which compiling, some seconds, costs less than it saves
WORTH_CELLS = 2e9
# a model whose settings change more often, such as one that counts, is left to PyTorch, which knows which of them matter
MOST_CHANGES = 4

log = logging.getLogger("renorm")


def compiled_losses(model: StackedModel, steps: float, rows: int) -> Losses:
    """The function from blocks and targets to the members' losses that training calls.

    Args:
        model: the stack, whose ``compile`` is ``auto``, ``true`` or ``false``.
        steps: how many steps will be taken.
        rows: blocks in a batch.

    Raises:
        ValueError: where ``compile`` is true and there is no compiler.
    """
    device = next(model.parameters()).device
    mode = model.compile_mode
    if mode == "false" or (mode == "auto" and not is_worth(model, steps, rows)):
        return model.losses
    missing = missing_compiler(device)
    if missing is None:
        return CompiledLosses(model, device, may_fall_back=mode == "auto")
    if mode == "true":
        raise InputError(f"compile=true needs a {missing}; allowed here: auto, false")
    log.warning("compile=auto: found no %s, training runs uncompiled, several times slower for large stacks", missing)
    return model.losses


def is_worth(model: StackedModel, steps: float, rows: int) -> bool:
    """Whether compiling saves more time than it takes; some activations gain nothing from it."""
    return model.fuses and model.work(rows) * steps >= WORTH_CELLS


def keeps_hidden_values(model: StackedModel, device: torch.device) -> bool:
    """Whether training surely keeps the values of hidden units for the gradient, as compiled code need not."""
    compiles = model.compile_mode == "true" or (model.compile_mode == "auto" and model.fuses)
    return not compiles or missing_compiler(device) is not None


def missing_compiler(device: torch.device) -> str | None:
    """What is missing to compile for a device; None if nothing is."""
    if device.type == "cuda":
        return None if importlib.util.find_spec("triton") else "Triton installation"
    candidates = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "cl"]
    return None if any(shutil.which(name) for name in candidates) else f"C++ compiler ({' or '.join(candidates)})"


class CompiledLosses:
    """A stack's losses, compiled at the first call, and again for each new shape.

    Args:
        model: the stack.
        device: where it is.
        may_fall_back: whether it is computed uncompiled where compiling fails.

    Attributes:
        in_one_call: whether losses and gradients are computed in one call where that is possible, see
            :class:`~renorm.training.one_call.OneCall`; the bits are the same.
    """

    def __init__(self, model: StackedModel, device: torch.device, may_fall_back: bool) -> None:
        options: dict[str, Any] = dict(INLINE)
        if device.type == "cuda":
            # a step of a small stack is many short kernels: a graph launches them at once
            options["triton.cudagraphs"] = True
        # PyTorch compiles one piece of code for eight models at most, then runs it uncompiled: forget earlier ones
        torch._dynamo.reset()
        self._model, self._options = model, options
        self._function: Losses = torch.compile(model.losses, dynamic=False, options=options)
        self._may_fall_back = may_fall_back
        self._shapes: set[tuple[int, ...]] = set()
        self.in_one_call = False
        self._settings = settings_of(model)
        self._changes = 0
        self._one_calls: dict[Any, OneCall | None] = {}

    def __call__(self, x: Tensor, target: Tensor) -> Tensor:
        """Losses of all members, with their gradients."""
        if self.in_one_call:
            self.notice_changes()
            call = self.one_call(x, target)
            if call is not None:
                return call.losses(columns(x), target)
        x = columns(x)
        if tuple(x.shape) in self._shapes:
            return self._function(x, target)
        try:
            with _recomputing():
                losses = self._function(x, target)
        except Exception as error:
            # backends raise many types of errors; for all of them the eager function is the fallback
            if not self._may_fall_back:
                raise InputError(f"compile=true failed: {first_line(error)}; allowed here: auto, false") from error
            log.warning("compile=auto: compiling failed, training runs uncompiled: %s", first_line(error))
            self._function = self._model.losses
            losses = self._function(x, target)
        self._shapes.add(tuple(x.shape))
        return losses

    def one_call(self, x: Tensor, target: Tensor) -> OneCall | None:
        """The call for blocks and targets of such shapes; None where losses and gradients are computed in two calls."""
        if self._changes > MOST_CHANGES:
            return None
        kind = (x.shape, x.dtype, target.shape, target.stride(), target.dtype)
        if kind not in self._one_calls:
            try:
                self._one_calls[kind] = OneCall(self._model, columns(x), target, self._options)
            except (
                Exception
            ) as error:  # of many types; then it is compiled in the other way, which may fall back in turn
                log.info("losses and gradients are computed in two calls: %s", first_line(error))
                self._one_calls[kind] = None
        return self._one_calls[kind]

    def notice_changes(self) -> None:
        """Compile again where the model's settings have changed, as a callback may change them."""
        settings = settings_of(self._model)
        if settings != self._settings:
            self._settings = settings
            self._changes += 1
            self._one_calls.clear()


def columns(x: Tensor) -> Tensor:
    """The same blocks as contiguous columns, one for each variable of the block, which are read as vectors."""
    return x.mT.contiguous().mT


@contextlib.contextmanager
def _recomputing() -> Iterator[None]:
    """Let the backward pass recompute values, mostly masks of activations, instead of having the forward pass store them."""
    from torch._functorch import config

    with config.patch(aggressive_recomputation=True):
        yield


def first_line(error: BaseException) -> str:
    """An error's message without its traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
