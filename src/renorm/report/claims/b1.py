"""B1: does the symmetry that the map has remove the failures of the others?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...certificates.certificate import certify
from ...member_bootstrap import bootstrap
from ...zoo.mlp import MLP
from ..claim import Claim
from ..curves import loss_curves
from ..experiments import Experiments
from ..figures import COLOURS, draw_members, mark_threshold, panels
from ..finding import Drawing, Effect, Finding
from ..samples import Sample, compared, described, least, sample, values_of
from .c5 import Dynamics, curve_settings, dynamics, slowdown
from .c5_figures import draw_curves

OWN = ("odd", "odd_input")  # symmetries that the map has
Errors = dict[str, dict[int, dict[str, Sample]]]  # activation -> width -> symmetry -> errors


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/B1.yaml``."""
    seed = experiments.seed
    errors = read_errors(claim, experiments)
    curves = run_curves(claim, experiments)
    found = {name: dynamics(result, claim.settings["learned"]) for (name, _), result in curves.items()}
    gains = {
        f"{activation}, width {width}": compared(group["full"], group["odd_input"], seed)
        for activation, widths in errors.items()
        for width, group in widths.items()
    }
    numbers: dict[str, Any] = {
        "largest_median": {
            activation: max(float(np.median(group[name])) for group in widths.values() for name in OWN)
            for activation, widths in errors.items()
        },
        "faster": slowdown(found["full"], found["odd_input"], seed),
        "slower_than_free": slowdown(found["odd_input"], found["free"], seed),
        "rising": {name: share_rising(one, claim.settings["rise"], seed) for name, one in found.items()},
        "full_over_odd_input": gains,
        "certificates": certificates(experiments, [*errors, "leaky_relu"]),
        "errors": {
            f"{activation} {name}, width {width}": described(own, seed)
            for activation, widths in errors.items()
            for width, group in widths.items()
            for name, own in group.items()
        },
    }
    effect = Effect(
        "median error, full over odd_input, in decades, least over activations and widths", *least(gains).values()
    )
    members = "Each point is a network; bars are medians with their 95% intervals."
    shown = draw_curves(curves, 1, claim.settings["learned"])
    drawings = [
        Drawing("errors", members, draw(claim, errors)),
        Drawing("curves", "Loss of some leaky-ReLU networks (thin), and the median (bold).", shown),
    ]
    answer = verdict(numbers, claim.thresholds)
    return Finding(answer, effect, numbers, drawings, "" if answer == "yes" else TRIED, remarks(numbers))


TRIED = "Both symmetries of the map, three widths, three slopes; what remains is in the remarks."


def share_rising(one: Dynamics, rise: float, seed: int) -> dict[str, float]:
    """Share of loss curves that rise by a factor, with its interval."""
    found = bootstrap(np.mean, one["rise"] >= rise, seed=seed)
    return dict(zip(("share", "low", "high"), found, strict=True))


def certificates(experiments: Experiments, activations: list[str]) -> dict[str, Any]:
    """Certificates of networks with the symmetries of the map."""
    asked = [{"activation": activation, "symmetry": name} for activation in activations for name in OWN]
    found = experiments.compute_many("certificate of the matching symmetry", asked, examine)
    return {f"{own['activation']} {own['symmetry']}": one for own, one in zip(asked, found, strict=True)}


def read_errors(claim: Claim, experiments: Experiments) -> Errors:
    """Errors of quadratic and ReLU networks."""
    table = experiments.table(claim.sweeps["table"])
    return {
        activation: {
            int(width): {
                name: sample(table, activation=activation, width=width, symmetry=name)
                for name in values_of(table, "symmetry")
            }
            for width in values_of(table, "width")
        }
        for activation in values_of(table, "activation")
    }


def run_curves(claim: Claim, experiments: Experiments) -> dict[tuple[str, int], dict[str, Any]]:
    """Loss curves of leaky-ReLU networks, those of C5."""
    conditions = [(name, 1) for name in ("free", "full", "odd_input")]
    asked = [curve_settings(claim.settings["curves"], name, depth) for name, depth in conditions]
    return dict(zip(conditions, experiments.compute_many("loss_curves", asked, loss_curves), strict=True))


def examine(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict of the certificate of a network 2-8-1."""
    found = certify(MLP(activation=settings["activation"], symmetry=settings["symmetry"]))
    return {"verdict": found.verdict, "derivation": list(found.derivation)}


def verdict(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim."""
    removed = [median < thresholds["generalises"] for median in numbers["largest_median"].values()]
    removed.append(numbers["faster"]["low"] > thresholds["faster"])
    return "yes" if all(removed) else "partly" if any(removed) else "no"


def remarks(numbers: Mapping[str, Any]) -> list[str]:
    """The summary for a physicist."""
    medians = ", ".join(f"{name} {value:.1e}" for name, value in numbers["largest_median"].items())
    rising = ", ".join(f"{name} {one['share']:.0%}" for name, one in numbers["rising"].items())
    return [
        f"Largest median error of the symmetries odd and odd_input, over widths: {medians}.",
        f"Leaky ReLU: odd_input learns {numbers['faster']['factor']:.2g} times faster than full, and takes "
        f"{numbers['slower_than_free']['factor']:.2g} times the time of free weights. Curves that rise: {rising}.",
        "Units in sign-flipped pairs give φ(c + z) − φ(c − z). Of quadratic units the square drops out whatever "
        "the bias c, and the "
        "network is linear from the start. Of (leaky) ReLU units two kinks remain at z = ±c, with the slope "
        "between them other than "
        "outside: the biases are what has to be learned away.",
    ]


def draw(claim: Claim, errors: Errors) -> Figure:
    """A panel an activation; columns are symmetries at every width."""
    figure, grid = panels(len(errors), height=3.4)
    for axes, (activation, widths) in zip(grid, errors.items(), strict=True):
        names = list(next(iter(widths.values())))
        columns = {f"{name}, {width}": widths[width][name] for name in names for width in widths}
        draw_members(axes, columns, [COLOURS[names.index(name)] for name in names for _ in widths])
        axes.set_title(f"{activation} (symmetry, width)", fontsize="medium")
        mark_threshold(axes, claim.thresholds["generalises"], "generalises")
    grid[0].set_ylabel("relative MSE, worst held-out law")
    return figure
