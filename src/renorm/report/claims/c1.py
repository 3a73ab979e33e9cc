"""C1: linear networks generalise under every symmetry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..axes import Setting, places
from ..claim import Claim
from ..experiments import Experiments
from ..figures import draw_networks, mark_threshold, panels
from ..finding import Drawing, Effect, Finding
from ..seed_statistics import Versions, summary
from ..trained_networks import TrainedNetworks, judge_on_both_sets, perceptrons, train_networks
from ..training_curves import TrainingCurves, train_curves


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/C1.yaml``."""
    own = claim.settings
    asked = perceptrons(["linear"], own["symmetries"], own["widths"])
    networks = train_networks(asked, own, experiments)
    curves = train_curves(asked, own | own["curves"], experiments)
    judged = judge_on_both_sets(
        verdict, lambda over, place, v: at(networks, curves, place, over, v), claim.thresholds, own
    )
    reference, seeds = places(own)["reference"], own["seeds"]
    largest = np.max([np.abs(ratio) for ratio in time_ratios(curves, reference).values()], axis=0)
    numbers: dict[str, Any] = judged.numbers() | {
        "mean_log_error": {name: networks.described(name, reference, "extrapolation") for name in networks.names},
        "log10_of_steps_to_learn": {
            name: summary(curves.mean(name, reference, "log_time"), seeds) for name in curves.names
        },
        "share_that_learned": {name: float(curves.mean(name, reference, "learned")[0]) for name in curves.names},
    }
    for name, place in places(own).items():
        numbers[f"factor_of_time_over_free, {name}"] = {
            network: summary(10**ratio, seeds) for network, ratio in time_ratios(curves, place).items()
        }
    found = summary(10**largest, seeds)
    effect = Effect.of(
        "factor by which the time to learn differs most from that of free weights, over symmetries and widths", found
    )
    caption = (
        "Each point is a network, under the law beyond the training law (uniform) where its error is the largest; "
        "bars: ten to the mean "
        "log error, with the 95% interval over seeds and members. All of it is rounding in float32, or a budget that "
        "was too short."
    )
    tried = (
        ""
        if judged.beyond.verdict == "reproduced"
        else "Six symmetries, two widths, two laws, two initial scales, three rates."
    )
    remarks = [
        *judged.sentences(),
        "A linear network is a · x + c whatever its symmetry, and each of the six symmetries contains the map. The "
        "errors end at "
        "the rounding of float32, where differences mean nothing. Saxe, McClelland and Ganguli (arXiv 1312.6120) have "
        "the learning "
        "curves of linear networks in closed form.",
    ]
    return Finding(
        judged.beyond.verdict,
        effect,
        numbers,
        [Drawing("errors", caption, draw(claim, networks, reference))],
        tried,
        remarks,
    )


def time_ratios(curves: TrainingCurves, place: Setting) -> dict[str, Versions]:
    """log10 of the time to learn over that of free weights of equal width."""
    times = {name: curves.mean(name, place, "log_time") for name in curves.names}
    return {
        name: time - times[f"linear free, {name.rpartition(', ')[2]}"]
        for name, time in times.items()
        if not name.startswith("linear free")
    }


def at(
    networks: TrainedNetworks, curves: TrainingCurves, place: Setting, over: str, version: int
) -> dict[str, list[float]]:
    """What the rule speaks of, for one version: errors and ratios of times in decades."""
    return {
        "errors": [float(networks.log_error(name, place, over)[version]) for name in networks.names],
        "time_ratios": [float(ratio[version]) for ratio in time_ratios(curves, place).values()],
    }


def verdict(numbers: Mapping[str, Sequence[float]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Example:
        >>> thresholds = {"generalises": 0.01, "matters": 2.0}
        >>> verdict({"errors": [-13.0, -12.0], "time_ratios": [0.1, -0.4]}, thresholds)
        'partly'
    """
    generalise = max(numbers["errors"]) < np.log10(thresholds["generalises"])
    alike = max(abs(ratio) for ratio in numbers["time_ratios"]) < np.log10(thresholds["matters"])
    return ("not reproduced", "partly", "reproduced")[int(generalise) + int(alike)]


def draw(claim: Claim, networks: TrainedNetworks, place: Setting) -> Figure:
    """A panel a width, a column a symmetry."""
    widths = claim.settings["widths"]
    figure, grid = panels(len(widths), height=3.6)
    for axes, width in zip(grid, widths, strict=True):
        draw_networks(axes, networks, [n for n in networks.names if n.endswith(f", {width}")], place, "extrapolation")
        axes.set_title(f"width {width}", fontsize="medium")
        mark_threshold(axes, claim.thresholds["generalises"], "generalises")
    grid[0].set_ylabel("relative MSE beyond training", fontsize="small")
    return figure
