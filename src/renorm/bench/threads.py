"""How large a training step must be for several threads to be faster than one, on an idle and on a busy machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from typing import Any

import torch

from .loops import BATCH, renorm_fit, stack

SIZES = (1, 16, 64, 256, 1024, 4096)
QUICK_SIZES = (16, 1024)


def measure_threads(sizes: tuple[int, ...], steps: int, rounds: int) -> list[dict[str, Any]]:
    """Seconds a step of a fit on one thread and on all, in turns, without and with neighbours; the least of the rounds."""
    rows = []
    every = torch.get_num_threads()
    for busy in (False, True):
        with neighbours(every if busy else 0):
            for members in sizes:
                times = [[renorm_fit(stack(members), steps, threads=n) for n in (1, every)] for _ in range(rounds)]
                one, many = (min(column) for column in zip(*times, strict=True))
                work = stack(members).work(BATCH)
                rows.append({"busy": busy, "members": members, "work": work, "one": one, "all": many, "threads": every})
    return rows


@contextlib.contextmanager
def neighbours(number: int) -> Iterator[None]:
    """Run a number of other processes that keep the processor busy."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_compute, args=(os.getpid(),), daemon=True) for _ in range(number)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _compute(parent: int) -> None:
    while os.getppid() == parent:
        sum(range(10_000))


def markdown_threads(rows: list[dict[str, Any]]) -> list[str]:
    """Print the results as a table."""
    every = rows[0]["threads"]
    lines = [
        f"| members | work of a step | one thread, ms | {every} threads, ms | one / {every} | the same on a busy machine |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    busy = {row["members"]: row["one"] / row["all"] for row in rows if row["busy"]}
    for row in rows:
        if not row["busy"]:
            ratio = row["one"] / row["all"]
            lines.append(
                f"| {row['members']} | {row['work']:.1e} | {row['one'] * 1e3:.3f} | {row['all'] * 1e3:.3f} "
                f"| {ratio:.2f} | {busy[row['members']]:.2f} |"
            )
    return lines
