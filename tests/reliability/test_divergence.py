"""Members that diverge are frozen where they last were finite, reported, left out of medians, and hurt no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from renorm.callbacks import Generalization, TheoryGap
from renorm.callbacks.diverged_members import describe
from renorm.cli import main
from renorm.datamodules import CLTDataModule
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.sweep.config import parse_sweep
from renorm.sweep.point import run_point
from renorm.training.divergence import AllDivergedError, Divergence
from renorm.zoo import GNN, MLP, StackedModel
from renorm.zoo.registry import find_variant, list_models

from .runs import assert_equal, events, load


class Weights(Callback):
    """The weights before every step, and the loss of every step."""

    def __init__(self) -> None:
        self.seen: list[list[Tensor]] = []
        self.losses: list[Tensor] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.seen.append([p.detach().clone() for p in pl_module.parameters()])
        with torch.no_grad():
            self.losses.append(pl_module.losses(batch.x, batch.y))


def train(model: StackedModel, data: CLTDataModule, steps: int, *callbacks: Callback, **settings: Any) -> Trainer:
    trainer = quiet_trainer(steps, accelerator="cpu", callbacks=list(callbacks), **settings)
    trainer.fit(model, data)
    return trainer


def quadratic(alpha: list[float], optimizer: str = "SGD", **more: Any) -> MLP:
    """Members that differ by the coefficient of the square; large ones diverge after some steps."""
    make = getattr(torch.optim, optimizer)
    return MLP(activation="quadratic", alpha=alpha, width=4, optimizer=lambda p: make(p, lr=0.1), **more)


DATA: dict[str, Any] = {"batch_size": 32, "steps_per_epoch": 40, "val_samples": 64, "test_samples": 64}


@pytest.mark.parametrize(
    ("optimizer", "compile"),
    [("SGD", False), ("Adam", False), ("AdamW", False), pytest.param("AdamW", True, marks=pytest.mark.slow)],
)
def test_frozen_at_the_last_finite_weights_and_nobody_is_hurt(optimizer: str, compile: bool) -> None:
    lr_bomb = [0.3, 3e18, 0.4] if optimizer != "SGD" else [0.3, 30.0, 0.4]
    tame = [0.3, 0.2, 0.4]
    runs = []
    for alpha in (lr_bomb, tame):
        model, weights = quadratic(alpha, optimizer, compile=compile), Weights()
        train(model, CLTDataModule(**DATA), 30, weights)
        runs.append((model, weights))
    (model, weights), (other, _) = runs
    assert model.divergence.steps.keys() == {1}
    assert not other.divergence.steps
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine[[0, 2]], theirs[[0, 2]])
        assert mine.isfinite().all()
    # its weights are those after so many updates, at which the loss was not finite or the next update would not have been
    kept = model.divergence.steps[1]
    for now, then in zip(model.parameters(), weights.seen[kept], strict=True):
        assert torch.equal(now[1], then[1])
    assert all(loss[1].isfinite() for loss in weights.losses[:kept])
    assert all(loss[[0, 2]].isfinite().all() for loss in weights.losses)


def test_an_update_that_is_not_finite_is_taken_back() -> None:
    parameter = torch.nn.Parameter(torch.tensor([[1.0], [2.0]]))
    optimizer = torch.optim.SGD([parameter], lr=1.0, momentum=0.9)
    watched = Divergence(2)
    watched.start([parameter], [optimizer], step=0)
    watched.watch(torch.tensor([1.0, 1.0]), step=0)
    parameter.grad = torch.tensor([[0.5], [torch.inf]])  # the loss was finite, its gradient is not
    optimizer.step()
    assert parameter[1].item() == -torch.inf
    watched.settle()
    assert watched.steps == {1: 0}
    assert parameter.detach().tolist() == [[0.5], [2.0]]
    losses = watched.watch(torch.tensor([1.0, torch.nan]), step=1)
    assert losses.tolist() == [1.0, 0.0]
    (parameter * torch.tensor([[1.0], [torch.nan]])).sum().backward()
    optimizer.step()
    assert parameter[1].item() == 2.0
    assert parameter[0].isfinite()


def test_the_theory_is_compared_with_members_that_train() -> None:
    model = quadratic([0.1, 0.2, 0.3, 0.4])
    model.divergence.steps = {0: 5, 3: 7}
    assert TheoryGap(members=8)._chosen_members(model) == [1, 2]


def test_what_is_said_stays_short() -> None:
    assert describe(dict.fromkeys(range(8), 5)) == "members 0, 1, 2, 3, 4 and 3 more at step 5"
    assert describe({m: m for m in range(8)}).endswith("; member 4 at step 4; others at 3 later steps")


FIT = [
    *("fit", "--config", "mlp_quadratic_free", "--name", "run", "--model.alpha", "[0.3, 30.0, 0.4]"),
    *("--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.1", "--data.steps_per_epoch", "20"),
    *("--data.val_samples", "64", "--data.test_samples", "64", "--trainer.max_epochs", "2"),
    *("--trainer.log_every_n_steps", "1", "--cumulants.samples", "64", "--cumulants.figure_every_n_epochs", "0"),
    *("--rg_flow.every_n_epochs", "2", "--rg_flow.samples", "64", "--trainer.enable_progress_bar", "false"),
    *("--data.held_out_laws", '["gaussian()"]', "--rg_flow.steps", "2"),
]


@pytest.mark.draws
def test_reported_left_out_and_still_frozen_after_a_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main([*FIT, "--trainer.default_root_dir", str(whole)]) == 0
    assert capsys.readouterr().err.count("diverged: member 1 at step ") == 1
    checkpoints = whole / "run" / "version_0" / "checkpoints"
    (row,) = json.loads((checkpoints / "diverged.json").read_text())
    assert (row["position"], row["alpha"]) == (1, 30.0)
    assert load(checkpoints / "last.ckpt")["renorm"]["diverged"] == {"1": row["updates"]}
    logged = {(tag, step) for tag, step, _ in events(whole / "run" / "version_0")}
    assert ("members/diverged", 19) in logged
    assert all(value.isfinite().all() for value in load(checkpoints / "last.ckpt")["state_dict"].values())
    # judged without it
    assert main(["test", "--ckpt_path", str(checkpoints / "last.ckpt")]) == 0
    assert "1" in capsys.readouterr().out
    results = json.loads((checkpoints / "test_results.json").read_text())
    for law in results["results"].values():
        assert [value is None for value in law["mse"]] == [False, True, False]
    assert results["diverged"] == {"1": row["updates"]}
    # and the same if training was stopped before or after
    for limit in (row["updates"] - 1, row["updates"] + 2, None):
        words = [*FIT, "--trainer.default_root_dir", str(parts)]
        words += ["--trainer.max_steps", str(limit)] if limit else []
        words += ["--ckpt_path", "last"] if parts.exists() else []
        assert main(words) == 0
    one, other = (load(root / "run" / "version_0" / "checkpoints" / "last.ckpt") for root in (whole, parts))
    assert_equal(one["state_dict"], other["state_dict"])
    assert one["renorm"]["diverged"] == other["renorm"]["diverged"]


def test_all_members_diverged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost = [*FIT, "--trainer.default_root_dir", str(tmp_path), "--model.alpha", "[20.0, 30.0]"]
    code = main([*lost, "--model.optimizer.lr", "0.05", "--last_checkpoint.every_n_steps", "1"])
    error = capsys.readouterr().err
    assert code == 1
    assert error.splitlines()[-1].startswith("renorm: error: run ")
    assert "all 2 members have diverged by step " in error
    assert "Traceback" not in error
    assert not [line for line in error.splitlines() if line.startswith("go on:")]
    last = load(tmp_path / "run" / "version_0" / "checkpoints" / "last.ckpt")
    assert f"stopped: the run is saved up to step {last['global_step']}\n" in error
    assert all(value.isfinite().all() for value in last["state_dict"].values())
    assert len(last["renorm"]["diverged"]) < 2


def test_a_sweep_keeps_a_row_for_every_member() -> None:
    content = {
        "model": "MLP",
        "settings": {"activation": "quadratic", "alpha": [0.3, 30.0], "optimizer": "SGD", "lr": 0.1},
    }
    content["settings"] |= {"steps": 20, "test_samples": 64, "held_out_laws": ["gaussian()"]}  # type: ignore[operator]
    for alpha, finite in (([0.3, 30.0], [True, False]), ([30.0, 40.0], [False, False])):
        content["settings"]["alpha"] = alpha  # type: ignore[index]
        columns = run_point(parse_sweep({**content, "axes": {"width": [4]}}).points[0])
        assert torch.tensor(columns["held_out/mse"]).isfinite().tolist() == finite
        assert torch.tensor(columns["asymmetry/pre0/full"]).isfinite().tolist() == finite


HARD = {
    "learning rate of 1e3": ({"train_laws": ["uniform()"]}, 1e3),
    "inputs of 1e30": ({"train_laws": ["gaussian(std=1e30)"]}, 0.01),
    "laws without a variance": ({"train_laws": ["cauchy()", "stable(alpha=0.7)"]}, 0.01),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HARD)
def test_every_variant_survives(name: str) -> None:
    """No exception but the one, no weight that is not finite, and metrics that are NaN for members that diverged only."""
    settings, lr = HARD[name]
    for number, variant in enumerate(map(find_variant, list_models())):
        cls = {"MLP": MLP, "GNN": GNN}[variant.class_path.rpartition(".")[2]]
        arguments = variant.arguments | {"replicas": 2, "optimizer": lambda p: torch.optim.Adam(p, lr=lr)}
        model = cls(**arguments)
        data = CLTDataModule(
            **settings, block_size=model.block_size, held_out_laws=["gaussian()"], batch_size=8, test_samples=16
        )
        judge = Generalization(figure_every_n_validations=0)
        try:
            trainer = train(model, data, 3, judge)
        except AllDivergedError:
            assert len(model.divergence.steps) == 2
        else:
            # to judge takes longest: where nobody diverged, every eighth shows that it works
            if model.divergence.steps or number % 8 == 0:
                trainer.test(model, data, verbose=False)
                lost = judge.results["gaussian(mean=0, std=1)"]["mse"].isnan()
                assert lost[list(model.divergence.steps)].all(), variant
        assert all(p.isfinite().all() for p in model.parameters()), variant
