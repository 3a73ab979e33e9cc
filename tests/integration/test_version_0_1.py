"""Runs that version 0.1 left behind are judged, resumed and read as version 0.1 did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from renorm.cli import main

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "version_0_1"
RUNS = ["mlp", "spline", "ring"]


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a run: two epochs of a tied MLP, of one with splines and an energy loss, and of a graph network."""
    return Path(shutil.copytree(FIXTURES / request.param, tmp_path / "runs" / request.param / "version_0"))


def test_judged_as_then(run: Path) -> None:
    results = run / "checkpoints" / "test_results.json"
    then = json.loads(results.read_text())
    results.unlink()
    assert main(["test", "--ckpt_path", str(run / "checkpoints" / "last.ckpt"), "--trainer.accelerator", "cpu"]) == 0
    now = json.loads(results.read_text())
    assert now.keys() == then.keys()
    assert now["results"].keys() == then["results"].keys()
    for law, metrics in then["results"].items():
        for name, values in metrics.items():
            assert now["results"][law][name] == pytest.approx(values, rel=1e-4, abs=1e-6), (law, name)


def test_resumed_as_then(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parents[2])
    last = run / "checkpoints" / "last.ckpt"
    assert main(["fit", "--ckpt_path", str(last), "--trainer.max_epochs", "3", "--trainer.accelerator", "cpu"]) == 0
    now, then = (torch.load(path, weights_only=True) for path in (last, run / "resumed.ckpt"))
    assert now["state_dict"].keys() == then["state_dict"].keys()
    assert now["global_step"] == then["global_step"] == 60
    for name, weight in then["state_dict"].items():
        torch.testing.assert_close(now["state_dict"][name], weight, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("run", ["mlp"], indirect=True)
@pytest.mark.parametrize("command", ["fit", "test"])
def test_held_out_laws_are_those_of_the_checkpoint_with_its_config_too(run: Path, command: str, tmp_path: Path) -> None:
    """The config of a run has null for the default, which has changed since; a test takes a part of it."""
    config = run / "config.yaml"
    if command == "test":
        config = tmp_path / "judged.yaml"
        config.write_text("data:\n  held_out_laws: null\n")
    words = [command, "--config", str(config), "--ckpt_path", str(run / "checkpoints" / "last.ckpt")]
    words += ["--trainer.default_root_dir", str(tmp_path / "runs"), "--trainer.accelerator", "cpu"]
    results = run / "checkpoints" / "test_results.json"
    then = json.loads(results.read_text())["held_out_laws"]
    assert len(then) == 7
    if command == "fit":
        assert main([*words, "--trainer.max_epochs", "3"]) == 0
        now = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
        assert now["epoch"] == 2
        assert now["renorm"]["recipe"]["data"]["held_out_laws"] == then
    else:
        assert main(words) == 0
        assert json.loads(results.read_text())["held_out_laws"] == then


def test_config_is_read(run: Path, tmp_path: Path) -> None:
    words = ["fit", "--config", str(run / "config.yaml"), "--trainer.fast_dev_run", "true"]
    assert main([*words, "--trainer.default_root_dir", str(tmp_path)]) == 0
