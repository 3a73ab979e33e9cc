"""B1: does the symmetry that the map has remove the failures of the others?"""

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
from ..figures import COLOURS, draw_networks, mark_threshold, panels
from ..finding import Drawing, Effect, Finding
from ..seed_statistics import Versions, summary
from ..trained_networks import TrainedNetworks, judge_on_both_sets, perceptrons, train_networks
from ..training_curves import TrainingCurves
from .c5 import leaky_curves, slowdown
from .c5_figures import draw_curves
from .c9 import equal_width

OWN = ("odd", "odd_input")  # symmetries that the map has
ACTIVATIONS = ("quadratic", "relu")
SHOWN = ("free", "full", "odd_input")  # of the leaky ReLU
TRIED = "Both symmetries of the map, three widths, three slopes, two laws, two initial scales, three rates."


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/B1.yaml``."""
    own, widths, seeds = claim.settings, claim.settings["widths"], claim.settings["seeds"]
    networks = train_networks(networks_of(widths), own, experiments)
    curves = leaky_curves(own, experiments, SHOWN)
    judged = judge_on_both_sets(
        verdict, lambda over, place, v: at(networks, curves, widths, place, over, v), claim.thresholds, own
    )
    reference = places(own)["reference"]
    gained = {
        f"{activation}, width {width}": {
            other: gain(networks, f"{activation} {name}", f"{activation} odd_input, {width}", reference)
            for other, name in (
                ("fully tied", f"full, {width}"),
                ("free", f"free, {width}"),
                ("free of equal parameters", f"free, {equal_width(activation, width)}"),
            )
        }
        for activation in ACTIVATIONS
        for width in widths
    }
    numbers: dict[str, Any] = judged.numbers() | {
        "decades_that_odd_input_gains": {
            f"over {other}, {cell}": summary(value, seeds)
            for cell, group in gained.items()
            for other, value in group.items()
        },
        "certificates": certificates(experiments, [*ACTIVATIONS, "leaky_relu"]),
        "mean_log_error": {name: networks.described(name, reference, "extrapolation") for name in networks.names},
        "law_by_law": {name: networks.by_law(name, reference) for name in networks.names},
        "share_that_rises": {name: summary(curves.mean(name, reference, "rising"), seeds) for name in curves.names},
    }
    for name, place in places(own).items():
        numbers[f"leaky_relu_factors, {name}"] = {
            "full over odd_input": summary(10 ** slowdown(curves, "full", "odd_input", place), seeds),
            "odd_input over free": summary(10 ** slowdown(curves, "odd_input", "free", place), seeds),
        }
        numbers[f"largest_mean_log_error, {name}"] = {
            activation: summary(largest(networks, activation, widths, place, "extrapolation"), seeds)
            for activation in ACTIVATIONS
        }
    found = summary(np.min([group["fully tied"] for group in gained.values()], axis=0), seeds)
    effect = Effect.of(
        "decades of fully tied networks over odd_input beyond the training law, least over activations and widths",
        found,
    )
    members = (
        "Each point is a network, under the law beyond the training law (uniform) where its error is the largest; "
        "bars: ten to the mean log "
        "error, with the 95% interval over seeds and members."
    )
    shown = "Error on the training law of some leaky-ReLU networks (thin), and ten to the mean log error (bold)."
    drawings = [
        Drawing("errors", members, draw(claim, networks, widths, reference)),
        Drawing("curves", shown, draw_curves(curves, SHOWN, own["slopes"], reference)),
    ]
    tried = "" if judged.beyond.verdict == "yes" else TRIED
    return Finding(judged.beyond.verdict, effect, numbers, drawings, tried, [*judged.sentences(), *remarks(numbers)])


def networks_of(widths: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Networks by name, with the free ones of equal parameters."""
    asked = perceptrons(ACTIVATIONS, ("free", "full", *OWN), widths)
    for activation in ACTIVATIONS:
        asked |= perceptrons([activation], ["free"], [equal_width(activation, width) for width in widths])
    return asked


def gain(networks: TrainedNetworks, other: str, own: str, place: Setting) -> Versions:
    """Decades of one network over another, beyond the training law."""
    return networks.log_error(other, place, "extrapolation") - networks.log_error(own, place, "extrapolation")


