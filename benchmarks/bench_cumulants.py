"""Cumulants: speed and error against what else there is, extra memory, and what the diagnostics cost a training.

Run ``python benchmarks/bench_cumulants.py``; ``--quick`` for a rough look, ``--part compared`` for one part. Contestants take
turns in one process; the figures are medians of ratios.
"""

from __future__ import annotations

import argparse
import functools
import platform
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.stats
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torchmetrics import MeanMetric

from renorm.callbacks import CumulantDiagnostics, RGFlow, SymmetryBreaking
from renorm.cumulants import Cumulants, joint_kstat, kstat, moments_to_cumulants, power_sums
from renorm.datamodules import CLTDataModule
from renorm.zoo import MLP

BATCH = 1000
PARTS = ("univariate", "joint", "compared", "overhead")
DIAGNOSTICS = (CumulantDiagnostics, SymmetryBreaking, RGFlow)


def seconds(work: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    """One run's time."""
    start = clock()
    work()
    return clock() - start


def compare(
    rounds: int, clock: Callable[[], float] = time.perf_counter, **contestants: Callable[[], Any]
) -> dict[str, float]:
    """Median over rounds of each contestant's time over the first one's; all take turns after a round of warming up."""
    for work in contestants.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, work in contestants.items():
            times[name].append(seconds(work, clock))
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


def plain(x: Tensor) -> Tensor:
    """Cumulants of moments about zero, the sums of one pass: what one writes without a library."""
    return moments_to_cumulants(torch.stack([(x**n).mean(0) for n in (1, 2, 3, 4)]))


def by_scipy(x: Tensor) -> Tensor:
    """One call for each order."""
    return torch.stack([torch.as_tensor(scipy.stats.kstat(x.numpy(), n, axis=0)) for n in (1, 2, 3, 4)])


def by_mean_metrics(x: Tensor) -> Tensor:
    """Torchmetrics has no variance and no cumulant: means of the powers, batch by batch."""
    metrics = [MeanMetric().set_dtype(torch.float64) for _ in range(4)]
    for batch in x.split(BATCH):
        for n, metric in enumerate(metrics, start=1):
            metric.update(batch**n)
    return moments_to_cumulants(torch.stack([metric.compute() for metric in metrics]))


def by_cumulants(x: Tensor) -> Tensor:
    """Our metric, batch by batch."""
    metric = Cumulants(1)
    for batch in x.split(BATCH):
        metric.update(batch.unsqueeze(1))
    return metric.compute().k[:, 0]


def exact_kstat(x: Tensor) -> list[Fraction]:
    """Fisher's formulas in fractions."""
    values = [Fraction(value) for value in x.tolist()]
    n = len(values)
    mean = sum(values) / n
    s2, s3, s4 = (sum((value - mean) ** p for value in values) for p in (2, 3, 4))
    k4 = (n * (n + 1) * s4 - 3 * (n - 1) * s2**2) / Fraction((n - 1) * (n - 2) * (n - 3))
    return [mean, s2 / (n - 1), n * s3 / Fraction((n - 1) * (n - 2)), k4]


def compared(rows: int, rounds: int) -> None:
    """k1 to k4 of one feature: processor time, rounding far from zero, and the mean of small samples."""
    methods = {
        "`kstat`": (lambda x: kstat(x, 4)),
        "`Cumulants`, batches of 1000": by_cumulants,
        "`scipy.stats.kstat`": by_scipy,
        "four `torchmetrics.MeanMetric` of powers, batches of 1000": by_mean_metrics,
        "plain sums of powers, one pass": plain,
    }
    x = torch.distributions.Exponential(1.0).sample((rows,)).double()
    contestants = {name: functools.partial(method, x) for name, method in methods.items()}
    ratios = compare(rounds, time.process_time, **contestants)
    few = x[:2000] - 1
    small = torch.distributions.Exponential(1.0).sample((10, 50_000)).double()
    means = {
        "`kstat`": kstat(small),
        "`scipy.stats.kstat`": by_scipy(small),
        "plain sums of powers, one pass": plain(small),
    }
    print(
        f"\n## k1 to k4 of {rows} values: processor time, largest error of k2 to k4 over sigma^n, means over samples of 10\n"
    )
    print("| method | time | mean 0 | mean 1e3 sigma | mean 1e6 sigma | k2, true 1 | k4, true 6 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, method in methods.items():
        cells = [f"{ratios[name]:.1f}"]
        for mean in (0.0, 1e3, 1e6):
            at = few + mean
            found, exact = method(at).tolist(), exact_kstat(at)
            gaps = [abs(Fraction(found[p]) - exact[p]) / float(exact[1]) ** ((p + 1) / 2) for p in (1, 2, 3)]
            cells.append(f"{float(max(gaps)):.0e}")
        k = means.get(name)
        cells += ["", ""] if k is None else [f"{k[1].mean():.2f}", f"{k[3].mean():.2f}"]
        print(f"| {name} | {' | '.join(cells)} |")


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
    parser.add_argument("--part", choices=PARTS, help="one part only")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    versions = f"torch {torch.__version__}, numpy {np.__version__}, scipy {scipy.__version__}"
    print(f"{platform.machine()}, {arguments.threads} threads, {versions}")
    rounds = 3 if arguments.quick else 5
    parts: dict[str, Callable[[], None]] = {
        "univariate": lambda: univariate(100_000 if arguments.quick else 1_000_000, rounds),
        "joint": lambda: joint(20_000 if arguments.quick else 100_000, rounds),
        "compared": lambda: compared(100_000, 3 * rounds),
        "overhead": lambda: overhead(40),  # figures are drawn at the end only: fewer epochs would overstate their share
    }
    for part in [arguments.part] if arguments.part else PARTS:
        parts[part]()


if __name__ == "__main__":
    main()
