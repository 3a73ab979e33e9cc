"""What the command line measures, remembers and refuses is the same for a plain Trainer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import renorm as package
from renorm.callbacks import CumulantDiagnostics, Generalization, RGFlow, SymmetryBreaking
from renorm.cli import main
from renorm.datamodules import CLTDataModule
from renorm.datamodules.blocks import law_tags
from renorm.runs.checkpoint import load_model
from renorm.runs.quiet_trainer import quiet_trainer, quieten
from renorm.training.metrics import METRICS
from renorm.zoo import MLP

SIZES = {"steps_per_epoch": 4, "val_samples": 128, "test_samples": 256, "eval_batch_size": 64}
FLAGS = [word for name, value in SIZES.items() for word in (f"--data.{name}", str(value))]
MODEL = {"replicas": 2, "activation": "quadratic"}


def trainer(folder: Path, **settings: Any) -> Trainer:
    quieten()
    silent = {
        "accelerator": "cpu",
        "devices": 1,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(default_root_dir=folder, **silent | {"num_sanity_val_steps": 0, "max_epochs": 1} | settings)


def tags(folder: Path) -> dict[str, list[float]]:
    events = EventAccumulator(str(folder)).Reload()
    return {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit by a plain Trainer, with TensorBoard and without a word of callbacks."""
    folder = tmp_path_factory.mktemp("by_hand")
    logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)
    trainer(folder, logger=logger, log_every_n_steps=2).fit(MLP(**MODEL), CLTDataModule(**SIZES))
    return folder


@pytest.fixture(scope="module")
def by_command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same fit by the command line."""
    root = tmp_path_factory.mktemp("by_command")
    words = ["fit", "--model.replicas", "2", "--model.activation", "quadratic", "--trainer.max_epochs", "1", *FLAGS]
    words += [
        "--trainer.log_every_n_steps",
        "2",
        "--trainer.default_root_dir",
        str(root),
        "--trainer.accelerator",
        "cpu",
    ]
    assert main(words) == 0
    return root / "mlp" / "version_0"


def test_a_fit_measures_what_the_command_measures(by_hand: Path, by_command: Path) -> None:
    ours, theirs = tags(by_hand), tags(by_command)
    assert theirs.keys() - ours.keys() <= {"hp_metric"}
    differing = {tag for tag in theirs if ours[tag] != theirs[tag]}
    assert not differing
    for name in ("cumulants", "symmetry", "rg_flow"):
        assert sorted(path.name for path in (by_hand / name).iterdir()) == ["epoch_00000.parquet"]


def test_a_test_measures_what_the_command_measures(by_command: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = by_command / "checkpoints" / "last.ckpt"
    assert main(["test", "--ckpt_path", str(checkpoint), "--trainer.enable_progress_bar", "false"]) == 0
    printed = capsys.readouterr().out
    known = json.loads((checkpoint.parent / "test_results.json").read_text())["results"]
    returned = trainer(by_command, logger=False).test(load_model(checkpoint), CLTDataModule(**SIZES))
    assert len(returned) == len(known) == 11
    table = printed.partition("every member")[0]
    assert table in capsys.readouterr().out
    tags = law_tags(CLTDataModule())
    for found, (law, metrics) in zip(returned, known.items(), strict=True):
        for name in METRICS:
            median = float(torch.tensor(metrics[name]).double().quantile(0.5))
            assert found[f"test/generalization/{tags[law]}/{name}"] == pytest.approx(median)
    worst = max(max(metrics["mse"]) for law, metrics in known.items() if "uniform" not in law)
    assert returned[0]["test/held_out/mse"] <= worst


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_silent_where_it_is_asked_to_be(stage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = getattr(trainer(tmp_path, logger=False), stage)
    assert run(MLP(), CLTDataModule(**SIZES), verbose=False)
    assert not capsys.readouterr().out
    run(MLP(), CLTDataModule(**SIZES))
    assert "median over members" in capsys.readouterr().out


def test_callbacks_of_ones_own_are_kept(tmp_path: Path) -> None:
    own = [
        Generalization(figure_every_n_validations=0),
        CumulantDiagnostics(every_n_epochs=0),
        RGFlow(every_n_epochs=0),
    ]
    run = trainer(tmp_path, callbacks=own, logger=TensorBoardLogger(tmp_path))
    run.fit(MLP(), CLTDataModule(**SIZES))
    assert all(callback in run.callbacks for callback in own)
    assert sum(isinstance(callback, Generalization) for callback in run.callbacks) == 1
    assert sum(isinstance(callback, SymmetryBreaking) for callback in run.callbacks) == 1


def test_held_out_numbers_can_be_monitored_only_by_a_name_that_says_so(tmp_path: Path) -> None:
    run = trainer(tmp_path, logger=False)
    run.fit(MLP(), CLTDataModule(held_out_laws=["gaussian()", "laplace()"], **SIZES))
    found = {name for name in run.callback_metrics if name.endswith("relative_mse")}
    # no law lies within the range of the uniform one
    worst = {f"{name}/relative_mse" for name in ("trained", "held_out", "extrapolation")}
    assert found == {"generalization/uniform()/relative_mse"} | worst | {
        f"held_out/{law}/relative_mse" for law in ("gaussian()", "laplace()")
    }
    values = run.callback_metrics
    each = [values[f"held_out/{law}/relative_mse"] for law in ("gaussian()", "laplace()")]
    assert values["held_out/relative_mse"] == max(each)


def test_evaluate_gives_the_numbers_of_the_command(by_command: Path) -> None:
    checkpoint = by_command / "checkpoints" / "last.ckpt"
    assert main(["test", "--ckpt_path", str(checkpoint), "--data.eval_batch_size", "1024"]) == 0
    known = json.loads((checkpoint.parent / "test_results.json").read_text())["results"]
    found = package.evaluate(load_model(checkpoint), samples=256).results
    assert found.keys() == known.keys()
    for law, metrics in known.items():
        for name in METRICS:
            torch.testing.assert_close(
                found[law][name].double(), torch.tensor(metrics[name]).double(), rtol=1e-5, atol=1e-7
            )


def test_evaluate_tells_laws_within_the_range_of_training_from_those_beyond_it() -> None:
    texts = ["rademacher()", "gaussian()", "gaussian(std=3)", "uniform()"]
    found = package.evaluate(MLP(replicas=2), texts, samples=64, trained="uniform()")
    within, near, far = "rademacher()", "gaussian(mean=0, std=1)", "gaussian(mean=0, std=3)"
    assert found.sets == {
        "trained": [str(CLTDataModule().train_laws[0])],
        "held_out": [within, near, far],
        "interpolation": [within],
        "extrapolation": [near, far],
    }
    assert torch.equal(found.worst("interpolation")["mse"], found.results[within]["mse"])
    assert torch.equal(found.worst()["mse"], torch.stack([found.results[law]["mse"] for law in found.results]).amax(0))
    assert "(trained)" in repr(found)
    assert package.evaluate(MLP(), texts[:2], samples=64, trained="uniform()").sets.keys() == {
        *("held_out", "interpolation", "extrapolation")
    }
    with pytest.raises(ValueError, match=r"name='held_out' has no laws; allowed: evaluate\(..., trained=...\)"):
        package.evaluate(MLP(), texts[:2], samples=64).worst()


def test_evaluate_refuses_what_it_cannot_judge() -> None:
    for laws in ([], ["gaussian()", "gaussian(mean=0)"], ["gausian()"]):
        with pytest.raises(ValueError, match="allowed"):
            package.evaluate(MLP(), laws)


# ---- checkpoints ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a plain Trainer, with an optimiser and a schedule of one's own."""
    folder = tmp_path_factory.mktemp("own_checkpoint")
    model = MLP(
        **MODEL,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.02, momentum=0.5),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5),
    )
    run = trainer(folder, logger=False)
    run.fit(model, CLTDataModule(**SIZES))
    run.save_checkpoint(folder / "own.ckpt")
    return folder / "own.ckpt"


