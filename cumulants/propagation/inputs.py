"""Laws of a network's whole input: one for all variables, one for each, a Gaussian, data, and mixtures of these."""

from __future__ import annotations

import string
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...checks import described
from ...errors import InputError
from ..joint import check_entries
from ..kstatistics import check_order
from .layout import ImageLaw
from .mixtures import MixtureLaw
from .network import Network
from .tensors import BlockLaw, PointLaw, VectorLaw, as_double, law_of_data

ON_GRID = 3  # Gaussian variables up to which the first layer is closed on a grid, as that of i.i.d. variables is
SYMMETRIC = 1e-6  # of a covariance's largest entry
POSITIVE = 1e-6  # of its largest eigenvalue
SUM = 1e-6  # what weights may miss 1 by


class InputLaw(ABC):
    """The joint law of all variables of a network's input.

    Attributes:
        shape: of one input, as the network takes it; None for a law of as many variables as the network has.
        order: highest order of its cumulants that is known.
    """

    shape: tuple[int, ...] | None = None
    order: int = 8

    @property
    def size(self) -> int | None:
        """Number of variables; None where the network says it."""
        return None if self.shape is None else torch.Size(self.shape).numel()

    @abstractmethod
    def through(self, weight: Tensor, bias: Tensor, order: int) -> VectorLaw:
        """The law of ``W x + b`` to an order, for ``weight (M, out, d)`` and ``bias (M, out)``."""

    def cumulants(self, order: int) -> Tensor:
        """Cumulants of the variables, shape ``(order, d)``, or ``(order,)`` where all of them have one law."""
        assert self.size is not None
        identity = torch.eye(self.size, dtype=torch.float64).unsqueeze(0)
        law = self.through(identity, identity.new_zeros(1, self.size), order)
        return torch.stack([law.marginal(n)[0] for n in range(1, order + 1)])

    def as_identical(self, network: Network) -> tuple[Network, Any]:
        """The network as one of i.i.d. variables, and their law.

        Raises:
            ValueError: for an input that is not an affine image of such.
        """
        raise InputError(
            f"law={self} is not made of i.i.d. variables", "method='gaussian' or 'edgeworth', closed_at='layers'"
        )


class IdenticalInput(InputLaw):
    """Independent variables that all have one law.

    Args:
        law: :class:`renorm.datamodules.laws.Law`, or anything like it.
        size: how many, if the network need not say it.
    """

    def __init__(self, law: Any, size: int | None = None) -> None:
        self.law, self.shape = law, None if size is None else (size,)

    def through(self, weight: Tensor, bias: Tensor, order: int) -> VectorLaw:
        """A block's."""
        return BlockLaw(self.law.cumulants(order).to(weight.device), weight, bias)

    def cumulants(self, order: int) -> Tensor:
        """The law's."""
        kappas: Tensor = self.law.cumulants(order)
        return kappas

    def as_identical(self, network: Network) -> tuple[Network, Any]:
        """It is."""
        return network, self.law

    def __str__(self) -> str:
        return str(self.law)


class IndependentInput(InputLaw):
    """Independent variables with a law each.

    Args:
        laws: one for each variable.
    """

    def __init__(self, laws: Sequence[Any]) -> None:
        self.laws, self.shape = list(laws), (len(laws),)

    def through(self, weight: Tensor, bias: Tensor, order: int) -> VectorLaw:
        """Sums of powers of the weights."""
        kappas = torch.stack([law.cumulants(order) for law in self.laws], dim=1)
        return IndependentLaw(kappas.to(weight.device), weight, bias)

    def __str__(self) -> str:
        words = [str(law) for law in self.laws]
        return f"[{', '.join(words)}]" if len(words) < 5 else f"{len(words)} laws"


