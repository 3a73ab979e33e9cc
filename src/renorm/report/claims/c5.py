"""C5: leaky ReLU with symmetric weights, frustrated dynamics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...member_bootstrap import bootstrap
from ..claim import Claim
from ..competition import gradient_alignment
from ..curves import count_plateaus, loss_curves, rises, times_to
from ..experiments import Experiments
from ..finding import Drawing, Effect, Finding
from ..samples import Sample
from .c5_figures import draw_alignment, draw_curves, draw_times

Dynamics = dict[str, Sample]  # one number a member, by name


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/C5.yaml``."""
    conditions = [(name, depth) for depth in claim.settings["depths"] for name in claim.settings["symmetries"]]
    asked = [curve_settings(claim.settings["curves"], name, depth) for name, depth in conditions]
    curves = dict(zip(conditions, experiments.compute_many("loss_curves", asked, loss_curves), strict=True))
    floor, seed = claim.thresholds["learned"], experiments.seed
    found = {key: dynamics(result, floor) for key, result in curves.items()}
    slower = slowdown(found["full", 1], found["free", 1], seed)
    numbers: dict[str, Any] = {
        "slower": slower,
        "more_often_rising": difference(found, "rise", lambda values: values >= claim.thresholds["rise"], seed),
        "more_plateaus": difference(found, "plateaus", lambda values: values, seed),
        "dynamics": {
            f"{name}, depth {depth}": described_dynamics(one, curves[name, depth], claim.thresholds["rise"])
            for (name, depth), one in found.items()
        },
        "alignment": alignment_numbers(claim, experiments),
    }
    drawings = [
        Drawing(
            "curves",
            "Loss of some members (thin) and the median (bold), one hidden layer.",
            draw_curves(curves, 1, floor),
        ),
        Drawing("times", "Share of members that have not learned yet.", draw_times(curves, found)),
        Drawing("alignment", "Agreement of descents, and frustration of pulls.", draw_alignment(numbers["alignment"])),
    ]
    answer = verdict(numbers, claim.thresholds)
    effect = Effect("time to learn, full over free, a factor", *(slower[name] for name in ("factor", "low", "high")))
    tried = "" if answer == "reproduced" else TRIED
    return Finding(answer, effect, numbers, drawings, tried, remarks(numbers))


TRIED = (
    "Three slopes, one and two hidden layers, and three marks of frustration besides the time: rises of the "
    "loss, plateaus, and gradients "
    "whose pulls cancel. Numbers for every slope are in claims.json."
)


def curve_settings(curves: Mapping[str, Any], symmetry: str, depth: int) -> dict[str, Any]:
    """The settings of one stack of loss curves, the same for all claims that need it."""
    return {**curves, "symmetry": symmetry, "depth": depth, "cost": depth}


def dynamics(result: Mapping[str, Any], floor: float) -> Dynamics:
    """One number a member: time, rise, plateaus, final loss, slope."""
    loss = np.array(result["loss"], dtype=float)
    steps = result["steps"]
    times = times_to(steps, loss, floor)
    return {
        "time": times,
        "log_time": np.log10(np.minimum(times, steps[-1])),
        "rise": rises(loss, floor),
        "plateaus": count_plateaus(steps, loss, floor),
        "final": np.where(np.isnan(loss[:, -1]), np.inf, loss[:, -1]),
        "slope": np.array(result["negative_slope"]),
    }


def difference(found: Mapping[tuple[str, int], Dynamics], name: str, count: Any, seed: int) -> dict[str, float]:
    """Difference of means between fully tied and free networks of one hidden layer, with its interval."""
    samples = [np.asarray(count(found[symmetry, 1][name]), dtype=float) for symmetry in ("full", "free")]
    value, low, high = bootstrap(mean_difference, *samples, seed=seed)
    return {"difference": value, "low": low, "high": high}


def mean_difference(first: Sample, second: Sample, axis: int = -1) -> Any:
    """Difference of two means."""
    return np.mean(first, axis=axis) - np.mean(second, axis=axis)


def slowdown(first: Dynamics, second: Dynamics, seed: int) -> dict[str, float]:
    """Ratio of the geometric means of the times to learn, members that never do counted at the budget."""
    found = bootstrap(mean_difference, first["log_time"], second["log_time"], seed=seed)
    return {name: float(10**value) for name, value in zip(("factor", "low", "high"), found, strict=True)}


