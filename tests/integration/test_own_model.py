"""An architecture of one's own, and a stack of any module, through every command that takes a model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from examples.own_model import DeepSets
from tests.conftest import QUICK, Run

from renorm.cli import main
from renorm.pretrained.hub import load_pretrained, pretrained_recipe
from renorm.pretrained.manifest import find_entry
from renorm.pretrained.train import stored_outputs, write_manifest, write_tensors
from renorm.runs.checkpoint import load_model
from renorm.sweep.config import known_settings, parse_sweep
from renorm.sweep.point import run_point

SCRIPT = Path(__file__).parents[2] / "examples" / "own_model.py"
IMPORT = ("--import", str(SCRIPT))
QUICK_FIT = (*QUICK, "--trainer.max_epochs", "1")
NO_FIGURES = ("--cumulants.every_n_epochs", "0", "--rg_flow.every_n_epochs", "0")
NETWORK = """
import torch
from torch import nn

def make_net() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
"""


@pytest.fixture(scope="module")
def by_script(renorm: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the example: its folder."""
    folder = tmp_path_factory.mktemp("own_model")
    words = ["fit", "--model", "DeepSets", "--model.width", "4", "--model.replicas", "2", "--name", "sets", *QUICK_FIT]
    done = renorm(*words, cwd=folder, script=SCRIPT)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("DeepSets: left out are") == 1
    return folder / "runs" / "sets" / "version_0"


