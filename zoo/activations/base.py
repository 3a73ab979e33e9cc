r"""Activations: one class is one record of all that renorm knows about a nonlinearity.

A class states its name, its parity, which of its parameters may be a grid, how it acts, and, where it has one, its form
as piecewise polynomials, from which exact moments, kinks and algebra follow. To add an activation, write one class:

    >>> class Sine(Activation):
    ...     '''sin(frequency * z).'''
    ...     name, parity, grid = "sine_example", "odd", ("frequency",)
    ...     def __init__(self, members: int, units: Tensor, frequency: float | list[float] = 1.0) -> None:
    ...         super().__init__(members, units)
    ...         self.member_parameter("frequency", frequency)
    ...     def forward(self, z: Tensor) -> Tensor:
    ...         return torch.sin(self.like(self.frequency, z) * z)
    >>> "sine_example" in list_activations()
    True
    >>> del REGISTRY["sine_example"]
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ...checks import primitive
from ...errors import InputError, first_line
from ...own_code import check_name

REGISTRY: dict[str, type[Activation]] = {}
_LARGEST = torch.finfo(torch.float32).max


class Piecewise(NamedTuple):
    r"""A piecewise polynomial: on cell ``c`` it is :math:`\sum_p a_{cp} (z - o_c)^p`.

    Attributes:
        breaks: where the cells meet, increasing, shape ``(cells - 1,)``.
        origins: :math:`o_c`, shape ``(cells,)``.
        coefficients: :math:`a_{cp}`, shape ``(members, units or 1, cells, degree + 1)``.
    """

    breaks: Tensor
    origins: Tensor
    coefficients: Tensor


class Activation(nn.Module):
    """Base of all activations: acts on ``(members, units, ..., N)`` element by element.

    Args:
        members: number of members ``M``.
        units: which orbit of the symmetry each unit belongs to, shape ``(units,)``; units of one orbit must be treated
            alike.

    Raises:
        ValueError: where a subclass takes the name of another one, by which checkpoints know it.
    """

    name: ClassVar[str]
    parity: ClassVar[str | None] = None  # "odd" where f(-z) = -f(z)
    grid: ClassVar[tuple[str, ...]] = ()  # parameters that may be a list, the grid
    fuses: ClassVar[bool] = True  # False where a library's own loop beats compiled code that computes it again

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):
            return
        check_name(cls, REGISTRY.get(cls.name))
        REGISTRY[cls.name] = cls

    def __init__(self, members: int, units: Tensor) -> None:
        super().__init__()
        self.members = members
        self._exact: dict[str, Tensor] = {}
        self.register_buffer("units", units, persistent=False)
        self.units: Tensor

    def member_parameter(self, name: str, value: float | list[float]) -> None:
        """Keep one number a member as the buffer ``name``, shape ``(M,)``; it is a hyperparameter and not trained.

        Raises:
            ValueError: where the value is not finite.
        """
        exact = torch.as_tensor(value, dtype=torch.float64).expand(self.members).clone()
        if not exact.isfinite().all():
            raise InputError(f"{name}={value} is not finite", "finite numbers")
        self._exact[name] = exact
        self.register_buffer(name, exact.to(torch.get_default_dtype()), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Activation:
        # a slope of 0.9 must stay 0.9 when a float32 model is turned into float64: round from the exact value each time
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, exact in self._exact.items():
            rounded = getattr(self, name)
            setattr(self, name, exact.to(device=rounded.device, dtype=rounded.dtype))
        return self

    def like(self, parameter: Tensor, z: Tensor) -> Tensor:
        """Reshape a member parameter ``(M,)`` so that it broadcasts against ``z``."""
        return parameter.view(-1, *[1] * (z.ndim - 1))

    def reset_parameters(self, uniform: Callable[[tuple[int, ...]], Tensor]) -> None:
        """Initialise trained parameters from ``uniform(shape) -> (M, *shape)``, draws on [0, 1) that belong to a member."""

    def piecewise(self) -> Piecewise | None:
        """The activation as piecewise polynomials, float64; None where it is not one."""
        return None

    def polynomial(self) -> Tensor | None:
        """Coefficients of a polynomial activation, shape ``(M, degree + 1)``, lowest power first; None where it is not one."""
        pieces = self.piecewise()
        return pieces.coefficients[:, 0, 0] if pieces is not None and len(pieces.breaks) == 0 else None

    def _pieces(self, breaks: list[float], cells: list[list[Tensor | float]]) -> Piecewise:
        """Assemble pieces about the origin from numbers and from member parameters ``(M,)``."""
        device = self.units.device
        rows = [
            torch.stack(
                [torch.as_tensor(a, dtype=torch.float64, device=device).expand(self.members) for a in cell], dim=-1
            )
            for cell in cells
        ]
        coefficients = torch.stack(rows, dim=1).unsqueeze(1)
        origins = torch.zeros(len(cells), dtype=torch.float64, device=device)
        return Piecewise(torch.tensor(breaks, dtype=torch.float64, device=device), origins, coefficients)


def list_activations() -> list[str]:
    """Names of all registered activations, the user's own included."""
    return list(REGISTRY)


