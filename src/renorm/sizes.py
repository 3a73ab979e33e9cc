"""Whether a model's settings can belong to weights that are there: a file of a few bytes may ask for a network of any size."""

from __future__ import annotations

import math
from typing import Any

MOST = 2.5e7  # entries of the weight matrices of one member, where ties leave few free weights: a width of 5000


def check_sizes(settings: dict[str, Any], weights: int) -> None:
    """Refuse settings that no checkpoint with so many weights can have.

    Args:
        settings: arguments of the model.
        weights: how many numbers its tensors hold.

    Raises:
        ValueError: naming the setting, its value and what is allowed.

    Example:
        >>> check_sizes({"width": 8, "depth": 2}, weights=100)
        >>> check_sizes({"width": 1_000_000_000}, weights=100)
        Traceback (most recent call last):
        ...
        ValueError: width=1000000000 does not fit 100 weights
    """
    # every member, layer and knot has a weight of its own
    for name in ("replicas", "depth", "knots"):
        if not _number(settings, name, 0) <= weights + 100:
            raise ValueError(f"{name}={settings[name]!r} does not fit {weights} weights")
    sides = {name: _number(settings, name, 0) for name in ("width", "block_size")}
    largest = max(sides, key=lambda name: sides[name])
    if not sides[largest] ** 2 * max(1, _number(settings, "depth", 1)) <= MOST + 100 * weights:
        raise ValueError(f"{largest}={settings[largest]!r} does not fit {weights} weights")


def _number(settings: dict[str, Any], name: str, default: float) -> float:
    """A setting as a float; what is no number is refused where the model is built."""
    value = settings.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    try:
        return float(value)
    except OverflowError:
        return math.inf
