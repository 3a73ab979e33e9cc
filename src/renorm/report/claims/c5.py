"""C5: leaky ReLU with symmetric weights, frustrated dynamics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..axes import Setting, judge_along_axes, places
from ..claim import Claim
from ..competition import gradient_alignment
from ..experiments import Experiments
from ..finding import Drawing, Effect, Finding
from ..seed_statistics import Versions, summary
from ..training_curves import TrainingCurves, train_curves
from .c5_figures import draw_alignment, draw_curves, draw_waiting

NETWORKS = {"free": "free", "full": "full", "odd_input": "odd_input"}  # and networks of one unit
ONE_UNIT = {"one unit": "free", "one unit, inputs tied": "input"}
TRIED = "Three slopes, two training laws, two initial scales, three rates; networks of one unit as a control."


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/C5.yaml``."""
    own, seeds = claim.settings, claim.settings["seeds"]
    curves = leaky_curves(own, experiments)
    judged = judge_along_axes(verdict, lambda place, v: at(curves, place, v), claim.thresholds, own)
    reference = places(own)["reference"]
    slower = summary(10 ** slowdown(curves, "full", "free", reference), seeds)
    numbers: dict[str, Any] = judged.numbers()
    for name, place in places(own).items():
        numbers[f"factor_of_time, {name}"] = {
            f"full over {other}": summary(10 ** slowdown(curves, "full", other, place), seeds)
            for other in curves.names
            if other != "full"
        }
        numbers[f"share_that_rises, {name}"] = {
            network: summary(curves.mean(network, place, "rising"), seeds) for network in curves.names
        }
    numbers["slope_by_slope"] = {
        f"slope {slope:g}": summary(10 ** slowdown(curves, "full", "free", reference, grid), seeds)
        for grid, slope in enumerate(own["slopes"])
    }
    numbers["share_that_learned"] = {name: float(curves.mean(name, reference, "learned")[0]) for name in curves.names}
    numbers["plateaus"] = {name: float(curves.mean(name, reference, "plateaus")[0]) for name in ("free", "full")}
    numbers["alignment"] = alignment_numbers(claim, experiments)
    shown = "Error on the training law of some members (thin), and ten to the mean log error (bold)."
    drawings = [
        Drawing("curves", shown, draw_curves(curves, ("free", "full", "one unit"), own["slopes"], reference)),
        Drawing("times", "Share of members that have not learned yet.", draw_waiting(curves, own["slopes"], reference)),
        Drawing("alignment", "Agreement of descents, and frustration of pulls.", draw_alignment(numbers["alignment"])),
    ]
    effect = Effect.of("steps to learn, fully tied over free networks, a factor", slower)
    tried = "" if judged.verdict == "reproduced" else TRIED
    return Finding(judged.verdict, effect, numbers, drawings, tried, [judged.sentence(), *remarks(numbers)])


def leaky_curves(own: Mapping[str, Any], experiments: Experiments, names: Sequence[str] = ()) -> TrainingCurves:
    """Curves of leaky-ReLU networks of one hidden layer, the same for all claims that need some of them.

    Args:
        own: settings: those of C5.
        experiments: of the report.
        names: of the networks; all by default.
    """
    sizes = {name: (symmetry, own["width"]) for name, symmetry in NETWORKS.items()}
    sizes |= {name: (symmetry, 1) for name, symmetry in ONE_UNIT.items()}
    networks = {
        name: {
            "model": f"mlp_leaky_relu_{symmetry}",
            "arguments": {"width": width, "negative_slope": own["slopes"]},
        }
        for name, (symmetry, width) in sizes.items()
        if not names or name in names
    }
    return train_curves(networks, {**own, **own["curves"]}, experiments)


def slowdown(curves: TrainingCurves, first: str, second: str, place: Setting, grid: int | None = None) -> Versions:
    """log10 of the ratio of geometric means of the steps to learn."""
    return curves.mean(first, place, "log_time", grid) - curves.mean(second, place, "log_time", grid)


def at(curves: TrainingCurves, place: Setting, version: int) -> dict[str, float]:
    """What the rule speaks of, for one version."""
    rising = curves.mean("full", place, "rising") - curves.mean("free", place, "rising")
    return {
        "over_free": float(slowdown(curves, "full", "free", place)[version]),
        "over_one_unit": float(slowdown(curves, "full", "one unit", place)[version]),
        "rising": float(rising[version]),
    }


def verdict(numbers: Mapping[str, float], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Args:
        numbers: ``over_free`` and ``over_one_unit``, log10 of factors of time; ``rising``, a difference of shares.
        thresholds: ``slower`` and ``share``.

    Example:
        >>> verdict({"over_free": 0.5, "over_one_unit": -0.1, "rising": 0.2}, {"slower": 2.0, "share": 0.1})
        'partly'
    """
    least = np.log10(thresholds["slower"])
    slower, own = numbers["over_free"] >= least, numbers["over_one_unit"] >= least
    rising = numbers["rising"] >= thresholds["share"]
    if slower and own and rising:
        return "reproduced"
    return "partly" if slower or rising else "not reproduced"


def alignment_numbers(claim: Claim, experiments: Experiments) -> dict[str, Any]:
    """Agreement and frustration over training, for every symmetry: means over members, those at rest left out."""
    asked = [{**claim.settings["alignment"], "symmetry": name} for name in NETWORKS]
    results = experiments.compute_many("gradient_alignment", asked, gradient_alignment)
    return {
        name: {
            "steps": one["steps"],
            "solutions": one["solutions"],
            "agreement": [_mean(row) for row in one["agreement"]],
            "frustration": [_mean(row) for row in one["frustration"]],
        }
        for name, one in zip(NETWORKS, results, strict=True)
    }


def _mean(row: Sequence[float | None]) -> float:
    known = [value for value in row if value is not None]
    return float(np.mean(known)) if known else np.nan


def remarks(numbers: Mapping[str, Any]) -> list[str]:
    """The summary for a physicist."""
    factors = numbers["factor_of_time, reference"]
    rising = numbers["share_that_rises, reference"]
    slopes = ", ".join(f"{one['value']:.2g} at {slope}" for slope, one in numbers["slope_by_slope"].items())
    ends = ", ".join(f"{name} {one['solutions']}" for name, one in numbers["alignment"].items())
    return [
        f"Fully tied networks take {factors['full over free']['value']:.2g} times the steps of free ones ({slopes}), and "
        f"{factors['full over one unit']['value']:.2g} times those of one free unit. A fully tied layer is one unit "
        f"whatever its width: "
        "where one untied unit is as slow, the reason is that there is one kink and nothing to cancel it, not the symmetry.",
        f"Curves that rise: {rising['full']['value']:.0%} of fully tied networks, {rising['free']['value']:.0%} of free ones, "
        f"{rising['one unit']['value']:.0%} of single units. Plateaus a curve: {numbers['plateaus']['full']:.2f} against "
        f"{numbers['plateaus']['free']:.2f}, which the rule does not count.",
        "Two fully tied hidden layers can represent the map, as φ(−φ(z)) = −s·z for the leaky ReLU of slope s: the "
        "second layer "
        "turns over what the first has bent.",
        f"Distinct networks that the members of one stack end in (units matched): {ends}.",
    ]
