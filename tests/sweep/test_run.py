"""A sweep that runs: the same numbers from every engine, only what is missing, and nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from renorm.cli import main
from renorm.sweep.config import Point, parse_sweep
from renorm.sweep.local_engine import DIED, run_locally
from renorm.sweep.ray_engine import run_on_ray

from ..forked import fork_workers
from ..reliability.runs import start

SMALL = {
    "model": "MLP",
    "settings": {"replicas": 2, "steps": 15, "test_samples": 64, "held_out_laws": ["gaussian()"]},
    "axes": {"width": [2, 3], "symmetry": ["free", "full"], "negative_slope": [0.1, 0.9]},
}
TIMES = ("seconds_fit", "seconds_test")


def write(folder: Path, content: dict[str, Any], name: str = "small") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def rows(folder: Path) -> dict[str, list[Any]]:
    table: dict[str, list[Any]] = pq.read_table(folder / "results.parquet").to_pydict()
    return {name: column for name, column in table.items() if name not in TIMES}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of four points, run by two workers."""
    folder = tmp_path_factory.mktemp("sweep")
    assert main(["sweep", "--config", str(write(folder, SMALL)), "--out", str(folder / "out"), "--workers", "2"]) == 0
    return folder / "out"


def test_a_row_group_a_point_and_a_row_a_member(reference: Path) -> None:
    file = pq.ParquetFile(reference / "results.parquet")
    assert file.metadata.num_row_groups == 4
    table = rows(reference)
    assert len(table["config"]) == 4 * 2 * 2
    for group in range(4):
        assert len(set(file.read_row_group(group).column("config").to_pylist())) == 1
    assert table["width"] == [2] * 8 + [3] * 8
    assert table["negative_slope"][:4] == [0.1, 0.1, 0.9, 0.9]
    assert set(table["status"]) == {"done"}
    assert {"gaussian(mean=0, std=1)/k4_error", "held_out/mse", "asymmetry/pre0/full", "torch", "seed"} <= table.keys()
    tied = [
        value for value, name in zip(table["asymmetry/pre0/full"], table["symmetry"], strict=True) if name == "full"
    ]
    assert max(tied) < 1e-6


def test_one_worker_and_ray_give_the_same_bits(reference: Path, tmp_path: Path) -> None:
    config = str(write(tmp_path, SMALL))
    assert main(["sweep", "--config", config, "--out", str(tmp_path / "one"), "--workers", "1"]) == 0
    assert rows(tmp_path / "one") == rows(reference)
    words = ["--config", config, "--out", str(tmp_path / "ray"), "--engine", "ray", "--workers", "2"]
    assert main(["sweep", *words]) == 0
    assert rows(tmp_path / "ray") == rows(reference)


def test_a_point_is_the_fit_of_the_same_settings(reference: Path, tmp_path: Path) -> None:
    model = [
        "--model.width",
        "3",
        "--model.symmetry",
        "full",
        "--model.replicas",
        "2",
        "--model.negative_slope",
        "[0.1,0.9]",
    ]
    words = ["fit", *model, "--trainer.max_steps", "15", "--trainer.max_epochs", "1", "--data.test_samples", "64"]
    words += ["--data.held_out_laws", "[gaussian()]", "--trainer.default_root_dir", str(tmp_path)]
    words += ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]
    assert main(words) == 0
    checkpoint = tmp_path / "mlp/version_0/checkpoints/last.ckpt"
    test = ["test", "--ckpt_path", str(checkpoint), "--trainer.enable_progress_bar", "false"]
    assert main(test) == 0
    judged = json.loads((checkpoint.parent / "test_results.json").read_text())["results"]["gaussian(mean=0, std=1)"]
    assert judged["wasserstein1"] == rows(reference)["gaussian(mean=0, std=1)/wasserstein1"][12:]


