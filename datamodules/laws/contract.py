"""What a law of one's own must keep to, tried on each law that is read."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...errors import first_line
from .base import Law, LawError
from .exact import to_float

ORDERS = (2, 4)  # that are asked for
SAMPLES = (3, 2)  # shape of a few samples
OURS = __name__.rpartition(".")[0]


def checked(law: Law) -> Law:
    """The law itself, where it keeps to the contract; the package's own are known to.

    Raises:
        LawError: naming the class, what it returned and what is allowed.
    """
    if not type(law).__module__.startswith(f"{OURS}."):
        check_methods(type(law))
        check_cumulants(law)
        check_draw(law)
    return law


def check_methods(cls: type[Law]) -> None:
    """Refuse a class that leaves out what every law must define."""
    for name in ("draw", "exact_cumulants"):
        if getattr(cls, name) is getattr(Law, name):
            raise LawError(
                f"law class {cls.__name__} has no {name}", "a class with draw(x, generator) and exact_cumulants(order)"
            )


def check_cumulants(law: Law) -> None:
    """Refuse cumulants that cannot be those of a law; a shorter list says that the others do not exist."""
    who = f"law class {type(law).__name__}: exact_cumulants"
    low, high = law.support()
    bounded = law.atoms() is not None or (math.isfinite(low) and math.isfinite(high))
    found: list[list[float]] = []
    for order in ORDERS:
        returned = _called(f"{who}({order})", law.exact_cumulants, order)
        found.append(_numbers(f"{who}({order})", returned))
        count = len(found[-1])
        if count > order:
            raise LawError(
                f"{who}({order}) returned {count} cumulants", f"at most {order}, those of order 1 to {order}"
            )
        if bounded and count < order:
            raise LawError(
                f"{who}({order}) returned {count} cumulants, though the law is bounded", f"{order}, which all exist"
            )
    few, many = found
    if many[: len(few)] != few or len(few) != min(len(many), ORDERS[0]):
        raise LawError(f"{who}({ORDERS[1]}) returned {many}, but {who}({ORDERS[0]}) {few}", "one beginning for both")
    if len(few) > 1 and few[1] < 0:
        raise LawError(f"{who}({ORDERS[0]}) returned a variance of {few[1]:g}", "0 or more")


def check_draw(law: Law) -> None:
    """Refuse samples of another shape or precision than asked for."""
    who = f"law class {type(law).__name__}: draw"
    x = torch.empty(SAMPLES, dtype=torch.float64)
    found = _called(who, law.draw, x, torch.Generator().manual_seed(0))
    if not isinstance(found, Tensor):
        raise LawError(f"{who} returned a {type(found).__name__}", "a tensor")
    if found.shape != x.shape or found.dtype != x.dtype:
        what = f"shape {tuple(found.shape)} and {found.dtype}"
        raise LawError(f"{who} returned {what}", f"those of x, {tuple(x.shape)} and {x.dtype}")


def _called(who: str, function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except LawError:
        raise
    except Exception as error:  # anything may come from a stranger's code
        raise LawError(
            f"{who} fails with {type(error).__name__}: {first_line(error)}", "one that returns its result"
        ) from error


def _numbers(who: str, returned: Any) -> list[float]:
    try:
        found = [to_float(kappa) for kappa in returned]
    except (TypeError, ValueError):
        raise LawError(f"{who} returned {returned!r}", "a list of numbers") from None
    if any(math.isnan(kappa) for kappa in found):
        raise LawError(f"{who} returned {found}", "a list that ends before the first cumulant that does not exist")
    return found
