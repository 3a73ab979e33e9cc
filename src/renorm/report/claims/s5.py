"""S5: does the spread of an ensemble cover its error beyond the support of the training law?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from ..axes import Setting, judge_along_axes, places
from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..seed_statistics import Versions, mean, mean_log, summary
from ..seeded import SHARED, axes_of, fresh_blocks, make_stack, relative_errors, train_stack

TRIED = "Four networks, two training laws, two initial scales, three learning rates, ensembles of 256."
SIDE = 16  # blocks on each side of a square
LEVELS = {"coverage": 0.95, "coverage_of_half": 0.5}  # of the central members

BY_DISTANCE = (*LEVELS, "error_over_spread")
Runs = Mapping[tuple[str, str], Mapping[str, Any]]  # (network, training law) -> result of spread_and_error


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/S5.yaml``."""
    own, seed, seeds = claim.settings, experiments.seed, claim.settings["seeds"]
    runs = run_cells(claim, experiments)
    found = {
        place: {name: measure(runs[name, place.law], own, place, seed) for name in own["networks"]}
        for place in places(own).values()
    }
    judged = judge_along_axes(verdict, lambda place, v: at(found[place], own["distances"], v), claim.thresholds, own)
    reference = next(iter(places(own).values()))
    beyond = np.array(own["distances"]) > 1
    least = np.min([one["coverage"][:, beyond].min(axis=1) for one in found[reference].values()], axis=0)
    smallest = summary(least, seeds)
    effect = Effect.of("least coverage beyond the support, over networks and distances", smallest)
    numbers: dict[str, Any] = judged.numbers() | {
        name: {
            network: {"knows": summary(one["knows"], seeds)}
            | {
                f"distance {distance:g}": {what: summary(one[what][:, i], seeds) for what in BY_DISTANCE}
                for i, distance in enumerate(own["distances"])
            }
            for network, one in found[place].items()
        }
        for name, place in places(own).items()
    }
    remarks = [
        judged.sentence(),
        "Rank correlation of spread and error over all blocks, reference: "
        + ", ".join(f"{one['knows'][0]:.2f} ({name})" for name, one in found[reference].items())
        + ".",
        "Members differ by their initial weights alone. What all of them have wrong alike, by a symmetry that the "
        "map has not or by the "
        "kinks that none of them has outside the data, is in the mean and not in the spread.",
    ]
    drawing = Drawing(
        "coverage",
        "Share of the blocks where the exact answer is within the central 95%, and the central half, of the members' "
        "answers, against the distance, in units "
        "of the uniform law's support. Right: error of the ensemble's mean over its spread. Mean over seeds with its "
        "95% interval, reference.",
        draw(own, found[reference], seeds),
    )
    return Finding(judged.verdict, effect, numbers, [drawing], "" if judged.verdict == "yes" else TRIED, remarks)


def run_cells(claim: Claim, experiments: Experiments) -> dict[tuple[str, str], dict[str, Any]]:
    """Results of :func:`spread_and_error` by network and training law."""
    own = claim.settings
    keys = [(name, law) for name in own["networks"] for law in own["laws"]]
    shared = {key: own[key] for key in (*SHARED, "scales", "distances")}
    shared |= {"map": "central_limit()", "block_size": 2, "mirrored": False}
    conditions = [shared | dict(own["networks"][name]) | {"law": law} for name, law in keys]
    return dict(zip(keys, experiments.compute_many("ensembles", conditions, spread_and_error), strict=True))


