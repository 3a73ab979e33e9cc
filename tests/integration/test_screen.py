"""What the command line prints fits a terminal of 80 columns, unless asked otherwise."""

from __future__ import annotations

import contextlib
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import NO_FIGURES, QUICK

from renorm.cli import bench, main, selftest
from renorm.cli.fit_summary import duration, loss_line
from renorm.selftest.checks import Check
from renorm.zoo import MLP
from renorm.zoo.catalogue import read_catalogue

WIDTH = 80


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))


def printed(capsys: pytest.CaptureFixture[str], *words: str | Path) -> list[str]:
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "zoo list",
        "zoo list --pretrained",
        "zoo list --map maximum",
        "zoo show mlp_quadratic_full.uniform",
        "zoo show mlp_relu_free.maximum",
        "sweep --config leaky_phase --dry_run",
        "certify --config mlp_quadratic_full",
        "certify --config mlp_relu_free",
        "propagate --model mlp_quadratic_full --law exponential() --samples 100",
        "propagate --model gnn_graph_conv_quadratic_free --law uniform() --samples 100",
    ],
)
def test_it_fits(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, *words.split())
    assert max(map(len, lines)) <= WIDTH, max(lines, key=len)


@pytest.mark.parametrize("command", ["fit", "test", "validate", "predict", "propagate", "sweep", "report", "zoo list"])
def test_help_fits_and_has_no_markup(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SystemExit):
        main([*command.split(), "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert f" {command} [" in lines[0]
    assert max(map(len, lines)) <= WIDTH, max(lines, key=len)
    assert not [line for line in lines if "``" in line or ":math:" in line or ":class:" in line]


@pytest.mark.parametrize("command", ["test", "validate"])
def test_medians_fit_and_their_headings_are_explained(
    command: str, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command, "--ckpt_path", run_folder / "checkpoints" / "best.ckpt", "--data.held_out_laws", '["laplace()"]'
    lines = [line for line in printed(capsys, *words) if not line.startswith("every member's numbers")]
    assert max(map(len, lines)) <= WIDTH, max(lines, key=len)
    text = " ".join(" ".join(lines).split())
    assert "uniform() (trained)" in text
    assert "left out: mse" in text
    assert "rel. mse: E(f - y)^2 / var(y)" in text
    assert "energy: " not in text or " energy " in lines[1]
    wide = printed(capsys, *words, "--wide")
    heading = next(line for line in wide if line.startswith("law"))
    assert [name in heading for name in ("mse", "energy", "k1 err", "k4 err")] == [True] * 4
    assert "left out" not in "\n".join(wide)


def test_a_wide_table_has_the_gaps_and_all_digits(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("propagate", "--model", "mlp_linear_free", "--law", "uniform()", "--samples", "100")
    narrow, wide = "\n".join(printed(capsys, *words)), "\n".join(printed(capsys, *words, "--wide"))
    assert "left out: gap" in narrow
    assert "left out" not in wide
    assert max(map(len, wide.splitlines())) > WIDTH


def test_the_selftest_fits(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    checks = [
        Check(
            "a check with a name of the usual length, of some words",
            lambda device, value=value: value,
            1e-6,
            "see the " * 20,
        )
        for value in (0.0, 1.0, math.nan)
    ]
    monkeypatch.setattr(selftest, "CHECKS", checks)
    assert main(["selftest", "--device", "cpu"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert any("FAILED" in line for line in lines)


def test_the_goals_of_bench_fit(capsys: pytest.CaptureFixture[str]) -> None:
    row: dict[str, Any] = {"what": "GNN pair, fit of 1024, a member-step", "against": "plain Lightning"}
    row |= {"seconds": 1.34e-6, "seconds_against": 2.6e-3, "ratio": 1579.3, "goal": ">= 1000", "reached": True}
    bench.print_goals({"goals": [row]})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[1].split()[-4:] == ["1.58e+03", ">=", "1000", "yes"]


def test_the_list_is_filtered(capsys: pytest.CaptureFixture[str]) -> None:
    def listed(*words: str) -> list[str]:
        first = [line.split()[0] for line in printed(capsys, "zoo", "list", *words) if line]
        return [word for word in first if word.startswith(("mlp_", "gnn_")) and not word.endswith(",")]

    known = read_catalogue()
    assert listed("--activation", "relu", "--symmetry", "odd") == [
        entry["name"] for entry in known if (entry["activation"], entry["symmetry"]) == ("relu", "odd")
    ]
    assert listed("--architecture", "gnn") == [entry["name"] for entry in known if entry["name"].startswith("gnn_")]
    assert {name.partition(".")[2] for name in listed("--law", "gaussian", "--activation", "relu")} == {
        "gaussian",
        "mixed",
    }
    assert all("relu" in name for name in listed("--map", "maximum", "relu"))


def test_the_list_has_every_description_whole(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(" ".join(printed(capsys, "zoo", "list")).split())
    wide = printed(capsys, "zoo", "list", "--wide")
    for entry in read_catalogue():
        *shared, own = entry["description"].split("; ")
        assert re.search(rf"{entry['name']} +{entry['parameters']} [^…]*{re.escape(own)}", text)
        assert all(part in text for part in shared)
        (line,) = (line for line in wide if line.split()[:1] == [entry["name"]])
        assert line.rstrip().endswith(f" {entry['description']}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--activation rleu", "activation='rleu' fits no variant; allowed: linear,"),
        ("--law nothing", "law='nothing' fits no entry; allowed: uniform("),
        ("--architecture mlp --symmetry tied", "fit no variant together; allowed: fewer filters"),
    ],
)
def test_filters_that_fit_nothing(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "list", *words.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_families_of_entries_name_the_filters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in printed(capsys, "zoo", "list", "--pretrained")]
    assert len(lines) < 30
    assert max(map(len, lines)) <= WIDTH
    assert any(line.startswith("  --map: central_limit, maximum") for line in lines)


def test_a_card_is_still_markdown_when_wide(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "zoo", "show", "mlp_relu_free.uniform", "--wide")
    assert "| spectrum | λ1 | λ2 | λ3 | λ4 | λ5 | λ6 |" in lines


def test_the_line_about_the_loss() -> None:
    import torch

    model = MLP(negative_slope=[0.1, 0.5], replicas=2)
    assert loss_line(model) == "loss:   not measured, as the fit ended before its first validation"
    model.validated = torch.tensor([0.5, 0.1, torch.nan, 0.3]), 40
    assert loss_line(model) == (
        "loss:   median 0.3, worst 0.5 (member 0, negative_slope=0.1) in the validation at step 40"
    )
    model.validated = torch.full((4,), torch.nan), 40
    assert loss_line(model) == "loss:   none is finite"
    alone = MLP()
    alone.validated = torch.tensor([0.25]), 8
    assert loss_line(alone) == "loss:   0.25 in the validation at step 8"
    assert [duration(seconds) for seconds in (0.123, 9.97, 179, 600)] == ["0.12 s", "10 s", "179 s", "10 min"]


def test_json_has_what_the_table_leaves_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "numbers.json"
    printed(capsys, "propagate", "--model", "mlp_linear_free", "--law", "uniform()", "--samples", "100", "--json", file)
    (content,) = json.loads(file.read_text())
    assert {"gaussian", "exact"} <= {*content["predicted"]}


def test_a_fit_without_a_validation_says_so_and_what_judges_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = printed(capsys, "fit", *QUICK, *NO_FIGURES, "--trainer.max_steps", "1", "--name", "early")
    assert "loss:   not measured, as the fit ended before its first validation" in lines
    (judge,) = (line for line in lines if line.startswith("judge:"))
    assert judge.endswith("version_0/checkpoints/last.ckpt")
    assert main(["test", "--ckpt_path", "best", "--name", "early"]) == 2
    assert "allowed: 'last', as no fit there was validated" in capsys.readouterr().err
