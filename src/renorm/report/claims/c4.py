"""C4: is the change of the error with the slope of a leaky ReLU a transition, or a crossover in training time?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ..axes import REFERENCE, judge_at
from ..claim import Claim
from ..experiments import Experiments
from ..finding import Effect, Finding
from ..held_out import short_name
from ..reduced_flow import Descent, descent_numbers
from ..seed_statistics import summary
from ..slope_curves import SlopeCurves, train_places
from ..slopes import descend
from ..trained_networks import OnBothSets
from .c4_figures import draw_all

TWOFOLD = float(np.log10(2))  # decades, of a fall from which a peak is shown
SETS = ("trained", "extrapolation", "interpolation")
TRIED = (
    "Four widths, three learning rates, Adam and gradient descent, two training laws, two initial scales, budgets over a "
    "factor of 24; every held-out law by itself; the order parameter, its variance and its Binder cumulant."
)
PRIOR_WORK = (
    "Prior work: Liu (arXiv 2510.25060) takes the slope as a parameter of the loss landscape, for Gaussian inputs and a "
    "teacher that is a network of the student's kind, and finds bifurcations at slope 0 only, none between 0 and 1. Task and "
    "question are others here, training times in place of minima: that theory does not speak of these networks."
)


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/C4.yaml``."""
    own, seeds, least = claim.settings, claim.settings["seeds"], claim.thresholds["fall"]
    places = train_places(own, experiments)
    descents = run_descents(own, experiments)
    judged = OnBothSets(
        *(judge_at(verdict, partial(at, over, least), claim.thresholds, places, seeds) for over in SETS[1:])
    )
    reference = places[REFERENCE]
    u, times = reference.u, own["descents"]["lr"] * reference.t
    numbers: dict[str, Any] = judged.numbers() | {
        "fall_at_two_budgets": {
            name: {over: summary(curves.fall_at_two(over), seeds) for over in SETS} for name, curves in places.items()
        },
        "largest_fall_law_by_law": {name: curves.by_law() for name, curves in places.items()},
        "peak_on_the_training_law": {name: curves.peak("trained", TWOFOLD) for name, curves in places.items()},
        "collapse": {name: curves.collapse() for name, curves in places.items()},
        "order": {name: order_numbers(curves, seeds) for name, curves in of_widths(places).items()},
        "descent": {
            f"width {width}": descent_numbers(u, times, one, seeds, experiments.seed) for width, one in descents.items()
        },
    }
    effect = Effect.of(
        "power p of the steps with which the peak on the training law nears slope 1, as steps^-p; a transition has 0",
        numbers["peak_on_the_training_law"][REFERENCE]["power"],
    )
    answer = judged.beyond.verdict
    tried = "" if answer == "reproduced" else TRIED
    figures = draw_all(places, of_widths(places), numbers, descents, times)
    return Finding(answer, effect, numbers, figures, tried, [*judged.sentences(), *remarks(numbers, least)])


def run_descents(own: Mapping[str, Any], experiments: Experiments) -> dict[int, Descent]:
    """Full-batch descent by width; there are no batches to draw, so that seeds are groups of members of one stack."""
    settings, seeds = own["descents"], own["seeds"]
    common = {name: own[name] for name in ("distances", "stops", "batch")} | own["reference"]
    common |= {"optimizer": "SGD", "lr": settings["lr"], "points": settings["points"]}
    asked = [
        common | {"width": width, "members": seeds * settings["members"], "cost": 10 * width}
        for width in settings["widths"]
    ]
    found = experiments.compute_many("descent", asked, descend)
    return {width: Descent.of(one, seeds) for width, one in zip(settings["widths"], found, strict=True)}


def of_widths(places: Mapping[str, SlopeCurves]) -> dict[str, SlopeCurves]:
    """The places that differ from the reference in their width at most, narrowest first."""
    reference = places[REFERENCE].place
    alike = [curves for curves in places.values() if {**curves.place, "width": 0} == {**reference, "width": 0}]
    return {
        f"width {curves.place['width']}": curves for curves in sorted(alike, key=lambda one: int(one.place["width"]))
    }


def order_numbers(curves: SlopeCurves, seeds: int) -> dict[str, Any]:
    """The order parameter at the last budget: width x variance, largest over slopes, and Binder cumulants by slope."""
    order = curves.order()
    return {
        "width_times_variance": summary(curves.place["width"] * order["variance"].max(axis=-1), seeds),
        "binder": order["binder"][0],
    }


def at(over: str, least: float, curves: SlopeCurves, version: int) -> dict[str, float]:
    """What the rule speaks of, on one set of laws, at one place, for one version."""
    return {
        "fall": float(curves.fall_at_two(over)[version]),
        "fall_trained": float(curves.fall_at_two("trained")[version]),
        "power": float(curves.power(over, least)[version]),
    }


