"""S1: do leaky-ReLU networks without biases learn as linear ones, slower by 2/(1+s)?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ..claim import Claim
from ..descents import learning_times
from ..experiments import Experiments
from ..figures import COLOURS
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..seed_statistics import Versions, judged_by_seed, mean_log, summary

TRIED = "Slopes from 1 to 0, three starts, three learning rates, two symmetric laws and a skewed one."
MEANING = (
    "A leaky ReLU is the line (1+s)/2 z and the even (1-s)/2 |z|. Under a symmetric law an odd target does not see "
    "the even part, so a "
    "unit's weights grow at (1+s)/2 of the linear network's rate; a network whose units come in pairs stays odd, and such a "
    "network without biases is a linear map at every slope. This is why slopes alone change no more than the time here."
)

Cells = dict[tuple[str, float], dict[str, Versions]]  # (law, rate) -> log10 ratios (V, slopes below 1, scales)


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/S1.yaml``."""
    own, seed, seeds = claim.settings, experiments.seed, claim.settings["seeds"]
    times = run_cells(claim, experiments)
    cells = {cell: ratios(found, own["slopes"], seed) for cell, found in times.items()}
    answer, share = judged_by_seed(verdict, lambda v: at(cells, own["skewed"], v), claim.thresholds, seeds)
    symmetric = [cell for cell in cells if cell[0] not in own["skewed"]]
    deviation = np.max([np.abs(10 ** cells[cell]["predicted"][..., -1] - 1).max(axis=-1) for cell in symmetric], axis=0)
    found = summary(deviation, seeds)
    effect = Effect.of(
        "largest relative deviation of the time factor from its prediction, smallest start, symmetric laws", found
    )
    numbers: dict[str, Any] = {"share_of_seeds": share} | {
        f"{law}, rate {rate:g}": {
            f"slope {slope:g}, start {scale:g}": {
                "limit": 2 / (1 + slope),
                "factor": summary(10 ** cell["limit"][:, i, j] * 2 / (1 + slope), seeds),
                "factor_over_prediction": summary(10 ** cell["predicted"][:, i, j], seeds),
            }
            for i, slope in enumerate(own["slopes"][1:])
            for j, scale in enumerate(own["scales"])
        }
        for (law, rate), cell in cells.items()
    }
    judged = at(cells, own["skewed"], 0)
    remarks = [
        MEANING,
        f"{share:.0%} of the seeds give the verdict by themselves. Under the skewed law the factor misses its prediction by "
        f"{judged['control']:.0%} at the slope where it misses it most: the test can tell.",
    ]
    caption = (
        "Left: learning time over that of the linear network from the smallest start, at the smallest learning rate; "
        "line: 2/(1+s), "
        "crosses: the prediction from this start. Right: the factor times (1+s)/2 against the scale of the initial weights."
    )
    drawing = Drawing("factor", caption, draw(own, cells, seeds))
    return Finding(answer, effect, numbers, [drawing], "" if answer == "reproduced" else TRIED, remarks)


def run_cells(claim: Claim, experiments: Experiments) -> dict[tuple[str, float], NDArray[np.float64]]:
    """Learning times by training law and rate, slope x scale x seed x member."""
    own = claim.settings
    keys = [(law, rate) for law in (*own["laws"], *own["skewed"]) for rate in own["rates"]]
    shared = {key: own[key] for key in ("model", "scales", "seeds", "members", "batch", "rows", "time", "every")}
    arguments = {"width": own["width"], "bias": False, "negative_slope": own["slopes"]}
    conditions = [
        shared
        | {"arguments": arguments, "thresholds": [own["threshold"]], "law": law, "rate": rate}
        | {"map": "central_limit()", "block_size": 2, "cost": 1 / rate}
        for law, rate in keys
    ]
    found = experiments.compute_many("learning_times", conditions, learning_times)
    return {key: np.array(one["times"][0]) for key, one in zip(keys, found, strict=True)}


