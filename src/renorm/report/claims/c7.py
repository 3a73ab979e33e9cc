"""C7: graph networks against perceptrons of equal size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..axes import Setting, places
from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS, draw_networks, panels
from ..finding import Drawing, Effect, Finding
from ..seed_statistics import Versions, summary
from ..trained_networks import TrainedNetworks, judge_on_both_sets, train_networks

PAIR = "2"  # the block of the paper's graph
MLP_ON_THE_PAIR = ("graph_conv", "sage", "edge_conv")  # layers that are an MLP there, weight by weight
TIED = "MLP, inputs tied"
TRIED = (
    "Six message-passing layers, blocks of 2, 4 and 8, equal parameters, two training laws, two initial scales, three "
    "rates; perceptrons "
    "with inputs tied as a second yardstick."
)

Blocks = dict[str, dict[str, str]]  # block size -> layer, or kind of MLP -> name of the network


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/C7.yaml``."""
    own, seeds = claim.settings, claim.settings["seeds"]
    blocks, asked = networks_of(own["blocks"])
    networks = train_networks(asked, own, experiments)
    judged = judge_on_both_sets(
        verdict, lambda over, place, v: at(networks, blocks, place, over, v), claim.thresholds, own
    )
    reference = places(own)["reference"]
    numbers: dict[str, Any] = judged.numbers()
    for name, place in places(own).items():
        numbers[f"decades_gained_over_the_MLP, {name}"] = {
            network: summary(gained, seeds)
            for block in blocks
            for network, gained in gains(networks, blocks[block], place, "extrapolation", TIED).items()
        }
    numbers["mean_log_error"] = {name: networks.described(name, reference, "extrapolation") for name in networks.names}
    numbers["law_by_law"] = {name: networks.by_law(name, reference) for name in networks.names}
    found = summary(most_gained(networks, blocks, reference, "extrapolation"), seeds)
    effect = Effect.of(
        "decades of the graph network that gains most over the MLP on larger blocks, beyond the training law", found
    )
    caption = (
        "Each point is a network, under the law beyond the training law (uniform) where its error is the largest; "
        "bars: ten to the mean "
        "log error, with the 95% interval over seeds and members. Columns of one block size have equal budgets."
    )
    drawings = [Drawing("errors", caption, draw(networks, blocks, reference))]
    answer = judged.beyond.verdict
    tried = "" if answer == "reproduced" else TRIED
    return Finding(answer, effect, numbers, drawings, tried, [*judged.sentences(), *remarks(networks, blocks, own)])


def networks_of(settings: Mapping[Any, Mapping[str, Any]]) -> tuple[Blocks, dict[str, dict[str, Any]]]:
    """The networks of every block size, by name."""
    blocks: Blocks = {}
    asked: dict[str, dict[str, Any]] = {}
    for size, own in settings.items():
        shared = {"block_size": int(size), "members": own["members"]}
        graph = {"graph": "pair"} if str(size) == PAIR else {"graph": "complete", "readout": "mean"}
        kinds = {"MLP": ("mlp_leaky_relu_free", own["mlp"]), TIED: ("mlp_leaky_relu_input", own["mlp"])}
        kinds |= {layer: (f"gnn_{layer}_leaky_relu_free", width) for layer, width in own["layers"].items()}
        for name, (model, width) in kinds.items():
            more = {} if name.startswith("MLP") else graph
            asked[f"{name}, blocks of {size}"] = {**shared, "model": model, "arguments": {"width": width, **more}}
        blocks[str(size)] = {name: f"{name}, blocks of {size}" for name in kinds}
    return blocks, asked


def gains(
    networks: TrainedNetworks, group: Mapping[str, str], place: Setting, over: str, *more: str
) -> dict[str, Versions]:
    """Decades by which the graph networks of one block size, and ``more``, are better than the MLP, by name."""
    mlp = networks.log_error(group["MLP"], place, over)
    return {
        network: mlp - networks.log_error(network, place, over)
        for name, network in group.items()
        if not name.startswith("MLP") or name in more
    }


def most_gained(networks: TrainedNetworks, blocks: Blocks, place: Setting, over: str) -> Versions:
    """Decades of the graph network on larger blocks that gains most over the MLP of its size, chosen in each version."""
    larger = [gains(networks, group, place, over) for block, group in blocks.items() if block != PAIR]
    found: Versions = np.max([gained for group in larger for gained in group.values()], axis=0)
    return found


def at(networks: TrainedNetworks, blocks: Blocks, place: Setting, over: str, version: int) -> dict[str, Any]:
    """What the rule speaks of, for one version: gains on the pair of layers that are no MLP, and the largest on larger blocks."""
    pair = {name: network for name, network in blocks[PAIR].items() if name not in MLP_ON_THE_PAIR}
    return {
        "on_the_pair": [float(gained[version]) for gained in gains(networks, pair, place, over).values()],
        "most_gained": float(most_gained(networks, blocks, place, over)[version]),
    }


def verdict(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim.

    Example:
        >>> verdict({"on_the_pair": [0.1, -0.4, -2.0], "most_gained": 0.6}, {"most": 0.6, "comparable": 0.5})
        'partly'
    """
    comparable = float(np.mean(np.abs(numbers["on_the_pair"]) <= thresholds["comparable"])) >= thresholds["most"]
    unexploited = numbers["most_gained"] <= thresholds["comparable"]
    return ("not reproduced", "partly", "reproduced")[int(comparable) + int(unexploited)]


def remarks(networks: TrainedNetworks, blocks: Blocks, own: Mapping[str, Any]) -> list[str]:
    """The summary for a physicist."""
    found = [
        "On the pair the layers graph_conv, sage and edge_conv are the MLP, weight by weight: they are shown, and no "
        "part of the rule. "
        "Complete graphs and the mean as readout are this project's, not the paper's."
    ]
    chosen = {name: place for name, place in places(own).items() if "scale" not in name and "law" not in name}
    for block in blocks:
        if block == PAIR:
            continue
        parts = []
        for name, place in chosen.items():
            gained = gains(networks, blocks[block], place, "extrapolation")
            best = max(gained, key=lambda network: float(gained[network][0]))
            tied = networks.log_error(blocks[block]["MLP"], place, "extrapolation") - networks.log_error(
                blocks[block][TIED], place, "extrapolation"
            )
            parts.append(f"{name}: {gained[best][0]:+.1f} ({best.partition(',')[0]}), {tied[0]:+.1f}")
        found.append(
            f"Blocks of {block}, decades gained over the MLP by the best graph network, and by tying the MLP's inputs: "
            f"{'; '.join(parts)}."
        )
    return found


def draw(networks: TrainedNetworks, blocks: Blocks, place: Setting) -> Figure:
    """A panel a block size, a column a network."""
    figure, grid = panels(len(blocks), height=3.8)
    for axes, (block, group) in zip(grid, blocks.items(), strict=True):
        names: Sequence[str] = list(group.values())
        colours = [COLOURS[0] if name.startswith("MLP") else COLOURS[1] for name in names]
        draw_networks(axes, networks, names, place, "extrapolation", colours)
        axes.set_xticks(range(len(group)), list(group), rotation=90, fontsize="x-small")
        axes.set_title(f"blocks of {block}", fontsize="medium")
    grid[0].set_ylabel("relative MSE beyond training", fontsize="small")
    return figure
