"""C6a: do networks with learned splines and fixed weights overfit?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...callbacks.figures import shorten
from ..axes import Setting, judge_along_axes, places
from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..held_out import held_out
from ..seed_statistics import summary
from ..splines import train_splines
from ..trained_networks import KEYS, MAP, Over, TrainedNetworks

TRIED = "Free and fully tied weights, fixed and trained, bent and straight splines, two laws, two scales, three rates."
STARTS = ("bent", "straight")
WEIGHTS = ("fixed", "trained")
SETS: tuple[Over, ...] = ("interpolation", "extrapolation")


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/C6a.yaml``."""
    own, seeds = claim.settings, claim.settings["seeds"]
    networks, _ = run_variants(claim, experiments)
    judged = judge_along_axes(
        verdict, lambda place, v: at(networks, own["symmetries"], place, v), claim.thresholds, own
    )
    reference = next(iter(places(own).values()))
    first = own["symmetries"][0]
    contrast = networks.log_error(named(first, "fixed", "bent"), reference, "extrapolation") - networks.log_error(
        named(first, "trained", "bent"), reference, "extrapolation"
    )
    found = summary(contrast, seeds)
    effect = Effect.of(
        f"decades by which fixed weights are worse than trained ones beyond the training law, {first} weights, bent splines",
        found,
    )
    numbers: dict[str, Any] = judged.numbers() | {
        where: {
            f"{name}, {over}": summary(networks.log_error(name, place, over), seeds)
            for name in networks.names
            for over in ("trained", *SETS)
        }
        for where, place in places(own).items()
    }
    numbers["laws"] = by_law(networks, reference)
    drawings = [
        Drawing(
            "errors",
            "Mean log10 of the error with its 95% interval, on the training law and on the worst law of each "
            "held-out set; reference.",
            draw_sets(networks, reference, seeds),
        ),
        Drawing(
            "laws",
            "Mean log10 of the error law by law; those to the right of the dotted line are beyond the training law; reference.",
            draw_laws(networks, reference),
        ),
    ]
    remarks = [
        judged.sentence(),
        in_words(networks, own["symmetries"], reference),
        "Overfitting in the sense of statistics shows on laws within the training law's support; beyond it a spline "
        "is where it started, "
        "so that a large error there is extrapolation.",
    ]
    tried = "" if judged.verdict == "reproduced" else TRIED
    return Finding(judged.verdict, effect, numbers, drawings, tried, remarks)


def named(symmetry: str, weights: str, start: str) -> str:
    """What a variant is called.

    Example:
        >>> named("free", "fixed", "bent")
        'free, fixed weights, bent splines'
    """
    return f"{symmetry}, {weights} weights, {start} splines"


def run_variants(
    claim: Claim, experiments: Experiments
) -> tuple[TrainedNetworks, dict[tuple[str, str], list[dict[str, Any]]]]:
    """Errors of all variants, and the shapes of a member's splines by training law and variant; C6a and C6b share them."""
    own = claim.settings
    shared = MAP | {key: own[key] for key in KEYS}
    keys, conditions = [], []
    for law in own["laws"]:
        for symmetry in own["symmetries"]:
            for weights in WEIGHTS:
                for start in STARTS:
                    keys.append((law, named(symmetry, weights, start)))
                    model = f"mlp_spline_{symmetry}" + ("_fixed_weights" if weights == "fixed" else "")
                    tests = [law, *held_out(law).laws]
                    conditions.append(
                        shared | {"model": model, "arguments": {}, "start": start, "law": law, "tests": tests}
                    )
    found = dict(zip(keys, experiments.compute_many("splines", conditions, train_splines), strict=True))
    networks = TrainedNetworks({key: one["errors"] for key, one in found.items()}, own, experiments.seed)
    return networks, {key: one["shapes"] for key, one in found.items()}


def at(networks: TrainedNetworks, symmetries: list[str], place: Setting, version: int) -> dict[str, dict[str, float]]:
    """What the rule speaks of, at one place and in one version, by start and set: the least favourable symmetry counts."""
    found: dict[str, dict[str, float]] = {}
    for start in STARTS:
        for over in SETS:
            rows = []
            for symmetry in symmetries:
                fixed, trained = (named(symmetry, weights, start) for weights in WEIGHTS)
                learned, error = (networks.log_error(fixed, place, which)[version] for which in ("trained", over))
                rows.append((learned, error - learned, error - networks.log_error(trained, place, over)[version]))
            learned, rises, contrast = zip(*rows, strict=True)
            found[f"{start}, {over}"] = {
                "learned": float(max(learned)),
                "rises": float(min(rises)),
                "contrast": float(min(contrast)),
            }
    return found


