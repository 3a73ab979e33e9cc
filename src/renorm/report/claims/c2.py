"""C2: fully tied quadratic networks cannot represent the map, and generalise poorly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...certificates.certificate import certify
from ...zoo.mlp import MLP
from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS, draw_band, panels
from ..finding import Drawing, Effect, Finding
from ..quadratic import RECURSION, tied_recursion
from ..samples import Sample, compared, described, format_error, least, sample, values_of
from .c1 import draw


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/C2.yaml``."""
    table = experiments.table(claim.sweeps["table"])
    widths, names = values_of(table, "width"), values_of(table, "symmetry")
    errors = {width: {name: sample(table, symmetry=name, width=width) for name in names} for width in widths}
    budgets = budget_errors(claim, experiments)
    ratios = {width: compared(group["full"], group["free"], experiments.seed) for width, group in errors.items()}
    numbers: dict[str, Any] = {
        "certificates": {name: experiments.compute("certificate", {"symmetry": name}, examine) for name in names},
        "errors": {
            f"{name}, width {width}": described(own, experiments.seed)
            for width, group in errors.items()
            for name, own in group.items()
        },
        "full_over_free": {str(width): ratio for width, ratio in ratios.items()},
        "budgets": {
            name: {str(steps): described(own, experiments.seed) for steps, own in group.items()}
            for name, group in budgets.items()
        },
        "tied_networks": tied_numbers(claim, experiments),
    }
    worst = least(ratios)
    effect = Effect("median error, full over free, in decades, least over widths", *worst.values())
    drawings = [
        Drawing("errors", "Each point is a network; bars are medians with their 95% intervals.", draw(claim, errors)),
        Drawing("budgets", "Median errors over the training budget, with 95% intervals.", draw_budgets(budgets)),
    ]
    answer = verdict(numbers, claim.thresholds)
    tried = "" if answer == "reproduced" else tried_budgets(numbers)
    return Finding(answer, effect, numbers, drawings, tried, remarks(numbers))


def examine(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The certificate of a quadratic network 2-8-1 of some symmetry, without its weights."""
    found = certify(MLP(activation="quadratic", symmetry=settings["symmetry"])).to_dict()
    return {name: value for name, value in found.items() if name != "weights"}


def verdict(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim."""
    certified = (
        numbers["certificates"]["full"]["verdict"] == "not representable"
        and numbers["certificates"]["free"]["verdict"] == "representable"
    )
    poor = [
        numbers["errors"][f"full, width {width}"]["median"] >= thresholds["generalises"]
        and ratio["decades"] >= np.log10(thresholds["worse"])
        for width, ratio in numbers["full_over_free"].items()
    ]
    if certified and all(poor):
        return "reproduced"
    return "partly" if certified or any(poor) else "not reproduced"


def budget_errors(claim: Claim, experiments: Experiments) -> dict[str, dict[int, Sample]]:
    """Symmetry -> steps -> errors."""
    table = experiments.table(claim.sweeps["budgets"])
    return {
        name: {steps: sample(table, symmetry=name, steps=steps) for steps in values_of(table, "steps")}
        for name in values_of(table, "symmetry")
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


def remarks(numbers: Mapping[str, Any]) -> list[str]:
    """The summary for a physicist."""
    tied = numbers["tied_networks"]
    bounds = numbers["certificates"]["full"]["best_errors"]
    found = ", ".join(f"{format_error(error)} for weights up to {bound:g}" for bound, error in bounds)
    return [
        *RECURSION,
        f"The trained networks (medians): B = {tied['B']:.4f} (1/√2 = 0.7071), C = {tied['C']:.4f}, largest outer "
        "weight "
        f"{tied['largest_outer_weight']:.2g}.",
        f"Least relative error that any fully tied quadratic network can have, Gaussian inputs: {found}.",
    ]


def tried_budgets(numbers: Mapping[str, Any]) -> str:
    """Describe the errors over budgets."""
    found = ", ".join(f"{format_error(one['median'])} at {steps}" for steps, one in numbers["budgets"]["full"].items())
    return f"Widths and training budgets; the median error of fully tied networks of width 8 is {found} steps."


def draw_budgets(budgets: Mapping[str, Mapping[int, Sample]]) -> Figure:
    """Error against budget, a line a symmetry."""
    figure, (axes,) = panels(1, width=4.6)
    for colour, (name, group) in zip(COLOURS, budgets.items(), strict=False):
        draw_band(axes, list(group), list(group.values()), colour, name)
    axes.set_xscale("log")
    axes.set_xlabel("training steps")
    axes.set_ylabel("relative MSE, worst held-out law")
    axes.legend(fontsize="small")
    return figure
