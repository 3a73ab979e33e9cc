"""D3: do graph networks gain where equivariance counts?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS
from ..finding import Drawing, Effect, Finding
from ..grids import panel_grid
from ..seed_statistics import Versions, best_rate, judged_by_seed, stability, summary, worst
from ..seeded import SHARED, train_seeds

NETWORKS = ("perceptron", "inputs tied", "graph, sum", "graph, maximum")
GRAPHS = NETWORKS[2:]
WANTED, UNWANTED = "maximum()", "central_limit()"  # where equivariance beyond the sum counts, and where it does not
TRIED = "Two block sizes, two training laws, three learning rates, two aggregations; perceptrons with inputs tied as a control."

Logs = dict[tuple[str, int, str], dict[str, Versions]]  # (map, block size, training law) -> network -> mean log errors


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/D3.yaml``."""
    own, seed, seeds = claim.settings, experiments.seed, claim.settings["seeds"]
    cells = train_cells(claim, experiments)
    on: Logs = {
        cell: {name: best_rate(found[cell[2]], seed)[:, -1, 0] for name, found in group.items()}
        for cell, group in cells.items()
    }
    beyond: Logs = {
        cell: {name: best_rate(worst(found, own["beyond"]), seed)[:, -1, 0] for name, found in group.items()}
        for cell, group in cells.items()
    }
    answer, share = judged_by_seed(verdict, lambda v: gains_at(on, v), claim.thresholds, seeds)
    beyond_too = judged_by_seed(verdict, lambda v: gains_at(beyond, v), claim.thresholds, seeds)
    numbers: dict[str, Any] = {
        "share_of_seeds": share,
        "verdict_beyond_the_training_law": beyond_too[0],
        "share_of_seeds_beyond": beyond_too[1],
    }
    for title, logs in (("gain_on_the_training_law", on), ("gain_beyond_it", beyond)):
        numbers[title] = {
            f"{name}: {block_map}, blocks of {block}, {law}": summary(group["perceptron"] - group[name], seeds)
            for (block_map, block, law), group in logs.items()
            for name in NETWORKS[1:]
        }
    numbers["mean_log_error"] = {
        f"{block_map}, blocks of {block}, {law}": {name: float(values[0]) for name, values in group.items()}
        for (block_map, block, law), group in on.items()
    }
    wanted = [group["perceptron"] - group["graph, sum"] for (name, _, _), group in on.items() if name == WANTED]
    found = summary(np.min(wanted, axis=0), seeds)
    effect = Effect.of(
        "decades that graph networks with sums gain over the perceptron on the maximum, least over blocks and laws",
        found,
    )
    caption = (
        "Mean over members of log10 of the relative MSE, at the best of the learning rates, with its 95% interval over seeds and "
        "members; filled: on the training law, open: on the worst law beyond it."
    )
    drawing = Drawing("errors", caption, draw(on, beyond, seeds))
    return Finding(answer, effect, numbers, [drawing], "" if answer == "yes" else TRIED, [stability(share, beyond_too)])


def train_cells(claim: Claim, experiments: Experiments) -> dict[tuple[str, int, str], dict[str, Any]]:
    """Errors by test law of every network on every map, block size and training law."""
    own = claim.settings
    keys, conditions = [], []
    for block_map in own["maps"]:
        for blocks in own["blocks"]:
            for law in own["laws"]:
                shared = {key: own[key] for key in SHARED} | {"map": block_map, "law": law, "mirrored": True}
                shared |= {"block_size": blocks["block_size"], "tests": [law, *own["beyond"]]}
                for name in NETWORKS:
                    keys.append((block_map, blocks["block_size"], law, name))
                    conditions.append(shared | network(name, blocks))
    cells: dict[tuple[str, int, str], dict[str, Any]] = {}
    for (block_map, block, law, name), found in zip(
        keys, experiments.compute_many("seeded", conditions, train_seeds), strict=True
    ):
        cells.setdefault((block_map, block, law), {})[name] = found["errors"]
    return cells


def network(name: str, blocks: Mapping[str, int]) -> dict[str, Any]:
    """Variant, arguments and relative cost of one of the networks."""
    if name not in GRAPHS:
        symmetry = "free" if name == "perceptron" else "input"
        return {"model": f"mlp_relu_{symmetry}", "arguments": {"width": blocks["mlp"]}, "cost": blocks["mlp"]}
    graph = {"graph": "complete", "readout": "mean", "aggregation": "sum" if name == GRAPHS[0] else "max"}
    return {
        "model": "gnn_graph_conv_relu_free",
        "arguments": graph | {"width": blocks["gnn"]},
        "cost": blocks["gnn"] * blocks["block_size"],
    }


def gains_at(logs: Logs, version: int) -> dict[str, dict[str, list[float]]]:
    """For one version and each map: gains of both graph networks, a number a block size, by the training law that counts."""
    found: dict[str, dict[str, list[float]]] = {}
    for block_map, choose in ((WANTED, min), (UNWANTED, max)):
        blocks = dict.fromkeys(block for name, block, _ in logs if name == block_map)
        found[block_map] = {
            graph: [
                choose(
                    float((group["perceptron"] - group[graph])[version])
                    for (name, size, _), group in logs.items()
                    if (name, size) == (block_map, block)
                )
                for block in blocks
            ]
            for graph in GRAPHS
        }
    return found


def verdict(numbers: Mapping[str, Mapping[str, list[float]]], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the question.

    Args:
        numbers: map -> graph network -> gain in decades, one a block size.
        thresholds: ``gains``.
    """
    least = thresholds["gains"]
    wanted, unwanted = ({name: np.array(one) for name, one in numbers[key].items()} for key in (WANTED, UNWANTED))
    gains = {name: bool((one >= least).all()) for name, one in wanted.items()}
    if all(gains.values()) and all((one < least).all() for one in unwanted.values()):
        return "yes"
    more = any(gains[name] and (wanted[name] > unwanted[name]).all() for name in gains)
    return "partly" if more else "no"


def draw(on: Logs, beyond: Logs, seeds: int) -> Figure:
    """A panel a map and block size, a column a network, a colour a training law."""
    places = list(dict.fromkeys((block_map, block) for block_map, block, _ in on))
    laws = list(dict.fromkeys(law for _, _, law in on))
    figure, panels = panel_grid(1, len(places), height=3.6)
    for axes, place in zip(panels[0], places, strict=True):
        for number, law in enumerate(laws):
            for logs, filled in ((on, True), (beyond, False)):
                values = np.array([logs[(*place, law)][name] for name in NETWORKS])
                low, high = np.quantile(values[:, 1 + seeds :], [0.025, 0.975], axis=1)
                x = np.arange(len(NETWORKS)) + 0.2 * (number - (len(laws) - 1) / 2)
                face = COLOURS[number] if filled else "none"
                axes.vlines(x, low, high, color=COLOURS[number], linewidth=1)
                axes.plot(
                    x, values[:, 0], "o", color=COLOURS[number], markerfacecolor=face, label=law if filled else None
                )
        axes.set_xticks(range(len(NETWORKS)), NETWORKS, rotation=90)
        axes.set_title(f"{place[0]},\nblocks of {place[1]}", fontsize="small")
        axes.grid(alpha=0.3, linewidth=0.5)
    panels[0, 0].set_ylabel("mean log10 relative MSE")
    panels[0, 0].legend(fontsize="x-small")
    return figure
