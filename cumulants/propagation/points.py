"""Points of a block of independent variables: the product of those of a single one."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import InputError

MAX_POINTS = 2**22  # blocks
CHUNK_CELLS = 2**22  # values of a layer that are held at a time


def check_product(count: int, variables: int, name: str = "block_size") -> None:
    """Raise a ValueError where the blocks of so many points a variable are too many."""
    if count**variables > MAX_POINTS:
        most = int(MAX_POINTS ** (1 / variables) + 1e-9)
        raise InputError(f"{name}={variables} has {count}**{variables} blocks of points", f"up to {most}**{variables}")


def product_points(values: Tensor, weights: Tensor, block_size: int) -> tuple[Tensor, Tensor]:
    """Blocks of independent variables, ``(1, b, P)``, and their weights ``(1, P)``."""
    index = torch.cartesian_prod(*[torch.arange(len(values), device=values.device)] * block_size).view(-1, block_size)
    return values[index].T.unsqueeze(0), weights[index].prod(dim=1).unsqueeze(0)
