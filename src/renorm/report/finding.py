"""The finding about a claim: verdict, effect with its interval, numbers and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNDECIDED = "undecided: an experiment failed"


class Effect(NamedTuple):
    """An effect size with its 95% bootstrap interval.

    Attributes:
        name: what it is, with its unit.
        value: the estimate.
        low: lower end of the interval.
        high: upper end.
    """

    name: str
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, name: str, summary: Mapping[str, float]) -> Effect:
        """From a number's :func:`~renorm.report.seed_statistics.summary`.

        Example:
            >>> Effect.of("ratio", {"value": 2.0, "low": 1.0, "high": 3.0, "least_seed": 1.5})
            Effect(name='ratio', value=2.0, low=1.0, high=3.0)
        """
        return cls(name, summary["value"], summary["low"], summary["high"])


class Drawing(NamedTuple):
    """A figure.

    Attributes:
        name: of its file; letters, digits and ``_``; distinct within a claim.
        caption: one or two sentences.
        figure: drawn without pyplot; black lines and text take the page's colour, backgrounds are left out.
    """

    name: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Finding:
    """What was found about a claim.

    Attributes:
        verdict: one of those of the claim's rule.
        effect: the effect size.
        numbers: what the verdict was made from, and what else is worth knowing; goes into ``claims.json``.
        figures: in the order of the page.
        tried: what was tried where the claim did not reproduce; empty where it did.
        remarks: what a reader should know, a paragraph each.
    """

    verdict: str
    effect: Effect
    numbers: dict[str, Any]
    figures: list[Drawing] = field(default_factory=list)
    tried: str = ""
    remarks: list[str] = field(default_factory=list)


def plain(value: Any, digits: int = 6) -> Any:
    """Numbers as JSON can hold them: Python's own, of so many significant digits, and null for what is not finite.

    Example:
        >>> plain({"a": (1.23456789, float("nan"))})
        {'a': [1.23457, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(entry, digits) for key, entry in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(entry, digits) for entry in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value
