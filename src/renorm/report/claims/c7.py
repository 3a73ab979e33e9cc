"""C7: graph networks against perceptrons of equal size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..claim import Claim
from ..experiments import Experiments
from ..figures import COLOURS, draw_members, panels
from ..finding import Drawing, Effect, Finding
from ..samples import Sample, compared, described, format_error, sample, values_of

Blocks = dict[int, dict[str, Sample]]  # block size -> network -> errors
PAIR = 2


def judge(claim: Claim, experiments: Experiments) -> Finding:
    """See ``configs/claims/C7.yaml``."""
    blocks, seed = read_blocks(claim, experiments), experiments.seed
    ratios = {
        str(block): {
            name: compared(own, group["MLP"], seed) for name, own in group.items() if not name.startswith("MLP")
        }
        for block, group in blocks.items()
    }
    numbers: dict[str, Any] = {"over_mlp": ratios, "pair_comparable": comparable_share(ratios, claim.thresholds)}
    numbers["over_input_tied_mlp"] = {
        str(block): {
            name: compared(own, group["MLP, inputs tied"], seed)
            for name, own in group.items()
            if not name.startswith("MLP")
        }
        for block, group in blocks.items()
    }
    numbers["errors"] = {
        f"{name}, blocks of {block}": described(own, seed)
        for block, group in blocks.items()
        for name, own in group.items()
    }
    name, gain = largest_gain(ratios)
    effect = Effect(
        f"decades of the graph network that gains most over the MLP on larger blocks ({name})",
        -gain["decades"],
        -gain["high"],
        -gain["low"],
    )
    answer = verdict(numbers, claim.thresholds)
    tried = "" if answer == "reproduced" else TRIED
    caption = "Each point is a network; bars are medians with their 95% intervals. Columns of one block size have equal budgets."
    return Finding(answer, effect, numbers, [Drawing("errors", caption, draw(blocks))], tried, remarks(numbers, blocks))


TRIED = "Six message-passing layers, blocks of 2 to 16, equal parameters; perceptrons with inputs tied as a second yardstick."


def read_blocks(claim: Claim, experiments: Experiments) -> Blocks:
    """Errors by block size and network."""
    tables = {name: experiments.table(sweep) for name, sweep in claim.sweeps.items()}
    blocks: Blocks = {}
    for name, title in (("mlp", "MLP"), ("tied", "MLP, inputs tied")):
        for block in values_of(tables[name], "block_size"):
            blocks.setdefault(int(block), {})[title] = sample(tables[name], block_size=block)
    for name in ("pair", "complete"):
        table = tables[name]
        for block, layer in dict.fromkeys(
            zip(*(table.column(key).to_pylist() for key in ("block_size", "layer")), strict=True)
        ):
            blocks.setdefault(int(block), {})[layer] = sample(table, block_size=block, layer=layer)
    return blocks


def comparable_share(ratios: Mapping[str, Mapping[str, Mapping[str, float]]], thresholds: Mapping[str, float]) -> float:
    """Share of the layers on the directed pair that are as good as the MLP, or as bad."""
    return float(np.mean([abs(one["decades"]) <= thresholds["comparable"] for one in ratios[str(PAIR)].values()]))


def largest_gain(ratios: Mapping[str, Mapping[str, Mapping[str, float]]]) -> tuple[str, Mapping[str, float]]:
    """The graph network on larger blocks that is the best relative to its MLP."""
    larger = {
        f"{layer}, blocks of {block}": one
        for block, group in ratios.items()
        if int(block) > PAIR
        for layer, one in group.items()
    }
    name = min(larger, key=lambda key: larger[key]["decades"])
    return name, larger[name]


def verdict(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> str:
    """The verdict, by the rule of the claim."""
    comparable = numbers["pair_comparable"] >= thresholds["most"]
    unexploited = largest_gain(numbers["over_mlp"])[1]["decades"] >= -thresholds["comparable"]
    return ("not reproduced", "partly", "reproduced")[comparable + unexploited]


def remarks(numbers: Mapping[str, Any], blocks: Blocks) -> list[str]:
    """The summary for a physicist."""
    pair = ", ".join(f"{name} {one['decades']:+.1f}" for name, one in numbers["over_mlp"][str(PAIR)].items())
    found = [
        f"Decades over the MLP on the directed pair: {pair}. The layer graph_conv on it is the MLP, weight by weight."
    ]
    for block, group in blocks.items():
        if block > PAIR:
            medians = {name: format_error(float(np.median(own))) for name, own in group.items()}
            found.append(f"Blocks of {block}: " + ", ".join(f"{name} {error}" for name, error in medians.items()) + ".")
    return found


def draw(blocks: Blocks) -> Figure:
    """A panel a block size, a column a network."""
    figure, grid = panels(len(blocks), height=3.6)
    for axes, (block, group) in zip(grid, sorted(blocks.items()), strict=True):
        colours = [COLOURS[0] if name.startswith("MLP") else COLOURS[1] for name in group]
        draw_members(axes, group, colours)
        axes.set_xticks(range(len(group)), list(group), rotation=90, fontsize="x-small")
        axes.set_title(f"blocks of {block}", fontsize="medium")
    grid[0].set_ylabel("relative MSE, worst held-out law")
    return figure
