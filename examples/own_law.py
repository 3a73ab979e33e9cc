"""A law of your own: one class, then train on it, hold it out, or mix it with others.

python examples/own_law.py fit --data.train_laws "arcsine(scale=1.4142135623730951)"
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from renorm.cli import main
from renorm.datamodules.laws import Law, cumulants_of, positive


@dataclass(frozen=True)
class Arcsine(Law):
    """The arcsine law on [-scale, scale]: where a pendulum is found at a random time."""

    name = "arcsine"
    scale: float = positive(1.0)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        return x.uniform_(0.0, math.pi, generator=generator).cos_().mul_(self.scale)

    def exact_cumulants(self, order: int) -> list[Any]:
        # moments of the law on [-1, 1]: binomial(n, n/2) / 2^n for even n, 0 for odd n
        moments = [Fraction(math.comb(n, n // 2), 2**n) if n % 2 == 0 else Fraction(0) for n in range(order + 1)]
        return [kappa * Fraction(self.scale) ** n for n, kappa in enumerate(cumulants_of(moments), start=1)]


if __name__ == "__main__":
    sys.exit(main())