def verdict(numbers: Mapping[str, Mapping[str, float]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Args:
        numbers: start and set -> ``learned``, log10 of the error on the training law; ``rises`` and ``contrast``, in decades.
        thresholds: ``learned``, an error, ``rises`` and ``contrast``.

    Example:
        >>> overfit = {"learned": -3.0, "rises": 2.0, "contrast": 1.0}
        >>> sets = ("bent, interpolation", "bent, extrapolation", "straight, extrapolation")
        >>> verdict(dict.fromkeys(sets, overfit), {"learned": 0.01, "rises": 1, "contrast": 0.3})
        'reproduced'
    """
    overfits = {
        name: one["learned"] <= np.log10(thresholds["learned"])
        and one["rises"] >= thresholds["rises"]
        and one["contrast"] >= thresholds["contrast"]
        for name, one in numbers.items()
    }
    beyond = overfits["bent, extrapolation"]
    if beyond and overfits["bent, interpolation"] and overfits["straight, extrapolation"]:
        return "reproduced"
    return "partly" if beyond else "not reproduced"


def in_words(networks: TrainedNetworks, symmetries: list[str], place: Setting) -> str:
    """Rise over the training law, and contrast to trained weights, of every set and start, as a sentence."""
    found = at(networks, symmetries, place, 0)
    return (
        "Fixed weights, the less favourable symmetry of each, reference: "
        + "; ".join(
            f"{name}: error on the training law 10^{one['learned']:.1f}, {one['rises']:+.1f} decades on the set, of "
            "which trained weights "
            f"spare {one['contrast']:+.1f}"
            for name, one in found.items()
        )
        + "."
    )


def by_law(networks: TrainedNetworks, place: Setting) -> dict[str, dict[str, float]]:
    """Mean log10 error of each variant under each law."""
    return {
        name: {law: float(networks.log_error(name, place, law)[0]) for law in (place.law, *held_out(place.law).laws)}
        for name in networks.names
    }


def draw_sets(networks: TrainedNetworks, place: Setting, seeds: int) -> Figure:
    """A group a set, a mark a variant."""
    figure, panels = panel_grid(1, 1, 4.0)
    axes = panels[0, 0]
    overs: tuple[Over, ...] = ("trained", *SETS)
    for i, name in enumerate(networks.names):
        logs = np.array([networks.log_error(name, place, over) for over in overs])
        low, high = np.quantile(logs[:, 1 + seeds :], [0.025, 0.975], axis=1)
        at_x = np.arange(len(overs)) + 0.09 * (i - (len(networks.names) - 1) / 2)
        value = logs[:, 0]
        bars = [np.maximum(value - low, 0), np.maximum(high - value, 0)]
        fill = COLOURS[i // 2] if name.endswith("bent splines") else "none"
        axes.errorbar(at_x, value, bars, fmt="o", color=COLOURS[i // 2], markerfacecolor=fill, markersize=5, label=name)
    axes.set_xticks(range(len(overs)), ["training law", *SETS])
    axes.set_ylabel("mean log10 relative MSE")
    axes.grid(alpha=0.3, linewidth=0.5)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="x-small")
    return figure


def draw_laws(networks: TrainedNetworks, place: Setting) -> Figure:
    """A column a law, a mark a variant."""
    figure, panels = panel_grid(1, 1, 4.6)
    axes = panels[0, 0]
    found = by_law(networks, place)
    laws = list(next(iter(found.values())))
    for i, (name, errors) in enumerate(found.items()):
        fill = COLOURS[i // 2] if name.endswith("bent splines") else "none"
        axes.plot(
            range(len(laws)),
            list(errors.values()),
            "o",
            color=COLOURS[i // 2],
            markerfacecolor=fill,
            markersize=4,
            label=name,
        )
    axes.axvline(len(held_out(place.law).interpolation) + 0.5, color="#808080", linestyle=":", linewidth=0.8)
    axes.set_xticks(range(len(laws)), [shorten(law, 26) for law in laws], rotation=35, ha="right", fontsize="x-small")
    axes.set_ylabel("mean log10 relative MSE")
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.legend(fontsize="xx-small")
    return figure
