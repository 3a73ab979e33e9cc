"""Loggers of Lightning's other than TensorBoard's: folder, name, figures, and the commands that are printed."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.conftest import QUICK

from renorm import progress
from renorm.cli import main

FIT = ["fit", "--config", "mlp_quadratic_free", "--trainer.max_epochs", "1", *QUICK]


@pytest.mark.parametrize("logger", [None, "CSVLogger", "lightning.pytorch.loggers.CSVLogger", "TensorBoardLogger"])
def test_a_run_is_where_it_says(
    logger: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = [] if logger is None else ["--trainer.logger", logger]
    assert main([*FIT, "--name", "mine", *chosen]) == 0
    printed = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines() if ":" in line)
    folder = Path(printed["run"].strip())
    assert folder == Path("runs/mine/version_0")
    for name in ("cumulants", "symmetry", "rg_flow"):
        assert list((folder / name).glob("*.parquet"))
    if logger and logger.endswith("CSVLogger"):
        assert Path(printed["watch"].strip()).read_text().count("\n") > 1
        figures = {path.name.partition("_step")[0] for path in (folder / "figures").iterdir()}
        assert {"generalization_error", "rg_spectrum", "symmetry_asymmetry"} <= figures
    else:
        words = shlex.split(printed["watch"])
        assert words[:2] == ["tensorboard", "--logdir"]
        assert folder.is_relative_to(words[2])
        assert "generalization/error" in EventAccumulator(str(folder)).Reload().Tags()["images"]
        assert not (folder / "figures").exists()
    assert printed["loss"].endswith(" in the validation at step 8")
    assert printed["time"].endswith(", 8 steps")
    assert printed["members"] == " 1, none diverged"
    judge = shlex.split(printed["judge"])
    assert judge[0] == "renorm"
    assert main(judge[1:]) == 0


def test_a_name_that_no_logger_bears_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*FIT, "--name", "mine", "--trainer.logger", "false"]) == 2
    assert "name='mine' is not the name of trainer.logger=false" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_without_a_logger_the_checkpoint_is_still_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "QUIET", 0.0)  # as if the fit were a long one
    assert main([*FIT, "--trainer.logger", "false"]) == 0
    printed, lines = capsys.readouterr()
    assert [line for line in lines.splitlines() if line.startswith("fit: ")][-1] == "fit: 100%"
    assert "\r" not in lines + printed, "a bar would be repainted"
    for label in ("loss:   ", "time:   ", "members: 1, none diverged\n"):
        assert f"\n{label}" in f"\n{printed}"
    judge = shlex.split(next(line for line in printed.splitlines() if line.startswith("judge:")).partition(":")[2])
    assert main(judge[1:]) == 0


@pytest.mark.filterwarnings("ignore")  # of wandb about itself
def test_weights_and_biases_need_no_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], offline: None
) -> None:
    """Figures and scalars are in its own files, tables and checkpoints in the run's folder, under one name."""
    monkeypatch.chdir(tmp_path)
    assert main([*FIT, "--name", "mine", "--trainer.logger", "WandbLogger", "--trainer.logger.offline", "true"]) == 0
    printed = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines() if ":" in line)
    folder = Path(printed["run"].strip())
    assert folder.is_relative_to("runs")
    for name in ("cumulants", "symmetry", "rg_flow"):
        assert list((folder / name).glob("*.parquet"))
    assert (folder / "config.yaml").exists()
    assert not (folder / "figures").exists()
    words = shlex.split(printed["watch"])
    assert words[:2] == ["wandb", "sync"]
    assert list(Path(words[2]).rglob("generalization/error_*.png"))
    assert main(shlex.split(printed["judge"])[1:]) == 0


@pytest.mark.filterwarnings("ignore")  # of mlflow and sqlalchemy about each other
def test_mlflow_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert main([*FIT, "--name", "mine", "--trainer.logger", "MLFlowLogger", "--trainer.logger.tracking_uri", uri]) == 0
    printed = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines() if ":" in line)
    folder = Path(printed["run"].strip())
    assert list((folder / "cumulants").glob("*.parquet"))
    assert (folder / "config.yaml").exists()
    assert not Path("config.yaml").exists()
    assert shlex.split(printed["watch"]) == ["mlflow", "ui", "--backend-store-uri", uri]
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    run = client.get_run(folder.name)
    assert run.info.run_name == "mine"
    tag = "generalization/uniform/mse"
    assert tag in run.data.metrics
    assert [file.path for file in client.list_artifacts(folder.name, "figures") if "generalization_error" in file.path]
    assert main(shlex.split(printed["judge"])[1:]) == 0


def test_a_store_that_mlflow_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    uri = "nonsense://store" if importlib.util.find_spec("mlflow") else "sqlite:///mlflow.db"
    assert main([*FIT, "--trainer.logger", "MLFlowLogger", "--trainer.logger.tracking_uri", uri]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "mlflow" in error.lower()
    assert not list(tmp_path.rglob("config.yaml"))