def verdict(numbers: Mapping[str, float], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Args:
        numbers: ``fall`` on the set of laws and ``fall_trained``, in decades, at two budgets or more; ``power`` of the steps
            with which the peak on the set moves.
        thresholds: ``fall`` and ``moves``.

    Example:
        >>> verdict({"fall": 1.5, "fall_trained": 2.0, "power": 0.5}, {"fall": 1, "moves": 0.2})
        'partly'
    """
    if numbers["fall"] >= thresholds["fall"] and abs(numbers["power"]) < thresholds["moves"]:
        return "reproduced"
    return "partly" if max(numbers["fall"], numbers["fall_trained"]) >= thresholds["fall"] else "not reproduced"


def remarks(numbers: Mapping[str, Any], least: float) -> list[str]:
    """Falls law by law, the way of the peak, the derived loss, and the order parameter, in words."""
    peaks, collapses = numbers["peak_on_the_training_law"], numbers["collapse"]
    powers = "; ".join(f"{name} {_interval(one['power'])}" for name, one in peaks.items())
    widths = ", ".join(f"{width:.1f}" if np.isfinite(width) else "none" for width in peaks[REFERENCE]["decades_wide"])
    exponents = "; ".join(
        f"{name} {_interval(one['exponent'])}" for name, one in collapses.items() if "exponent" in one
    )
    descents = "; ".join(f"{name} {_interval(one['exponent'])}" for name, one in numbers["descent"].items())
    variances = "; ".join(
        f"{name} {_interval(one['width_times_variance'], 3)}" for name, one in numbers["order"].items()
    )
    return [
        law_by_law(numbers["largest_fall_law_by_law"][REFERENCE], least),
        f"1 - slope at the peak on the training law goes as steps^-p over the budgets with a fall of two-fold or more: {powers}. "
        "(none: fewer than two budgets have one.) A transition would have 0; gradient descent must have 1/2, as "
        "docs/findings.md derives; nothing fixes Adam's. The peak of a transition would sharpen: the full width at half height "
        f"of the reference's is {widths} decades at the budgets (none: it does not fall to half on both sides).",
        f"Exponents x of the collapse on the training law: {exponents or 'none'}. Full-batch descent: {descents}. Budgets count "
        "while the linear network next to them is solved to rounding, out of which Adam may throw it once its second moments "
        "have forgotten the early gradients.",
        theory(numbers["descent"]),
        f"Largest width x variance of the order parameter over slopes, reference and other widths: {variances}. At a "
        "transition it would grow with the width.",
        PRIOR_WORK,
    ]


def law_by_law(falls: Mapping[str, Mapping[str, float]], least: float) -> str:
    """Under which laws the error has a peak, and how far it falls from there."""
    peaked = {law: one for law, one in falls.items() if one["value"] >= least}
    shown = []
    for law in sorted(peaked, key=lambda law: -peaked[law]["value"]):
        value, low, high = (10 ** peaked[law][name] for name in ("value", "low", "high"))
        shown.append(f"{short_name(law)} {value:.3g} [{low:.3g}, {high:.3g}] at {peaked[law]['steps']:.0f} steps")
    rest = [f"{short_name(law)} {10 ** one['value']:.2g}" for law, one in falls.items() if law not in peaked]
    return (
        f"Law by law, at the reference (trained on {short_name(next(iter(falls)))}), factor by which the error falls from its "
        f"peak towards smaller slopes, at the budget where it falls most. {10**least:g} or more: {'; '.join(shown) or 'none'}. "
        f"Less, where 1 means no peak: {'; '.join(rest) or 'none'}."
    )


def theory(descents: Mapping[str, Mapping[str, Any]]) -> str:
    """How well the derived loss does, where kinks have moved."""
    parts = []
    for name, one in descents.items():
        bins = "; ".join(
            f"{left} {_interval(found)}, cells {found['cells_q05']:.2f} to {found['cells_q95']:.2f}"
            for left, found in one["ratio_by_loss_left"].items()
            if not left.startswith("0.99")
        )
        parts.append(f"{name}: {bins} (time to 1/e, measured over derived: {_interval(one['time_ratio'])})")
    return (
        "Loss of full-batch descent over the loss that is derived from the linear solution alone, to leading order in "
        "(1 - slope)/2 and with nothing fitted, by the share of the loss that is left: geometric mean with its interval, "
        f"and 5% to 95% of cells, each a member at a slope and a budget. {'. '.join(parts)}. Cells with more than 99% left, "
        "where nothing has moved and the ratio is 1 by construction, are no part of it."
    )


def _interval(found: Mapping[str, float], digits: int = 2) -> str:
    if not np.isfinite(found["value"]):
        return "none"
    return f"{found['value']:.{digits}f} [{found['low']:.{digits}f}, {found['high']:.{digits}f}]"