def test_the_command_line_takes_a_plain_trainers_checkpoint(
    own_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = shutil.copy(own_checkpoint, tmp_path)
    assert main(["test", "--ckpt_path", str(path)]) == 0
    assert main(["validate", "--ckpt_path", str(path)]) == 0
    assert main(["predict", "--ckpt_path", str(path), "--out", str(tmp_path / "out.parquet")]) == 0
    assert main(["fit", "--ckpt_path", str(path), "--trainer.max_epochs", "3"]) == 0
    (last,) = (tmp_path / "runs").rglob("last.ckpt")  # one that lies by itself goes on as a new run
    again = torch.load(last, weights_only=True)
    arguments = again["renorm"]["recipe"]["model"]["init_args"]
    assert arguments["optimizer"]["class_path"] == "torch.optim.SGD"
    assert arguments["lr_scheduler"]["class_path"] == "torch.optim.lr_scheduler.StepLR"
    assert arguments["lr_scheduler"]["init_args"] == {"step_size": 2, "gamma": 0.5, "last_epoch": -1}
    assert again["global_step"] == 12
    # resumed by the command line as by hand: the same bits
    run = trainer(tmp_path, logger=False, max_epochs=3)
    model = MLP(
        **MODEL,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.02, momentum=0.5),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5),
    )
    run.fit(model, CLTDataModule(**SIZES), ckpt_path=path, weights_only=True)
    for name, value in model.state_dict().items():
        assert torch.equal(value, again["state_dict"][name])


def test_the_command_line_takes_a_checkpoint_of_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = trainer(tmp_path, logger=False)
    run.fit(MLP(), CLTDataModule(**SIZES))
    run.save_checkpoint("own.ckpt")
    assert main(["test", "--ckpt_path", "own.ckpt"]) == 0
    assert main(["predict", "--ckpt_path", "own.ckpt", "--out", "out.parquet"]) == 0
    assert main(["fit", "--ckpt_path", "own.ckpt", "--trainer.max_epochs", "2"]) == 0
    assert main(["fit", "--init_from", "own.ckpt", "--trainer.max_epochs", "1", *FLAGS, "--name", "anew"]) == 0