def ratios(times: ArrayLike, slopes: ArrayLike, seed: int) -> dict[str, Versions]:
    r"""Log10 of the time factor over its limit and over its prediction.

    Args:
        times: slope x scale x seed x member, slope 1 first.
        slopes: all of them.
        seed: of the resampling.

    Returns:
        ``limit``: log10 of the factor times k = (1+s)/2; ``predicted``: of the factor over :math:`(1 + \ln(1/k)/(2T))/k`; shape
        ``(V, slopes - 1, scales)`` each.
    """
    known = np.asarray(times, dtype=float)
    k = (1 + np.asarray(slopes, dtype=float)[1:, None, None, None]) / 2
    linear, scaled = known[:1], known[1:] * k
    limit, predicted = scaled / linear, scaled / (linear - np.log(k) / 2)
    return {"limit": mean_log(limit, seed), "predicted": mean_log(predicted, seed)}


def at(cells: Cells, skewed: list[str], version: int) -> dict[str, Any]:
    """What the rule speaks of, for one version: deviations of the factor from its prediction and its limit."""
    found: dict[str, Any] = {"follows": [], "near": [], "approaches": True, "control": np.inf}
    for (law, _), cell in cells.items():
        predicted, limit = (np.abs(10 ** cell[name][version] - 1) for name in ("predicted", "limit"))
        if law in skewed:
            found["control"] = min(found["control"], float(predicted[:, -1].max()))
            continue
        found["follows"].append(float(predicted[:, -1].max()))
        found["near"].append(float(limit[:, -1].max()))
        found["approaches"] &= bool((limit[:, -1] < limit[:, -2]).all())
    return found


def verdict(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Args:
        numbers: ``follows`` and ``near``, the largest deviations from prediction and limit, a number a rate and symmetric law;
            ``approaches``, whether the limit is nearer from the smallest start; ``control``, the deviation under the skewed law.
        thresholds: ``follows``, ``near`` and ``control``.

    Example:
        >>> limits = {"follows": 0.05, "near": 0.1, "control": 0.1}
        >>> verdict({"follows": [0.01, 0.09], "near": [0.05, 0.2], "approaches": True, "control": 0.5}, limits)
        'partly'
    """
    follows = [deviation <= thresholds["follows"] for deviation in numbers["follows"]]
    near = all(deviation <= thresholds["near"] for deviation in numbers["near"])
    if all(follows) and near and numbers["approaches"] and numbers["control"] >= thresholds["control"]:
        return "reproduced"
    return "partly" if any(follows) else "not reproduced"


def draw(own: Mapping[str, Any], cells: Cells, seeds: int) -> Figure:
    """Factors against slopes, and against starts."""
    figure, panels = panel_grid(1, 2, height=3.4)
    left, right = panels[0]
    line = np.linspace(0, 1, 101)
    left.plot(line, 2 / (1 + line), color="#808080", linewidth=1, label="2/(1+s)")
    limits = 2 / (1 + np.array(own["slopes"][1:]))
    rate = min(own["rates"])
    for law, colour in zip((*own["laws"], *own["skewed"]), COLOURS, strict=False):
        cell = cells[law, rate]
        factor = 10 ** cell["limit"][..., -1] * limits
        low, high = np.quantile(factor[1 + seeds :], [0.025, 0.975], axis=0)
        name = f"{law} (control)" if law in own["skewed"] else law
        left.errorbar(
            own["slopes"][1:],
            factor[0],
            [factor[0] - low, high - factor[0]],
            fmt="o",
            color=colour,
            markersize=4,
            label=name,
        )
        predicted = factor[0] / 10 ** cell["predicted"][0, :, -1]
        left.plot(own["slopes"][1:], predicted, "x", color="#808080", markersize=6)
    left.set_ylim(0.9, 3.1)  # the control may lie beyond
    left.set_xlabel("slope s")
    left.set_ylabel("learning time over the linear network's")
    left.legend(fontsize="x-small")
    for i, (slope, colour) in enumerate(zip(own["slopes"][1:], COLOURS, strict=False)):
        for law, style in zip(own["laws"], ("o-", "s--"), strict=False):
            values = 10 ** cells[law, rate]["limit"][0, i]
            right.plot(own["scales"], values, style, color=colour, markersize=4, label=f"s = {slope:g}, {law}")
    right.axhline(1, color="#808080", linewidth=1)
    right.set_xscale("log")
    right.set_xlabel("scale of the initial weights")
    right.set_ylabel("factor times (1+s)/2")
    right.legend(fontsize="xx-small")
    for axes in (left, right):
        axes.grid(alpha=0.3, linewidth=0.5)
    return figure
