"""D1: is the symmetry that helps the map's own?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from ..claim import Claim
from ..experiments import Experiments
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..seed_statistics import Versions, best_rate, judged_by_seed, stability, summary, worst
from ..seeded import SHARED, fresh_blocks, train_seeds

# the symmetry of the units, and whether the first variable is reflected
NETWORKS = {
    "free": ("free", False),
    "width_matched": ("free", False),
    "odd": ("odd", False),
    "input": ("input", False),
    "odd_input": ("odd_input", False),
    "permutation": ("permutation", False),
    "odd_input_reflected": ("odd_input", True),
}
TRIED = "Seven networks on four maps under two training laws, three learning rates, on the training law and beyond it."

Cells = dict[tuple[str, str], dict[str, Any]]  # (map, training law) -> network -> errors by test law


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/D1.yaml``."""
    own, seed, seeds = claim.settings, experiments.seed, claim.settings["seeds"]
    cells = train_cells(claim, experiments)
    logs = {
        cell: {name: best_rate(found[cell[1]], seed)[:, -1, 0] for name, found in group.items()}
        for cell, group in cells.items()
    }
    beyond = {
        cell: {name: best_rate(worst(found, own["beyond"]), seed)[:, -1, 0] for name, found in group.items()}
        for cell, group in cells.items()
    }
    versions = {kind: gains_and_harms(errors, own["maps"]) for kind, errors in (("on", logs), ("beyond", beyond))}
    verdicts = {
        kind: judged_by_seed(verdict, lambda v, one=one: at(one, v), claim.thresholds, seeds)  # type: ignore[misc]
        for kind, one in versions.items()
    }
    answer, share = verdicts["on"]
    numbers: dict[str, Any] = {
        "share_of_seeds": share,
        "verdict_beyond_the_training_law": verdicts["beyond"][0],
        "share_of_seeds_beyond": verdicts["beyond"][1],
    }
    for kind, title in (("on", "on_the_training_law"), ("beyond", "beyond_it")):
        numbers[title] = {
            f"{what}, {name}": summary(values, seeds)
            for what, group in versions[kind].items()
            for name, values in group.items()
        }
    numbers["mean_log_error"] = {
        f"{block_map}, {law}": {name: float(values[0]) for name, values in group.items()}
        for (block_map, law), group in logs.items()
    }
    smallest = {what: np.min(list(group.values()), axis=0) for what, group in versions["on"].items()}
    found = summary(smallest["gain"], seeds)
    effect = Effect.of(
        "decades that the matching symmetry gains over free networks of equal parameters, least over maps and laws",
        found,
    )
    sampled = {"rows": own["rows"], "block_size": 2, "map": "maximum()", "seed": seed, "mirrored": True}
    caption = (
        "Mean over members of log10 of the relative MSE on the training law, at the best of the learning rates. "
        "Bold: the matching symmetry of each map."
    )
    return Finding(
        answer,
        effect,
        numbers,
        [Drawing("table", caption, draw(logs, own["maps"]))],
        "" if answer == "yes" else TRIED,
        remarks(cells, share, verdicts["beyond"], sampled),
    )


def train_cells(claim: Claim, experiments: Experiments) -> Cells:
    """Errors of every network on every map under every training law."""
    own = claim.settings
    shared = {key: own[key] for key in SHARED} | {"mirrored": True}
    keys, conditions = [], []
    for block_map, about in own["maps"].items():
        for law in own["laws"]:
            for name, (symmetry, reflected) in NETWORKS.items():
                width = about["width_matched"] if name == "width_matched" else own["width"]
                keys.append((block_map, law, name))
                conditions.append(
                    shared
                    | {"model": f"mlp_relu_{symmetry}", "arguments": {"width": width}, "reflected": reflected}
                    | {"map": block_map, "law": law, "block_size": about["block_size"], "tests": [law, *own["beyond"]]}
                )
    cells: Cells = {}
    for (block_map, law, name), found in zip(
        keys, experiments.compute_many("seeded", conditions, train_seeds), strict=True
    ):
        cells.setdefault((block_map, law), {})[name] = found["errors"]
    return cells


