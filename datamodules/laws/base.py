"""What every law offers, and the registry that ``parse`` looks laws up in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...errors import InputError
from ..source import Source
from .exact import Number, quotient, root, to_float

MAX_ORDER = 8
# A law whose parameters were rounded to doubles is standardised up to this much.
ROUNDING = 2e-15

# Location over width of a law that can be sampled: rounding then moves no sample by more than 2^-5 widths in single
# precision. In doubles there is room for the rounding inside the formulas of the draws.
RESOLVED = {torch.float32: 2.0**18, torch.float64: 2.0**42}

LawError = InputError  # the name of version 0.1


@dataclass(frozen=True)
class Law(Source):
    r"""A one-dimensional probability law of the inputs, with exact cumulants.

    A new law is one frozen dataclass with a ``name`` and two methods, :meth:`draw` and :meth:`exact_cumulants`; its
    fields are its parameters, and :func:`~renorm.datamodules.laws.parse` knows it from then on. The other methods
    have defaults.

    Example:
        >>> from renorm.datamodules import laws
        >>> @dataclass(frozen=True)
        ... class Waiting(laws.Law):
        ...     name = "waiting"
        ...     time: float = laws.positive(1.0)
        ...     def draw(self, x, generator):
        ...         return x.exponential_(1 / self.time, generator=generator)
        ...     def exact_cumulants(self, order):
        ...         return [math.factorial(n - 1) * Fraction(self.time) ** n for n in range(1, order + 1)]
        >>> laws.parse("waiting(time=2)").cumulants(3)
        tensor([ 2.,  4., 16.], dtype=torch.float64)
    """

    what, example = "law", "gaussian(mean=0, std=1)"
    registry: ClassVar[dict[str, type[Law]]] = {}  # type: ignore[assignment]

    # --- what a law must define -------------------------------------------------------------------------------------

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Samples of the shape, dtype and device of ``x``, whose memory may be used for them."""
        raise NotImplementedError

    def exact_cumulants(self, order: int) -> list[Number]:
        """The cumulants of order 1 to ``order``, as fractions or mpf numbers; shorter where high ones do not exist."""
        raise NotImplementedError

    # --- what a law may define --------------------------------------------------------------------------------------

    def affine(self, shift: Number, scale: Number) -> Law | None:
        """The law of ``shift + scale * X``, ``scale > 0``, with its parameters rounded; None outside the family."""
        return None

    def support(self) -> tuple[float, float]:
        """Smallest interval that holds all samples; its ends may be infinite."""
        return -math.inf, math.inf

    def breakpoints(self) -> tuple[float, ...]:
        """Points where the density is not smooth, in increasing order: split a quadrature there."""
        return tuple(end for end in self.support() if math.isfinite(end))

    def atoms(self) -> list[tuple[Fraction | float, Fraction]] | None:
        """Values and probabilities of a law on finitely many points, in increasing order; None for other laws.

        Rational values are exact fractions, others the nearest float; probabilities are exact and sum to 1.
        """
        return None

    def scipy(self) -> Any:
        """The same law as a frozen distribution of scipy.stats; None where scipy has none."""
        return None

    @property
    def slow_density(self) -> bool:
        """Whether the density has no closed form and takes too long to be integrated."""
        return False

    def pdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Density at ``x``.

        Raises:
            LawError: for a law that has none.
        """
        distribution = self.scipy()
        if not hasattr(distribution, "pdf"):
            raise LawError(f"law={str(self)!r} has no density", "laws without atoms")
        return np.asarray(distribution.pdf(np.asarray(x, dtype=np.float64)), dtype=np.float64)

    def quantiles(self, levels: ArrayLike) -> NDArray[np.float64] | None:
        """Values below which the law lies with the given probabilities; None where they are not known.

        Args:
            levels: probabilities between 0 and 1, any shape.

        Example:
            >>> from renorm.datamodules import laws
            >>> laws.parse("rademacher()").quantiles([0.2, 0.8])
            array([-1.,  1.])
        """
        levels = np.asarray(levels, dtype=np.float64)
        if (points := self.atoms()) is not None:
            values, weights = (np.array([float(x) for x in row]) for row in zip(*points, strict=True))
            return values[np.searchsorted(weights.cumsum()[:-1], levels)]
        distribution = None if self.slow_density else self.scipy()
        return None if distribution is None else np.asarray(distribution.ppf(levels), dtype=np.float64)

    # --- what every law then has ------------------------------------------------------------------------------------

    def sample(
        self,
        shape: int | Sequence[int],
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        r"""Draw i.i.d. samples, always finite: what exceeds the range of ``dtype`` becomes its largest number.

        Args:
            shape: shape of the result.
            generator: source of randomness, on whose device the samples are made; by default torch's own, on the CPU.
            dtype: ``torch.float32`` or ``torch.float64``; by default torch's default.

        Returns:
            Samples of shape ``shape``; the same for the same state of the generator.

        Raises:
            LawError: for another dtype, or one that cannot hold the law, see :meth:`check_resolved`.

        Example:
            >>> from renorm.datamodules import laws
            >>> laws.parse("rademacher()").sample((256, 2), generator=torch.Generator().manual_seed(0)).unique()
            tensor([-1.,  1.])
        """
        dtype = torch.get_default_dtype() if dtype is None else dtype
        x = torch.empty(shape, dtype=dtype, device=generator.device if generator is not None else "cpu")
        largest = self._largest(dtype)
        return self.draw(x, generator).clamp_(-largest, largest)

    def fill(self, x: Tensor, generators: Iterable[torch.Generator]) -> Tensor:
        """Fill each ``x[i]`` with what :meth:`sample` gives for the shape of ``x[i]`` and the ``i``-th generator, bit for bit.

        Many samples take little more time than one: what is done to all of them is done once.
        """
        for part, generator in zip(x.unbind(), generators, strict=True):
            drawn = self.draw(part, generator)
            if drawn is not part:
                part.copy_(drawn)
        largest = self._largest(x.dtype)
        return x.clamp_(-largest, largest)

    def _largest(self, dtype: torch.dtype) -> float:
        """The largest number of a floating-point type, which was found to resolve the law."""
        if dtype is not torch.float32 and dtype is not torch.float64:
            raise LawError(f"dtype={dtype} cannot be sampled", "torch.float32, torch.float64")
        checked = self.__dict__.setdefault("_resolved", set())
        if dtype not in checked:
            self.check_resolved(dtype)
            checked.add(dtype)
        return torch.finfo(dtype).max

    def blocks(self, rows: int, block_size: int, generator: torch.Generator) -> Tensor:
        """Blocks of independent variables, shape ``(rows, b)``."""
        return self.sample((rows, block_size), generator=generator)

    def check(self, block_size: int, dtype: torch.dtype) -> None:
        """Blocks of any size; see :meth:`check_resolved` for the precision."""
        self.check_resolved(dtype)

    def location_and_width(self) -> tuple[float, float]:
        """Mean and standard deviation, or median and distance of the quartiles where the variance is not finite."""
        exact = [to_float(kappa) for kappa in self.exact_cumulants(2)]
        if len(exact) == 2 and math.isfinite(exact[1]):
            return exact[0], math.sqrt(exact[1])
        doubles = self.draw(torch.empty(4001, dtype=torch.float64), torch.Generator().manual_seed(0))
        low, middle, high = doubles.quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)).tolist()
        return middle, high - low

    def check_resolved(self, dtype: torch.dtype) -> None:
        r"""Refuse a floating-point type whose steps are too coarse for the law at its location, or that does not reach it.

        Raises:
            LawError: where the type has fewer than some :math:`2^5` steps in a width of the law, or overflows. A law of
                finitely many points is held to the rounding of these.

        Example:
            >>> from renorm.datamodules import laws
            >>> laws.parse("gaussian(mean=1e8)").check_resolved(torch.float64)
            >>> laws.parse("gaussian(mean=1e8)").check_resolved(torch.float32)  # doctest: +ELLIPSIS
            Traceback (most recent call last):
            ...
            renorm.errors.InputError: law='gaussian(...' varies by 1 about 1e+08, which torch.float32 cannot ...
        """
        points = self.atoms()
        if points is not None:
            values, weights = (np.array([float(x) for x in row]) for row in zip(*points, strict=True))
            check_rounding(self, values, weights, dtype)
            return
        location, width = self.location_and_width()
        if self.exact_cumulants(2)[1:] == [0]:
            return  # a constant may be rounded
        check_width(self, location, width, dtype)

    def cumulants(self, order: int) -> Tensor:
        r"""Exact cumulants :math:`\kappa_1, \dots, \kappa_n` of the law with precisely these (double) parameters.

        Computed in rational or 4096-bit arithmetic and rounded once, so that nothing is lost by cancellation.

        Args:
            order: highest order ``n``, 1 to 8.

        Returns:
            Shape ``(order,)``, float64. NaN where a cumulant does not exist or is infinite; ±inf only where a finite
            one exceeds the range of float64 (lognormal with a large ``std``).

        Raises:
            LawError: for an order out of range.

        Example:
            >>> from renorm.datamodules import laws
            >>> laws.parse("student_t(df=5)").cumulants(4)
            tensor([ 0.0000,  1.6667,  0.0000, 16.6667], dtype=torch.float64)
        """
        if isinstance(order, bool) or not isinstance(order, int) or not 1 <= order <= MAX_ORDER:
            raise LawError(f"order={order!r} is out of range", f"1 to {MAX_ORDER}")
        known = [to_float(kappa) for kappa in self.exact_cumulants(order)]
        return torch.tensor(known + [math.nan] * (order - len(known)), dtype=torch.float64)

    @property
    def has_variance(self) -> bool:
        """Whether the variance, and with it the mean, is finite.

        Example:
            >>> from renorm.datamodules import laws
            >>> laws.parse("student_t(df=3)").has_variance, laws.parse("cauchy()").has_variance
            (True, False)
        """
        return bool(self.cumulants(2).isfinite().all())

    @property
    def is_constant(self) -> bool:
        """Whether all draws are the same number.

        Example:
            >>> from renorm.datamodules import laws
            >>> laws.parse("bernoulli(p=1)").is_constant, laws.parse("cauchy()").is_constant
            (True, False)
        """
        exact = self.exact_cumulants(2)
        return len(exact) == 2 and exact[1] == 0

    def standardised(self) -> Law:
        r"""The law of :math:`(X - \kappa_1) / \sqrt{\kappa_2}`.

        In the same family where that has location and scale (and then with parameters rounded to doubles), the wrapper
        ``standardised(…)`` otherwise; the law itself where its mean is 0 and its variance 1 already, up to that
        rounding.

        Raises:
            LawError: where the variance is zero, infinite or does not exist.

        Example:
            >>> from renorm.datamodules import laws
            >>> str(laws.parse("gaussian(mean=1, std=3)").standardised())
            'gaussian(mean=0, std=1)'
            >>> str(laws.parse("gamma()").standardised())
            'standardised(gamma(shape=2, scale=1))'
        """
        from .composite import Standardised

        mean, variance = mean_and_variance(self)
        if abs(mean) <= ROUNDING and abs(variance - 1) <= ROUNDING:
            return self
        sigma = root(variance)
        try:
            inside = self.affine(quotient(-mean, sigma), quotient(1, sigma))
        except LawError:  # a parameter would leave its range
            inside = None
        return Standardised(self) if inside is None else inside


def check_width(law: Source, location: float, width: float, dtype: torch.dtype) -> None:
    """Refuse a floating-point type whose steps are too coarse for a width at a location, or that does not reach them.

    Raises:
        LawError: naming the law.
    """
    numbers = torch.finfo(dtype)
    if max(abs(location), width) > numbers.max:
        raise LawError(f"law={str(law)!r} is beyond the range of {dtype}", f"up to {numbers.max:.2g}")
    if width < max(abs(location) / RESOLVED[dtype], numbers.smallest_normal):
        raise unresolved(law, location, width, dtype)


def unresolved(law: Source, location: float, width: float, dtype: torch.dtype) -> LawError:
    """The refusal of a law for a floating-point type."""
    wider = "torch.float64, or " if dtype is torch.float32 else ""
    return LawError(
        f"law={str(law)!r} varies by {width:.3g} about {location:.3g}, which {dtype} cannot resolve",
        f"{wider}a location within {RESOLVED[dtype]:.2g} widths of 0",
    )


def check_rounding(law: Law, values: NDArray[np.float64], weights: NDArray[np.float64], dtype: torch.dtype) -> None:
    """Refuse a law on points which a floating-point type moves by more than 2^-5 standard deviations.

    Raises:
        LawError: for such a law; a constant may be rounded.
    """
    mean = float(weights @ values)
    std = math.sqrt(float(weights @ (values - mean) ** 2))
    rounded = torch.tensor(values).to(dtype).double().numpy()
    if std > 0 and math.sqrt(float(weights @ (rounded - values) ** 2)) > std / 32:
        raise unresolved(law, mean, std, dtype)


def mean_and_variance(law: Law) -> tuple[Number, Number]:
    """Exact mean and variance of a law that has them.

    Raises:
        LawError: where the variance is zero, infinite or does not exist.
    """
    exact = law.exact_cumulants(2)
    if len(exact) < 2:
        raise LawError(f"law={str(law)!r} has no finite variance", "laws with a finite variance")
    if exact[1] == 0:
        raise LawError(f"law={str(law)!r} has zero variance", "laws with a variance above zero")
    return exact[0], exact[1]


def merge_atoms(atoms: Iterable[tuple[Fraction | float, Fraction]]) -> list[tuple[Fraction | float, Fraction]]:
    """Atoms in increasing order, equal values merged and empty ones dropped."""
    merged: dict[Fraction | float, Fraction] = {}
    for value, probability in atoms:
        merged[value] = merged.get(value, Fraction(0)) + probability
    return sorted((value, probability) for value, probability in merged.items() if probability > 0)


REGISTRY = Law.registry
