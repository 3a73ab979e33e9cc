"""Modules that several tests of the theory take apart."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class Applies(nn.Module):
    """One function of every number."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)
