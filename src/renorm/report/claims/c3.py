"""C3: strictly symmetric ReLU networks do even worse than quadratic ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..axes import Setting, places
from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS, draw_networks, mark_threshold, panels
from ..finding import Drawing, Effect, Finding
from ..seed_statistics import Versions, summary
from ..trained_networks import TrainedNetworks, judge_on_both_sets, perceptrons, train_networks

ACTIVATIONS = ("relu", "quadratic")
SYMMETRIES = ("free", "input", "hidden", "full")
DEAD = 0.5  # relative MSE on the training law from which a network does no better than half a constant


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/C3.yaml``."""
    own, widths = claim.settings, claim.settings["widths"]
    asked = perceptrons(ACTIVATIONS, SYMMETRIES, widths) | perceptrons(ACTIVATIONS, ["free"], [1])
    networks = train_networks(asked, own, experiments)
    judged = judge_on_both_sets(
        verdict, lambda over, place, v: at(networks, widths, place, over, v), claim.thresholds, own
    )
    reference = places(own)["reference"]
    least = np.min([to_quadratic(networks, width, reference, "extrapolation") for width in widths], axis=0)
    found = summary(least, own["seeds"])
    numbers: dict[str, Any] = judged.numbers()
    for name, place in places(own).items():
        numbers[f"decades, {name}"] = {
            f"{what}, width {width}": summary(ratio(networks, width, place, "extrapolation"), own["seeds"])
            for what, ratio in (("over tied quadratic", to_quadratic), ("over free ReLU", to_free))
            for width in widths
        }
    numbers["mean_log_error"] = {name: networks.described(name, reference, "extrapolation") for name in networks.names}
    numbers["law_by_law"] = {name: networks.by_law(name, reference) for name in networks.names}
    numbers["share_that_learned_nothing"] = {
        name: float(np.mean(networks.members(name, reference, "trained") > DEAD))
        for name in networks.names
        if name.startswith("relu")
    }
    effect = Effect.of(
        "decades of fully tied ReLU over fully tied quadratic networks beyond the training law, least over widths",
        found,
    )
    caption = (
        "Each point is a network, under the law beyond the training law (uniform) where its error is the largest; "
        "bars: ten to the "
        "mean log error, with the 95% interval over seeds and members."
    )
    return Finding(
        judged.beyond.verdict,
        effect,
        numbers,
        [Drawing("errors", caption, draw(networks, widths, reference))],
        "" if judged.beyond.verdict == "reproduced" else TRIED,
        [
            *judged.sentences(),
            *remarks(networks, widths, reference, numbers),
        ],
    )


TRIED = (
    "Two training laws, two initial scales, three learning rates, three widths; each law by itself is in claims.json."
)


def to_quadratic(networks: TrainedNetworks, width: int, place: Setting, over: str) -> Versions:
    """Decades of tied ReLU over tied quadratic networks."""
    tied, other = (networks.log_error(f"{name} full, {width}", place, over) for name in ACTIVATIONS)
    return tied - other


def to_free(networks: TrainedNetworks, width: int, place: Setting, over: str) -> Versions:
    """Decades of tied ReLU over free ReLU networks."""
    tied, free = (networks.log_error(f"relu {name}, {width}", place, over) for name in ("full", "free"))
    return tied - free


def at(
    networks: TrainedNetworks, widths: Sequence[int], place: Setting, over: str, version: int
) -> dict[str, list[float]]:
    """What the rule speaks of, a number a width, for one version."""
    ratios = {"over_tied_quadratic": to_quadratic, "over_free_relu": to_free}
    return {
        name: [float(ratio(networks, width, place, over)[version]) for width in widths]
        for name, ratio in ratios.items()
    }


def verdict(numbers: Mapping[str, Sequence[float]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Example:
        >>> numbers = {"over_tied_quadratic": [0.5, 0.4], "over_free_relu": [1.2, 0.9]}
        >>> verdict(numbers, {"even_worse": 0.3, "broken": 1.0})
        'partly'
    """
    worse = min(numbers["over_tied_quadratic"]) >= thresholds["even_worse"]
    broken = min(numbers["over_free_relu"]) >= thresholds["broken"]
    return ("not reproduced", "partly", "reproduced")[worse + broken]


def remarks(
    networks: TrainedNetworks, widths: Sequence[int], reference: Setting, numbers: Mapping[str, Any]
) -> list[str]:
    """The summary for a physicist."""
    dead = numbers["share_that_learned_nothing"]
    unit = networks.log_error("relu free, 1", reference, "extrapolation")[0]
    tied = ", ".join(f"{networks.log_error(f'relu full, {w}', reference, 'extrapolation')[0]:.2f}" for w in widths)
    width = widths[len(widths) // 2]
    laws = {name: networks.by_law(f"{name} full, {width}", reference) for name in ACTIVATIONS}
    worse = [law for law in laws["relu"] if laws["relu"][law] > laws["quadratic"][law]]
    return [
        "A fully tied ReLU network is one kink, max(0, w S + c) with S the sum of the block. Its only way to the map "
        "is to push the "
        "kink out of the training law's bulk, to one side or the other; there it works, and it fails as soon as a law "
        "reaches beyond. "
        "The errors have two modes on a law that is skewed, one for either side: so the held-out laws come with their "
        "mirror images.",
        f"It is one unit, whatever its width. Mean log10 error: fully tied {tied} at widths "
        f"{', '.join(map(str, widths))}, one free unit "
        f"{unit:.2f}: what has to be broken is the tie between units.",
        f"Law by law at width {width}, tied ReLU networks are worse than tied quadratic ones under {len(worse)} of "
        f"{len(laws['relu'])} "
        "laws" + (f": {', '.join(worse)}." if worse else "."),
        f"Up to {max(dead.values()):.0%} of the members of a network learn nothing: all units are off on the whole law.",
        "That two-layer networks of ReLU without biases express, of odd functions, only linear ones, is in Zhang, Saxe "
        "and Latham "
        "(arXiv 2406.12615).",
    ]


def draw(networks: TrainedNetworks, widths: Sequence[int], place: Setting) -> Figure:
    """A panel a width, a column an activation and symmetry."""
    figure, grid = panels(len(widths), height=4.0)
    for axes, width in zip(grid, widths, strict=True):
        names = [name for name in networks.names if name.endswith((f", {width}", "free, 1"))]
        colours = [COLOURS[1] if name.startswith("relu") else COLOURS[0] for name in names]
        draw_networks(axes, networks, names, place, "extrapolation", colours)
        axes.set_title(f"width {width}, and one unit", fontsize="medium")
    grid[0].set_ylabel("relative MSE beyond training", fontsize="small")
    mark_threshold(grid[0], 1.0, "a constant")
    return figure
