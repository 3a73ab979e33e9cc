"""S3: does weight decay leave the gain 1 - g/m, and collapse networks at g = m?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ..claim import Claim
from ..descents import descend, scaled_stack
from ..experiments import Experiments
from ..figures import COLOURS
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..linear_theory import time_factor
from ..seed_statistics import Versions, judged_by_seed, mean, mean_log, summary
from ..seeded import fresh_blocks

TRIED = "Seven networks, strengths on both sides of the collapse, two starts, three learning rates, two laws."
ROWS = 2048
FREE = "free"

Cells = dict[tuple[str, str, float], dict[str, Versions]]  # (network, law, rate) -> numbers (V, decays, scales)


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/S3.yaml``."""
    own, seed, seeds = claim.settings, experiments.seed, claim.settings["seeds"]
    cells = {
        key: {"gain": mean(np.array(one["gain"]), seed), "error": mean_log(one["error"], seed)}
        for key, one in run_cells(claim, experiments).items()
    }
    deviations = {key: deviate(cell, own["decays"], own["away"]) for key, cell in cells.items()}
    answer, share = judged_by_seed(verdict, lambda v: at(deviations, v), claim.thresholds, seeds)
    found = summary(np.max([one["gain"] for one in deviations.values()], axis=0), seeds)
    effect = Effect.of(
        "largest deviation of the gain from its prediction, over networks, starts, rates and laws", found
    )
    numbers: dict[str, Any] = {"share_of_seeds": share, "factors": factors(own)} | {
        f"{name}, {law}, rate {rate:g}": {
            f"g/m {decay:g}": {
                "gain": summary(cell["gain"][:, i].mean(axis=-1), seeds),
                "log10_error": summary(cell["error"][:, i].mean(axis=-1), seeds),
            }
            for i, decay in enumerate(own["decays"])
        }
        for (name, law, rate), cell in cells.items()
    }
    remarks = [
        f"{share:.0%} of the seeds give the verdict by themselves. Strengths nearer to collapse than {own['away']:g} "
        "are not judged: there "
        "the relaxation is slow, and gains are still above the line.",
        "The gain falls to zero continuously, and the weights' symmetry under a change of all signs, broken below "
        "collapse, is restored: a "
        "transition of second order in the strength of the decay, at a place that a symmetry of the weights moves by "
        "its factor m.",
    ]
    drawing = Drawing(
        "gain",
        "Gain (left) and relative error (right) at the end of training against the strength of the decay over the "
        "network's factor m, mean "
        "over members and starts, at the smallest learning rate on the first law; lines: prediction.",
        draw(own, cells),
    )
    return Finding(answer, effect, numbers, [drawing], "" if answer == "reproduced" else TRIED, remarks)


def factors(own: Mapping[str, Any]) -> dict[str, float]:
    """The factor m of each network: that of its symmetry, times (1 + s)/2 for a leaky ReLU that is odd."""
    return {
        name: time_factor(network["symmetry"], own["width"]) * (1 + network.get("negative_slope", 1.0)) / 2
        for name, network in own["networks"].items()
    }


def run_cells(claim: Claim, experiments: Experiments) -> dict[tuple[str, str, float], dict[str, Any]]:
    """Results of :func:`decay_to_rest` by network, training law and rate."""
    own = claim.settings
    known = factors(own)
    keys = [(name, law, rate) for name in own["networks"] for law in own["laws"] for rate in own["rates"]]
    conditions = []
    for name, law, rate in keys:
        network, factor = own["networks"][name], known[name]
        bent = {"negative_slope": network["negative_slope"], "bias": False} if "negative_slope" in network else {}
        conditions.append(
            {key: own[key] for key in ("scales", "seeds", "members", "batch")}
            | {"model": network["model"], "arguments": {"width": own["width"]} | bent, "law": law}
            | {"decays": [factor * decay for decay in own["decays"]], "rate": rate / factor}
            | {"time": own["time"] / factor, "every": own["time"] / factor, "cost": 1 / rate}
            | {"map": "central_limit()", "block_size": 2}
        )
    return dict(zip(keys, experiments.compute_many("weight_decay", conditions, decay_to_rest), strict=True))


