"""Every bad input: one clear line that names it and what is allowed, exit code 2, no traceback, nothing written."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path, PureWindowsPath

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renorm.cli.main import libraries_warnings_as_usual, main
from renorm.cli.options import OneLineParser, joined
from renorm.files.folder_names import check_folder_name
from renorm.files.footprint import Footprint

from ..conftest import QUICK, Run

CASES = [
    ("fit --data.train_laws cauchi(loc=0)", ["cauchi", "cauchy"]),
    ("fit --data.train_laws gamma(shape=-1)", ["shape=-1", "allowed"]),
    ("fit --data.train_laws gaussian(mean=0", ["gaussian(mean=0", "allowed"]),
    ("fit --model.activation swish", ["activation='swish'", "relu"]),
    ("fit --model.symmetry ful", ["symmetry='ful'", "full"]),
    ("fit --model.loss mae", ["loss='mae'", "mse"]),
    ("fit --config mlp_quadratic_ful", ["mlp_quadratic_ful", "mlp_quadratic_full"]),
    ("fit --model.widht 8", ["model.widht", "unknown"]),
    ("fit --data.batchsize 8", ["--data.batchsize"]),
    ("fit --model.width x", ["model.width", "int"]),
    ("fit --model.width 0", ["width=0", ">= 1"]),
    ("fit --model.negative_slope [0.1,a]", ["model.negative_slope", "list[float]"]),
    ("fit --model.alpha 0.3", ["alpha=0.3", "leaky_relu"]),
    ("fit --model.weights frozen", ["model.weights", "fixed"]),
    ("fit --model nonsense", ["model=nonsense"]),
    ("fit --data.block_size 1", ["block_size=1", ">= 2"]),
    ("fit --data.block_size 3", ["data.block_size=3", "model.block_size=2"]),
    ("fit --data.held_out_laws [uniform()]", ["held_out_laws", "trained on"]),
    ("fit --trainer.max_epochs many", ["trainer.max_epochs=many"]),
    ("fit --trainer.accelerator tpu", ["trainer", "torch_xla", "not installed"]),
    ("fit --trainer.default_root_dir /dev/null/x", ["default_root_dir", "/dev/null/x"]),
    ("fit --model.optimizer torch.optim.LBFGS --model.replicas 2", ["LBFGS", "couples"]),
    ("fit --seed x", ["x"]),
    ("fit --ckpt_path", ["--ckpt_path", "no value"]),
    ("fit --ckpt_path last", ["ckpt_path='last'", "runs"]),
    ("fit --data.train_laws empirical(path=missing.csv)", ["missing.csv"]),
    ("fit --data.train_laws bernoulli(p=1)", ["train_laws='bernoulli(p=1)'", "zero variance"]),
    ("test", ["ckpt_path is missing", "--allow_untrained"]),
    ("test --ckpt_path nowhere.ckpt", ["nowhere.ckpt"]),
    ("test --model nope", ["name='nope'", "renorm zoo list --pretrained"]),
    ("zoo list nothing*", ["nothing*"]),
    ("plot nowhere.json --out a.png", ["nowhere.json"]),
    ("fitt", ["fitt", "fit"]),
]


def one_line(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.startswith("renorm: error:")]
    assert len(lines) == 1, stderr
    assert "Traceback" not in stderr
    return lines[0]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("command", "words"), CASES, ids=[command for command, _ in CASES])
def test_refused(command: str, words: list[str], empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.split()) == 2
    line = one_line(capsys.readouterr().err)
    assert all(word in line for word in words), line
    assert list(empty_folder.iterdir()) == []


def test_column_of_an_empirical_law(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty_folder / "data.csv").write_text("r,name,blank\n1.0,a,\n2.0,b,\n")
    for column, word in (("name", "name"), ("blank", "blank"), ("other", "other")):
        assert main(["fit", "--data.train_laws", f"empirical(path=data.csv, column={column})"]) == 2
        assert word in one_line(capsys.readouterr().err)


def test_truncated_and_foreign_checkpoints(
    run_folder: Path, empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (run_folder / "checkpoints" / "last.ckpt").read_bytes()
    bad = empty_folder / "bad.ckpt"
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        bad.write_bytes(whole[:length])
        for command in ("test", "fit"):
            assert main([command, "--ckpt_path", "bad.ckpt"]) == 2
            assert "bad.ckpt" in one_line(capsys.readouterr().err)
    for foreign in ({"state_dict": {}}, torch.ones(3), [1, 2]):
        torch.save(foreign, bad)
        assert main(["test", "--ckpt_path", "bad.ckpt"]) == 2
        assert "not written by renorm" in one_line(capsys.readouterr().err)
    bad.write_text("model: {class_path: os.system}")
    assert main(["test", "--ckpt_path", "bad.ckpt"]) == 2
    assert "bad.ckpt" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("command", "flag", "value", "held"),
    [
        ("test", "--model.width", "16", "8"),
        ("fit", "--model.width", "16", "8"),
        ("fit", "--model.optimizer.lr", "0.5", "0.01"),
        ("fit", "--data.batch_size", "64", "256"),
        ("fit", "--seed", "7", "0"),
        ("test", "--data.train_laws", "gaussian()", "uniform"),
        ("test", "--config", "mlp_relu_free", "quadratic"),
    ],
)
def test_flags_that_contradict_the_checkpoint(
    command: str, flag: str, value: str, held: str, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = run_folder / "checkpoints" / "last.ckpt"
    before = checkpoint.read_bytes()
    assert main([command, "--ckpt_path", str(checkpoint), flag, value]) == 2
    line = one_line(capsys.readouterr().err)
    assert "contradicts the checkpoint" in line
    assert held in line
    assert value in line or value == "mlp_relu_free"
    assert checkpoint.read_bytes() == before


def test_a_held_out_law_that_was_trained_on_is_refused_in_the_test_too(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = run_folder / "checkpoints" / "last.ckpt"
    assert main(["test", "--ckpt_path", str(checkpoint), "--data.held_out_laws", "uniform()"]) == 2
    assert "trained on" in one_line(capsys.readouterr().err)


def test_broken_configs(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = empty_folder / "my.yaml"
    for content, word in (
        ("a: [", "YAML"),
        ("- 1", "not a config"),
        ("modle: 1", "modle"),
        ("data: {bloc: 1}", "data.bloc"),
    ):
        config.write_text(content)
        assert main(["fit", "--config", "my.yaml"]) == 2
        assert word in one_line(capsys.readouterr().err)


def by_python(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What the interpreter itself says of it, started anew."""
    program = [sys.executable, "-m", "renorm", *words]
    return subprocess.run(program, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_in_a_process_of_its_own(renorm: Run, run_folder: Path, tmp_path: Path) -> None:
    shutil.copy(run_folder / "checkpoints" / "last.ckpt", tmp_path / "copy.ckpt")
    for run, *words in (
        (by_python, "fit", "--model.widht", "8"),
        (renorm, "test", "--ckpt_path", "copy.ckpt", "--model.depth", "2"),
        (by_python, "nonsense"),
    ):
        done = run(*words, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        one_line(done.stderr)


def test_names_that_the_system_refuses(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 5000
    for words in (
        ["certify", "--ckpt_path", long],
        ["test", "--ckpt_path", long],
        ["fit", "--config", long],
        ["zoo", "list", long],
        ["propagate", "--model", "mlp_relu_free", "--law", "uniform()", "--json", long, "--samples", "100"],
    ):
        assert main(words) == 2
        one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fit", "--name", ""], "name='' is empty"),
        (["fit", "--name="], "name='' is empty"),
        (["predict", "--ckpt_path", "best", "--out", ""], "out='' is empty"),
        (["sweep", "--config", ""], "config='' is empty"),
        (["zoo", "show", ""], "the word after 'show'"),
    ],
)
def test_empty_values(words: list[str], says: str, empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert says in one_line(capsys.readouterr().err)
    assert list(empty_folder.iterdir()) == []


NO_NAMES = [
    "..",
    ".",
    "a/b",
    "a/",
    "/a",
    "-a",
    "~a",
    "$HOME",
    "a$b",
    "a\\b",
    "nul",
    "COM1.x",
    "a:b",
    "a?",
    "a\0b",
    "a\nb",
]
NO_NAMES += ["a.", "a ", " a", "x" * 256]


@pytest.mark.parametrize("name", NO_NAMES)
def test_names_that_are_not_one_folder(name: str) -> None:
    with pytest.raises(ValueError, match=f"^name={re.escape(repr(name))} is not the name of one folder; allowed: "):
        check_folder_name("name", name)


@pytest.mark.parametrize("name", ["..", "-a", "a\0b", "x" * 256])
def test_a_fit_takes_no_such_name(name: str, empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", f"--name={name}"]) == 2
    assert f"name={name!r} is not the name of one folder" in one_line(capsys.readouterr().err)
    assert list(empty_folder.iterdir()) == []


@pytest.mark.parametrize("name", ["~", "null", "NULL"])
def test_a_name_that_yaml_reads_as_none(name: str, empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--name", name]) == 2
    assert one_line(capsys.readouterr().err).endswith(f"name={name!r} is no name; allowed: a word, or no --name at all")
    assert list(empty_folder.iterdir()) == []


@settings(max_examples=50)
@given(name=st.text(min_size=1, max_size=12))
def test_a_name_that_is_taken_is_one_folder(name: str) -> None:
    with contextlib.suppress(ValueError):
        check_folder_name("name", name)
        assert Path(name).parts == PureWindowsPath(name).parts == (name,)
        assert os.path.expandvars(os.path.expanduser(name)) == name == name.strip()


@pytest.mark.parametrize("out", ["$HOME/x", "~/x", "~x"])
def test_roots_that_lightning_would_expand(out: str, empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", f"--trainer.default_root_dir={out}"]) == 2
    assert f"default_root_dir={out!r} would be expanded" in one_line(capsys.readouterr().err)
    assert list(empty_folder.iterdir()) == []


def test_a_refused_run_leaves_an_earlier_one_as_it_was(
    run_folder: Path, empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run_folder, empty_folder / "run")
    before = {path: path.read_bytes() for path in empty_folder.rglob("*") if path.is_file()}
    last = empty_folder / "run" / "checkpoints" / "last.ckpt"
    for words in (
        ["fit", "--trainer.max_epochs", "3", "--trainer.val_check_interval", "50"],
        ["fit", "--trainer.max_epochs", "3", "--trainer.limit_val_batches", "0.01"],
        ["validate", "--trainer.limit_val_batches", "0.01"],
        ["test", "--trainer.limit_test_batches", "0.01"],
        ["predict", "--trainer.limit_predict_batches", "0.01"],
    ):
        assert main([*words, "--ckpt_path", str(last)]) == 2
        one_line(capsys.readouterr().err)
        assert {path: path.read_bytes() for path in empty_folder.rglob("*") if path.is_file()} == before
    # a run that is refused in a folder of several takes only its own back
    shutil.move(empty_folder / "run", empty_folder / "mlp" / "version_0")
    assert main(["fit", "--data.block_size", "3", "--trainer.default_root_dir", "."]) == 2
    assert [path.name for path in (empty_folder / "mlp").iterdir()] == ["version_0"]


def test_what_a_run_has_begun_is_kept(empty_folder: Path) -> None:
    footprint = Footprint()
    folder = footprint.claim(empty_folder / "runs" / "a")
    assert folder == empty_folder / "runs" / "a" / "version_0"
    assert Footprint().claim(empty_folder / "runs" / "a").name == "version_1"
    footprint.on_train_batch_end(None, None, None, None, 0)  # type: ignore[arg-type]
    footprint.take_back()
    assert folder.is_dir()


@pytest.mark.parametrize("value", ["-1e30", "-1.", "-.5E3", "-inf", "-1_000", "-0"])
def test_numbers_with_a_minus_are_values(value: str) -> None:
    assert joined(["x", "--a", value, "--b"]) == ["x", f"--a={value}", "--b"]
    parser = OneLineParser(prog="x")
    parser.add_argument("--a", type=float)
    assert parser.parse_args(joined(["--a", value])).a == float(value)


def test_options_of_every_command_take_negative_numbers(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, says in (
        ("fit --model.negative_slope -1e30 --model.width 0", "width=0"),
        ("fit --model.negative_slope [-1e30,-1e-3] --model.width 0", "width=0"),
        ("fit --model.optimizer.lr -1e-3", "model.optimizer: Invalid learning rate: -0.001"),
        ("fit --model.seed -1e30", "model.seed"),
        ("sweep --config leaky_phase --workers -1e3", "workers"),
        ("propagate --model mlp_relu_free --law uniform() --samples -1e3", "samples"),
        ("bench --seconds -1e3", "seconds"),
        ("report --workers -1e3", "workers"),
    ):
        assert main(command.split()) == 2, command
        line = one_line(capsys.readouterr().err)
        assert says in line, line
        assert "expected one argument" not in line
    assert list(empty_folder.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="no pipes of this kind")
@pytest.mark.parametrize("command", ["zoo list", "--help", "zoo show mlp_relu_free.uniform"])
def test_nobody_reads_the_output(command: str) -> None:
    read, write = os.pipe()
    os.close(read)
    program = [sys.executable, "-m", "renorm", *command.split()]
    done = subprocess.run(program, stdout=write, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(os.name == "nt", reason="no pipes of this kind")
def test_nobody_reads_what_needs_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert main(["zoo", "cards"]) == 141


@pytest.mark.slow
def test_warnings_of_libraries_are_no_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = os.environ | {"PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "1"}
    small = [*QUICK, "--trainer.max_steps", "1", "--model.compile", "false", "--data.held_out_laws", "[]"]
    done = subprocess.run(
        [sys.executable, "-m", "renorm", "fit", *small],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    monkeypatch.setattr(sys, "warnoptions", ["error"])
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("error")
        assert main(["fit", "--model.width", "0"]) == 2
    one_line(capsys.readouterr().err)


def test_warnings_of_ones_own_stay_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "warnoptions", ["error"])
    with libraries_warnings_as_usual():
        warnings.warn_explicit("old", DeprecationWarning, "a.py", 1, module="jsonargparse._deprecated")
        for module in ("renorm.training.stack", "renorm", "__main__"):
            with pytest.raises(DeprecationWarning):
                warnings.warn_explicit("old", DeprecationWarning, "a.py", 1, module=module)
