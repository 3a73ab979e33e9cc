"""A law whose cumulants beyond the closure order are forgotten: Edgeworth's density in its place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from .grid import edgeworth_ratio


@dataclass(frozen=True)
class EdgeworthLaw:
    r"""The signed density :math:`\varphi(g)\,[1 + \lambda_3 He_3 / 6 + \lambda_4 He_4 / 24 + \lambda_3^2 He_6 / 72] / \sigma`.

    Args:
        kappas: the cumulants that are kept, of orders 1 to 2, 3 or 4.

    Example:
        >>> law = EdgeworthLaw((0.0, 1.0))
        >>> law.pdf([0.0])
        array([0.39894228])
    """

    kappas: tuple[float, ...]

    @staticmethod
    def of(law: Any, closure: int) -> EdgeworthLaw:
        """What the closure keeps of a law."""
        return EdgeworthLaw(tuple(law.cumulants(closure).tolist()))

    def pdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """The density, which may be negative."""
        std = math.sqrt(self.kappas[1])
        g = (torch.as_tensor(np.asarray(x, dtype=np.float64)) - self.kappas[0]) / std
        third, fourth = [*self.kappas[2:], 0.0, 0.0][:2]
        standardised = torch.tensor([third / std**3, fourth / std**4], dtype=torch.float64)
        ratio = edgeworth_ratio(g.reshape(1, -1), *standardised)
        density = torch.exp(-0.5 * g * g) / (std * math.sqrt(2 * math.pi)) * ratio.view_as(g)
        return np.asarray(density.numpy())

    def cumulants(self, order: int) -> Tensor:
        """Those that are kept, then those that the density happens to have, which nothing reads."""
        return torch.tensor([*self.kappas, *[0.0] * order][:order], dtype=torch.float64)

    def exact_cumulants(self, order: int) -> list[float]:
        """All exist."""
        return self.cumulants(order).tolist()

    def support(self) -> tuple[float, float]:
        """The whole line."""
        return -math.inf, math.inf

    def breakpoints(self) -> tuple[float, ...]:
        """None: the density is smooth."""
        return ()

    def atoms(self) -> None:
        """None."""

    def scipy(self) -> None:
        """None."""