def decay_to_rest(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Descend under weight decay to the end.

    Args:
        settings: those of :func:`renorm.report.descents.descend`.

    Returns:
        ``gain``, the regression of the output on the target, and ``error``, relative, on fresh blocks of the training law and
        their mirror images, decay x scale x seed x member.
    """
    model = scaled_stack(settings)
    for _ in descend(model, settings):
        pass
    x, y = fresh_blocks(settings["law"], dict(settings) | {"rows": ROWS, "mirrored": True})
    with torch.no_grad():
        out, target = model(x).double(), y.double()
    power = target.square().mean()
    shape = (len(settings["decays"]), len(settings["scales"]), settings["seeds"], settings["members"])
    gain = (out * target).mean(dim=-1) / power
    error = (out - target).square().mean(dim=-1) / power
    return {"gain": gain.view(shape).tolist(), "error": error.nan_to_num(nan=torch.inf).view(shape).tolist()}


def predicted_gain(decays: ArrayLike) -> NDArray[np.float64]:
    r"""Gain at rest, :math:`\max(0, 1 - g/m)`, from g/m.

    Example:
        >>> predicted_gain([0.25, 1.5])
        array([0.75, 0.  ])
    """
    gain: NDArray[np.float64] = np.maximum(0.0, 1 - np.asarray(decays, dtype=float))
    return gain


def deviate(cell: Mapping[str, Versions], decays: ArrayLike, away: float) -> dict[str, Versions]:
    """Largest deviation of gain, and of log10 error, over the strengths that are judged and the starts, shape ``(V,)``."""
    strengths = np.asarray(decays, dtype=float)
    judged = np.abs(strengths - 1) >= away
    gain = predicted_gain(strengths)[:, None]
    wanted = {"gain": gain, "error": 2 * np.log10(1 - gain)}
    return {name: np.abs(cell[name] - wanted[name])[:, judged].max(axis=(-2, -1)) for name in wanted}


def at(
    deviations: Mapping[tuple[str, str, float], Mapping[str, Versions]], version: int
) -> dict[str, dict[str, float]]:
    """Largest deviations of one version over all networks, and over the free linear ones."""
    return {
        group: {
            what: max(float(one[what][version]) for key, one in deviations.items() if group == "all" or key[0] == FREE)
            for what in ("gain", "error")
        }
        for group in ("all", FREE)
    }


def verdict(numbers: Mapping[str, Mapping[str, float]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Args:
        numbers: ``all`` and ``free``, each the largest deviations of ``gain`` and log10 ``error``.
        thresholds: ``gain`` and ``error``.

    Example:
        >>> right, wrong = {"gain": 0.01, "error": 0.01}, {"gain": 0.2, "error": 0.01}
        >>> verdict({"all": wrong, "free": right}, {"gain": 0.05, "error": 0.1})
        'partly'
    """
    holds = {
        group: own["gain"] <= thresholds["gain"] and own["error"] <= thresholds["error"]
        for group, own in numbers.items()
    }
    return "reproduced" if holds["all"] else "partly" if holds[FREE] else "not reproduced"


def draw(own: Mapping[str, Any], cells: Cells) -> Figure:
    """Gain and error against the strength, a colour a network."""
    figure, panels = panel_grid(1, 2, height=3.4)
    line = np.linspace(0.05, max(own["decays"]), 200)
    curves = {"gain": predicted_gain(line), "error": np.minimum(line, 1) ** 2}
    for axes, (name, curve) in zip(panels[0], curves.items(), strict=True):
        axes.plot(line, curve, color="#808080", linewidth=1)
        for i, ((network, colour), marker) in enumerate(
            zip(zip(own["networks"], COLOURS, strict=False), "osD^vP*", strict=False)
        ):
            values = cells[network, own["laws"][0], min(own["rates"])][name][0].mean(axis=-1)
            shifted = np.array(own["decays"]) + 0.012 * (i - 3)  # side by side
            axes.plot(
                shifted, 10**values if name == "error" else values, marker, color=colour, markersize=3.5, label=network
            )
        axes.set_xlabel("weight decay g/m")
        axes.grid(alpha=0.3, linewidth=0.5)
    panels[0, 0].set_ylabel("gain")
    panels[0, 1].set_ylabel("relative error")
    panels[0, 0].legend(fontsize="x-small")
    return figure
