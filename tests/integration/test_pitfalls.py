"""Known traps of Lightning, jsonargparse and TensorBoard, one regression test each; the threads are named where there is one."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
import yaml
from packaging.specifiers import SpecifierSet
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from renorm.callbacks.hyperparameters import METRICS
from renorm.cli import main

from ..conftest import NO_FIGURES, QUICK

ROOT = Path(__file__).parent.parent.parent


def events_of(run: Path) -> EventAccumulator:
    return EventAccumulator(str(run)).Reload()


def fit(root: Path, *words: str) -> Path:
    quick = [*QUICK, *NO_FIGURES, "--trainer.max_epochs", "1", "--trainer.default_root_dir", str(root)]
    assert main(["fit", *quick, *words]) == 0
    return root / "mlp" / "version_0"


def test_1_malicious_releases_of_lightning_are_excluded() -> None:
    """pytorch-lightning#21691, #21822."""
    wanted = [line for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith('  "lightning')]
    allowed = SpecifierSet(wanted[0].strip(' ",').removeprefix("lightning"))
    assert not {"2.6.2", "2.6.3", "2.6.4", "2.7.0"} & {*allowed.filter(["2.6.2", "2.6.3", "2.6.4", "2.6.6", "2.7.0"])}
    assert version("lightning") in allowed


def test_2_checkpoints_load_with_weights_only(run_folder: Path) -> None:
    """pytorch-lightning#20058."""
    for path in run_folder.glob("checkpoints/*.ckpt"):
        checkpoint = torch.load(path, weights_only=True)
        assert checkpoint["hyper_parameters"]["replicas"] == 3
        assert checkpoint["datamodule_hyper_parameters"]["block_size"] == 2


def test_3_a_checkpoint_does_not_silently_beat_a_flag(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """pytorch-lightning#21455."""
    checkpoint = str(run_folder / "checkpoints" / "last.ckpt")
    assert main(["fit", "--ckpt_path", checkpoint, "--model.optimizer.lr", "0.5"]) == 2
    error = capsys.readouterr().err
    assert "0.5" in error
    assert "0.01" in error


def test_4_test_restores_model_and_data_from_the_checkpoint(run_folder: Path) -> None:
    """pytorch-lightning#21262."""
    assert main(["test", "--ckpt_path", str(run_folder / "checkpoints" / "last.ckpt")]) == 0


def test_5_random_weights_are_not_tested_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """torchgeo#2479."""
    monkeypatch.chdir(tmp_path)
    assert main(["test", "--config", "mlp_relu_free"]) == 2
    assert "random weights" in capsys.readouterr().err
    assert main(["test", "--config", "mlp_relu_free", "--data.test_samples", "64", "--allow_untrained", "true"]) == 0
    assert [*tmp_path.iterdir()] == []


def test_6_runs_do_not_overwrite_each_others_configs(tmp_path: Path) -> None:
    """pytorch-lightning#17115."""
    first = fit(tmp_path)
    before = (first / "config.yaml").read_text()
    fit(tmp_path, "--model.width", "4")
    assert (first / "config.yaml").read_text() == before
    second = yaml.safe_load((first.parent / "version_1" / "config.yaml").read_text())
    assert second["model"]["init_args"]["width"] == 4
    assert main(["test", "--ckpt_path", str(first / "checkpoints" / "last.ckpt")]) == 0
    assert (first / "config.yaml").read_text() == before


def test_7_flags_win_over_files_wherever_they_stand_and_core_callbacks_stay(tmp_path: Path) -> None:
    """pytorch-lightning#17533, #15256."""
    config = tmp_path / "mlp.yaml"
    timer = "trainer: {callbacks: [{class_path: lightning.pytorch.callbacks.EarlyStopping, init_args: {monitor: loss/val}}]}\n"
    config.write_text("model: {init_args: {width: 4}}\n" + timer)
    run = fit(tmp_path, "--model.width", "6", "--config", str(config))
    saved = yaml.safe_load((run / "config.yaml").read_text())
    assert saved["model"]["init_args"]["width"] == 6
    callbacks = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["callbacks"]
    assert {"EarlyStopping", "Generalization"} <= {name.partition("{")[0] for name in callbacks}


def test_8_the_optimiser_is_a_callable_of_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--optimizer`` of LightningCLI overrides ``configure_optimizers`` with a warning only."""
    assert main(["fit", "--optimizer", "SGD"]) == 2
    assert "--optimizer" in capsys.readouterr().err
    schedule = ["--model.lr_scheduler", "torch.optim.lr_scheduler.StepLR", "--model.lr_scheduler.step_size", "1"]
    run = fit(tmp_path, "--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.25", *schedule)
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    group = checkpoint["optimizer_states"][0]["param_groups"][0]
    assert "betas" not in group
    assert group["initial_lr"] == 0.25
    assert group["lr"] == pytest.approx(0.025)  # one epoch, gamma 0.1


def test_9_hyperparameters_come_once_with_a_real_metric(run_folder: Path) -> None:
    """pytorch-lightning#7764."""
    events = events_of(run_folder)
    assert "hp_metric" not in events.Tags()["scalars"]
    plugin = events.summary_metadata
    sessions = [tag for tag in plugin if tag.startswith("_hparams_/")]
    assert sorted(sessions) == [
        "_hparams_/experiment",
        "_hparams_/session_end_info",
        "_hparams_/session_start_info",
    ]
    for metric in METRICS:
        assert metric.encode() in plugin["_hparams_/experiment"].plugin_data.content
        assert metric in events.Tags()["scalars"]  # whose curve the tab shows
    assert b"model/activation" in plugin["_hparams_/session_start_info"].plugin_data.content


def test_10_a_test_logs_under_the_run_that_it_tests(tmp_path: Path) -> None:
    """pytorch-lightning#19547."""
    run = fit(tmp_path)
    assert main(["test", "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]) == 0
    assert [path.name for path in run.parent.iterdir()] == ["version_0"]
    assert "test/generalization/rademacher()/mse" in events_of(run).Tags()["scalars"]


def test_11_figures_do_not_go_through_pyplot(run_folder: Path) -> None:
    """pytorch#43616: pyplot keeps every figure."""
    assert "generalization/error" in events_of(run_folder).Tags()["images"]
    assert plt.get_fignums() == []


def test_12_metric_names_make_no_folders(run_folder: Path) -> None:
    """pytorch-lightning#20919, #4468."""
    names = {path.name for path in (run_folder / "checkpoints").iterdir() if path.suffix != ".json"}
    assert names == {"best.ckpt", "last.ckpt"}
