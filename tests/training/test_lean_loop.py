"""Lean steps are Lightning's steps: the same weights, counters, checkpoints, hooks and logged values, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from renorm.callbacks import LeanSteps
from renorm.datamodules import CLTDataModule
from renorm.training.lean_loop import LeanEpochLoop
from renorm.zoo import MLP


class Witness(Callback):
    """Note what the hooks around a step are told, and what they see of the run."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        progress = trainer.fit_loop.epoch_loop.batch_progress.current
        self.seen.append(("start", batch_idx, float(batch.x.sum()), progress.ready, trainer.global_step))

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.seen.append(("end", batch_idx, float(outputs["loss"]), last, trainer.global_step, rate))


class Inside(Callback):
    """A hook inside a step, which only Lightning's own steps call."""

    def __init__(self) -> None:
        self.calls = 0

    def on_after_backward(self, trainer: Trainer, pl_module: Any) -> None:
        self.calls += 1


def fit(
    folder: Path, *callbacks: Callback, model: MLP | None = None, ckpt_path: Path | None = None, **arguments: Any
) -> Trainer:
    options: dict[str, Any] = {"max_steps": 25, "log_every_n_steps": 5} | arguments
    trainer = Trainer(
        accelerator="cpu",
        logger=CSVLogger(folder, name="", version=""),
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[*callbacks, ModelCheckpoint(folder, "{step}", save_top_k=-1, every_n_train_steps=7)],
        **options,
    )
    data = CLTDataModule(steps_per_epoch=10, val_samples=64)
    trainer.fit(model or MLP(replicas=3, compile=False), data, ckpt_path=ckpt_path)
    return trainer


def takes_lean_steps(trainer: Trainer) -> bool:
    return getattr(trainer.fit_loop.epoch_loop, "lean", False)


def halving(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.StepLR(optimizer, 4, gamma=0.5)


MODELS: list[Callable[[], MLP]] = [
    lambda: MLP(replicas=3, compile=False),
    lambda: MLP(replicas=3, compile=False, lr_scheduler=halving, lr_scheduler_interval="step"),
    lambda: MLP(replicas=2, compile=False, lr_scheduler=halving, optimizer=lambda p: torch.optim.SGD(p, 0.1, 0.9)),
]


@pytest.mark.parametrize("make", MODELS, ids=["adam", "schedule by step", "schedule by epoch"])
@pytest.mark.parametrize("clip", [None, 0.01])
def test_lean_steps_are_lightnings(tmp_path: Path, make: Callable[[], MLP], clip: float | None) -> None:
    witnesses, checkpoints, tables = [], [], []
    for name in ("lean", "full"):
        witness = Witness()
        trainer = fit(tmp_path / name, witness, LeanSteps(name == "lean"), model=make(), gradient_clip_val=clip)
        assert type(trainer.fit_loop.epoch_loop) is (LeanEpochLoop if name == "lean" else _TrainingEpochLoop)
        assert takes_lean_steps(trainer) is (name == "lean")
        witnesses.append(witness.seen)
        files = sorted((tmp_path / name).glob("*.ckpt"))
        checkpoints.append({file.name: torch.load(file, weights_only=True) for file in files})
        tables.append((tmp_path / name / "metrics.csv").read_text())
    assert len(witnesses[0]) == 50
    assert witnesses[0] == witnesses[1]
    assert tables[0] == tables[1]
    assert len(checkpoints[0]) == 3
    assert checkpoints[0].keys() == checkpoints[1].keys()
    for name, lean in checkpoints[0].items():
        assert_same(lean, checkpoints[1][name])


def assert_same(one: Any, other: Any, where: str = "") -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f"{where}.{i}")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif "ModelCheckpoint" not in where:  # which has paths in it
        assert one == other, where


@pytest.mark.parametrize(
    "arguments",
    [{"accumulate_grad_batches": 2}, {"precision": "bf16-mixed"}, {"profiler": "simple"}, {"detect_anomaly": True}],
    ids=str,
)
def test_runs_out_of_the_ordinary_take_lightnings_own_steps(tmp_path: Path, arguments: dict[str, Any]) -> None:
    trainer = fit(tmp_path, **arguments)
    assert not takes_lean_steps(trainer)


