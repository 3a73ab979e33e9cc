"""Cost of a member-step inside a real ``fit``, against the same network in a plain Lightning loop; and memory.

Run ``python benchmarks/bench_training.py``; ``--quick`` for a rough look. Both loops take turns in one process, and the
figures are medians of ratios; the two whole-process figures run the command line.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from renorm.datamodules import CLTDataModule
from renorm.zoo import MLP, clt_map

BATCH = 256


class PlainModule(LightningModule):
    """The 2-8-1 leaky-ReLU network as anyone would write it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.1), nn.Linear(8, 1))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = nn.functional.mse_loss(self.net(x).squeeze(-1), y)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


class Clock(Callback):
    """Seconds a step of one epoch of training, the first steps aside."""

    def __init__(self, skip: int = 20) -> None:
        self.skip = skip
        self.seconds = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.skip:
            self.start = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.seconds = (time.perf_counter() - getattr(self, "start", 0.0)) / max(batch_idx + 1 - self.skip, 1)


def fit_seconds(model: LightningModule, steps: int, folder: str, **data: Any) -> float:
    """Seconds a step of a fit with logging on."""
    clock = Clock()
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        default_root_dir=folder,
        limit_val_batches=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[clock],
    )
    trainer.fit(model, **data)
    return clock.seconds


def compare(members: int, steps: int, rounds: int) -> tuple[float, float, float]:
    """Medians over rounds: plain seconds a step, stacked seconds a member-step, and their ratio."""
    x = torch.rand(BATCH * steps, 2) * 12**0.5 - 3**0.5
    plain_data = DataLoader(TensorDataset(x, clt_map(x)), batch_size=BATCH, shuffle=True)
    plain, stacked = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            plain.append(fit_seconds(PlainModule(), steps, folder, train_dataloaders=plain_data))
            model = MLP(activation="leaky_relu", replicas=members)
            data = CLTDataModule(batch_size=BATCH, steps_per_epoch=steps)
            stacked.append(fit_seconds(model, steps, folder, datamodule=data) / members)
    ratios = [p / s for p, s in zip(plain, stacked, strict=True)]
    return statistics.median(plain), statistics.median(stacked), statistics.median(ratios)


def command(*words: str) -> tuple[float, float]:
    """Wall seconds and peak memory (GiB) of one command line."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        arguments = [sys.executable, "-m", "renorm", *words, "--trainer.default_root_dir", folder]
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            assert process.stderr is not None
            sys.exit(process.stderr.read().decode())
    return time.perf_counter() - start, usage.ru_maxrss * _unit() / 2**30


def _unit() -> int:
    return 1 if sys.platform == "darwin" else 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer steps and rounds")
    quick = parser.parse_args().quick
    warnings.filterwarnings("ignore")
    torch.set_flush_denormal(True)
    steps, rounds = (60, 3) if quick else (220, 7)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}\n"
    )
    print("| members | plain Lightning, a step | renorm fit, a member-step | ratio |")
    print("| ---: | ---: | ---: | ---: |")
    for members in (1, 64, 256, 1024):
        plain, stacked, ratio = compare(members, steps, rounds)
        print(f"| {members} | {plain * 1e6:.0f} µs | {stacked * 1e6:.1f} µs | {ratio:.1f} |", flush=True)
    print(
        f"\nmemory of this process so far: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _unit() / 2**30:.2f} GiB"
    )
    epochs = "1" if quick else "15"
    seconds, memory = command("fit", "--config", "slopes_free", "--trainer.max_epochs", epochs)
    print(
        f"renorm fit --config slopes_free ({int(epochs) * 200} steps of 352 members): {seconds:.1f} s, {memory:.2f} GiB"
    )
    seconds, memory = command(
        "fit", "--config", "mlp_leaky_relu_free", "--model.replicas", "1024", "--trainer.max_epochs", "1"
    )
    print(f"renorm fit of 1024 members, one epoch: {seconds:.1f} s, {memory:.2f} GiB")


if __name__ == "__main__":
    main()
