"""A sweep's file: what its points are, and what it must not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from renorm.cli import main
from renorm.cli.sweep import check_points
from renorm.sweep.config import by_size, parse_sweep, read_sweep, sweep_names


@pytest.mark.parametrize("name", sweep_names())
def test_sweeps_that_come_with_renorm_are_valid(name: str) -> None:
    sweep = read_sweep(name)
    check_points(sweep)
    assert len(sweep.points) >= 9


@given(
    widths=st.lists(st.integers(1, 64), min_size=1, max_size=4, unique=True),
    symmetries=st.lists(st.sampled_from(["free", "full", "odd"]), min_size=1, max_size=3, unique=True),
    slopes=st.lists(st.floats(0, 1), min_size=1, max_size=3, unique=True),
)
def test_points_are_all_combinations_of_what_is_not_stacked(
    widths: list[int], symmetries: list[str], slopes: list[float]
) -> None:
    axes = {"width": widths, "symmetry": symmetries, "negative_slope": slopes}
    sweep = parse_sweep({"model": "MLP", "axes": axes})
    assert len({point.key for point in sweep.points}) == len(sweep.points) == len(widths) * len(symmetries)
    assert all(point.settings["negative_slope"] == slopes for point in sweep.points)
    assert {(p.settings["width"], p.settings["symmetry"]) for p in sweep.points} == {
        (width, symmetry) for width in widths for symmetry in symmetries
    }
    more = parse_sweep({"model": "MLP", "axes": axes | {"width": [*widths, 1000]}})
    assert {point.key for point in sweep.points} < {point.key for point in more.points}  # a point knows no others


def test_the_same_fit_has_the_same_key_however_it_is_written() -> None:
    one = parse_sweep({"model": "mlp_relu_full", "axes": {"width": [4]}})
    other = parse_sweep(
        {"model": "MLP", "settings": {"activation": "relu", "width": 4}, "points": [{"symmetry": "full"}]}
    )
    assert one.points[0].key == other.points[0].key


def test_the_largest_points_start_first() -> None:
    sweep = parse_sweep({"model": "MLP", "axes": {"width": [2, 64, 8], "steps": [100, 1000]}})
    assert [(p.settings["width"], p.settings["steps"]) for p in by_size(sweep.points)][:2] == [(64, 1000), (8, 1000)]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"model": "MLP", "axes": {"widht": [1]}}, "widht=[1] is unknown; allowed: steps, lr,"),
    ({"model": "MLP", "axes": {"width": []}}, "axes.width=[] is empty or not a list"),
    ({"model": "MLP", "axes": {"width": 3}}, "axes.width=3 is empty or not a list"),
    ({"model": "MLP", "axes": {"width": [3, 3]}}, "axes.width=[3, 3] has a value twice"),
    ({"model": "MLP", "settings": {"width": 8}, "axes": {"width": [4]}}, "axes.width contradicts settings.width=8"),
    ({"model": "mlp_relu_free", "axes": {"symmetry": ["full"]}}, "axes.symmetry contradicts model='mlp_relu_free'"),
    ({"model": "mlp_relu_free", "settings": {"symmetry": "full"}}, "settings.symmetry='full' contradicts model="),
    ({"model": "MLP", "axes": {"width": [4]}, "points": [{"width": 8}]}, "points has width=8, which is also in axes"),
    ({"model": "MLP", "points": []}, "points=[] is not a list of points"),
    ({"model": "MLP", "points": [{"width": 1}, {"width": 1}]}, "have one twice"),
    (
        {"model": "MLP", "axes": {"width": [4, -1]}},
        "config: width=-1 is out of range; allowed: whole numbers >= 1 (at width=-1)",
    ),
    (
        {"model": "MLP", "axes": {"activation": ["relu"], "negative_slope": [0.1]}},
        "negative_slope=[0.1] is not a parameter",
    ),
    ({"model": "MLP", "axes": {"graph": ["ring"]}}, "graph=['ring'] is unknown"),
    ({"model": "MLP", "settings": {"steps": 0}}, "config: steps=0 is out of range"),
    ({"model": "MLP", "settings": {"lr": -1}}, "config: lr=-1 is out of range; allowed: positive numbers"),
    ({"model": "MLP", "settings": {"optimizer": "LBFGS"}}, "config: optimizer='LBFGS' is unknown"),
    ({"model": "MLP", "axes": {"train_laws": [["nolaw()"]]}}, "nolaw"),
    ({"model": "CNN"}, "model='CNN' is unknown; allowed: MLP, GNN"),
    ({"model": "mlp_rleu_free"}, "model='mlp_rleu_free' is unknown"),
    ({"axes": {"width": [1]}}, "is not a sweep; allowed: model"),
    ({"model": "MLP", "grid": {}}, "is not a sweep; allowed: model"),
    ({"model": "MLP", "axes": [1]}, "axes=[1] is not a mapping"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_one_line_for_a_wrong_file(
    content: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sweep.yaml").write_text(yaml.safe_dump(content))
    assert main(["sweep", "--config", "sweep.yaml"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.yaml"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config", "nowhere"], "config='nowhere' is neither a file nor a known sweep"),
        (["--config", "leaky_phase", "--engine", "slurm"], "engine='slurm' is unknown; allowed: local, ray"),
        (["--config", "leaky_phase", "--workers", "0"], "workers=0 is out of range"),
        (["--config", "leaky_phase", "--workers", "two"], "argument --workers: invalid int value: 'two'"),
        (["--config", "leaky_phase", "--address", "auto"], "address='auto' is for engine=ray"),
        ([], "the following arguments are required: --config"),
        (["--config", "other"], "out='taken' holds other files"),
    ],
)
def test_one_line_for_wrong_arguments(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").mkdir()
    Path("taken/thesis.tex").write_text("mine")
    if words == ["--config", "other"]:
        words = ["--config", "symmetry_expressivity", "--out", "taken"]
    assert main(["sweep", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert Path("taken/thesis.tex").read_text() == "mine"


def test_a_dry_run_prints_the_points(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", "--config", "leaky_phase", "--dry_run"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 13
    assert "steps=2000" in printed[0]
    assert printed[-1] == "12 points"
    assert not list(tmp_path.iterdir())


def test_a_description_is_json() -> None:
    assert json.dumps([point.settings for point in read_sweep("leaky_phase").points])
