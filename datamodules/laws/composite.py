"""Laws made of laws: mixtures, and the standardised form of a law that leaves its family."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...expressions.fields import LARGEST, SMALLEST, checked_number
from .base import Law, LawError, mean_and_variance, merge_atoms
from .exact import Number, cumulants_of, moments_of, product, quotient, root, shifted, to_float, total

_Atoms = list[tuple[Fraction | float, Fraction]]


@dataclass(frozen=True)
class Mixture(Law):
    r"""With probability :math:`w_i / \sum_j w_j` a sample of law i; written ``mixture(w1*law1 + w2*law2)``.

    Weights are relative: they need not sum to 1, are divided by their sum exactly, and are written as they were
    given. Laws may be mixtures themselves. A moment exists where it exists for every law of the mixture.

    Args:
        components: pairs of a weight, above 0, and a law.

    Raises:
        LawError: for no component, or a weight out of range.

    Example:
        >>> from renorm.datamodules import laws
        >>> laws.parse("mixture(1*gaussian(mean=-1, std=0.5) + 1*gaussian(mean=1, std=0.5))").cumulants(4)
        tensor([ 0.0000,  1.2500,  0.0000, -2.0000], dtype=torch.float64)
    """

    name = "mixture"
    components: tuple[tuple[float, Law], ...] = field(metadata={"kind": "weighted"})

    def __post_init__(self) -> None:
        if not self.components:
            raise LawError("mixture: components=() is empty", "weight*law + weight*law + …")
        checked = []
        for weight, law in self.components:
            if not isinstance(law, Law):
                raise LawError(f"mixture: component={law!r} is not a law", "pairs of a weight and a law")
            checked.append((checked_number("mixture: weight", weight, SMALLEST, LARGEST), law))
        object.__setattr__(self, "components", tuple(checked))

    @functools.cached_property
    def weights(self) -> tuple[Fraction, ...]:
        """The weights divided by their sum, exact."""
        exact = [Fraction(weight) for weight, _ in self.components]
        return tuple(weight / sum(exact) for weight in exact)

    @property
    def laws(self) -> tuple[Law, ...]:
        """The laws that are mixed."""
        return tuple(law for _, law in self.components)

    @functools.cached_property
    def _edges(self) -> tuple[float, ...]:
        return tuple(float(edge) for edge in itertools.accumulate(self.weights))

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """A uniform double for each sample chooses among samples of all laws."""
        u = torch.rand(x.shape, dtype=torch.float64, device=x.device, generator=generator)
        drawn = [law.draw(torch.empty_like(x), generator) for law in self.laws]
        result = drawn.pop()
        for edge, other in zip(self._edges[-2::-1], reversed(drawn), strict=True):
            result = torch.where(u < edge, other, result)
        return result

    def exact_cumulants(self, order: int) -> list[Number]:
        """From the moments of all components about the mean of the mixture."""
        parts = [law.exact_cumulants(order) for law in self.laws]
        known = min(len(part) for part in parts)
        if known == 0:
            return []
        centre = total([product(w, part[0]) for w, part in zip(self.weights, parts, strict=True)])
        moments = [moments_of(shifted(part[:known], -centre)) for part in parts]
        mixed = [
            total([product(w, m[n]) for w, m in zip(self.weights, moments, strict=True)]) for n in range(known + 1)
        ]
        return shifted(cumulants_of(mixed), centre)

    def check_resolved(self, dtype: torch.dtype) -> None:
        """Every component has to be resolved, however far apart they are."""
        for law in self.laws:
            law.check_resolved(dtype)

    def affine(self, shift: Number, scale: Number) -> Law | None:
        """A mixture again, if every component stays in its family."""
        moved = [law.affine(shift, scale) for law in self.laws]
        pairs = [(w, law) for (w, _), law in zip(self.components, moved, strict=True) if law is not None]
        return Mixture(tuple(pairs)) if len(pairs) == len(moved) else None

    def support(self) -> tuple[float, float]:
        """Smallest interval around all components."""
        low, high = zip(*(law.support() for law in self.laws), strict=True)
        return min(low), max(high)

    def breakpoints(self) -> tuple[float, ...]:
        """Those of all components."""
        return tuple(sorted({point for law in self.laws for point in law.breakpoints()}))

    def atoms(self) -> _Atoms | None:
        """Those of all components, if all have atoms only."""
        parts = [law.atoms() for law in self.laws]
        if any(part is None for part in parts):
            return None
        return merge_atoms((x, w * p) for w, part in zip(self.weights, parts, strict=True) for x, p in part or [])

    @property
    def slow_density(self) -> bool:
        """Whether that of any component is."""
        return any(law.slow_density for law in self.laws)

    def pdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Weighted sum of the components' densities."""
        densities = [float(w) * law.pdf(x) for w, law in zip(self.weights, self.laws, strict=True)]
        return np.asarray(np.sum(densities, axis=0), dtype=np.float64)


