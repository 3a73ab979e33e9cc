"""C2: fully tied quadratic networks cannot represent the map, and generalise poorly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...certificates.certificate import certify
from ...zoo.mlp import MLP
from ..axes import Setting, places
from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS, draw_networks, mark_threshold, panels, set_log
from ..finding import Drawing, Effect, Finding
from ..quadratic import RECURSION, tied_recursion
from ..samples import format_error
from ..seed_statistics import Versions, summary
from ..trained_networks import TrainedNetworks, judge_on_both_sets, perceptrons, train_networks

SYMMETRIES = ("free", "input", "hidden", "full")


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/C2.yaml``."""
    own, widths = claim.settings, claim.settings["widths"]
    asked = perceptrons(["quadratic"], SYMMETRIES, widths) | perceptrons(["quadratic"], ["free"], [1])
    networks = train_networks(asked, own, experiments)
    certificates = {name: experiments.compute("certificate", {"symmetry": name}, examine) for name in SYMMETRIES}
    judged = judge_on_both_sets(
        verdict,
        lambda over, place, v: at(networks, widths, place, over, v) | {"certificates": certificates},
        claim.thresholds,
        own,
    )
    reference = places(own)["reference"]
    least = np.min([to_free(networks, width, reference, "extrapolation") for width in widths], axis=0)
    found = summary(least, own["seeds"])
    numbers: dict[str, Any] = judged.numbers() | {
        "certificates": certificates,
        "mean_log_error": {name: networks.described(name, reference, "extrapolation") for name in networks.names},
        "law_by_law": {name: networks.by_law(name, reference) for name in networks.names},
        "mean_log_error_by_steps": budget_errors(claim, experiments),
        "tied_networks": tied_numbers(claim, experiments),
    }
    for name, place in places(own).items():
        numbers[f"decades of full over free, {name}"] = {
            f"width {width}": summary(to_free(networks, width, place, "extrapolation"), own["seeds"])
            for width in widths
        }
    effect = Effect.of("decades of fully tied over free networks beyond the training law, least over widths", found)
    members = (
        "Each point is a network, under the law beyond the training law (uniform) where its error is the largest; "
        "bars: ten to the "
        "mean log error, with the 95% interval over seeds and members."
    )
    drawings = [
        Drawing("errors", members, draw(claim, networks, widths, reference)),
        Drawing(
            "budgets",
            "Ten to the mean log error over the training budget, with 95% intervals.",
            draw_budgets(numbers["mean_log_error_by_steps"]),
        ),
    ]
    tried = (
        ""
        if judged.beyond.verdict == "reproduced"
        else "Widths, training budgets, two training laws, two initial scales, three rates."
    )
    about = remarks(networks, widths, reference, numbers)
    return Finding(judged.beyond.verdict, effect, numbers, drawings, tried, [*judged.sentences(), *about])