def find(name: str) -> type[Activation]:
    """The class of an activation.

    Raises:
        ValueError: for an unknown name.
    """
    known = list_activations()
    if name not in known:
        close = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise InputError(f"activation={name!r} is unknown", f"{', '.join(known)}{hint}")
    return REGISTRY[name]


def parameters(cls: type[Activation]) -> dict[str, Any]:
    """Names and defaults of an activation's own parameters."""
    signature = inspect.signature(cls.__init__).parameters
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    fixed = ("self", "members", "units")
    return {name: p.default for name, p in signature.items() if name not in fixed and p.kind not in variable}


def keywords() -> list[str]:
    """Names of the parameters of all registered activations, which a model also takes as keywords of its own.

    Example:
        >>> keywords()[:3]
        ['alpha', 'negative_slope', 'degree']
    """
    return list(dict.fromkeys(name for cls in REGISTRY.values() for name in parameters(cls)))


def merge_parameters(activation_args: Any, by_keyword: dict[str, Any]) -> dict[str, Any]:
    """The parameters of an activation, from the mapping ``activation_args`` and from keywords.

    Args:
        activation_args: names and values, or None.
        by_keyword: the same as keywords; those that are None are left out.

    Raises:
        ValueError: where ``activation_args`` is not a mapping, or a parameter is set twice.

    Example:
        >>> merge_parameters({"degree": 3}, {"knots": 9, "spline": None})
        {'degree': 3, 'knots': 9}
    """
    mapping = primitive("activation_args", {} if activation_args is None else activation_args)
    if not isinstance(mapping, dict):
        raise InputError(f"activation_args={mapping!r} is not a mapping", "a dict from names to values")
    named = {name: primitive(name, value) for name, value in by_keyword.items() if value is not None}
    for name in named.keys() & mapping.keys():
        raise InputError(f"{name}={named[name]!r} is also in activation_args={mapping!r}", "one of the two")
    return mapping | named


def check_parameters(cls: type[Activation], given: dict[str, Any]) -> None:
    """Refuse parameters that an activation does not take, and lists that are not a grid.

    Raises:
        ValueError: naming the parameter and what is allowed.
    """
    allowed = parameters(cls)
    for name, value in given.items():
        if name not in allowed:
            names = ", ".join(allowed) or "none"
            raise InputError(f"{name}={value!r} is not a parameter of activation {cls.name!r}", names)
        if name in cls.grid:
            points = value if isinstance(value, list) else [value]
            if not points or not all(_is_finite_number(point) for point in points):
                raise InputError(f"{name}={value!r} is not a grid", "a finite number, or a list of one or more")


def check_contract(activation: Activation) -> None:
    """Refuse an activation that does not do what every activation must, before anything is trained with it.

    It is tried on a few numbers: what it returns must be a tensor of the same shape and precision.

    Raises:
        ValueError: naming the class, what it returned and what is allowed.

    Example:
        >>> class Halved(Activation):
        ...     def forward(self, z):
        ...         return z[..., ::2]
        >>> check_contract(Halved(2, torch.arange(3)))
        Traceback (most recent call last):
        ...
        renorm.errors.InputError: activation Halved turns shape (2, 3, 4) into shape (2, 3, 2); allowed: the same shape
    """
    who = f"activation {type(activation).__name__}"
    floats = [p.dtype for p in [*activation.parameters(), *activation.buffers()] if p.is_floating_point()]
    z = torch.linspace(-1, 1, 4, dtype=floats[0] if floats else torch.get_default_dtype())
    z = z.to(activation.units.device).expand(activation.members, activation.units.numel(), -1)
    try:
        with torch.no_grad():
            found = activation(z.clone())
    except (RuntimeError, TypeError, IndexError, AttributeError, NotImplementedError) as error:
        raise InputError(
            f"{who} fails on shape {tuple(z.shape)}: {type(error).__name__}: {first_line(error)}",
            "one that acts on (members, units, ..., N) element by element",
        ) from error
    if not isinstance(found, Tensor):
        raise InputError(f"{who} returns a {type(found).__name__}", "a tensor of the shape it is given")
    if found.shape != z.shape:
        raise InputError(f"{who} turns shape {tuple(z.shape)} into shape {tuple(found.shape)}", "the same shape")
    if found.dtype != z.dtype:
        raise InputError(f"{who} turns {z.dtype} into {found.dtype}", "the same precision")


def _is_finite_number(value: Any) -> bool:
    # numbers that float32 cannot hold become infinite; the comparison also refuses NaN, and integers of any size
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