@dataclass(frozen=True)
class Standardised(Law):
    r"""The law of :math:`(X - \kappa_1) / \sqrt{\kappa_2}`, whose cumulants are :math:`\kappa_n / \kappa_2^{n/2}`.

    :meth:`Law.standardised` makes it where no law of the same family will do.

    Args:
        law: law of X, with a finite variance above 0.

    Raises:
        LawError: for another variance.

    Example:
        >>> from renorm.datamodules import laws
        >>> laws.parse("standardised(exponential())").cumulants(4)
        tensor([0., 1., 2., 6.], dtype=torch.float64)
    """

    name = "standardised"
    law: Law = field(metadata={"kind": "law"})

    def __post_init__(self) -> None:
        if not isinstance(self.law, Law):
            raise LawError(f"standardised: law={self.law!r} is not a law", "a law with a finite variance")
        mean_and_variance(self.law)

    @functools.cached_property
    def _mean_and_std(self) -> tuple[float, float]:
        mean, variance = mean_and_variance(self.law)
        return to_float(mean), to_float(root(variance))

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Samples of X in doubles, because a large mean would take the digits of single precision."""
        mean, std = self._mean_and_std
        base = self.law.draw(x.new_empty(x.shape, dtype=torch.float64), generator)
        return x.copy_(base.sub_(mean).div_(std))

    def check_resolved(self, dtype: torch.dtype) -> None:
        """The samples of X are doubles, and what is standardised has no large location."""
        self.law.check_resolved(torch.float64)

    def exact_cumulants(self, order: int) -> list[Number]:
        """Standardised cumulants, rational for even orders where those of X are."""
        if order <= 2:
            return [Fraction(0), Fraction(1)][:order]
        # X is asked once, so that nesting costs no more than its depth
        known = self.law.exact_cumulants(order)
        variance = known[1]
        sigma = root(variance)
        powers = [product(*[variance] * (n // 2), *[sigma] * (n % 2)) for n in range(1, len(known) + 1)]
        high = [quotient(kappa, power) for kappa, power in zip(known[2:], powers[2:], strict=True)]
        return [Fraction(0), Fraction(1), *high][:order]

    def support(self) -> tuple[float, float]:
        """That of X, moved."""
        low, high = self.law.support()
        return self._move(low), self._move(high)

    def breakpoints(self) -> tuple[float, ...]:
        """Those of X, moved."""
        return tuple(self._move(point) for point in self.law.breakpoints())

    def _move(self, point: float) -> float:
        return point if math.isinf(point) else to_float(self._moved(Fraction(point)))

    def _moved(self, point: Number) -> Number:
        mean, variance = mean_and_variance(self.law)
        return quotient(total([point, -mean]), root(variance))

    def atoms(self) -> _Atoms | None:
        """Those of X, moved; fractions where the standard deviation is rational."""
        base = self.law.atoms()
        if base is None:
            return None
        mean, variance = mean_and_variance(self.law)
        factor = quotient(1, root(variance))
        moved = ((product(total([Fraction(value), -mean]), factor), p) for value, p in base)
        return merge_atoms((value if isinstance(value, Fraction) else to_float(value), p) for value, p in moved)

    def pdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Density of X at the moved points, times the standard deviation."""
        mean, std = self._mean_and_std
        return std * self.law.pdf(mean + std * np.asarray(x, dtype=np.float64))
