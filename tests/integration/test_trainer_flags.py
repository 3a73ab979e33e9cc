"""Every flag of the trainer with odd values: exit code 0, or one line, exit code 2 and nothing left behind."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import pytest
from lightning.pytorch import Trainer

from renorm.cli import main

SMALL = [
    *("fit", "--model.replicas", "2", "--model.compile", "false", "--trainer.max_steps", "2"),
    *("--data.steps_per_epoch", "2", "--data.batch_size", "8", "--data.val_samples", "8", "--data.held_out_laws", "[]"),
    *("--cumulants.every_n_epochs", "0", "--rg_flow.every_n_epochs", "0", "--symmetry_breaking.every_n_epochs", "0"),
    *("--generalization.figure_every_n_validations", "0", "--trainer.enable_progress_bar", "false"),
]
# by flag: values that are to be refused, and values that are to work
VALUES: dict[str, tuple[list[str], list[str]]] = {
    "accelerator": (["x", "tpu", "null"], ["cpu"]),
    "strategy": (["x", "dp", "fsdp"], ["single_device"]),
    "devices": (["-1", "0", "[0]", "x", "100000"], []),
    "num_nodes": (["0", "-1", "x", "2"], []),
    "precision": (["16", "16-true", "x", "transformer-engine"], ["64"]),
    "logger": (["x"], ["false", "CSVLogger"]),
    "callbacks": (["x", "[x]", "1"], ["[]"]),
    "fast_dev_run": (["-1", "1.5"], ["1"]),
    "max_epochs": (["-2", "1.5", "1e30"], ["0"]),
    "min_epochs": (["-1", "x"], ["5"]),
    "max_steps": (["-2", "x", "1e3"], ["0"]),
    "min_steps": (["-1", "x"], ["5"]),
    "max_time": (["x", "-1", "{foo: 1}", "-00:00:00:01"], ["00:00:00:01"]),
    "limit_train_batches": (["-1", "2.5", "1.5", "0.01"], []),
    "limit_val_batches": (["-1", "2.5", "0.01"], ["0"]),
    "limit_test_batches": (["-1", "2.5"], []),
    "limit_predict_batches": (["-1", "2.5"], []),
    "overfit_batches": (["-1", "0.01"], ["1"]),
    "val_check_interval": (["50", "0", "-1", "x"], ["0.01"]),
    "check_val_every_n_epoch": (["0", "-1", "1.5"], []),
    "num_sanity_val_steps": (["-2", "x"], ["-1"]),
    "log_every_n_steps": (["-1", "x"], ["0"]),
    "enable_checkpointing": (["false", "x"], []),
    "enable_progress_bar": (["x"], ["false"]),
    "enable_model_summary": (["x"], ["true"]),
    "accumulate_grad_batches": (["0", "-1", "3", "x"], ["2"]),
    "gradient_clip_val": (["-1", "nan", "inf", "x"], ["0"]),
    "gradient_clip_algorithm": (["x"], ["value"]),
    "deterministic": (["x"], []),
    "benchmark": (["x"], []),
    "inference_mode": (["x"], ["false"]),
    "use_distributed_sampler": (["x"], ["false"]),
    "profiler": (["x", "xla"], ["simple"]),
    "detect_anomaly": (["x"], []),
    "barebones": (["true", "x"], []),
    "plugins": (["x", "[x]"], ["[]"]),
    "sync_batchnorm": (["x"], ["true"]),
    "reload_dataloaders_every_n_epochs": (["-1", "x"], []),
    "default_root_dir": (["$HOME", "~/runs", "~nobody/x", "/dev/null/x"], ["a/b"]),
    "enable_autolog_hparams": (["x"], ["false"]),
    "model_registry": ([], ["x"]),
}


def everything(folder: Path) -> set[str]:
    return {os.path.relpath(path, folder) for path in folder.rglob("*")}


def test_every_flag_is_tried() -> None:
    assert VALUES.keys() == inspect.signature(Trainer).parameters.keys()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Lightning says what it thinks of odd values that it takes
@pytest.mark.parametrize("flag", VALUES)
def test_odd_values(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    refused, taken = VALUES[flag]
    for value in refused:
        assert main([*SMALL, f"--trainer.{flag}={value}"]) == 2, value
        said = capsys.readouterr().err
        assert said.startswith("renorm: error: trainer"), said
        assert said.count("\n") == 1, said
        assert everything(tmp_path) == set(), value
    for value in taken:
        assert main([*SMALL, f"--trainer.{flag}={value}"]) == 0, value


def test_predictions_go_to_a_file_of_a_known_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    for out in (".", "..", "/", "x.txt", "x", "folder.csv", "nowhere/x.csv"):
        assert main(["predict", "--model", "mlp_quadratic_free.uniform", "--out", out]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"renorm: error: out={out!r}"), said
        assert everything(tmp_path) == {"folder.csv"}
    small = ("--data.test_samples", "8", "--data.held_out_laws", "[]", "--trainer.enable_progress_bar", "false")
    for out in ("x.csv", "x.parquet"):
        assert main(["predict", "--model", "mlp_quadratic_free.uniform", "--out", out, *small]) == 0
    first, *rows = (tmp_path / "x.csv").read_text().splitlines()
    assert first.startswith('"law","x1","x2","target","member_0"')
    assert len(rows) == 8
    assert everything(tmp_path) == {"folder.csv", "x.csv", "x.parquet"}