def test_only_what_is_missing_runs(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, out = str(write(tmp_path, SMALL)), tmp_path / "out"
    out.mkdir()
    for file in reference.rglob("*"):
        if file.is_file():
            (out / file.relative_to(reference)).parent.mkdir(exist_ok=True)
            (out / file.relative_to(reference)).write_bytes(file.read_bytes())
    points = sorted((out / "points").iterdir())
    points[0].unlink()
    before = {path: path.stat().st_mtime_ns for path in points[1:]}
    assert main(["sweep", "--config", config, "--out", str(out)]) == 0
    assert {path: path.stat().st_mtime_ns for path in points[1:]} == before
    assert rows(out) == rows(reference)
    points[1].write_bytes(points[1].read_bytes()[:-20])
    torn = points[1].read_bytes()
    assert main(["sweep", "--config", config, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert f"{points[1].name}' is not a whole table" in error
    assert sum(" points: " not in line for line in error.splitlines()) == 1  # besides lines of progress, one
    assert points[1].read_bytes() == torn
    assert main(["sweep", "--config", str(write(tmp_path, SMALL | {"axes": {"width": [5]}})), "--out", str(out)]) == 2
    assert "holds another sweep or other settings" in capsys.readouterr().err
    assert points[1].read_bytes() == torn


def in_the_foreground() -> None:
    """Have a program that was forked fork its workers, and take Ctrl-C as from a terminal, wherever these tests run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fork_workers()


def wait_for_two_points(out: Path, is_running: Callable[[], bool]) -> None:
    """Until two more points are done than there were."""
    before = len(list(out.glob("points/*.parquet")))
    while len(list(out.glob("points/*.parquet"))) < before + 2:
        time.sleep(0.002)
        assert is_running()


def check_what_is_said(error: str, config: Path) -> None:
    assert "20 points are kept" in error
    assert f"go on:  renorm sweep --config {config}" in error
    assert "Traceback" not in error


@pytest.mark.slow
def test_killed_and_started_again(reference: Path, tmp_path: Path) -> None:
    """Every signal leaves whole files; the table in the end is that of a sweep that nobody stopped."""
    content = SMALL | {"axes": SMALL["axes"] | {"width": list(range(2, 12))}}  # type: ignore[operator]
    config, out, log = write(tmp_path, content), tmp_path / "stopped", tmp_path / "log"
    words = ["sweep", "--config", str(config), "--workers", "1", "--out"]
    assert main([*words, str(tmp_path / "whole")]) == 0
    for number in (signal.SIGKILL, signal.SIGINT):
        process = start([*words, out], log, in_the_foreground)
        wait_for_two_points(out, process.is_alive)
        assert process.pid is not None
        os.kill(process.pid, number)
        process.join(60)
        if number == signal.SIGINT:
            assert process.exitcode == 128 + number
            check_what_is_said(log.read_text(), config)
    # and the real program, whose workers start anew
    command = [sys.executable, "-m", "renorm", *words, str(out)]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_two_points(out, lambda: program.poll() is None)
    program.send_signal(signal.SIGTERM)
    _, error = program.communicate(timeout=60)
    assert program.returncode == 128 + signal.SIGTERM
    check_what_is_said(error, config)
    assert main([*words, str(out)]) == 0
    assert rows(out) == rows(tmp_path / "whole")


def test_a_failing_point_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-compiler-of-this-name")
    content = SMALL | {"axes": {"width": [2, 3]}, "points": [{"steps": 5}, {"steps": 5, "compile": "true"}]}
    content["settings"] = {"replicas": 2, "held_out_laws": ["gaussian()"]}
    words = ["sweep", "--config", str(write(tmp_path, content)), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(words) == 0
    assert "2 done, 2 failed" in capsys.readouterr().out
    table = rows(tmp_path / "out")
    errors = [error for error in table["error"] if error is not None]
    assert len(errors) == 2
    assert all("InputError" in error and "C++ compiler" in error for error in errors)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/points").iterdir()}
    assert main(words) == 0  # failed points are not tried again, unless one asks
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert main([*words, "--retry_failed"]) == 0
    assert sum(path.stat().st_mtime_ns != stamp for path, stamp in files.items()) == 2


def dies_at_three(point: Point) -> dict[str, list[Any]]:
    if point.settings["width"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if point.settings["width"] == 4:
        raise KeyError("four")
    return {"width": [point.settings["width"]]}


@pytest.mark.parametrize("workers", [1, 3])
def test_a_worker_that_dies_costs_one_point(workers: int) -> None:
    points = parse_sweep({"model": "MLP", "axes": {"width": [1, 2, 3, 4, 5, 6]}}).points
    found = {point.settings["width"]: outcome for point, outcome in run_locally(points, workers, dies_at_three)}
    expected = {width: {"width": [width]} for width in (1, 2, 5, 6)} | {3: DIED, 4: "KeyError: 'four'"}
    assert found == expected


@pytest.mark.slow
def test_a_ray_actor_that_dies_costs_one_point() -> None:
    points = parse_sweep({"model": "MLP", "axes": {"width": [2, 3, 4, 5]}}).points
    found = {point.settings["width"]: outcome for point, outcome in run_on_ray(points, 1, dies_at_three)}
    assert found == {2: {"width": [2]}, 3: DIED, 4: "KeyError: 'four'", 5: {"width": [5]}}


def test_no_cluster_at_an_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "--config", str(write(tmp_path, SMALL)), "--engine", "ray", "--address", "nonsense"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert "address='nonsense' reaches no Ray cluster" in capsys.readouterr().err