def verdict(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim."""
    slower = numbers["slower"]["low"] > thresholds["slower"]
    rising = numbers["more_often_rising"]["difference"] >= thresholds["share"]
    resting = numbers["more_plateaus"]["difference"] >= thresholds["plateaus"]
    return ("not reproduced", "partly", "reproduced")[slower + (rising or resting)]


def described_dynamics(one: Dynamics, result: Mapping[str, Any], rise: float) -> dict[str, Any]:
    """Shares, means and spreads over members, all slopes together and slope by slope."""
    found = {"all slopes": _described(one, np.ones(len(one["slope"]), dtype=bool), rise)}
    for slope in np.unique(one["slope"]):
        found[f"slope {slope:g}"] = _described(one, one["slope"] == slope, rise)
    if "turned" in result:
        found["turned"] = turned_numbers(one, np.array(result["turned"], dtype=bool))
    return found


def _described(one: Dynamics, rows: Any, rise: float) -> dict[str, float]:
    final = np.log10(np.maximum(one["final"][rows], 1e-16))
    quartiles = np.quantile(final, [0.25, 0.75], method="nearest")
    return {
        "learned": float(np.isfinite(one["time"][rows]).mean()),
        "mean_log10_time": float(one["log_time"][rows].mean()),
        "rising": float((one["rise"][rows] >= rise).mean()),
        "plateaus": float(one["plateaus"][rows].mean()),
        "median_log10_final_loss": float(np.median(final)),
        "final_loss_spread_decades": float(quartiles[1] - quartiles[0]),
    }


def turned_numbers(one: Dynamics, turned: Any) -> dict[str, float]:
    """For two hidden layers: how many members have the sign that undoes the bend, and how many of either sign learn."""
    learned = np.isfinite(one["time"])
    return {
        "share": float(turned.mean()),
        "learned_if_turned": float(learned[turned].mean()) if turned.any() else np.nan,
        "learned_if_not": float(learned[~turned].mean()) if not turned.all() else np.nan,
    }


def alignment_numbers(claim: Claim, experiments: Experiments) -> dict[str, Any]:
    """Agreement and frustration over training, for every symmetry: means over members, those at rest left out."""
    names = claim.settings["symmetries"]
    asked = [{**claim.settings["alignment"], "symmetry": name} for name in names]
    results = experiments.compute_many("gradient_alignment", asked, gradient_alignment)
    return {
        name: {
            "steps": one["steps"],
            "solutions": one["solutions"],
            "agreement": [_mean(row) for row in one["agreement"]],
            "frustration": [_mean(row) for row in one["frustration"]],
        }
        for name, one in zip(names, results, strict=True)
    }


def _mean(row: Sequence[float | None]) -> float:
    known = [value for value in row if value is not None]
    return float(np.mean(known)) if known else np.nan


def remarks(numbers: Mapping[str, Any]) -> list[str]:
    """The summary for a physicist."""
    full, free = (numbers["dynamics"][f"{name}, depth 1"]["all slopes"] for name in ("full", "free"))
    found = [
        f"One hidden layer: {full['learned']:.0%} of fully tied networks reach the threshold against "
        f"{free['learned']:.0%} of free ones; "
        f"{full['rising']:.0%} against {free['rising']:.0%} of the curves rise; {full['plateaus']:.2f} against "
        f"{free['plateaus']:.2f} plateaus on average."
    ]
    turned = numbers["dynamics"].get("full, depth 2", {}).get("turned")
    if turned is not None:
        found.append(
            "Two fully tied hidden layers represent the map exactly if the second turns over what the first has bent, "
            "φ(−φ(z)) = −s·z: a sign, which gradient descent inherits from the initial weights. "
            f"{turned['share']:.0%} of the members end with that sign; of them "
            f"{_share(turned['learned_if_turned'])} learn, of the others "
            f"{_share(turned['learned_if_not'])}."
        )
    ends = ", ".join(f"{name} {one['solutions']}" for name, one in numbers["alignment"].items())
    found.append(f"Distinct networks that the members of one stack end in (units matched): {ends}.")
    return found


def _share(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.0%}"
