"""Cost of a fit on each map against the central limit's, and of drawing correlated blocks against fair signs.

Run ``python benchmarks/bench_maps.py``; ``--quick`` for a rough look. Fits and draws take turns in one process, and each ratio is
the median over rounds of one's time over the first one's in the same round. A fit is compiled where it pays, and the time of the
first, which compiles, does not count.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from collections.abc import Callable

import torch

from renorm.datamodules import CLTDataModule
from renorm.datamodules.sampling import stream
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.zoo import MLP

BLOCK = 3  # a size on which every map acts
LAW = "uniform()"
MAPS = ["central_limit()", "stable(alpha=1.5)", "maximum()", "majority()", "decimation()"]
SOURCES = ["rademacher()", "ising_chain(coupling=0.5)", "ar1(rho=0.5)"]


def fit(block_map: str, members: int, steps: int) -> Callable[[], float]:
    """A function that trains a stack anew and returns its seconds a step, start and end of the fit included."""

    def seconds() -> float:
        data = CLTDataModule(BLOCK, LAW, [], map=block_map, steps_per_epoch=steps)
        model, trainer = MLP(block_size=BLOCK, activation="relu", replicas=members), quiet_trainer(steps)
        start = time.perf_counter()
        trainer.fit(model, data)
        return (time.perf_counter() - start) / steps

    return seconds


def draw(source: str, rows: int) -> Callable[[], float]:
    """A function that draws blocks and returns its seconds."""
    law = CLTDataModule(BLOCK, source, []).train_laws[0]

    def seconds() -> float:
        start = time.perf_counter()
        law.blocks(rows, 16, stream(0, "probe", source, 0, 0))
        return time.perf_counter() - start

    return seconds


def compare(title: str, timers: dict[str, Callable[[], float]], rounds: int) -> None:
    """Print median seconds and the median ratio to the first."""
    for timer in timers.values():
        timer()
    table = [{name: timer() for name, timer in timers.items()} for _ in range(rounds)]
    first = next(iter(timers))
    print(f"\n{title}\n{'':28}{'ms':>10}{'ratio':>8}")
    for name in timers:
        milliseconds = 1e3 * statistics.median(row[name] for row in table)
        ratio = statistics.median(row[name] / row[first] for row in table)
        print(f"{name:28}{milliseconds:10.3f}{ratio:8.2f}")


def main() -> None:
    """Run both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer steps and rounds")
    parser.add_argument("--members", type=int, default=256)
    arguments = parser.parse_args()
    steps, rounds, rows = (200, 3, 2**14) if arguments.quick else (1000, 7, 2**17)
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    fits = {block_map: fit(block_map, arguments.members, steps) for block_map in MAPS}
    compare(f"a step of a fit, {arguments.members} members, blocks of {BLOCK}", fits, rounds)
    compare(f"{rows} blocks of 16", {source: draw(source, rows) for source in SOURCES}, rounds)


if __name__ == "__main__":
    main()
