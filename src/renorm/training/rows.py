"""Tensors as one row of numbers, one after the other: an operation on the row is one call for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def row_of(tensors: Sequence[Tensor]) -> Tensor:
    """Copies of all tensors in one row, without a graph for autograd.

    Example:
        >>> row_of([torch.ones(2, 1), torch.zeros(1)])
        tensor([1., 1., 0.])
    """
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def parts_of(row: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Views of a row, one of the shape of each tensor.

    Example:
        >>> parts_of(torch.arange(3), [torch.ones(2, 1), torch.zeros(1)])
        [tensor([[0],
                [1]]), tensor([2])]
    """
    parts = torch.split(row, [tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
