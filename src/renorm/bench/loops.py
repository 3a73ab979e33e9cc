"""The loops that are compared: renorm's own fit, plain Lightning, plain PyTorch; each gives seconds a step."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ..callbacks import ChooseThreads, CumulantDiagnostics, Generalization, RGFlow, SymmetryBreaking
from ..datamodules import CLTDataModule
from ..training.compilation import compiled_losses
from ..zoo import MLP, StackedModel, clt_map

BATCH = 256
WARM_UP = 20  # steps that are not counted: compilation, first allocations


class PlainModule(LightningModule):
    """The 2-8-1 leaky-ReLU network in plain Lightning."""

    def __init__(self) -> None:
        super().__init__()
        self.net = plain_network()

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Mean squared error, logged."""
        x, y = batch
        loss = nn.functional.mse_loss(self.net(x).squeeze(-1), y)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=0.01)


def plain_network() -> nn.Module:
    """One network of the 2-8-1 stack."""
    return nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.1), nn.Linear(8, 1))


class Clock(Callback):
    """Seconds a step of training, the first steps aside.

    Attributes:
        stamps: when each step ended.
    """

    def __init__(self) -> None:
        self.stamps: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Record the time."""
        self.stamps.append(time.perf_counter())

    def seconds(self) -> float:
        """Of one step."""
        return (self.stamps[-1] - self.stamps[WARM_UP]) / (len(self.stamps) - 1 - WARM_UP)


class NoMetrics(Generalization):
    """Stands in for the metrics that a model adds by itself, as the baseline of their cost."""

    def on_validation_start(self, *_: Any) -> None:
        """Measure nothing."""

    on_validation_batch_end = on_validation_epoch_end = on_validation_start  # type: ignore[assignment]


def switched_off() -> list[Callback]:
    """The diagnostics that a model adds by itself, switched off."""
    return [NoMetrics(), *(kind(every_n_epochs=0) for kind in (CumulantDiagnostics, SymmetryBreaking, RGFlow))]


def fit_clock(
    model: LightningModule,
    steps: int,
    *callbacks: Callback,
    validate: bool = False,
    threads: int | None = None,
    **data: Any,
) -> Clock:
    """Run a fit with TensorBoard logging and only the diagnostics that are passed."""
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    clock = Clock()
    own = switched_off() if isinstance(model, StackedModel) else []
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_steps=steps,
            accelerator="cpu",
            logger=TensorBoardLogger(folder, default_hp_metric=False),
            limit_val_batches=1.0 if validate else 0,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            callbacks=[*(callbacks or own), ChooseThreads(threads), clock],
        )
        trainer.fit(model, **data)
    return clock


def renorm_fit(model: StackedModel, steps: int, threads: int | None = None) -> float:
    """Seconds a step of a stack in a fit, on so many threads or as many as renorm chooses."""
    data = CLTDataModule(block_size=model.block_size, batch_size=BATCH, steps_per_epoch=steps)
    return fit_clock(model, steps, threads=threads, datamodule=data).seconds()


def plain_lightning(steps: int) -> float:
    """Seconds a step of one network in plain Lightning."""
    x = torch.rand(BATCH * steps, 2) * 12**0.5 - 3**0.5
    loader = DataLoader(TensorDataset(x, clt_map(x)), batch_size=BATCH, shuffle=True)
    return fit_clock(PlainModule(), steps, train_dataloaders=loader).seconds()


def plain_pytorch(steps: int) -> float:
    """Seconds a step of one network in a plain PyTorch loop."""
    net = plain_network()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            start = time.perf_counter()
        x = torch.rand(BATCH, 2) * 12**0.5 - 3**0.5
        loss = nn.functional.mse_loss(net(x).squeeze(-1), clt_map(x))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return (time.perf_counter() - start) / steps


def stack(members: int, compile_: bool = True, **arguments: Any) -> MLP:
    """The 2-8-1 leaky-ReLU network, many times."""
    return MLP(activation="leaky_relu", replicas=members, compile=compile_, **arguments)


def bare_forward(model: StackedModel, batch: int) -> tuple[Callable[[], Tensor], torch.optim.Optimizer]:
    """Forward pass and optimiser of a stack, without Lightning."""
    losses = compiled_losses(model, steps=float("inf"), rows=batch)
    x = torch.randn(batch, model.block_size)
    target = clt_map(x)
    optimizer = model.configure_optimizers()
    return lambda: losses(x, target).sum(), optimizer


def bare_step(model: StackedModel, batch: int) -> Callable[[], None]:
    """A training step without Lightning, warmed up."""
    forward, optimizer = bare_forward(model, batch)

    def step() -> None:
        loss = forward()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    for _ in range(3):
        step()
    return step


def seconds_of(function: Callable[[], Any], budget: float) -> float:
    """Median over a few rounds of the seconds that one call takes."""
    start = time.perf_counter()
    function()
    once = time.perf_counter() - start
    count = max(1, int(budget / 5 / max(once, 1e-7)))
    rounds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(count):
            function()
        rounds.append((time.perf_counter() - start) / count)
    return sorted(rounds)[2]
