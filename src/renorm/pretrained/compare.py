"""Compare recomputed numbers with those of the manifest, and describe each difference in one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tolerance:
    """How far two numbers may be apart: ``absolute + relative * |stored|``.

    Attributes:
        relative: share of the stored number.
        absolute: for each part of an entry or each metric that has one of its own; 0 for others.
    """

    relative: float
    absolute: dict[str, float]

    def allows(self, computed: float, stored: float, place: tuple[str, ...]) -> bool:
        """Whether two numbers at a place of an entry count as the same."""
        absolute = max((self.absolute.get(key, 0.0) for key in place), default=0.0)
        return abs(computed - stored) <= absolute + self.relative * abs(stored)


# From the same weights, in float64. What remains between machines: inputs are drawn in float32, whose logarithms may differ in
# the last place, 6e-8. Errors at the inputs move by that share of themselves, a distance of sorted samples by that much (seen:
# 2e-9, with vector instructions switched off). The other absolute parts are rounding in float64 of what cancels: an energy
# distance is the root of such a difference, and eigenvalues that coincide are roots of rounding too.
SAME_WEIGHTS = Tolerance(
    relative=1e-5,
    absolute={
        "mse": 1e-24,
        "relative_mse": 1e-24,
        "validation_loss": 1e-24,
        "wasserstein1": 1e-7,
        "energy_distance": 1e-6,
        "spectrum": 1e-5,
    }
    | {f"k{n}_error": 1e-9 for n in range(1, 5)},
)

# From other rounding, which 3000 steps of training amplify. Measured with vector instructions switched off: medians moved by up
# to 1e-3 where members do not converge to rounding itself, whose size is then the absolute part.
RETRAINED = Tolerance(
    relative=0.05,
    absolute={"mse": 1e-11, "relative_mse": 1e-11, "wasserstein1": 1e-5, "energy_distance": 1e-4}
    | {f"k{n}_error": 1e-4 for n in range(1, 5)},
)


def differences(computed: Any, stored: Any, tolerance: Tolerance, place: tuple[str, ...] = ()) -> Iterator[str]:
    """One line for each place where two entries, or parts of them, differ.

    Args:
        computed: the new numbers.
        stored: what the manifest says; what ``computed`` does not have is not looked at.
        tolerance: how far numbers may be apart.
        place: keys on the way to these parts.

    Example:
        >>> list(differences({"mse": 1.1, "seed": 0}, {"mse": 1.0, "seed": 0}, SAME_WEIGHTS))
        ['mse is 1.1, the manifest says 1.0']
    """
    where = ".".join(place)
    if isinstance(computed, dict) and isinstance(stored, dict):
        for key in dict.fromkeys([*computed, *stored] if place else computed):
            if key not in computed or key not in stored:
                yield f"{'.'.join((*place, key))} is {'missing' if key not in stored else 'unknown'} in the manifest"
            else:
                yield from differences(computed[key], stored[key], tolerance, (*place, key))
    elif isinstance(computed, list) and isinstance(stored, list) and len(computed) == len(stored):
        for position, (one, other) in enumerate(zip(computed, stored, strict=True)):
            yield from differences(one, other, tolerance, (*place, str(position)))
    elif _number(computed) and _number(stored):
        if not tolerance.allows(computed, stored, place):
            yield f"{where} is {computed!r}, the manifest says {stored!r}"
    elif type(computed) is not type(stored) or computed != stored:
        yield f"{where} is {_short(computed)}, the manifest says {_short(stored)}"


def _number(value: Any) -> bool:
    return isinstance(value, float) or type(value) is int


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def retrained_differences(computed: dict[str, Any], stored: dict[str, Any]) -> Iterator[str]:
    """One line for each median of a stack trained again that is neither near the stored one nor inside its interval.

    Args:
        computed: metrics, law -> metric -> summary, of the new stack.
        stored: those of the manifest.
    """
    for law, metric in ((law, metric) for law, metrics in computed.items() for metric in metrics):
        new, old = computed[law][metric], stored.get(law, {}).get(metric, {"median": None, "interval": [None, None]})
        low, high = old["interval"]
        if new["median"] is None or old["median"] is None:
            if new["median"] != old["median"]:
                yield f"metrics.{law}.{metric}.median is {new['median']!r}, the manifest says {old['median']!r}"
        elif not RETRAINED.allows(new["median"], old["median"], (metric,)) and not low <= new["median"] <= high:
            yield f"metrics.{law}.{metric}.median is {new['median']!r}, the manifest says {old['median']!r} [{low!r}, {high!r}]"
