"""Where a run goes on, a test writes and a dry run does not, whatever the logger and wherever the checkpoint lies."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from tests.conftest import NO_FIGURES, QUICK

from renorm.callbacks.csv_metrics import KeepingCSVLogger, read_rows
from renorm.cli import main
from renorm.runs.loggers import keeping, loggers_of

FIT = ("fit", *QUICK, *NO_FIGURES, "--trainer.log_every_n_steps", "1", "--trainer.max_epochs")


@pytest.fixture
def lone(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint that lies by itself, in the folder that one stands in."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(run_folder / "checkpoints" / "last.ckpt", tmp_path / "lone.ckpt"))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_a_csv_run_goes_on_in_its_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fit = [*FIT[:-1], "--model.replicas", "2", FIT[-1]]
    flow = ["--rg_flow.every_n_epochs", "1"]  # else it is also logged at the last epoch of each part
    csv_logger = ["--trainer.logger", "CSVLogger", "--trainer.logger.prefix", "p"]
    assert main([*fit, "3", *csv_logger, *flow, "--name", "whole"]) == 0
    assert main([*fit, "1", *csv_logger, *flow, "--name", "parts"]) == 0
    run = tmp_path / "runs" / "parts" / "version_0"
    with (run / "metrics.csv").open("a", newline="") as file:
        width = len(read_rows(run / "metrics.csv")[0])
        csv.writer(file).writerow(["lost"] * width)  # what a killed run logged after its last checkpoint
        file.write("torn")
    assert main([*fit, "2", "--ckpt_path", "last", "--name", "parts", *flow]) == 0  # knows its logger
    assert main(["test", "--ckpt_path", "last", "--name", "parts"]) == 0
    assert main([*fit, "3", "--ckpt_path", "last", "--name", "parts", *csv_logger, *flow]) == 0  # is told again
    whole = tmp_path / "runs" / "whole" / "version_0"
    (header, rows), (other, others) = read_rows(whole / "metrics.csv"), read_rows(run / "metrics.csv")
    assert header == other
    assert any(key.startswith("p-") for key in header)
    assert others == rows
    assert names(run.parent) == {"version_0"}
    assert not list(run.glob("events.*"))
    assert "config_resumed_2.yaml" in names(run)
    assert main(["test", "--ckpt_path", "last", "--name", "parts", "--trainer.logger", "CSVLogger"]) == 0
    assert (run / "test" / "version_0" / "metrics.csv").is_file()
    assert read_rows(run / "metrics.csv")[1] == rows
    again = [*csv_logger, "--trainer.logger.version", "version_0", "--name", "parts"]
    assert "has a metrics.csv already" in refusal([*fit, "1", *again], capsys)
    assert read_rows(run / "metrics.csv")[1] == rows


def test_only_the_logger_of_its_own_run_goes_on_in_it(tmp_path: Path) -> None:
    run = tmp_path / "name" / "version_0"
    run.mkdir(parents=True)
    for logger, folder in (
        (CSVLogger(tmp_path, "name"), run),
        (CSVLogger(tmp_path, "name", version=0), run),
        (CSVLogger(tmp_path, "other"), tmp_path / "other" / "version_0"),
        (CSVLogger(tmp_path, "name", version=7), tmp_path / "name" / "version_7"),
    ):
        (kept,) = keeping(logger, run)
        assert isinstance(kept, KeepingCSVLogger)
        assert Path(kept.log_dir) == folder
    assert Path(keeping(CSVLogger(tmp_path, "name"), None)[0].log_dir) == tmp_path / "name" / "version_1"


@pytest.mark.parametrize("content", ["", "[", "trainer: 3", "trainer: {logger: true}", "a: 1\na: 2"])
def test_a_config_that_names_no_logger(content: str, tmp_path: Path) -> None:
    assert loggers_of(tmp_path) == []
    (tmp_path / "config.yaml").write_text(content)
    assert loggers_of(tmp_path) == []


def test_a_checkpoint_by_itself_is_judged_beside_it_and_goes_on_in_a_new_run(
    lone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "name='x' has no effect" in refusal(["test", "--ckpt_path", lone.name, "--name", "x"], capsys)
    assert names(tmp_path) == {"lone.ckpt"}
    assert main(["test", "--ckpt_path", lone.name]) == 0
    assert names(tmp_path) == {"lone.ckpt", "test_results.json"}
    before = lone.read_bytes()
    assert main([*FIT, "3", "--ckpt_path", lone.name, "--name", "x", "--trainer.log_every_n_steps", "4"]) == 0
    assert names(tmp_path) == {"lone.ckpt", "test_results.json", "runs"}
    assert {"checkpoints", "config.yaml"} <= names(tmp_path / "runs" / "x" / "version_0")
    assert lone.read_bytes() == before


def test_a_name_that_contradicts_the_run_of_a_checkpoint_is_refused(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = str(run_folder / "checkpoints" / "last.ckpt")
    for words in (["test"], ["validate"], [*FIT, "3"]):
        assert "name='other' contradicts ckpt_path=" in refusal(
            [*words, "--ckpt_path", path, "--name", "other"], capsys
        )
    assert names(tmp_path) == set()
    monkeypatch.chdir(run_folder / "checkpoints")
    assert "name='other' contradicts" in refusal(["test", "--ckpt_path", "last.ckpt", "--name", "other"], capsys)


def test_a_test_says_nothing_of_where_checkpoints_were(
    lone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    checkpoint = torch.load(lone, weights_only=True)
    plain = ModelCheckpoint().state_key
    states = checkpoint["callbacks"]
    best = next(state for key, state in states.items() if key.startswith("BestCheckpoint"))
    checkpoint["callbacks"] = {plain: best | {"dirpath": "/elsewhere"}}  # as a plain Trainer writes it
    torch.save(checkpoint, lone)
    for words in (["test"], ["predict", "--out", "p.csv"]):
        assert main([*words, "--ckpt_path", lone.name]) == 0
    assert "dirpath" not in capsys.readouterr().err
    assert not [warning for warning in recwarn if "dirpath" in str(warning.message)]


def test_a_dry_run_leaves_nothing(lone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dry = ["--trainer.fast_dev_run", "true"]
    for logger in ([], ["--trainer.logger", "CSVLogger"]):
        assert main(["fit", *QUICK, *dry, *logger]) == 0
        assert "keeps nothing" in capsys.readouterr().out
        assert {path for path in tmp_path.rglob("*") if path.is_file()} == {lone}
    assert main(["test", "--ckpt_path", lone.name, *dry]) == 0
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {lone}


def test_what_is_missing_or_empty_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for key in ("model", "data", "trainer"):
        Path(f"{key}.yaml").write_text(f"{key}:\n")
        assert f"config='{key}.yaml' has {key}=null" in refusal(["fit", "--config", f"{key}.yaml"], capsys)
    Path("logger.yaml").write_text("trainer: {logger: CSVLogger}\n")
    line = refusal(["fit", "--config", "logger.yaml"], capsys)
    assert "trainer.logger.save_dir, which CSVLogger needs, is missing" in line
    assert "Namespace" not in line
    assert "model is missing" in refusal(["fit", "--model", "null"], capsys)
    for command in ("validate", "predict"):
        assert "allow_untrained" not in refusal([command], capsys)
    assert "allow_untrained" in refusal(["test"], capsys)


def test_a_plot_that_is_refused_warns_of_nothing(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data.test_samples", "512", "--model.activation", "leaky_relu"]
    fit = [*FIT, "1", "--config", "mlp_leaky_relu_full", "--model.negative_slope", "[0.5, 0.9]", *words]
    assert main([*fit, "--trainer.default_root_dir", str(tmp_path / "runs")]) == 0
    folder = tmp_path / "runs" / "mlp_leaky_relu_full" / "version_0" / "checkpoints"
    assert main(["test", "--ckpt_path", str(folder / "best.ckpt")]) == 0
    (folder / "best.ckpt").write_bytes(b"a newer one")
    plot = ["plot", str(folder / "test_results.json"), "--out", str(tmp_path / "f.png")]
    assert "laws='poisson(rate=3)' was not tested" in refusal([*plot, "--laws", "poisson(rate=3)"], capsys)
    assert main(plot) == 0
    assert "older best.ckpt" in capsys.readouterr().err