@pytest.mark.parametrize(
    ("model", "data", "named"),
    [
        ({"width": 4}, {}, "model.width=4"),
        ({"activation": "relu"}, {}, "model.activation='relu'"),
        ({"symmetry": "full"}, {}, "model.symmetry='full'"),
        ({"seed": 1}, {}, "model.seed=1"),
        ({}, {"train_laws": ["gaussian()"]}, "data.train_laws"),
        ({}, {"seed": 3}, "data.seed=3"),
        ({}, {}, "model.optimizer=Adam"),
    ],
)
def test_a_run_refuses_a_checkpoint_that_is_not_its_own(
    own_checkpoint: Path, tmp_path: Path, model: dict[str, Any], data: dict[str, Any], named: str
) -> None:
    run = trainer(tmp_path, logger=False, max_epochs=3)
    with pytest.raises(ValueError, match=named):
        run.fit(MLP(**MODEL | model), CLTDataModule(**SIZES | data), ckpt_path=own_checkpoint, weights_only=True)


def test_a_schedule_that_the_recipe_cannot_say_is_asked_for(tmp_path: Path) -> None:
    """A schedule made by a function is nothing that a recipe can hold; to go on without it would be another training."""
    schedule = {
        "lr_scheduler": lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch)
    }
    run = trainer(tmp_path, logger=False)
    run.fit(MLP(**MODEL, **schedule), CLTDataModule(**SIZES))
    run.save_checkpoint(tmp_path / "own.ckpt")
    assert main(["test", "--ckpt_path", str(tmp_path / "own.ckpt")]) == 0
    assert main(["fit", "--ckpt_path", str(tmp_path / "own.ckpt"), "--trainer.max_epochs", "3"]) == 2


# ---- SLURM ---------------------------------------------------------------------------------------------------------

JOB = {"SLURM_NTASKS": "1", "SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "job", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
JOB |= {"SLURM_NODEID": "0", "SLURM_NODELIST": "localhost", "SLURM_JOB_NODELIST": "localhost"}


def test_a_job_under_slurm_takes_up_its_own_checkpoint_only(
    own_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lightning writes ``hpc_ckpt_1.ckpt`` into the root when the job is to be requeued, and takes it up unasked."""
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    words = [
        "fit",
        "--trainer.default_root_dir",
        str(tmp_path),
        "--trainer.max_epochs",
        "2",
        *FLAGS,
        "--model.replicas",
        "2",
    ]
    recipe = ["--model.activation", "quadratic", "--model.optimizer", "SGD", "--model.optimizer.lr", "0.02"]
    recipe += [
        "--model.optimizer.momentum",
        "0.5",
        "--model.lr_scheduler",
        "StepLR",
        "--model.lr_scheduler.step_size",
        "2",
    ]
    shutil.copy(own_checkpoint, tmp_path / "hpc_ckpt_1.ckpt")
    before = sorted(tmp_path.rglob("*"))
    for other in (
        ["--model.activation", "relu"],
        [*recipe, "--data.train_laws", "gaussian()"],
        [*recipe, "--model.seed", "2"],
    ):
        assert main([*words, *other]) == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert "contradicts the checkpoint" in line
        assert "hpc_ckpt_1.ckpt" in line
    assert sorted(tmp_path.rglob("*.ckpt")) == [path for path in before if path.suffix == ".ckpt"]
    assert main([*words, *recipe, "--model.lr_scheduler.gamma", "0.5"]) == 0
    assert "hpc_ckpt_1.ckpt" in capsys.readouterr().out
    assert (
        torch.load(tmp_path / "mlp" / "version_0" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 8
    )


def test_quiet_fits_are_no_part_of_the_job_that_they_run_in(
    own_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (JOB | {"SLURM_NTASKS": "4"}).items():
        monkeypatch.setenv(name, value)
    shutil.copy(own_checkpoint, tmp_path / "hpc_ckpt_1.ckpt")
    monkeypatch.chdir(tmp_path)
    quiet = quiet_trainer(3, accelerator="cpu")
    quiet.fit(MLP(), CLTDataModule(**SIZES))
    assert (quiet.global_step, quiet.world_size) == (3, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["hpc_ckpt_1.ckpt"]


def test_a_monitor_may_have_the_whole_text_of_a_law(tmp_path: Path) -> None:
    name = "held_out/gaussian(mean=0, std=1)/relative_mse"  # as in configs of before
    watch = ModelCheckpoint(tmp_path / "checkpoints", monitor=name)
    run = trainer(tmp_path, logger=False, callbacks=[watch], enable_checkpointing=True)
    run.fit(MLP(), CLTDataModule(held_out_laws=["gaussian()"], **SIZES))
    assert watch.best_model_score == run.callback_metrics["held_out/gaussian()/relative_mse"]
    assert not any("laplace(loc" in key or "uniform(low" in key for key in run.callback_metrics)