def largest(networks: TrainedNetworks, activation: str, widths: Sequence[int], place: Setting, over: str) -> Versions:
    """Largest mean log error of the symmetries that the map has, over widths."""
    found: Versions = np.max(
        [networks.log_error(f"{activation} {name}, {width}", place, over) for name in OWN for width in widths], axis=0
    )
    return found


def at(
    networks: TrainedNetworks,
    curves: TrainingCurves,
    widths: Sequence[int],
    place: Setting,
    over: str,
    version: int,
) -> dict[str, Any]:
    """What the rule speaks of, for one version: largest mean log errors, and log10 of a factor of time."""
    return {
        "errors": [float(largest(networks, activation, widths, place, over)[version]) for activation in ACTIVATIONS],
        "faster": float(slowdown(curves, "full", "odd_input", place)[version]),
    }


def verdict(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Example:
        >>> verdict({"errors": [-13.0, -1.9], "faster": 1.0}, {"generalises": 0.01, "faster": 2.0})
        'partly'
    """
    removed = [error < np.log10(thresholds["generalises"]) for error in numbers["errors"]]
    removed.append(numbers["faster"] >= np.log10(thresholds["faster"]))
    return "yes" if all(removed) else "partly" if any(removed) else "no"


def certificates(experiments: Experiments, activations: Sequence[str]) -> dict[str, Any]:
    """Certificates of networks with the symmetries of the map."""
    asked = [{"activation": activation, "symmetry": name} for activation in activations for name in OWN]
    found = experiments.compute_many("certificate of the matching symmetry", asked, examine)
    return {f"{own['activation']} {own['symmetry']}": one for own, one in zip(asked, found, strict=True)}


def examine(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict of the certificate of a network 2-8-1."""
    found = certify(MLP(activation=settings["activation"], symmetry=settings["symmetry"]))
    return {"verdict": found.verdict, "derivation": list(found.derivation)}


def remarks(numbers: Mapping[str, Any]) -> list[str]:
    """The summary for a physicist."""
    errors = ", ".join(
        f"{name} {one['value']:.2f}" for name, one in numbers["largest_mean_log_error, reference"].items()
    )
    factors = numbers["leaky_relu_factors, reference"]
    equal = [one for name, one in numbers["decades_that_odd_input_gains"].items() if "equal parameters" in name]
    return [
        f"Largest mean log10 error of the symmetries odd and odd_input, over widths: {errors}. Over free networks of "
        f"equal parameters "
        f"odd_input gains {min(one['value'] for one in equal):.2f} to {max(one['value'] for one in equal):.2f} decades.",
        f"Leaky ReLU: fully tied networks take {factors['full over odd_input']['value']:.2g} times the steps of "
        f"odd_input, and those "
        f"{factors['odd_input over free']['value']:.2g} times the steps of free ones.",
        "Units in sign-flipped pairs give φ(c + z) − φ(c − z). Of quadratic units the square drops out whatever the "
        "bias c, and the "
        "network is linear from the start. Of (leaky) ReLU units two kinks remain at z = ±c, with the slope between "
        "them other than "
        "outside: the biases are what has to be learned away. Without biases such a network is linear, as every odd "
        "function of a "
        "two-layer ReLU network without biases is (Zhang, Saxe and Latham, arXiv 2406.12615).",
    ]


def draw(claim: Claim, networks: TrainedNetworks, widths: Sequence[int], place: Setting) -> Figure:
    """A panel an activation; columns are symmetries at every width."""
    figure, grid = panels(len(ACTIVATIONS), height=4.0)
    for axes, activation in zip(grid, ACTIVATIONS, strict=True):
        symmetries = ("free", "full", *OWN)
        names = [f"{activation} {name}, {width}" for name in symmetries for width in widths]
        draw_networks(axes, networks, names, place, "extrapolation", [COLOURS[i] for i in range(4) for _ in widths])
        mark_threshold(axes, claim.thresholds["generalises"], "generalises")
    grid[0].set_ylabel("relative MSE beyond training", fontsize="small")
    return figure
