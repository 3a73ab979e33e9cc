"""Check the blocks that a model is called with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import InputError


def check_input(x: Any, members: int, block_size: int, parameter: Tensor) -> None:
    """Refuse blocks of another kind, shape, precision or device than the model's.

    Args:
        x: the blocks, which must have shape ``(N, b)`` or ``(M, N, b)``.
        members: number of members ``M``.
        block_size: number of variables ``b`` in a block.
        parameter: one of the model's, which has its precision and device.

    Raises:
        ValueError: naming what is wrong and what is allowed.

    Example:
        >>> check_input(torch.zeros(5, 3), members=1, block_size=2, parameter=torch.zeros(1))
        Traceback (most recent call last):
        ...
        renorm.errors.InputError: x has shape (5, 3); allowed: (N, 2), one block a row, or (1, N, 2)
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise InputError(f"x is of type {kind}", "a tensor of floating-point numbers")
    leading = (members,) if x.ndim == 3 else ()
    if x.ndim not in (2, 3) or x.shape[-1] != block_size or x.shape[:-2] != leading:
        raise InputError(
            f"x has shape {tuple(x.shape)}",
            f"(N, {block_size}), one block a row, or ({members}, N, {block_size})",
        )
    if torch.compiler.is_compiling():
        return
    if x.dtype != parameter.dtype and not _is_cast(x.device.type):
        dtype, needed = (str(dtype).removeprefix("torch.") for dtype in (x.dtype, parameter.dtype))
        raise InputError(f"x has dtype {dtype}, the model {needed}", f"x.to(torch.{needed}) or model.to(torch.{dtype})")
    if x.device != parameter.device:
        raise InputError(
            f"x is on {x.device}, the model on {parameter.device}",
            f"x.to({str(parameter.device)!r}) or model.to({str(x.device)!r})",
        )


def _is_cast(device: str) -> bool:
    """Whether autocast brings inputs of one precision to another."""
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