class IndependentLaw(VectorLaw):
    """An affine image of independent variables.

    Args:
        kappas: their cumulants, shape ``(order, d)``.
        weight: the map, shape ``(M, out, d)``.
        bias: shape ``(M, out)``.

    Example:
        >>> law = IndependentLaw(torch.tensor([[0.0, 0.0], [1.0, 3.0]]), torch.ones(1, 1, 2), torch.zeros(1, 1))
        >>> law.cumulants(2)
        tensor([[[4.]]])
    """

    def __init__(self, kappas: Tensor, weight: Tensor, bias: Tensor) -> None:
        self.members, self.units, _ = weight.shape
        self.order = len(kappas)
        self._kappas, self._weight, self._bias = kappas, weight, bias

    def cumulants(self, n: int) -> Tensor:
        r""":math:`\sum_j \kappa_{n,j} W_{i_1 j} \cdots W_{i_n j}`, plus the bias for n = 1."""
        check_order(n, self.order)
        check_entries(self.units, n)
        letters = string.ascii_lowercase[:n]
        factors = [self._weight * self._kappas[n - 1], *[self._weight] * (n - 1)]
        total: Tensor = torch.einsum(f"{','.join(f'Z{a}X' for a in letters)}->Z{letters}", *factors)
        return total + self._bias if n == 1 else total

    def marginal(self, n: int) -> Tensor:
        r""":math:`\sum_j \kappa_{n,j} W_{ij}^n`."""
        check_order(n, self.order)
        total = (self._weight**n * self._kappas[n - 1]).sum(dim=-1)
        return total + self._bias if n == 1 else total


