"""Cumulants: speed against scipy and einsum, extra memory, and what the diagnostics cost a training.

Run ``python benchmarks/bench_cumulants.py``; ``--quick`` for a rough look. Contestants take turns in one process; the figures
are medians of ratios.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from renorm.callbacks import CumulantDiagnostics, RGFlow, SymmetryBreaking
from renorm.cumulants import joint_kstat, kstat, power_sums
from renorm.datamodules import CLTDataModule
from renorm.zoo import MLP

DIAGNOSTICS = (CumulantDiagnostics, SymmetryBreaking, RGFlow)


def seconds(work: Callable[[], Any]) -> float:
    """One run's wall time."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(rounds: int, **contestants: Callable[[], Any]) -> dict[str, float]:
    """Median over rounds of each contestant's time over the first one's; all take turns after a round of warming up."""
    for work in contestants.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, work in contestants.items():
            times[name].append(seconds(work))
    first = next(iter(times.values()))
    return {name: statistics.median(t / f for t, f in zip(own, first, strict=True)) for name, own in times.items()}


def univariate(rows: int, rounds: int) -> None:
    """k1 to k4 of many rows of 64 features."""
    x = torch.randn(rows, 64, dtype=torch.float64)
    array = x.numpy()
    kstat(x[:5000])  # libraries take their own memory at their first use
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kstat(x)
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    compiled = torch.compile(power_sums)
    ratios = compare(
        rounds,
        scipy=lambda: [scipy.stats.kstat(array, n, axis=0) for n in (1, 2, 3, 4)],
        read=lambda: x.sum(0),
        eager=lambda: kstat(x),
        compiled=lambda: compiled(x, 4).kstat(4),
    )
    print(f"\n## k1..k4 of {rows} rows x 64 features, float64\n")
    print("| method | times faster than scipy.stats.kstat | goal |\n| --- | --- | --- |")
    print(f"| `kstat` | {1 / ratios['eager']:.0f} | 20 |")
    print(f"| `torch.compile(power_sums)` | {1 / ratios['compiled']:.0f} | 50 |")
    print(f"| one read of the data, for scale | {1 / ratios['read']:.0f} | |")
    print(f"\nextra memory of `kstat`: {extra:.1f} MiB (goal: at most 16)")
    difference = float((compiled(x, 4).kstat(4) - kstat(x)).abs().max())
    print(f"largest difference between eager and compiled: {difference:.1e}")


def joint(rows: int, rounds: int) -> None:
    """The joint cumulant of order 4 of 32 variables."""
    x = torch.randn(rows, 32, dtype=torch.float64)

    def four_operands() -> Tensor:
        centred = x - x.mean(0)
        total = torch.zeros(32, 32, 32, 32, dtype=torch.float64)
        for block in centred.split(4096):  # all rows at once would need an intermediate of 32^3 numbers a row
            total += torch.einsum("ni,nj,nk,nl->ijkl", block, block, block, block)
        return total

    ratios = compare(rounds, einsum=four_operands, ours=lambda: joint_kstat(x, 4))
    print(f"\n## joint cumulant of order 4, {rows} rows x 32 variables\n")
    print(f"`joint_kstat` is {1 / ratios['ours']:.0f} times faster than a four-operand einsum (goal: 20)")


class Clock(Callback):
    """Seconds that each diagnostic takes, and the seconds of all epochs."""

    def __init__(self, callbacks: list[Callback]) -> None:
        self.spent = {type(callback).__name__: 0.0 for callback in callbacks}
        self.epochs: list[float] = []
        for callback in callbacks:
            self._wrap(callback)

    def _wrap(self, callback: Callback) -> None:
        inner, name = callback.on_train_epoch_end, type(callback).__name__

        def timed(trainer: Any, pl_module: Any) -> None:
            start = time.perf_counter()
            inner(trainer, pl_module)
            self.spent[name] += time.perf_counter() - start

        callback.on_train_epoch_end = timed  # type: ignore[method-assign]

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.epochs.append(time.perf_counter())

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        self.epochs.append(time.perf_counter())


def overhead(epochs: int) -> None:
    """Share of an epoch of 200 steps with 256 members, figures and tables included."""
    callbacks: list[Callback] = [kind() for kind in DIAGNOSTICS]
    clock = Clock(callbacks)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=epochs,
            logger=TensorBoardLogger(folder, default_hp_metric=False),
            callbacks=[*callbacks, clock],
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            num_sanity_val_steps=0,
        )
        slopes = [round(i / 16, 4) for i in range(16)]
        trainer.fit(MLP(negative_slope=slopes, replicas=16), datamodule=CLTDataModule(steps_per_epoch=200))
    whole = clock.epochs[-1] - clock.epochs[0]
    without = whole - sum(clock.spent.values())
    print(
        f"\n## diagnostics, {epochs} epochs of 200 steps with 256 members ({without / epochs:.2f} s each without them)\n"
    )
    print("| callback | ms an epoch | share of an epoch | goal |\n| --- | --- | --- | --- |")
    for name, spent in clock.spent.items():
        goal = "5%" if name == "CumulantDiagnostics" else ""
        print(f"| `{name}` | {1000 * spent / epochs:.0f} | {spent / without:.1%} | {goal} |")


def main() -> None:
    """Print everything as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, fewer rounds")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    versions = f"torch {torch.__version__}, numpy {np.__version__}, scipy {scipy.__version__}"
    print(f"{platform.machine()}, {arguments.threads} threads, {versions}")
    univariate(100_000 if arguments.quick else 1_000_000, 3 if arguments.quick else 5)
    joint(20_000 if arguments.quick else 100_000, 3 if arguments.quick else 5)
    overhead(40)  # figures are drawn at the end only: fewer epochs would overstate their share


if __name__ == "__main__":
    main()
