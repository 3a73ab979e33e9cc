"""Random variables that several laws are drawn from."""

from __future__ import annotations

import torch
from torch import Tensor


def open_uniform(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform doubles in (0, 1), never an end, so that no quantile is infinite."""
    u = torch.rand(x.shape, dtype=torch.float64, device=x.device, generator=generator)
    return u.clamp_(min=2.0**-54)


def standard_gamma(shape: float, x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Torch's own gamma variables, in place of ``x``."""
    return torch._standard_gamma(x.fill_(shape), generator=generator)


def log_gamma(shape: float, x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Logarithm of a standard gamma variable, in doubles: for small shapes the variable itself underflows."""
    boosted = standard_gamma(shape + 1, x.new_empty(x.shape, dtype=torch.float64), generator)
    return boosted.log_().add_(open_uniform(x, generator).log_().div_(shape))
