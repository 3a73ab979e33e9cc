"""S2: do linear networks learn along the closed-form curve, at the pace of their symmetry?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..claim import Claim
from ..descents import crossing_times, descend, linear_errors, scaled_stack
from ..experiments import Experiments
from ..figures import COLOURS, FLOOR
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..linear_theory import gain_curve, invariants, orbit_sizes, time_factor
from ..seed_statistics import Versions, judged_by_seed, mean, mean_log, summary

TRIED = "Six symmetries, three starts, three learning rates, two laws."

Cells = dict[tuple[str, str, float], dict[str, Versions]]  # (symmetry, law, rate) -> numbers (V, scales)


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/S2.yaml``."""
    own, seed, seeds = claim.settings, experiments.seed, claim.settings["seeds"]
    results = run_cells(claim, experiments)
    cells = {
        key: {"time": 10 ** mean_log(one["ratio"], seed), "gap": mean(np.array(one["gap"]), seed)}
        for key, one in results.items()
    }
    answer, share = judged_by_seed(verdict, lambda v: at(cells, v), claim.thresholds, seeds)
    small = np.max([np.abs(cell["time"][:, -1] - 1) for cell in cells.values()], axis=0)
    found = summary(small, seeds)
    effect = Effect.of("largest relative deviation of the learning time from its prediction, smallest start", found)
    numbers: dict[str, Any] = {
        "share_of_seeds": share,
        "factors": {name: time_factor(name, own["width"]) for name in own["symmetries"]},
    } | {
        f"{symmetry}, {law}, rate {rate:g}": {
            f"start {scale:g}": {name: summary(values[:, i], seeds) for name, values in cell.items()}
            for i, scale in enumerate(own["scales"])
        }
        for (symmetry, law, rate), cell in cells.items()
    }
    judged = at(cells, 0)
    remarks = [
        f"{share:.0%} of the seeds give the verdict by themselves. Largest deviation of the time, and largest gap: "
        + "; ".join(
            f"from scale {scale:g} {time:.1%} and {gap:.3f}"
            for scale, time, gap in zip(own["scales"], judged["time"], judged["gap"], strict=True)
        )
        + ".",
        "Gradient flow makes a linear network faster by the root of the product of its orbits' sizes, whatever it "
        "learns: a statement on "
        "plain gradient descent, whose steps add up over tied weights; Adam divides them out.",
    ]
    caption = (
        "Relative error over training, mean over members, at the smallest learning rate on the first law: measured (points) and "
        "predicted (lines); one panel a start. Time is that of the gradient flow."
    )
    first = {key[0]: one for key, one in results.items() if key[1:] == (own["laws"][0], min(own["rates"]))}
    drawing = Drawing("curves", caption, draw(own["scales"], first))
    return Finding(answer, effect, numbers, [drawing], "" if answer == "reproduced" else TRIED, remarks)


def run_cells(claim: Claim, experiments: Experiments) -> dict[tuple[str, str, float], dict[str, Any]]:
    """Results of :func:`follow` by symmetry, training law and rate."""
    own = claim.settings
    keys = [(name, law, rate) for name in own["symmetries"] for law in own["laws"] for rate in own["rates"]]
    conditions = []
    for name, law, rate in keys:
        factor = time_factor(name, own["width"])
        conditions.append(
            {key: own[key] for key in ("scales", "seeds", "members", "batch", "threshold")}
            | {"model": f"mlp_linear_{name}", "arguments": {"width": own["width"]}, "symmetry": name, "law": law}
            | {"rate": rate / factor, "time": own["time"] / factor, "every": own["every"] / factor}
            | {"map": "central_limit()", "block_size": 2, "cost": 1 / rate}
        )
    return dict(zip(keys, experiments.compute_many("linear_curves", conditions, follow), strict=True))


def follow(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Descend, and compare with the prediction from the initial weights.

    Args:
        settings: those of :func:`renorm.report.descents.descend`; ``symmetry``, and ``threshold`` of the error.

    Returns:
        ``ratio`` of the measured time to the predicted one and ``gap``, the largest difference of errors, scale x seed x member;
        ``times``, and mean ``measured`` and ``predicted`` errors, look x scale.
    """
    model = scaled_stack(settings)
    width = settings["arguments"]["width"]
    start, size = (part.numpy() for part in invariants(model, *orbit_sizes(settings["symmetry"], width)))
    looks = [(time, linear_errors(model)[1].numpy()) for time in descend(model, settings)]
    times, errors = np.array([time for time, _ in looks]), np.stack([error for _, error in looks])
    predicted = (1 - gain_curve(start, size, time_factor(settings["symmetry"], width), times)) ** 2
    shape = (len(settings["scales"]), settings["seeds"], settings["members"])
    reached, foretold = (
        crossing_times(times, values, settings["threshold"]).clip(times[1], times[-1]) for values in (errors, predicted)
    )
    return {
        "ratio": (reached / foretold).reshape(shape).tolist(),
        "gap": np.abs(errors - predicted).max(axis=0).reshape(shape).tolist(),
        "times": times.tolist(),
        "measured": errors.reshape(-1, *shape).mean(axis=(2, 3)).tolist(),
        "predicted": predicted.reshape(-1, *shape).mean(axis=(2, 3)).tolist(),
    }


def at(cells: Cells, version: int) -> dict[str, list[float]]:
    """Largest deviations over symmetries, laws and rates, of one version, a number a start."""
    times = np.array([np.abs(cell["time"][version] - 1) for cell in cells.values()])
    gaps = np.array([cell["gap"][version] for cell in cells.values()])
    return {"time": times.max(axis=0).tolist(), "gap": gaps.max(axis=0).tolist()}


def verdict(numbers: Mapping[str, list[float]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Args:
        numbers: ``time`` and ``gap``, a number a start, the smallest start last.
        thresholds: ``time`` and ``gap``.

    Example:
        >>> verdict({"time": [0.2, 0.01], "gap": [0.3, 0.01]}, {"time": 0.05, "gap": 0.05})
        'partly'
    """
    holds = [
        time <= thresholds["time"] and gap <= thresholds["gap"]
        for time, gap in zip(numbers["time"], numbers["gap"], strict=True)
    ]
    return "reproduced" if all(holds) else "partly" if holds[-1] else "not reproduced"


def draw(scales: list[float], results: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A panel a start, a colour a symmetry."""
    figure, panels = panel_grid(1, len(scales), height=3.4, sharey=True)
    for column, (axes, scale) in enumerate(zip(panels[0], scales, strict=True)):
        for (name, one), colour in zip(results.items(), COLOURS, strict=False):
            times = np.array(one["times"])
            measured, predicted = (
                np.maximum(np.array(one[key])[:, column], FLOOR) for key in ("measured", "predicted")
            )
            axes.plot(times, predicted, color=colour, linewidth=1, label=name)
            axes.plot(times[::3], measured[::3], ".", color=colour, markersize=4)
        axes.set_title(f"initial weights times {scale:g}", fontsize="small")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(1e-4, 3)
        axes.set_xlabel("time")
        axes.grid(alpha=0.3, linewidth=0.5)
    panels[0, 0].set_ylabel("relative error")
    panels[0, 0].legend(fontsize="x-small")
    return figure
