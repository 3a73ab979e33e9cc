"""S4: do free networks restore the map's symmetry, and does what they end near predict how they generalise?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from ..axes import Setting, judge_along_axes, places
from ..breaking import follow_symmetries
from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..held_out import held_out
from ..seed_statistics import RESAMPLES, Versions, mean_log, summary, worst
from ..seeded import SHARED

TRIED = "Three activations, two training laws, two initial scales, three learning rates; six symmetries, in weights and function."
OWN = "odd_input"  # the symmetry of the map
CURVES = ("input", "hidden", "odd", "odd_input", "odd_input_reflected", "odd, function", "input, function")

Runs = Mapping[tuple[str, str], Mapping[str, Any]]  # (activation, training law) -> result of follow_symmetries


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/S4.yaml``."""
    own, seed, seeds = claim.settings, experiments.seed, claim.settings["seeds"]
    runs = run_cells(claim, experiments)
    found = {
        place: {name: measure(runs[name, place.law], own, place, seed) for name in own["activations"]}
        for place in places(own).values()
    }
    judged = judge_along_axes(verdict, lambda place, v: at(found[place], v), claim.thresholds, own)
    reference = next(iter(places(own).values()))
    smallest = summary(np.min([one["predicts", OWN] for one in found[reference].values()], axis=0), seeds)
    effect = Effect.of(
        "partial rank correlation of the distance to odd_input with the error beyond the training law, least over activations",
        smallest,
    )
    numbers: dict[str, Any] = judged.numbers() | {
        name: {
            activation: {f"{what}, {symmetry}": summary(values, seeds) for (what, symmetry), values in one.items()}
            for activation, one in found[place].items()
        }
        for name, place in places(own).items()
    }
    drawings = [
        Drawing(
            "distances",
            "Relative squared distance to the nearest symmetric network over training, mean over members of its "
            "logarithm, uniform law, scale 1, at the rate "
            "that is best on the training law; dashed: the share of the output that breaks the symmetry.",
            draw_distances(own, runs, reference, seed),
        ),
        Drawing(
            "predicts",
            "Each member a point: error on the worst law beyond the training law against the distance to odd_input "
            "at the end, at the same rate.",
            draw_members(own, runs, reference, seed),
        ),
    ]
    return Finding(
        judged.verdict,
        effect,
        numbers,
        drawings,
        "" if judged.verdict == "yes" else TRIED,
        remarks(found[reference], judged.sentence()),
    )


def run_cells(claim: Claim, experiments: Experiments) -> dict[tuple[str, str], dict[str, Any]]:
    """Results of :func:`renorm.report.breaking.follow_symmetries` by activation and training law."""
    own = claim.settings
    keys = [(name, law) for name in own["activations"] for law in own["laws"]]
    shared = {key: own[key] for key in (*SHARED, "scales")} | {
        "map": "central_limit()",
        "block_size": 2,
        "mirrored": False,
    }
    conditions = [
        shared | dict(own["activations"][name]) | {"law": law, "tests": [law, *held_out(law).extrapolation]}
        for name, law in keys
    ]
    return dict(zip(keys, experiments.compute_many("symmetries", conditions, follow_symmetries), strict=True))


def measure(
    run: Mapping[str, Any], own: Mapping[str, Any], place: Setting, seed: int
) -> dict[tuple[str, str], Versions]:
    """What the rule and the page speak of, of one activation at one place, in versions, shape ``(V,)`` each.

    Returns:
        (``restored``, symmetry): log10 of the distance at the end over that at the start; (``predicts``, symmetry): partial rank
        correlation of the distance at the end with the error beyond the training law, given that on it; (``correlates``,
        symmetry): the plain one. Where the place has no rate, it is the best on the training law, chosen in each version.
    """
    scale = own["scales"].index(place.scale)
    laws = held_out(place.law).extrapolation
    trained = np.asarray(run["errors"][place.law])[scale]
    beyond = worst({law: np.asarray(run["errors"][law])[scale] for law in laws}, laws)
    logs = mean_log(trained, seed)
    rates = np.full(len(logs), own["rates"].index(place.rate)) if place.rate is not None else logs.argmin(axis=-1)
    found: dict[tuple[str, str], Versions] = {}
    for name, values in run["distances"].items():
        distances = np.asarray(values)[:, scale]
        changes = mean_log(distances[-1], seed) - mean_log(distances[0], seed)
        both = correlations(distances[-1], beyond, trained, seed)
        for what, by_rate in (("restored", changes), *both.items()):
            found[what, name] = by_rate[np.arange(len(by_rate)), rates]
    return found