def spread_and_error(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train ensembles, and compare their spread with their error on squares about the origin.

    Args:
        settings: those of :func:`renorm.report.seeded.train_seeds`, and ``distances`` of the squares.

    Returns:
        ``coverage``, ``coverage_of_half`` and ``error_over_spread``, distance x scale x rate x seed; ``knows``, the rank
        correlation of spread and error over all blocks, scale x rate x seed; ``trained``, errors on the training law, scale x
        rate x seed x member.
    """
    model = make_stack(settings)
    list(train_stack(model, settings))  # to the last stop
    shape = axes_of(settings)
    blocks = square(settings["distances"])
    with torch.no_grad():
        out = model(blocks.flatten(0, 1).float()).double().nan_to_num(nan=math.inf)
    outputs = out.view(*shape, len(settings["distances"]), -1).numpy()
    target = (blocks.sum(dim=-1) / math.sqrt(2)).numpy()
    found: dict[str, Any] = {}
    for name, level in LEVELS.items():
        low, high = np.quantile(outputs, [(1 - level) / 2, (1 + level) / 2], axis=-3)
        found[name] = np.moveaxis(((target >= low) & (target <= high)).mean(axis=-1), -1, 0).tolist()
    error, spread = np.abs(outputs.mean(axis=-3) - target), outputs.std(axis=-3, ddof=1)
    ratio = np.sqrt((error**2).mean(axis=-1) / (spread**2).mean(axis=-1))
    trained = relative_errors(model, *fresh_blocks(settings["law"], settings)).nan_to_num(nan=torch.inf)
    return found | {
        "error_over_spread": np.moveaxis(ratio, -1, 0).tolist(),
        "knows": rank_correlation(*(values.reshape(*shape[:-1], -1) for values in (error, spread))).tolist(),
        "trained": trained.view(shape).tolist(),
    }


def square(distances: Sequence[float]) -> Tensor:
    r"""Blocks evenly along the squares :math:`\max |x_i| = d \sqrt 3`, shape ``(distances, 4 * SIDE, 2)``, float64.

    Example:
        >>> square([1.0]).abs().amax(dim=-1).square().unique().round(decimals=6)
        tensor([3.], dtype=torch.float64)
    """
    along = (torch.arange(SIDE, dtype=torch.float64) + 0.5) / SIDE * 2 - 1
    side = torch.stack([torch.ones_like(along), along], dim=-1)
    whole = torch.cat([side, -side, side.flip(-1), -side.flip(-1)])
    return torch.tensor(distances, dtype=torch.float64).view(-1, 1, 1) * math.sqrt(3) * whole


def rank_correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman's rank correlation along the last axis.

    Example:
        >>> round(float(rank_correlation(np.array([1.0, 2.0, 4.0]), np.array([0.0, 5.0, 6.0]))), 6)
        1.0
    """
    ranks = [rankdata(values, axis=-1) for values in (x, y)]
    a, b = (values - values.mean(axis=-1, keepdims=True) for values in ranks)
    found: NDArray[np.float64] = (a * b).sum(axis=-1) / np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    return found


def measure(run: Mapping[str, Any], own: Mapping[str, Any], place: Setting, seed: int) -> dict[str, Versions]:
    """Numbers of one network at one place, in versions: those of :data:`BY_DISTANCE`, and ``knows``.

    Where the place has no rate, it is the best on the training law, chosen in each version.
    """
    scale = own["scales"].index(place.scale)
    logs = mean_log(np.asarray(run["trained"])[scale], seed)
    rates = np.full(len(logs), own["rates"].index(place.rate)) if place.rate is not None else logs.argmin(axis=-1)
    found = {}
    for what in (*BY_DISTANCE, "knows"):
        values = np.asarray(run[what], dtype=float)[..., scale, :, :, None]  # each seed is one ensemble
        found[what] = mean(np.nan_to_num(values, nan=np.inf).clip(max=1e6), seed)[np.arange(len(logs)), ..., rates]
    return found


def at(
    found: Mapping[str, Mapping[str, Versions]], distances: Sequence[float], version: int
) -> dict[str, dict[str, float]]:
    """What the rule speaks of, for one version: least coverages beyond the support, and the rank correlation."""
    beyond = np.array(distances) > 1
    return {
        name: {
            "covers": float(one["coverage"][version, beyond].min()),
            "half": float(one["coverage_of_half"][version, beyond].min()),
            "knows": float(one["knows"][version]),
        }
        for name, one in found.items()
    }


def verdict(numbers: Mapping[str, Mapping[str, float]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the question.

    Args:
        numbers: network -> ``covers`` and ``half``, the least coverages beyond the support, and ``knows``.
        thresholds: ``covers``, ``half`` and ``knows``.

    Example:
        >>> verdict({"free": {"covers": 0.95, "half": 0.6, "knows": 0.9}}, {"covers": 0.9, "half": 0.4, "knows": 0.7})
        'yes'
    """
    covers = [one["covers"] >= thresholds["covers"] and one["half"] >= thresholds["half"] for one in numbers.values()]
    knows = all(one["knows"] >= thresholds["knows"] for one in numbers.values())
    return "yes" if all(covers) else "partly" if any(covers) or knows else "no"


def draw(own: Mapping[str, Any], found: Mapping[str, Mapping[str, Versions]], seeds: int) -> Figure:
    """Coverage, and error over spread, against the distance."""
    figure, panels = panel_grid(1, 3, height=3.4)
    for axes, what in zip(panels[0], BY_DISTANCE, strict=True):
        for (name, one), colour in zip(found.items(), COLOURS, strict=False):
            low, high = np.quantile(one[what][1 + seeds :], [0.025, 0.975], axis=0)
            axes.plot(own["distances"], one[what][0], marker=".", color=colour, label=name)
            axes.fill_between(own["distances"], low, high, color=colour, alpha=0.2, linewidth=0)
        axes.axvline(1, color="#808080", linestyle=":", linewidth=0.8)
        axes.axhline(LEVELS.get(what, 1.0), color="#808080", linestyle="--", linewidth=0.8)
        axes.set_xlabel("distance from the origin")
        axes.grid(alpha=0.3, linewidth=0.5)
    for axes, name in zip(panels[0], ("coverage of the central 95%", "coverage of the central half"), strict=False):
        axes.set_ylim(-0.03, 1.03)
        axes.set_ylabel(name)
    panels[0, 2].set_yscale("log")
    panels[0, 2].set_ylabel("error of the mean over spread")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="x-small")
    return figure