@pytest.fixture
def checkpoint(by_script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A copy of its run, whose checkpoint a test may judge and go on from."""
    shutil.copytree(by_script, tmp_path / "runs" / "sets" / "version_0")
    monkeypatch.chdir(tmp_path)
    return str(Path("runs", "sets", "version_0", "checkpoints", "last.ckpt"))


def test_the_class_is_short() -> None:
    lines = SCRIPT.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("class "))
    end = next(i for i, line in enumerate(lines) if line.startswith("if __name__"))
    assert end - start <= 25


def test_a_run_of_a_script_is_judged_predicted_and_continued_by_renorm(
    checkpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["test", "--ckpt_path", checkpoint, *IMPORT]) == 0
    assert "DeepSets" in capsys.readouterr().out
    assert main(["predict", "--ckpt_path", checkpoint, "--out", "out.parquet", *IMPORT]) == 0
    assert Path("out.parquet").exists()
    assert main(["fit", "--ckpt_path", checkpoint, "--trainer.max_epochs", "2", *NO_FIGURES, *IMPORT]) == 0
    assert torch.load(checkpoint, weights_only=True)["epoch"] == 1
    assert main(["test", "--ckpt_path", checkpoint, *IMPORT]) == 0


def test_the_checkpoint_is_loaded_by_the_class_that_is_defined(checkpoint: str) -> None:
    loaded = load_model(Path(checkpoint))
    assert type(loaded).__name__ == "DeepSets"
    x = torch.randn(5, 2)
    assert loaded(x).shape == (2, 5)
    torch.testing.assert_close(loaded(x), loaded(x.flip(1)))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["certify"], "DeepSets cannot be examined"),
        (["propagate", "--law", "uniform()"], "DeepSets has no dense layers and activations"),
        (["propagate", "--law", "uniform()", "--methods", "exact"], "define affine_layers and activations"),
    ],
)
def test_what_a_command_cannot_do_is_a_line(
    words: list[str], said: str, checkpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--ckpt_path", checkpoint, *IMPORT]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert "; allowed: " in line


def test_theory_that_is_asked_for_is_refused_before_the_first_epoch(
    checkpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fit", "--ckpt_path", checkpoint, "--trainer.max_epochs", "2", "--theory_gap.every_n_epochs", "1"]
    assert main([*words, *IMPORT]) == 2
    assert "DeepSets has no dense layers" in capsys.readouterr().err
    assert torch.load(checkpoint, weights_only=True)["epoch"] == 0


def test_without_its_script_the_checkpoint_says_where_the_class_is(by_script: Path, renorm: Run) -> None:
    done = renorm("test", "--ckpt_path", by_script / "checkpoints" / "last.ckpt", cwd=by_script)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "holds a __main__.DeepSets; allowed: MLP, GNN, ModuleStack; " in line
    assert f"--import {SCRIPT}" in line


def test_certify_reads_own_classes_from_a_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "own.yaml"
    for name, said in (
        ("examples.own_model.DeepSets", "cannot be examined"),
        ("mine.Nothing", "'mine.Nothing' is not imported"),
    ):
        config.write_text(f"model: {{class_path: {name}}}")
        assert main(["certify", "--config", str(config)]) == 2
        assert said in capsys.readouterr().err


def test_a_point_of_a_sweep_has_an_own_model() -> None:
    settings = {"steps": 2, "replicas": 2, "val_samples": 16, "test_samples": 16, "held_out_laws": ["gaussian()"]}
    sweep = parse_sweep({"model": "DeepSets", "settings": settings, "axes": {"width": [3, 4]}})
    columns = run_point(sweep.points[1])
    assert len(columns["held_out/mse"]) == 2
    assert not any(name.startswith("asymmetry/") for name in columns)
    assert "width" in known_settings("DeepSets")
    with pytest.raises(ValueError, match=r"depth=5 is unknown; allowed: .*width"):
        parse_sweep({"model": "DeepSets", "settings": {"depth": 5}})


def own_entry(folder: Path) -> tuple[DeepSets, dict[str, Any]]:
    """An entry of an own model, as ``renorm zoo train`` writes those of renorm's."""
    from renorm.datamodules import CLTDataModule

    model, arguments = DeepSets(width=3, replicas=2), {"width": 3, "replicas": 2}
    entry = find_entry("mlp_relu_free.uniform") | {"class": "DeepSets", "arguments": arguments, "best_member": 1}
    entry |= {"validation_loss": [2.0, 1.0], "check": stored_outputs(model, CLTDataModule())}
    entry["file"] = write_tensors(folder / "deep_sets.uniform.safetensors", dict(model.state_dict()))
    entry.pop("trajectory", None)
    write_manifest(folder / "manifest.json", {"deep_sets.uniform": entry})
    return model, entry


def test_a_folder_of_weights_may_hold_an_own_model(tmp_path: Path) -> None:
    model, entry = own_entry(tmp_path)
    x = torch.randn(5, 2)
    assert torch.equal(load_pretrained("deep_sets.uniform", "all", folder=tmp_path)(x), model.eval()(x))
    assert torch.equal(load_pretrained("deep_sets.uniform", folder=tmp_path)(x), model(x)[1:])
    assert pretrained_recipe("deep_sets.uniform", tmp_path)["model"]["class_path"].endswith("own_model.DeepSets")
    write_manifest(tmp_path / "manifest.json", {"deep_sets.uniform": entry | {"class": "Undefined"}})
    with pytest.raises(ValueError, match="class='Undefined'; allowed: MLP, GNN"):
        load_pretrained("deep_sets.uniform", folder=tmp_path)


def test_a_stack_of_any_module_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "net_of_a_test.py"
    file.write_text(NETWORK)
    model = ["--model", "ModuleStack", "--model.make", "net_of_a_test.make_net", "--model.replicas", "2"]
    assert main(["fit", *model, *QUICK_FIT]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "make='net_of_a_test.make_net' is not a function of a module that is imported; allowed: --import" in line
    assert not Path("runs").exists()
    assert main(["fit", *model, *QUICK_FIT, *NO_FIGURES, "--import", str(file)]) == 0
    assert main(["test", "--ckpt_path", "last", "--import", str(file)]) == 0
    assert main(["fit", "--ckpt_path", "last", "--trainer.max_epochs", "2", *NO_FIGURES, "--import", str(file)]) == 0
    (path,) = Path("runs").glob("**/last.ckpt")
    assert load_model(path)(torch.zeros(5, 2)).shape == (2, 5)
