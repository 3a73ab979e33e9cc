"""Fields of what is written as text: numbers in a range."""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import Any

from ..errors import InputError

# Within these bounds no cumulant up to order 8 of a law with rational cumulants leaves the range of float64.
LARGEST = 1e30
SMALLEST = 1e-30


def number(default: float, low: float = -LARGEST, high: float = LARGEST) -> Any:
    """A dataclass field: a number in ``[low, high]``."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high})


def positive(default: float, high: float = LARGEST) -> Any:
    """A dataclass field: a number above zero."""
    return number(default, SMALLEST, high)


def kind(field: dataclasses.Field[Any]) -> str:
    """What a field holds: ``number`` (unless its metadata says otherwise), ``text``, ``law`` or ``weighted`` laws."""
    return str(field.metadata.get("kind", "number"))


def checked_number(where: str, value: Any, low: float, high: float) -> float:
    """A finite float in ``[low, high]``, without the sign of zero.

    Raises:
        InputError: for anything else.
    """
    allowed = f"{low:g} to {high:g}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InputError(f"{where}={value!r} is not a number", allowed)
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not low <= result <= high:
        raise InputError(f"{where}={result!r} is out of range", allowed)
    return result + 0.0  # -0.0 equals 0.0 but is written differently


def write_number(value: float) -> str:
    """Shortest decimal that reads back as the same double.

    Example:
        >>> write_number(3.0), write_number(0.1), write_number(1e-7)
        ('3', '0.1', '1e-07')
    """
    return repr(value).removesuffix(".0")