class GaussianInput(InputLaw):
    """Jointly Gaussian variables.

    Args:
        mean: shape ``(d,)``, or that of one input of the network.
        covariance: shape ``(d, d)``, symmetric; variables may be constant, or follow from others.

    Raises:
        ValueError: for other shapes, numbers that are not finite, and matrices that are not covariances.

    Example:
        >>> from torch import nn
        >>> from renorm.cumulants import propagate
        >>> net = nn.Linear(2, 1, bias=False)
        >>> _ = nn.init.ones_(net.weight)
        >>> law = GaussianInput([0.0, 1.0], [[1.0, 0.5], [0.5, 1.0]])
        >>> propagate(net, law, order=2).marginals("out").flatten()
        tensor([1., 3.], dtype=torch.float64, grad_fn=<ViewBackward0>)
    """

    def __init__(self, mean: Any, covariance: Any) -> None:
        self.mean, self.covariance = as_double("mean", mean), as_double("covariance", covariance)
        self.shape = tuple(self.mean.shape)
        self.mean = self.mean.flatten()
        if self.covariance.shape != (len(self.mean), len(self.mean)):
            raise InputError(
                f"covariance has shape {tuple(self.covariance.shape)}, mean {self.shape}",
                f"({len(self.mean)}, {len(self.mean)})",
            )
        _check_covariance(self.covariance.detach())

    @classmethod
    def of_data(cls, x: Any) -> GaussianInput:
        """The Gaussian with the mean and the unbiased covariance of data ``(N, ...)``, two rows or more.

        Example:
            >>> GaussianInput.of_data(torch.tensor([[0.0, 1.0], [2.0, 1.0]])).covariance
            tensor([[2., 0.],
                    [0., 0.]], dtype=torch.float64)
        """
        x = as_double("x", x)
        if x.ndim < 2 or len(x) < 2:
            raise InputError(f"x={described(x)} is not data", "shape (N, ...), two rows or more")
        centred = (x - x.mean(dim=0)).flatten(1)
        return cls(x.mean(dim=0), centred.mT @ centred / (len(x) - 1))

    def through(self, weight: Tensor, bias: Tensor, order: int) -> VectorLaw:
        """Gaussian as well."""
        if len(self.mean) <= ON_GRID:
            kappas = torch.zeros(order, dtype=torch.float64, device=weight.device)
            kappas[1:2] = 1.0
            return BlockLaw(kappas, *self._whitened(weight, bias))
        covariance = weight @ self.covariance.to(weight.device) @ weight.mT
        return GaussianLaw(weight @ self.mean.to(weight.device) + bias, covariance, order)

    def cumulants(self, order: int) -> Tensor:
        """The means, the variances, and zeros."""
        rest = self.mean.new_zeros(max(order - 2, 0), len(self.mean))
        return torch.cat([self.mean.unsqueeze(0), self.covariance.diagonal().unsqueeze(0), rest])[:order]

    def as_identical(self, network: Network) -> tuple[Network, Any]:
        """In standard normal variables that it is an affine image of."""
        from ...datamodules.laws import Gaussian

        affine = [self._whitened(*network.affine[0]), *network.affine[1:]]
        return replace(network, affine=affine, nodes=1), Gaussian()

    def _whitened(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        factor, failed = torch.linalg.cholesky_ex(self.covariance)
        if int(failed):
            values, vectors = torch.linalg.eigh(self.covariance)
            factor = vectors * values.clamp(min=0).sqrt()
        return weight @ factor.to(weight.device), weight @ self.mean.to(weight.device) + bias

    def __str__(self) -> str:
        return f"a Gaussian of {len(self.mean)} variables"


class GaussianLaw(VectorLaw):
    """A Gaussian vector: cumulants above the second are zero, and take no memory.

    Args:
        mean: shape ``(M, d)``.
        covariance: shape ``(M, d, d)``.
        order: highest order that may be asked for.
    """

    def __init__(self, mean: Tensor, covariance: Tensor, order: int) -> None:
        self.members, self.units = mean.shape
        self.order = order
        self._tensors = (mean, covariance)

    def cumulants(self, n: int) -> Tensor:
        """The mean, the covariance, and zeros."""
        check_order(n, self.order)
        if n <= 2:
            return self._tensors[n - 1]
        return self._tensors[0].new_zeros(()).expand(self.members, *[self.units] * n)

    def marginal(self, n: int) -> Tensor:
        """The mean, the variances, and zeros."""
        check_order(n, self.order)
        mean, covariance = self._tensors
        return mean if n == 1 else covariance.diagonal(dim1=1, dim2=2) if n == 2 else torch.zeros_like(mean)


class VectorInput(InputLaw):
    """Variables of any joint law whose cumulants are known, such as those of data.

    Args:
        law: their law.
        shape: of one input of the network.
    """

    def __init__(self, law: VectorLaw, shape: Sequence[int] | None = None) -> None:
        self.law, self.shape, self.order = law, tuple(shape or (law.units,)), law.order

    def through(self, weight: Tensor, bias: Tensor, order: int) -> VectorLaw:
        """Points and blocks are mapped themselves, other laws' tensors."""
        law = self.law
        if isinstance(law, PointLaw):
            values = torch.baddbmm(bias.unsqueeze(-1), weight, law.values.to(weight.device).expand(len(weight), -1, -1))
            return PointLaw(values, law.weights.to(weight.device), law.order, law.exists)
        if isinstance(law, BlockLaw):
            inner, shift = law.weight.to(weight.device), law.bias.to(weight.device)
            return BlockLaw(
                law.kappas.to(weight.device), weight @ inner, (weight @ shift.unsqueeze(-1)).squeeze(-1) + bias
            )
        return ImageLaw(law, weight, bias)

    def cumulants(self, order: int) -> Tensor:
        """The law's own."""
        return torch.stack([self.law.marginal(n)[0] for n in range(1, order + 1)])

    def __str__(self) -> str:
        if isinstance(self.law, PointLaw):
            return f"data of {self.law.values.shape[-1]} rows and {self.law.units} variables"
        return f"the joint cumulants of {self.law.units} variables"


class MixtureInput(InputLaw):
    """Variables whose law is one of several, such as one for each class.

    Each component is propagated by itself, and the law of total cumulance joins them at every layer.

    Args:
        components: laws of the same variables, of any of the kinds that ``propagate`` takes.
        weights: their probabilities; equal ones by default.

    Raises:
        ValueError: for weights that are not probabilities, or components of different sizes.

    Example:
        >>> classes = [GaussianInput([end, 0.0], torch.eye(2)) for end in (-1.0, 1.0)]
        >>> MixtureInput(classes).cumulants(4)[:, 0]
        tensor([ 0.,  2.,  0., -2.], dtype=torch.float64)
    """

    def __init__(self, components: Sequence[Any], weights: Sequence[float] | Tensor | None = None) -> None:
        if not isinstance(components, list | tuple):
            raise InputError(f"components={described(components)} is not a list", "a list of laws of the input")
        self.components = [read_input(component) for component in components]
        if not self.components:
            raise InputError("components=[] is empty", "one or more")
        count = len(self.components)
        given = [1 / count] * count if weights is None else _numbers(weights)
        if len(given) != count:
            raise InputError(f"weights has {len(given)} numbers", f"{count}, one for each component")
        if not all(w >= 0 for w in given) or not abs(sum(given) - 1) <= SUM:
            raise InputError(f"weights={given} has the sum {sum(given):.6g}", "numbers >= 0 whose sum is 1")
        self.weights = [w / sum(given) for w in given]
        shapes = {component.shape for component in self.components if component.shape is not None}
        sizes = {component.size for component in self.components if component.size is not None}
        if len(sizes) > 1:
            raise InputError(f"components have {sorted(sizes)} variables", "as many in each")
        if len(shapes) > 1:
            raise InputError(f"components have the shapes {sorted(shapes, key=len)}", "one shape for all")
        self.shape = next(iter(shapes), None)
        self.order = min(component.order for component in self.components)

    def through(self, weight: Tensor, bias: Tensor, order: int) -> VectorLaw:
        """The mixture of what the components give."""
        return MixtureLaw([component.through(weight, bias, order) for component in self.components], self.weights)

    def cumulants(self, order: int) -> Tensor:
        """Of the mixture's variables, by the law of total cumulance."""
        size = self.size or 1
        identity = torch.eye(size, dtype=torch.float64).unsqueeze(0)
        law = self.through(identity, identity.new_zeros(1, size), order)
        return torch.stack([law.marginal(n)[0] for n in range(1, order + 1)])

    def __str__(self) -> str:
        return f"a mixture of {len(self.components)} components"


def _numbers(weights: Any) -> list[float]:
    try:
        return [float(w) for w in weights]
    except (TypeError, ValueError) as error:
        raise InputError(f"weights={weights!r} is not a list of numbers", "one for each component") from error


def read_input(law: Any) -> InputLaw:
    """What ``propagate`` is given as the law of its input.

    Args:
        law: a law or its string, for all variables; a list of them, one for each; an :class:`InputLaw`; joint cumulants; or data
            ``(N, ...)``.

    Raises:
        ValueError: for anything else.

    Example:
        >>> print(read_input(["gaussian()", "rademacher()"]))
        [gaussian(mean=0, std=1), rademacher()]
    """
    if isinstance(law, InputLaw):
        return law
    if isinstance(law, Tensor | np.ndarray):
        x = as_double("law", law)
        if x.ndim < 2 or not len(x):
            raise InputError(f"law={described(x)} is not data", "shape (N, ...), one input a row")
        return VectorInput(law_of_data(x.flatten(1), order=8), x.shape[1:])
    if isinstance(law, VectorLaw):
        return VectorInput(law)
    if isinstance(law, list | tuple) and law and isinstance(law[0], list | tuple):
        return read_input(as_double("law", law))  # rows of numbers
    if isinstance(law, list | tuple) and law:
        laws = [_parsed(one) for one in law]
        alike = len({str(one) for one in laws}) == 1
        return IdenticalInput(laws[0], len(laws)) if alike else IndependentInput(laws)
    return IdenticalInput(_parsed(law))


def _parsed(law: Any) -> Any:
    if isinstance(law, str):
        # the one place where a name is turned into a law; everything below takes any object that behaves like one
        from ...datamodules import laws

        return laws.parse(law)
    if not hasattr(law, "cumulants"):
        raise InputError(
            f"law={described(law)} is not a law", "a law or its name, a list of them, GaussianInput, MixtureInput, data"
        )
    return law


def _check_covariance(covariance: Tensor) -> None:
    """Raise a ValueError for a matrix that is not symmetric, or has a negative eigenvalue."""
    if not covariance.numel():
        return
    variances = covariance.diagonal()
    if float(variances.min()) < 0:
        raise InputError(f"covariance has the variance {float(variances.min()):.3g}", "variances >= 0")
    # variables may have very different sizes: what counts is the correlations
    std = torch.where(variances > 0, variances, 1.0).sqrt()
    correlation = covariance / std / std.unsqueeze(-1)
    gap = (correlation - correlation.mT).abs()
    if float(gap.max()) > SYMMETRIC:
        differ = float((covariance - covariance.mT).abs().flatten()[gap.argmax()])
        raise InputError(f"covariance is not symmetric: entries differ by {differ:.3g}", "a symmetric matrix")
    values = torch.linalg.eigvalsh(correlation)
    if float(values[0]) < -POSITIVE * max(float(values[-1]), 0.0) or float(values[-1]) < 0:
        raise InputError(
            f"covariance has correlations with the eigenvalue {float(values[0]):.3g}",
            "a matrix without negative eigenvalues",
        )
