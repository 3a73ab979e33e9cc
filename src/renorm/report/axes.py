"""The axes that may decide a verdict: training law, initial scale and learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from .seed_statistics import judged_by_seed

DEPENDS = "depends"
REFERENCE = "reference"

Place = TypeVar("Place")


class Setting(NamedTuple):
    """Where on the axes a verdict is given.

    Attributes:
        law: of training.
        scale: of the initial weights and biases.
        rate: of learning; None for that which is best on the training law, chosen for each network and each resample.
    """

    law: str
    scale: float
    rate: float | None = None


class Judged(NamedTuple):
    """A verdict on all axes.

    Attributes:
        verdict: the one that is given everywhere on the axes, or ``depends``.
        share: of the seeds that give the same by themselves.
        along: by place on the axes, its verdict and the share of the seeds that give it.
    """

    verdict: str
    share: float
    along: dict[str, tuple[str, float]]

    def numbers(self) -> dict[str, Any]:
        """As part of a finding's numbers."""
        along = {name: {"verdict": verdict, "share_of_seeds": share} for name, (verdict, share) in self.along.items()}
        return {"share_of_seeds": self.share, "verdict_along_the_axes": along}

    def sentence(self) -> str:
        """How stable the verdict is, for the page.

        Example:
            >>> Judged("depends", 0.8, {"reference": ("yes", 1.0), "initial scale 0.3": ("no", 0.6)}).sentence()
            'yes at the reference (100% of the seeds); initial scale 0.3: no (60%). 80% of the seeds give this by themselves.'
        """
        first, *others = self.along.items()
        changed = [f"{name}: {verdict} ({share:.0%})" for name, (verdict, share) in others if verdict != first[1][0]]
        everywhere = "the same at every other place on the axes"
        return (
            f"{first[1][0]} at the reference ({first[1][1]:.0%} of the seeds); {'; '.join(changed) or everywhere}. "
            f"{self.share:.0%} of the seeds give this by themselves."
        )


def places(settings: Mapping[str, Any]) -> dict[str, Setting]:
    """Places on the axes: the reference, then those that differ from it along one axis.

    Args:
        settings: ``laws``, ``scales`` and ``rates``; the reference is the first law and scale, at the best rate.

    Example:
        >>> [*places({"laws": ["uniform()", "gaussian()"], "scales": [1.0, 0.3], "rates": [0.01]})]
        ['reference', 'training law gaussian()', 'initial scale 0.3']
    """
    law, scale = settings["laws"][0], settings["scales"][0]
    found = {REFERENCE: Setting(law, scale)}
    found |= {f"training law {other}": Setting(other, scale) for other in settings["laws"][1:]}
    found |= {f"initial scale {other:g}": Setting(law, other) for other in settings["scales"][1:]}
    rates = settings["rates"] if len(settings["rates"]) > 1 else []
    return found | {f"learning rate {rate:g}": Setting(law, scale, rate) for rate in rates}


def judge_along_axes(
    rule: Callable[[Any, Mapping[str, float]], str],
    numbers: Callable[[Setting, int], Any],
    thresholds: Mapping[str, float],
    settings: Mapping[str, Any],
) -> Judged:
    """Judge at every place on the axes, on all seeds together and on each by itself.

    Args:
        rule: a claim's, from numbers and thresholds.
        numbers: what it judges, from the place and the position of a version: 0 for all seeds, then each by itself.
        thresholds: of the claim.
        settings: of the claim, see :func:`places`; and ``seeds``.

    Example:
        >>> settings = {"laws": ["uniform()"], "scales": [1.0, 0.3], "rates": [0.01], "seeds": 2}
        >>> rule = lambda x, thresholds: "yes" if x > thresholds["least"] else "no"
        >>> judge_along_axes(rule, lambda place, version: place.scale, {"least": 0.5}, settings).verdict
        'depends'
    """
    return judge_at(rule, numbers, thresholds, places(settings), settings["seeds"])


def judge_at(
    rule: Callable[[Any, Mapping[str, float]], str],
    numbers: Callable[[Place, int], Any],
    thresholds: Mapping[str, float],
    chosen: Mapping[str, Place],
    seeds: int,
) -> Judged:
    """Judge at some places of any kind, the reference first; see :func:`judge_along_axes`."""
    along = {name: judged_by_seed(rule, partial(numbers, place), thresholds, seeds) for name, place in chosen.items()}

    def everywhere(at: int) -> str:
        return one_or_depends([rule(numbers(place, at), thresholds) for place in chosen.values()])

    verdict, share = judged_by_seed(lambda found, _: found, everywhere, thresholds, seeds)
    return Judged(verdict, share, along)


def one_or_depends(verdicts: Sequence[str]) -> str:
    """The verdict that all share, or ``depends``.

    Example:
        >>> one_or_depends(["yes", "yes"]), one_or_depends(["yes", "no"])
        ('yes', 'depends')
    """
    return verdicts[0] if len(set(verdicts)) == 1 else DEPENDS