class FromThirdEpoch(Callback):
    """Bring a hook inside a step in the middle of a fit."""

    def __init__(self, inside: Inside) -> None:
        self.inside = inside

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.current_epoch == 2:
            trainer.callbacks.append(self.inside)  # type: ignore[attr-defined]


def test_a_callback_that_comes_later_has_its_hooks_called(tmp_path: Path) -> None:
    inside = Inside()
    trainer = fit(tmp_path, FromThirdEpoch(inside), max_steps=30)
    assert inside.calls == 10
    assert not takes_lean_steps(trainer)


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")
def test_a_second_fit_goes_on_with_the_counters_of_the_first(tmp_path: Path) -> None:
    switch = LeanSteps(False)
    trainer = fit(tmp_path, switch)
    switch.enabled = True
    trainer.fit_loop.epoch_loop.max_steps = 40
    trainer.fit(MLP(replicas=3, compile=False), CLTDataModule(steps_per_epoch=10, val_samples=64))
    assert takes_lean_steps(trainer)
    assert trainer.global_step == 40


def test_a_loop_of_the_users_own_is_kept(tmp_path: Path) -> None:
    class Own(_TrainingEpochLoop):
        pass

    class Places(Callback):
        def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
            old = trainer.fit_loop.epoch_loop
            trainer.fit_loop.epoch_loop = Own(trainer, old.min_steps, old.max_steps)
            trainer.fit_loop.epoch_loop.val_loop = old.val_loop

    trainer = fit(tmp_path, Places())
    assert type(trainer.fit_loop.epoch_loop) is Own


def test_hooks_inside_a_step_are_called_at_every_step(tmp_path: Path) -> None:
    inside = Inside()
    fit(tmp_path, inside)
    assert inside.calls == 25


def test_an_optimiser_that_needs_a_closure_gets_one(tmp_path: Path) -> None:
    model = MLP(replicas=1, compile=False, optimizer=lambda p: torch.optim.LBFGS(p, lr=0.1))
    before = [p.detach().clone() for p in model.parameters()]
    fit(tmp_path, model=model)
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_subclass_with_a_step_of_its_own_keeps_it(tmp_path: Path) -> None:
    class Own(MLP):
        steps = 0

        def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
            Own.steps += 1
            self.log("own", float(Own.steps))
            return super().training_step(batch, batch_idx)

    fit(tmp_path, model=Own(replicas=2, compile=False))
    assert Own.steps == 25
    assert "25.0" in (tmp_path / "metrics.csv").read_text()


class Validated(Callback):
    """Note where a run stands at each validation, and at its end."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        progress = trainer.fit_loop.epoch_loop.batch_progress
        self.seen.append((trainer.current_epoch, trainer.global_step, progress.current.ready, progress.is_last_batch))

    on_train_end = on_validation_start


@pytest.mark.parametrize(
    "arguments",
    [
        {"val_check_interval": 3},
        {"val_check_interval": 0.5, "log_every_n_steps": 100},
        {"val_check_interval": 7, "check_val_every_n_epoch": None, "log_every_n_steps": 1000},
        {"check_val_every_n_epoch": 2},
        {"max_steps": 1},
        {"max_steps": 13, "log_every_n_steps": 50},
        {"max_steps": -1, "max_epochs": 2, "log_every_n_steps": 0},
        {"limit_train_batches": 4, "max_steps": 11, "log_every_n_steps": 6},
        {"limit_train_batches": 0.5},
        {"min_epochs": 2, "max_time": "00:00:00:00", "max_epochs": 4, "max_steps": -1, "log_every_n_steps": 4},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_steps_that_follow_each_other_stop_where_lightnings_do(tmp_path: Path, arguments: dict[str, Any]) -> None:
    seen, states, tables = [], [], []
    for lean in (True, False):
        witness, model = Validated(), MLP(replicas=2, compile=False, lr_scheduler=halving)
        trainer = fit(tmp_path / str(lean), witness, LeanSteps(lean), model=model, **arguments)
        assert takes_lean_steps(trainer) is lean
        seen.append(witness.seen)
        states.append((model.state_dict(), trainer.fit_loop.state_dict()))
        table = tmp_path / str(lean) / "metrics.csv"
        tables.append(table.read_text() if table.exists() else "")
    assert seen[0] == seen[1]
    assert_same(*states)
    assert tables[0] == tables[1]
