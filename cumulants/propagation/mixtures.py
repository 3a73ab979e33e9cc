r"""The law of a mixture from those of its components: the law of total cumulance."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..kstatistics import check_order
from ..moments import cumulants_to_moments, moments_to_cumulants
from .tensors import VectorLaw


class MixtureLaw(VectorLaw):
    r"""A vector whose law is one of several, each with its weight.

    .. math:: \kappa(X_1, \dots, X_n) = \sum_\pi \kappa\big(\kappa(X_B \mid c) : B \in \pi\big)

    over the set partitions of the indices: the outer cumulants are those over the component ``c``. It is computed through the
    moments about the mixture's mean, which are the means of the components' moments.

    Args:
        components: laws of the same variables.
        weights: their probabilities.

    Source:
        Brillinger, Annals of the Institute of Statistical Mathematics 21 (1969) 215.

    Example:
        >>> from .tensors import TensorLaw
        >>> ends = [TensorLaw([torch.full((1, 1), end), torch.ones(1, 1, 1)]) for end in (-1.0, 1.0)]
        >>> MixtureLaw(ends, [0.5, 0.5]).cumulants(2)
        tensor([[[2.]]])
    """

    def __init__(self, components: Sequence[VectorLaw], weights: Sequence[float]) -> None:
        self.components, self.weights = list(components), list(weights)
        self.members, self.units = components[0].members, components[0].units
        self.order = min(law.order for law in components)

    def cumulants(self, n: int) -> Tensor:
        """From the components' joint cumulants to this order."""
        check_order(n, self.order)
        means = [law.cumulants(1) for law in self.components]
        mean = self._average(means)
        if n == 1:
            return mean
        moments = []
        for law, own in zip(self.components, means, strict=True):
            moments.append(cumulants_to_moments([own - mean, *(law.cumulants(p) for p in range(2, n + 1))]))
        return moments_to_cumulants([self._average(by_order) for by_order in zip(*moments, strict=True)])[-1]

    def marginal(self, n: int) -> Tensor:
        """From the components' marginal cumulants."""
        check_order(n, self.order)
        kappas = [torch.stack([law.marginal(p) for p in range(1, n + 1)]) for law in self.components]
        mean = self._average([k[0] for k in kappas])
        if n == 1:
            return mean
        moments = [cumulants_to_moments(torch.cat([k[:1] - mean, k[1:]])) for k in kappas]
        return moments_to_cumulants(self._average(moments))[-1]

    def _average(self, values: Sequence[Tensor]) -> Tensor:
        total = torch.zeros_like(values[0])
        for weight, value in zip(self.weights, values, strict=True):
            total = total + weight * value
        return total
