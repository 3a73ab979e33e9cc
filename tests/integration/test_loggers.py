"""Loggers of Lightning's other than TensorBoard's: folder, name, figures, and the commands that are printed."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.conftest import QUICK

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
    assert main([*FIT, "--trainer.logger", "false"]) == 0
    printed = capsys.readouterr().out
    judge = shlex.split(next(line for line in printed.splitlines() if line.startswith("judge:")).partition(":")[2])
    assert main(judge[1:]) == 0


def test_lightnings_own_loggers_need_no_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line says which package is missing, where it is."""
    monkeypatch.chdir(tmp_path)
    chosen = ["--trainer.logger", "WandbLogger", "--trainer.logger.offline", "true"]
    monkeypatch.setenv("WANDB_MODE", "offline")
    code = main([*FIT, *chosen])
    printed = capsys.readouterr()
    if importlib.util.find_spec("wandb") is None:
        assert code == 2
        assert "needs wandb" in printed.err
        assert len(printed.err.splitlines()) == 1
    else:
        assert code == 0
        assert list(Path(printed.out.partition("run:")[2].split()[0]).rglob("figures/*.png"))