def gains_and_harms(
    logs: Mapping[tuple[str, str], Mapping[str, Versions]], maps: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Versions]]:
    """For every map, the smaller over training laws of what the matching symmetry gains, and of what the wrong one harms."""
    found: dict[str, dict[str, Versions]] = {"gain": {}, "harm": {}}
    for name, about in maps.items():
        groups = [group for (block_map, _), group in logs.items() if block_map == name]
        gains = [group["width_matched"] - group[about["matching"]] for group in groups]
        harms = [group[about["wrong"]] - group["width_matched"] for group in groups]
        found["gain"][name], found["harm"][name] = np.min(gains, axis=0), np.min(harms, axis=0)
    return found


def at(numbers: Mapping[str, Mapping[str, Versions]], version: int) -> dict[str, list[float]]:
    """Gains and harms of one version, a number a map."""
    return {what: [float(values[version]) for values in group.values()] for what, group in numbers.items()}


def verdict(numbers: Mapping[str, list[float]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the question.

    Args:
        numbers: ``gain`` and ``harm`` in decades, one a map, in the same order.
        thresholds: ``helps`` and ``hurts``.

    Example:
        >>> verdict({"gain": [0.5, 0.1], "harm": [0.5, 0.5]}, {"helps": 0.3, "hurts": 0.3})
        'partly'
    """
    helps = np.array(numbers["gain"]) >= thresholds["helps"]
    hurts = np.array(numbers["harm"]) >= thresholds["hurts"]
    both = helps & hurts
    return "yes" if both.all() else "partly" if hurts.all() or both.any() else "no"


def remarks(cells: Cells, share: float, beyond: tuple[str, float], sampled: Mapping[str, Any]) -> list[str]:
    """How stable the verdict is, and the bound that no odd network passes."""
    found = [stability(share, beyond)]
    least = least_odd_error(cells)
    if least is not None:
        found.append(
            f"On the maximum under the uniform law no odd function has a relative error below 0.2701; on the test's sample the "
            f"bound is {odd_bound(*fresh_blocks('uniform()', sampled)):.4f}. The least error of the odd networks is {least:.4f}."
        )
    return found


def odd_bound(x: Tensor, y: Tensor) -> float:
    """Least relative error of an odd function on blocks followed by their mirror images: that of the target's odd part."""
    even = (y + y.view(2, -1).flip(0).flatten()).double() / 2
    return float(even.square().mean() / y.double().var(unbiased=False))


def least_odd_error(cells: Cells) -> float | None:
    """The smallest relative error of an odd network on the maximum of blocks of two under the uniform law."""
    group = cells.get(("maximum()", "uniform()"))
    if group is None:
        return None
    return min(float(np.min(group[name]["uniform()"])) for name in ("odd", "odd_input", "odd_input_reflected"))


def draw(logs: Mapping[tuple[str, str], Mapping[str, Versions]], maps: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A table of mean log errors, a row a map and training law, a column a network."""
    names = list(NETWORKS)
    values = np.array([[group[name][0] for name in names] for group in logs.values()])
    figure, panels = panel_grid(1, 1, height=0.42 * len(values) + 1.5)
    axes = panels[0, 0]
    image = axes.imshow(values, aspect="auto", cmap="viridis", vmin=-6, vmax=0.5)
    axes.set_xticks(range(len(names)), [name.replace("_", "\n") for name in names])
    axes.set_yticks(range(len(logs)), [f"{block_map}, {law}" for block_map, law in logs])
    for (row, column), value in np.ndenumerate(values):
        block_map = list(logs)[row][0]
        weight = "bold" if names[column] == maps[block_map]["matching"] else "normal"
        shade = "#101010" if value > -2 else "#f8f8f8"
        axes.text(
            column, row, f"{value:.2f}", ha="center", va="center", fontsize="small", color=shade, fontweight=weight
        )
    figure.colorbar(image, ax=axes, label="mean log10 relative MSE")
    axes.set_xlabel("network")
    return figure