def examine(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The certificate of a quadratic network 2-8-1 of some symmetry, without its weights."""
    found = certify(MLP(activation="quadratic", symmetry=settings["symmetry"])).to_dict()
    return {name: value for name, value in found.items() if name != "weights"}


def to_free(networks: TrainedNetworks, width: int, place: Setting, over: str) -> Versions:
    """Decades of fully tied over free networks."""
    full, free = (networks.log_error(f"quadratic {name}, {width}", place, over) for name in ("full", "free"))
    return full - free


def at(networks: TrainedNetworks, widths: Sequence[int], place: Setting, over: str, version: int) -> dict[str, Any]:
    """The errors that the rule speaks of, a number a width, for one version."""
    return {
        "full": [float(networks.log_error(f"quadratic full, {width}", place, over)[version]) for width in widths],
        "full_over_free": [float(to_free(networks, width, place, over)[version]) for width in widths],
    }


def verdict(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim, from certificates and errors in decades, a number a width."""
    certified = (
        numbers["certificates"]["full"]["verdict"] == "not representable"
        and numbers["certificates"]["free"]["verdict"] == "representable"
    )
    generalises, worse = np.log10(thresholds["generalises"]), np.log10(thresholds["worse"])
    pairs = zip(numbers["full"], numbers["full_over_free"], strict=True)
    poor = [full >= generalises and ratio >= worse for full, ratio in pairs]
    if certified and all(poor):
        return "reproduced"
    return "partly" if certified or any(poor) else "not reproduced"


def budget_errors(claim: Claim, experiments: Experiments) -> dict[str, dict[str, dict[str, float]]]:
    """Network -> steps -> mean log error beyond the training law."""
    own = dict(claim.settings) | claim.settings["budgets"]
    networks = train_networks(perceptrons(["quadratic"], ["free", "full"], [own["width"]]), own, experiments)
    reference = places(own)["reference"]
    return {
        name: {
            str(steps): summary(networks.log_error(name, reference, "extrapolation", step), own["seeds"])
            for step, steps in enumerate(own["stops"])
        }
        for name in networks.names
    }


def tied_numbers(claim: Claim, experiments: Experiments) -> dict[str, Any]:
    """Medians over fully tied networks: coefficients, outer weight, residuals of the recursion."""
    found = experiments.compute("tied_recursion", claim.settings["recursion"], tied_recursion)
    a, b, c = np.median(np.array(found["coefficients"]), axis=1)
    residuals = {
        law: {f"k{n}": float(np.median(np.abs(values))) for n, values in enumerate(orders, start=1)}
        for law, orders in found["residuals"].items()
    }
    outer = float(np.median(found["outer"]))
    return {
        "A": float(a),
        "B": float(b),
        "C": float(c),
        "largest_outer_weight": outer,
        "recursion_residuals": residuals,
    }


def remarks(
    networks: TrainedNetworks, widths: Sequence[int], reference: Setting, numbers: Mapping[str, Any]
) -> list[str]:
    """The summary for a physicist."""
    tied = numbers["tied_networks"]
    bounds = numbers["certificates"]["full"]["best_errors"]
    found = ", ".join(f"{format_error(error)} for weights up to {bound:g}" for bound, error in bounds)
    width = widths[len(widths) // 2]
    errors = ", ".join(
        f"{name.removeprefix('quadratic ')} {networks.log_error(name, reference, 'extrapolation')[0]:.1f}"
        for name in networks.names
        if name.endswith((f", {width}", "free, 1"))
    )
    return [
        *RECURSION,
        f"Which ties matter, mean log10 error (symmetry, width): {errors}. A fully tied layer is one unit with a larger "
        f"outer weight, "
        "whatever its width; tying the inputs alone does no harm, as the squares of different units can still cancel.",
        f"The trained networks (medians): B = {tied['B']:.4f} (1/√2 = 0.7071), C = {tied['C']:.4f}, largest outer weight "
        f"{tied['largest_outer_weight']:.2g}.",
        f"Least relative error that any fully tied quadratic network can have, Gaussian inputs, weights and output bias "
        f"bounded: {found}.",
        "Free networks reach the rounding of float32, so that decades over them are a lower bound that counts digits, "
        "not a size of "
        "the effect.",
    ]


def draw(claim: Claim, networks: TrainedNetworks, widths: Sequence[int], place: Setting) -> Figure:
    """A panel a width, a column a symmetry."""
    figure, grid = panels(len(widths), height=3.8)
    for axes, width in zip(grid, widths, strict=True):
        names = [name for name in networks.names if name.endswith((f", {width}", "free, 1"))]
        draw_networks(axes, networks, names, place, "extrapolation")
        axes.set_title(f"width {width}, and one unit", fontsize="medium")
        mark_threshold(axes, claim.thresholds["generalises"], "generalises")
    grid[0].set_ylabel("relative MSE beyond training", fontsize="small")
    return figure


def draw_budgets(budgets: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Figure:
    """Error against budget, a line a network."""
    figure, (axes,) = panels(1, width=4.6)
    for colour, (name, curve) in zip(COLOURS, budgets.items(), strict=False):
        steps = [int(one) for one in curve]
        found = 10.0 ** np.array([[one[key] for key in ("value", "low", "high")] for one in curve.values()])
        axes.plot(steps, found[:, 0], marker=".", color=colour, label=name)
        axes.fill_between(steps, found[:, 1], found[:, 2], color=colour, alpha=0.2, linewidth=0)
    set_log(axes)
    axes.set_xscale("log")
    axes.set_xticks(steps, [str(one) for one in steps])
    axes.minorticks_off()
    axes.set_xlabel("training steps")
    axes.set_ylabel("relative MSE beyond training", fontsize="small")
    axes.legend(fontsize="small")
    return figure
