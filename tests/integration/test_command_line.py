"""The main job, as a user does it: fit, test, resume, load, predict, plot, from the command line on real runs."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from renorm.callbacks.results import OF_CHECKPOINT, SEAL, seal
from renorm.cli import main
from renorm.datamodules import CLTDataModule
from renorm.zoo import MLP, StackedModel, clt_map
from renorm.zoo.registry import list_models

from ..conftest import NO_FIGURES, QUICK, Run
from ..reliability.runs import start


def load(path: Path) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


def test_help_and_version_import_no_torch() -> None:
    code = (
        "import sys; from renorm.cli import main; "
        "assert main(['--help']) == 0 and main(['--version']) == 0 and main([]) == 0; "
        "assert not {'torch', 'lightning', 'scipy', 'numpy'} & {*sys.modules}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "fit " in done.stdout
    assert "renorm 0." in done.stdout


def test_module_and_script_are_the_same_program(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("renorm")
    assert script.exists()
    programs = [sys.executable, "-m", "renorm"], [sys.executable, str(script)]
    by_module, by_script = (
        subprocess.run([*program, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)
        for program in programs
    )
    assert by_module.stdout == by_script.stdout
    assert by_module.returncode == by_script.returncode == 0


def test_help_of_a_command_names_its_options(renorm: Run, tmp_path: Path) -> None:
    done = renorm("fit", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for option in ("--seed", "--name", "--ckpt_path", "--data.train_laws", "--last_checkpoint.every_n_steps"):
        assert option in done.stdout


def test_zoo_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "list", "mlp_relu_f*"]) == 0
    out = capsys.readouterr().out
    assert "mlp_relu_free" in out
    assert "33" in out  # 2 * 8 + 8 + 8 + 1
    assert "mlp_relu_odd" not in out


def test_fit_leaves_checkpoints_that_load_safely(run_folder: Path) -> None:
    for name in ("best", "last"):
        checkpoint = load(run_folder / "checkpoints" / f"{name}.ckpt")
        assert checkpoint["renorm"]["recipe"]["model"]["init_args"]["activation"] == "quadratic"
    assert {path.name for path in (run_folder / "checkpoints").iterdir()} >= {"best.ckpt", "last.ckpt"}
    assert (run_folder / "config.yaml").exists()


def test_best_is_chosen_by_the_training_law(run_folder: Path) -> None:
    checkpoint = load(run_folder / "checkpoints" / "best.ckpt")
    monitors = [state["monitor"] for key, state in checkpoint["callbacks"].items() if key.startswith("BestCheckpoint")]
    assert monitors == ["loss/val"]
    model = MLP.load_from_checkpoint(run_folder / "checkpoints" / "best.ckpt")
    data = CLTDataModule(val_samples=256)
    x = torch.cat([batch.x for batch in data.val_dataloader()[0]])
    with torch.no_grad():
        losses = (model(x) - clt_map(x)).square().mean(dim=1)
    best = min(
        float(state["best_model_score"]) for key, state in checkpoint["callbacks"].items() if key.startswith("Best")
    )
    assert float(losses.quantile(0.5)) == pytest.approx(best, rel=1e-5)


def test_test_needs_nothing_but_the_checkpoint(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in [run_folder / "config.yaml", *run_folder.glob("checkpoints/*.ckpt")]}
    checkpoint = run_folder / "checkpoints" / "best.ckpt"
    assert main(["test", "--ckpt_path", str(checkpoint)]) == 0
    out = capsys.readouterr().out
    assert "gaussian(mean=1, std=3)" in out
    assert "(trained)" in out
    assert "worst, interpolation" in out
    assert "worst, extrapolation" in out
    results = json.loads((run_folder / "checkpoints" / "test_results.json").read_text())
    assert len(results["results"]) == 11
    assert len(results["members"]) == 3
    # the numbers are those of an independent evaluation
    model, data = MLP.load_from_checkpoint(checkpoint), CLTDataModule(**results["data"])
    for loader, law in zip(data.test_dataloader(), data.laws, strict=True):
        x = torch.cat([batch.x for batch in loader])
        with torch.no_grad():
            error = (model(x) - clt_map(x)).double().square().mean(dim=1)
        assert results["results"][str(law)]["mse"] == pytest.approx(error.tolist(), rel=1e-4)
        relative = error / clt_map(x).double().var(unbiased=False)
        assert results["results"][str(law)]["relative_mse"] == pytest.approx(relative.tolist(), rel=1e-4)
    assert {path: path.read_bytes() for path in before} == before
    assert [path.name for path in run_folder.parent.iterdir()] == ["version_0"]


@pytest.mark.draws
def test_names_that_a_shell_a_table_or_a_figure_would_read_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a[").mkdir()
    np.save(tmp_path / "a[" / "$_$].npy", np.linspace(-2, 2, 100))
    law = "empirical(path='a[/$_$].npy')"
    place = ("--trainer.default_root_dir", "my runs", "--name", "[red] &é")
    model = ("--config", "mlp_leaky_relu_full", "--model.negative_slope", "[0.1, 0.5]", "--trainer.max_epochs", "1")
    words = ["fit", *model, *QUICK, *place]
    assert main([*words, "--data.held_out_laws", json.dumps([law])]) == 0
    said = dict(line.split(":  ", 1) for line in capsys.readouterr().out.splitlines() if ":  " in line)
    judge = shlex.split(said["judge"])
    assert judge[0] == "renorm"
    assert shlex.split(said["watch"]) == ["tensorboard", "--logdir", "my runs"]
    assert main([*judge[1:], "--data.held_out_laws", json.dumps([law])]) == 0
    shown = capsys.readouterr().out
    assert '\nempirical(path="a[/$_$]' in shown
    assert f"every member's numbers: {Path(judge[-1]).with_name('test_results.json')}" in shown
    results = judge[-1].replace("best.ckpt", "test_results.json")
    assert main(["plot", results, "--out", "$_$.png"]) == 0
    assert main(["propagate", "--ckpt_path", judge[-1], "--law", law, "--samples", "100"]) == 0
    assert 'law empirical(path="a[/$_$].npy"' in capsys.readouterr().out


def test_a_grid_is_tested_point_by_point(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ("--trainer.default_root_dir", str(tmp_path))
    grid = ("--model.negative_slope", "[0.2, 0.9]", "--model.replicas", "2", "--name", "grid")
    assert main(["fit", *grid, *QUICK, *NO_FIGURES, *root, "--trainer.max_epochs", "1"]) == 0
    assert main(["test", "--ckpt_path", "best", "--name", "grid", *root]) == 0
    out = capsys.readouterr().out
    assert "negative_slope=0.2" in out
    assert "negative_slope=0.9" in out
    results = tmp_path / "grid" / "version_0" / "checkpoints" / "test_results.json"
    assert [m["negative_slope"] for m in json.loads(results.read_text())["members"]] == [0.2, 0.2, 0.9, 0.9]
    figure = tmp_path / "figure.svg"
    assert main(["plot", str(results), "--out", str(figure)]) == 0
    assert figure.read_text().count("held out") == 10
    assert capsys.readouterr().err == ""
    # the fit goes on, and the numbers are now of an older checkpoint
    best = results.with_name("best.ckpt")
    before = best.read_bytes()
    assert main(["fit", *grid, *QUICK, *NO_FIGURES, *root, "--trainer.max_epochs", "2", "--ckpt_path", "last"]) == 0
    assert best.read_bytes() != before
    capsys.readouterr()
    assert main(["plot", str(results), "--out", str(figure)]) == 0
    (said,) = capsys.readouterr().err.splitlines()
    assert f"older best.ckpt than the one beside them; test it anew: renorm test --ckpt_path {best}" in said
    # results without the checksum, which renorm wrote before, are drawn as they were
    old = {key: value for key, value in json.loads(results.read_text()).items() if key not in (SEAL, OF_CHECKPOINT)}
    results.write_text(json.dumps(old | {SEAL: seal(old)}))
    assert main(["plot", str(results), "--out", str(figure)]) == 0
    assert capsys.readouterr().err == ""
    assert main(["test", "--ckpt_path", str(best)]) == 0
    assert json.loads(results.read_text())[OF_CHECKPOINT] == hashlib.sha256(best.read_bytes()).hexdigest()


def test_predict_writes_every_member(run_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "predictions.parquet"
    checkpoint = run_folder / "checkpoints" / "last.ckpt"
    assert main(["predict", "--ckpt_path", str(checkpoint), "--out", str(out)]) == 0
    table = pq.read_table(out)
    assert table.column_names == ["law", "x1", "x2", "target", "member_0", "member_1", "member_2"]
    assert table.num_rows == 11 * 512
    x = torch.tensor([table[name].to_pylist()[:20] for name in ("x1", "x2")]).T
    outputs = MLP.load_from_checkpoint(checkpoint)(x)
    assert outputs[1].tolist() == pytest.approx(table["member_1"].to_pylist()[:20], rel=1e-5, abs=1e-6)


def test_checkpoints_load_in_another_persons_script(renorm: Run, run_folder: Path, tmp_path: Path) -> None:
    checkpoint = run_folder / "checkpoints" / "best.ckpt"
    code = f"import torch, renorm; m = renorm.zoo.MLP.load_from_checkpoint({str(checkpoint)!r}); print(m(torch.ones(4, 2)).shape)"
    (tmp_path / "theirs.py").write_text(code)
    done = renorm(cwd=tmp_path, script=tmp_path / "theirs.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "torch.Size([3, 4])"
    assert isinstance(MLP.load_from_checkpoint(checkpoint), StackedModel)


FIT = (
    "--config",
    "mlp_leaky_relu_full",
    "--model.replicas",
    "2",
    "--trainer.max_epochs",
    "3",
    "--data.val_samples",
    "64",
)


def test_stopped_in_the_middle_of_an_epoch_and_resumed_is_bit_identical(tmp_path: Path) -> None:
    steps = ("--data.steps_per_epoch", "10", "--trainer.log_every_n_steps", "1")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(["fit", *FIT, *steps, "--trainer.default_root_dir", str(whole)]) == 0
    for limit in (
        ("--trainer.max_steps", "13"),
        ("--trainer.max_steps", "20", "--ckpt_path", "last"),
        ("--ckpt_path", "last"),
    ):
        assert main(["fit", *FIT, *steps, *limit, "--trainer.default_root_dir", str(parts)]) == 0
    assert_same_end(whole, parts)
    run = parts / "mlp_leaky_relu_full"
    assert [path.name for path in run.iterdir()] == ["version_0"]
    assert len([*run.glob("version_0/config*.yaml")]) == 3


def test_killed_in_the_middle_of_an_epoch_and_resumed_is_bit_identical(tmp_path: Path) -> None:
    steps = ("--data.steps_per_epoch", "400", "--last_checkpoint.every_n_steps", "30")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    process = start(["fit", *FIT, *steps, "--trainer.default_root_dir", parts], tmp_path / "log")
    last = parts / "mlp_leaky_relu_full" / "version_0" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists():
        assert time.monotonic() < deadline
        assert process.exitcode is None
        time.sleep(0.02)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert load(last)["global_step"] % 400, "the point of the test is a checkpoint inside an epoch"
    assert main(["fit", *FIT, *steps, "--ckpt_path", "last", "--trainer.default_root_dir", str(parts)]) == 0
    assert main(["fit", *FIT, *steps, "--trainer.default_root_dir", str(whole)]) == 0
    assert_same_end(whole, parts)


def assert_same_end(whole: Path, parts: Path) -> None:
    one, other = (
        load(root / "mlp_leaky_relu_full" / "version_0" / "checkpoints" / "last.ckpt") for root in (whole, parts)
    )
    assert one["global_step"] == other["global_step"]
    assert one["state_dict"].keys() == other["state_dict"].keys()
    for key, value in one["state_dict"].items():
        assert torch.equal(value, other["state_dict"][key]), key
    for here, there in zip(one["optimizer_states"], other["optimizer_states"], strict=True):
        for index, state in here["state"].items():
            assert all(torch.equal(value, there["state"][index][name]) for name, value in state.items())


def test_the_list_has_a_line_a_family_on_a_terminal_and_a_line_a_variant_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed(*words: str) -> list[str]:
        assert main(["zoo", "list", *words]) == 0
        lines = capsys.readouterr().out.splitlines()
        return [line.split()[0] for line in lines if line.startswith(("  mlp_", "  gnn_"))]

    everything = listed()
    assert everything == list_models()
    assert listed("gnn") == [name for name in everything if "gnn" in name]
    assert listed("mlp_*_full") == fnmatch.filter(everything, "mlp_*_full")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert listed("--all") == everything
    assert main(["zoo", "list"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(("mlp_", "gnn_"))]
    assert len(rows) < 20
    assert [name for row in rows for name in listed(row[-1].strip("'"))] == everything
    assert sum(int(row[1]) for row in rows) == len(everything)


def test_lines_of_the_list_fit_a_window_unless_asked_otherwise(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["zoo", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert main(["zoo", "list", "*fixed*", "--wide"]) == 0
    assert "splines stay at their initial shape" in capsys.readouterr().out
