"""D6: is there a phase transition in the slope on a map where the kink is wanted?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..seed_statistics import Versions, judged_by_seed, mean_log, summary
from ..seeded import SHARED, train_seeds

MAP, BLOCK_SIZE = "maximum()", 2
TRIED = "Seven slopes, two training laws, three learning rates, budgets over a factor of eight."

Numbers = NDArray[np.float64]


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/D6.yaml``."""
    own, seed, seeds = claim.settings, experiments.seed, claim.settings["seeds"]
    distances, least = np.array(own["distances"], dtype=float), claim.thresholds["fall"]
    curves = {
        f"{law}, lr {rate:g}": errors[..., position]
        for law, found in train_laws(claim, experiments).items()
        for errors in [mean_log(found[law], seed)]  # version x step x distance x rate
        for position, rate in enumerate(own["rates"])
    }
    falls = {name: fall(curve) for name, curve in curves.items()}
    shifts = {name: shift(distances, curve, least) for name, curve in curves.items()}
    answer, share = judged_by_seed(verdict, lambda v: at(falls, shifts, v), claim.thresholds, seeds)
    largest = np.max(list(shifts.values()), axis=0)
    numbers: dict[str, Any] = {
        "share_of_seeds": share,
        "fall_at_the_last_budget": {name: summary(one[:, -1], seeds) for name, one in falls.items()},
        "shift": {name: summary(one, seeds) for name, one in shifts.items()},
        "half_way": {name: half_way(distances, curve)[0].tolist() for name, curve in curves.items()},
        "falls": {name: one[0].tolist() for name, one in falls.items()},
    }
    found = summary(largest, seeds)
    effect = Effect.of(
        "factor by which the half-way point moves over the budgets, largest over laws and learning rates", found
    )
    caption = (
        "Mean over members of log10 of the relative MSE on the training law against the distance from slope 1, a colour a "
        "budget; rings: half of the fall."
    )
    drawing = Drawing("budgets", caption, draw(distances, own["stops"], curves))
    remark = f"{share:.0%} of the seeds give the verdict by themselves."
    return Finding(answer, effect, numbers, [drawing], "" if answer == "yes" else TRIED, [remark])


def train_laws(claim: Claim, experiments: Experiments) -> dict[str, Mapping[str, Any]]:
    """Errors of all distances and budgets under each training law."""
    own = claim.settings
    slopes = [1 - distance for distance in own["distances"]]
    conditions = [
        {key: own[key] for key in SHARED}
        | {"model": "mlp_leaky_relu_free", "arguments": {"width": own["width"], "negative_slope": slopes}}
        | {"map": MAP, "block_size": BLOCK_SIZE, "law": law, "tests": [law], "mirrored": True}
        for law in own["laws"]
    ]
    found = experiments.compute_many("seeded", conditions, train_seeds)
    return {law: one["errors"] for law, one in zip(own["laws"], found, strict=True)}


def fall(curve: Versions) -> Versions:
    """Decades from the first distance to the last one, shape ``(V, steps)`` from ``(V, steps, distances)``."""
    found: Versions = curve[..., 0] - curve[..., -1]
    return found


def half_way(distances: Numbers, curve: Versions) -> Versions:
    """The first distance at which half of the fall is passed, between logarithms of distances.

    Example:
        >>> half_way(np.array([0.01, 0.1, 1.0]), np.array([[[0.0, -1.0, -4.0]]])).round(4)
        array([[0.2154]])
    """
    levels = (curve[..., 0] + curve[..., -1]) / 2
    logs = np.log(distances)
    found = np.full(levels.shape, np.nan)
    for place in np.ndindex(levels.shape):
        below = np.flatnonzero(curve[place] <= levels[place])
        after = int(below[0])
        if after == 0:  # the error does not fall
            continue
        before = curve[place][after - 1]
        part = (before - levels[place]) / (before - curve[place][after])
        found[place] = np.exp(logs[after - 1] + part * (logs[after] - logs[after - 1]))
    return found


def shift(distances: Numbers, curve: Versions, least: float) -> Versions:
    """Factor by which the half-way point moves between the first and the last budget with a large enough fall, shape ``(V,)``.

    It is infinite where fewer than two budgets have one.
    """
    points, large = half_way(distances, curve), fall(curve) >= least
    found = np.full(len(curve), np.inf)
    for version, (own, chosen) in enumerate(zip(points, large, strict=True)):
        if chosen.sum() > 1:
            first, last = own[chosen][[0, -1]]
            found[version] = max(first / last, last / first)
    return found


def at(falls: Mapping[str, Versions], shifts: Mapping[str, Versions], version: int) -> dict[str, float]:
    """The least fall, at the second-best budget of each, and the largest shift, of one version."""
    return {
        "fall": min(float(np.sort(one[version])[-2]) for one in falls.values()),
        "shift": max(float(one[version]) for one in shifts.values()),
    }


def verdict(numbers: Mapping[str, float], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the question.

    Args:
        numbers: ``fall`` in decades, at two budgets or more, and ``shift``, a factor.
        thresholds: of the same names.

    Example:
        >>> verdict({"fall": 2.0, "shift": 3.0}, {"fall": 0.5, "shift": 2})
        'partly'
    """
    if numbers["fall"] < thresholds["fall"]:
        return "no"
    return "yes" if numbers["shift"] < thresholds["shift"] else "partly"


def draw(distances: Numbers, stops: list[int], curves: Mapping[str, Versions]) -> Figure:
    """A panel a law and learning rate, a colour a budget."""
    columns = max(1, len(curves) // 2)
    figure, panels = panel_grid(-(-len(curves) // columns), columns, height=4.8, sharex=True)
    for axes, (name, curve) in zip(panels.ravel(), curves.items(), strict=False):
        points = half_way(distances, curve[:1])[0]
        levels = (curve[0, :, 0] + curve[0, :, -1]) / 2
        for number, stop in enumerate(stops):
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(distances, curve[0, number], marker=".", color=colour, label=f"{stop} steps")
            axes.plot(points[number], levels[number], "o", color=colour, markerfacecolor="none", markersize=8)
        axes.set_xscale("log")
        axes.set_title(name, fontsize="small")
        axes.grid(alpha=0.3, linewidth=0.5)
        axes.set_xlabel("1 - slope")
    panels[0, 0].set_ylabel("mean log10 relative MSE")
    panels[0, 0].legend(fontsize="x-small")
    return figure
