"""Distances between distributions that exist whatever their tails: for laws without a variance, or without a mean."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..cumulants.many_samples import in_parts, ordered
from ..cumulants.rg import middle_of
from .member_metric import MemberMetric

FREQUENCIES = 16  # nodes of Gauss quadrature, of which one half is the mirror image of the other
QUARTILES_OF_GAUSSIAN = 1.3489795003921634  # their distance, in standard deviations


class QuantileDistance(MemberMetric):
    r"""Mean distance of the quantiles of output and target between the levels 1% and 99%.

    .. math:: \frac{1}{0.98} \int_{0.01}^{0.99} |F_f^{-1}(p) - F_y^{-1}(p)| \, dp

    It is Wasserstein-1 without the tails, so that it exists for every law.

    Example:
        >>> metric = QuantileDistance()
        >>> metric.update(torch.tensor([[1.0, 2.0, 4.0], [3.0, 1.0, 2.0]]), torch.tensor([1.0, 2.0, 3.0]))
        >>> metric.compute()
        {'quantile_distance': tensor([0.3333, 0.0000], dtype=torch.float64)}
    """

    name = "quantile_distance"

    def measure(self, prediction: Tensor, target: Tensor) -> Tensor:
        """From ordered samples."""
        wanted = ordered(target)
        return in_parts(lambda part: quantile_distance(ordered(part), wanted), prediction)


def quantile_distance(prediction: Tensor, target: Tensor) -> Tensor:
    """Quantile distance of ordered outputs, shape ``(M, N)``, and ordered targets, shape ``(N,)``; shape ``(M,)``."""
    middle = middle_of(len(target))
    return (prediction[..., middle] - target[middle]).double().abs().mean(dim=-1)


class CharacteristicDistance(MemberMetric):
    r"""Distance between the characteristic functions of output and target, weighted by a Gaussian of the target's width.

    .. math:: D^2 = E_{K \sim N(0, 1)} \Big| \varphi_f\Big(\frac{K}{s}\Big) - \varphi_y\Big(\frac{K}{s}\Big) \Big|^2

    s is the distance of the target's quartiles over that of the standard Gaussian. D lies between 0 and 2, and exists for
    every law.

    Source:
        Heathcote, Journal of the Royal Statistical Society B 39 (1977) 221, for estimators from this integral.

    Example:
        >>> metric = CharacteristicDistance()
        >>> metric.update(torch.tensor([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]]), torch.tensor([1.0, 2.0, 3.0]))
        >>> metric.compute()["characteristic_distance"].round(decimals=6)
        tensor([0., 0.], dtype=torch.float64)
    """

    name = "characteristic_distance"

    def measure(self, prediction: Tensor, target: Tensor) -> Tensor:
        """By Gauss quadrature over frequencies."""
        levels = torch.tensor([0.25, 0.75], dtype=torch.float64, device=target.device)
        low, high = ordered(target).double()[(levels * (len(target) - 1)).round().long()]
        width = (high - low) / QUARTILES_OF_GAUSSIAN
        unit = torch.where(width > 0, width, torch.ones_like(width))
        return in_parts(lambda part: characteristic_distance(part, target, unit), prediction)


def characteristic_distance(prediction: Tensor, target: Tensor, unit: Tensor) -> Tensor:
    """Characteristic distance of outputs, shape ``(M, N)``, and targets, shape ``(N,)``, at frequencies in 1/``unit``."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(FREQUENCIES)
    squared = torch.zeros(prediction.shape[:-1], dtype=torch.float64, device=prediction.device)
    for k, weight in zip(nodes[nodes > 0], weights[nodes > 0] / weights[nodes > 0].sum(), strict=True):
        frequency = k / unit
        for part in (torch.cos, torch.sin):
            learned, wanted = (part(sample.double() * frequency).mean(dim=-1) for sample in (prediction, target))
            squared += float(weight) * (learned - wanted).square()
    return squared.sqrt()
