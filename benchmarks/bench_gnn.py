"""Cost of a member-step of graph networks, against an MLP of the same width, depth and block.

Run ``python benchmarks/bench_gnn.py``; ``--quick`` for a rough look. A step is forward, backward and Adam on a batch that is at
hand; the networks take turns in one process, and each ratio is the median over rounds of a network's time over the MLP's
in the same round.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from typing import Any

import torch

from renorm.zoo import GNN, MLP, StackedModel, clt_map

BATCH = 256


class Stepper:
    """A network, its optimiser and its batch."""

    def __init__(self, model: StackedModel) -> None:
        self.model = model
        self.optimizer = model.configure_optimizers()
        self.x = (2 * torch.rand(BATCH, model.block_size) - 1) * 3**0.5
        self.target = clt_map(self.x)

    def seconds(self, steps: int) -> float:
        """Seconds a step."""
        start = time.perf_counter()
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.model.loss(self.model(self.x), self.target).sum().backward()
            self.optimizer.step()
        return (time.perf_counter() - start) / steps


def compare(models: dict[str, StackedModel], steps: int, rounds: int) -> list[tuple[str, float, float]]:
    """Name, median seconds a step, and median ratio to the first of the models."""
    steppers = {name: Stepper(model) for name, model in models.items()}
    for stepper in steppers.values():
        stepper.seconds(3)
    table = [{name: stepper.seconds(steps) for name, stepper in steppers.items()} for _ in range(rounds)]
    first = next(iter(models))
    return [
        (name, statistics.median(t[name] for t in table), statistics.median(t[name] / t[first] for t in table))
        for name in models
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer steps and rounds")
    parser.add_argument("--members", type=int, default=256)
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    steps, rounds = (5, 5) if arguments.quick else (20, 15)
    print(f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{arguments.members} members, width 8, batch {BATCH}\n")
    print("| block | depth | network | a member-step | MLP = 1 |")
    print("| ---: | ---: | --- | ---: | ---: |")
    every = ("graph_conv", "gcn", "sage", "gin", "edge_conv", "gat")
    for block, depth, graph, layers in (
        (2, 1, "pair", every),
        (2, 2, "pair", ("graph_conv",)),
        (8, 1, "ring", ("graph_conv",)),
        (8, 1, "complete", every),
    ):
        common: dict[str, Any] = {"block_size": block, "depth": depth, "replicas": arguments.members}
        readout = "target" if graph == "pair" else "mean"
        models: dict[str, StackedModel] = {"MLP": MLP(**common)}
        models |= {f"{layer}, {graph}": GNN(graph=graph, layer=layer, readout=readout, **common) for layer in layers}
        for name, seconds, ratio in compare(models, steps, rounds):
            cost = seconds / arguments.members * 1e6
            print(f"| {block} | {depth} | {name} | {cost:.1f} µs | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