def correlations(x: ArrayLike, y: ArrayLike, given: ArrayLike, seed: int = 0) -> dict[str, Versions]:
    """Rank correlations of x and y over members, the mean over seeds, in versions as :func:`.mean_log` has them.

    Args:
        x: shape ``(..., S, R)``, seeds and members.
        y: same shape.
        given: same shape; what is held fixed in the partial correlation.
        seed: of the resampling.

    Returns:
        ``predicts``, the partial correlation, and ``correlates``, the plain one, shape ``(1 + S + resamples, ...)`` each.

    Example:
        >>> x = np.array([[1.0, 2.0, 3.0, 4.0]])
        >>> round(float(correlations(x, x**2, [[2.0, 1.0, 4.0, 3.0]])["predicts"][0]), 6)
        1.0
    """
    samples = [np.asarray(values, dtype=float) for values in (x, y, given)]
    seeds, members = samples[0].shape[-2:]
    random = np.random.default_rng(seed)
    chosen = random.integers(seeds, size=(RESAMPLES, seeds, 1))
    drawn = random.integers(members, size=(RESAMPLES, seeds, members))

    def both(values: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        ranks = [rankdata(one, axis=-1) for one in values]
        ranks = [one - one.mean(axis=-1, keepdims=True) for one in ranks]
        with np.errstate(invalid="ignore", divide="ignore"):
            xy, xz, yz = (
                (a * b).sum(axis=-1) / np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
                for a, b in ((ranks[0], ranks[1]), (ranks[0], ranks[2]), (ranks[1], ranks[2]))
            )
            partial = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
        return np.nan_to_num(xy), np.nan_to_num(partial)  # nothing varies: nothing is predicted

    def versions(of_seeds: NDArray[np.float64], of_resamples: NDArray[np.float64]) -> Versions:
        return np.stack([of_seeds.mean(axis=-1), *np.moveaxis(of_seeds, -1, 0), *np.moveaxis(of_resamples, -1, 0)])

    found = both(samples)
    resampled = both([values[..., chosen, drawn] for values in samples])
    return {
        name: versions(whole, part.mean(axis=-1))
        for name, whole, part in zip(("correlates", "predicts"), found, resampled, strict=True)
    }


def at(found: Mapping[str, Mapping[tuple[str, str], Versions]], version: int) -> dict[str, dict[str, float]]:
    """What the rule speaks of, for one version."""
    return {
        name: {what: float(one[what, OWN][version]) for what in ("restored", "predicts")} for name, one in found.items()
    }


def verdict(numbers: Mapping[str, Mapping[str, float]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the question.

    Args:
        numbers: activation -> ``restored``, log10 of the distance at the end over the start, and ``predicts``.
        thresholds: ``restored``, a factor, and ``predicts``.

    Example:
        >>> verdict({"relu": {"restored": -1.0, "predicts": 0.1}}, {"restored": 2, "predicts": 0.3})
        'partly'
    """
    restored = [one["restored"] <= -np.log10(thresholds["restored"]) for one in numbers.values()]
    predicts = [one["predicts"] >= thresholds["predicts"] for one in numbers.values()]
    if all(restored) and all(predicts):
        return "yes"
    both = any(a and b for a, b in zip(restored, predicts, strict=True))
    return "partly" if all(restored) or all(predicts) or both else "no"


def remarks(found: Mapping[str, Mapping[tuple[str, str], Versions]], sentence: str) -> list[str]:
    """Which symmetries training restores, which it breaks, and which predict, in words."""

    def listed(what: str, form: str) -> str:
        return "; ".join(
            f"{activation}: " + ", ".join(f"{name} {form.format(one[what, name][0])}" for name in CURVES)
            for activation, one in found.items()
        )

    return [
        sentence,
        "log10 of the distance at the end over the start (negative: restored), reference. "
        + listed("restored", "{:+.2f}")
        + ".",
        "Partial rank correlation with the error beyond the training law, reference. "
        + listed("predicts", "{:+.2f}")
        + ".",
        "A network need not have symmetric weights to compute a symmetric function: a linear one is odd whatever its "
        "weights, once the "
        "biases cancel. So the share of the output that breaks the symmetry is given beside the distance of the weights.",
    ]


def best_of(run: Mapping[str, Any], place: Setting, own: Mapping[str, Any], seed: int) -> tuple[int, int]:
    """Position of the scale of a place, and of its rate or the best one on the training law."""
    scale = own["scales"].index(place.scale)
    return scale, int(mean_log(np.asarray(run["errors"][place.law])[scale], seed)[0].argmin())


def draw_distances(own: Mapping[str, Any], runs: Runs, place: Setting, seed: int) -> Figure:
    """A panel an activation, a colour a symmetry."""
    figure, panels = panel_grid(1, len(own["activations"]), height=3.6, sharey=True)
    for axes, name in zip(panels[0], own["activations"], strict=True):
        run = runs[name, place.law]
        scale, rate = best_of(run, place, own, seed)
        for symmetry, colour in zip(CURVES[:5], COLOURS, strict=False):
            curve = mean_log(np.asarray(run["distances"][symmetry])[:, scale, rate], seed)[0]
            axes.plot(own["stops"], 10**curve, marker=".", color=colour, label=symmetry)
        for symmetry, colour in (("odd, function", COLOURS[2]), ("input, function", COLOURS[0])):
            curve = mean_log(np.asarray(run["distances"][symmetry])[:, scale, rate], seed)[0]
            axes.plot(own["stops"], 10**curve, "--", color=colour, label=symmetry)
        axes.set_title(name, fontsize="small")
        axes.set_xscale("symlog", linthresh=max(1, own["stops"][1]))
        axes.set_yscale("log")
        axes.set_xlabel("steps")
        axes.grid(alpha=0.3, linewidth=0.5)
    panels[0, 0].set_ylabel("relative squared distance")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="x-small")
    return figure


def draw_members(own: Mapping[str, Any], runs: Runs, place: Setting, seed: int) -> Figure:
    """A panel an activation, a colour a seed."""
    figure, panels = panel_grid(1, len(own["activations"]), height=3.2)
    laws = held_out(place.law).extrapolation
    for axes, name in zip(panels[0], own["activations"], strict=True):
        run = runs[name, place.law]
        scale, rate = best_of(run, place, own, seed)
        distances = np.asarray(run["distances"][OWN])[-1, scale, rate]
        errors = worst({law: np.asarray(run["errors"][law])[scale, rate] for law in laws}, laws)
        for x, y, colour in zip(distances, errors, COLOURS, strict=False):
            axes.plot(x, y, ".", color=colour, markersize=4, alpha=0.7)
        axes.set_title(name, fontsize="small")
        axes.set_yscale("log")
        axes.set_xlabel("distance to odd_input")
        axes.grid(alpha=0.3, linewidth=0.5)
    panels[0, 0].set_ylabel("error, worst law beyond")
    return figure
