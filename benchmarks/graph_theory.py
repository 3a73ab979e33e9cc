"""Cumulants of graph networks, predicted over measured, layer by layer: nodes taken as independent, and joint cumulants.

Run ``python benchmarks/graph_theory.py --out docs/images/graph_theory.png``; ``--quick`` for a rough look. Prints the table and
draws the figure. Ratios are medians over members and over those units whose measured cumulant is distinctly not 0: more than ten
standard errors, and more than a twentieth of sigma^n.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from renorm.callbacks.layer_cumulants import sampled_cumulants
from renorm.cumulants import propagate
from renorm.datamodules import laws
from renorm.zoo import GNN, clt_map

LAW = "gamma(shape=4)"
GRAPHS = {"pair": 2, "ring": 4, "complete": 4}
METHODS = {"independent nodes": "independent_nodes", "joint": "edgeworth"}
STYLES = {"independent nodes": "tab:red", "joint": "tab:blue"}
SAMPLE = 400_000


def network(graph: str, members: int, steps: int) -> GNN:
    """Two layers on a graph, trained on the law for so many steps."""
    readout = "target" if graph == "pair" else "mean"
    model = GNN(
        graph=graph,
        block_size=GRAPHS[graph],
        readout=readout,
        activation="leaky_relu",
        width=4,
        depth=2,
        replicas=members,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    law, generator = laws.parse(LAW), torch.Generator().manual_seed(0)
    for _ in range(steps):
        x = law.sample((256, model.block_size), generator=generator)
        optimizer.zero_grad()
        model.loss(model(x), clt_map(x)).sum().backward()
        optimizer.step()
    return model.requires_grad_(False)


def ratios(model: GNN, method: str, sample: int) -> dict[str, Tensor]:
    """Layer -> median ratio of predicted to measured cumulants of orders 1 to 4."""
    x = laws.parse(LAW).sample((sample, model.block_size), generator=torch.Generator().manual_seed(1))
    gaps = propagate(model, LAW, method=method, closed_at="layers").compare(
        sampled_cumulants(model.double_copy(), x.double())
    )
    found = {}
    for layer, gap in gaps.items():
        orders = torch.arange(1, 5).view(-1, 1, 1)
        distinct = gap.measured.abs() > 10 * gap.stderr
        distinct &= gap.measured.abs() > 0.05 * gap.measured[1].sqrt() ** orders
        found[layer] = (
            (gap.predicted / gap.measured).masked_fill(~distinct, torch.nan).flatten(1).nanmedian(dim=1).values
        )
    return found


def rows(members: int, steps: int, sample: int) -> Iterator[tuple[str, str, str, dict[str, Tensor]]]:
    """Graph, state, method and ratios of every case."""
    for graph in GRAPHS:
        for state, budget in (("untrained", 0), ("trained", steps)):
            model = network(graph, members, budget)
            for name, method in METHODS.items():
                yield graph, state, name, ratios(model, method, sample)


def draw(table: list[tuple[str, str, str, dict[str, Tensor]]]) -> Figure:
    """A row a graph, a column an order."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    panels = figure.subplots(len(GRAPHS), 4, sharex=True)
    for graph, state, name, found in table:
        for n in range(4):
            axes = panels[list(GRAPHS).index(graph), n]
            values = np.array([float(ratio[n]) for ratio in found.values()])
            style = "-" if state == "trained" else ":"
            axes.plot(list(found), values, style, marker=".", color=STYLES[name], label=f"{name}, {state}")
    for row, graph in zip(panels, GRAPHS, strict=True):
        row[0].set_ylabel(f"{graph}\npredicted / measured")
        for n, axes in enumerate(row):
            axes.axhline(1, color="black", linewidth=0.7, zorder=0)
            axes.set_ylim(-0.2, 2.2)
            axes.grid(alpha=0.3, linewidth=0.5)
            if graph == next(iter(GRAPHS)):
                axes.set_title(f"k{n + 1}", fontsize="medium")
    panels[0, 0].legend(fontsize="x-small")
    figure.suptitle(f"two leaky-ReLU message-passing layers of width 4 under {LAW}", fontsize="medium")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer members, steps and samples")
    parser.add_argument("--out", help="file of the figure")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    members, steps, sample = (2, 50, 20_000) if arguments.quick else (6, 1500, SAMPLE)
    table = list(rows(members, steps, sample))
    print("| graph | network | prediction | layer | k1 | k2 | k3 | k4 |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for graph, state, name, found in table:
        for layer in ("act0", "act1", "out"):
            cells = " | ".join(f"{float(ratio):.3g}" for ratio in found[layer])
            print(f"| {graph} | {state} | {name} | {layer} | {cells} |")
    if arguments.out:
        draw(table).savefig(arguments.out, dpi=110)


if __name__ == "__main__":
    main()
