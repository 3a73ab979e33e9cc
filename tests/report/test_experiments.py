"""Experiments run once: what has a result is read, a failure is kept and stops nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from renorm.report.experiments import ExperimentError, Experiments

SWEEP = {
    "model": "MLP",
    "settings": {"replicas": 2, "steps": 3, "test_samples": 64, "held_out_laws": ["gaussian()"]},
    "axes": {"width": [2, 3]},
}


def busy(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Computes for a twentieth of a second."""
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    return {}


def noted(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves a mark each time that it is called."""
    with Path(settings["marks"]).open("a") as file:
        file.write("x")
    if settings.get("fails"):
        raise ArithmeticError("no such\nnumber")
    return {"double": 2 * settings["number"], "seed": settings["seed"]}


def test_a_computation_runs_once_for_each_setting(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    own = {"number": 3, "marks": str(marks)}
    for _ in range(2):
        with Experiments(tmp_path, workers=0, seed=5) as experiments:
            assert experiments.compute("noted", own, noted) == {"double": 6, "seed": 5}
            found = experiments.compute_many("noted", [own | {"number": n} for n in (4, 3, 4)], noted)
            assert [one["double"] for one in found] == [8, 6, 8]
    assert marks.read_text() == "xx"
    with Experiments(tmp_path, workers=0, seed=6) as experiments:
        assert experiments.compute("noted", own, noted)["seed"] == 6
    assert marks.read_text() == "xxx"


def test_the_largest_computations_start_first_and_say_how_far_they_are(tmp_path: Path) -> None:
    told: list[tuple[str, float, float]] = []
    settings = [{"number": n, "cost": n, "marks": str(tmp_path / "marks")} for n in (1, 5, 3)]
    with Experiments(tmp_path, workers=0, tell=lambda *what: told.append(what)) as experiments:
        experiments.compute_many("noted", settings, noted)
    assert [done for _, done, _ in told] == [5, 8, 9]
    assert {total for _, _, total in told} == {9}


def test_a_failure_is_kept_and_tried_again_only_when_asked(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    own = {"number": 3, "marks": str(marks), "fails": True}
    for retry, count in ((False, 1), (False, 1), (True, 2)):
        with Experiments(tmp_path, workers=0, retry_failed=retry) as experiments:
            for _ in range(2):
                with pytest.raises(ExperimentError, match="noted: ArithmeticError: no such number"):
                    experiments.compute("noted", own, noted)
        assert len(marks.read_text()) == count


def test_claims_share_points_whatever_their_axes(tmp_path: Path) -> None:
    other = {
        "model": "MLP",
        "settings": {key: value for key, value in SWEEP["settings"].items() if key != "steps"} | {"width": 3},  # type: ignore[attr-defined]
        "axes": {"steps": [3]},
    }
    with Experiments(tmp_path, workers=0) as experiments:
        experiments.run_sweeps([SWEEP, other])
        files = {path: path.stat().st_mtime_ns for path in (tmp_path / "points").iterdir()}
        assert len(files) == 2
        first, second = experiments.table(SWEEP), experiments.table(other)
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "points").iterdir()} == files
    assert first.column("width").to_pylist() == [2, 2, 3, 3]
    assert second.column("steps").to_pylist() == [3, 3]
    column = "held_out/relative_mse"
    assert first.column(column).to_pylist()[2:] == second.column(column).to_pylist()


def test_a_point_that_fails_is_named(tmp_path: Path) -> None:
    bad = SWEEP | {"axes": {"width": [2, 0]}}
    with Experiments(tmp_path, workers=0) as experiments:
        experiments.run_sweeps([bad])
        with pytest.raises(ExperimentError, match="MLP width=0: InputError: width=0 is out of range"):
            experiments.table(bad)
        assert len(experiments.table(SWEEP | {"axes": {"width": [2]}})) == 2


def test_a_torn_result_is_said_in_one_line(tmp_path: Path) -> None:
    own = {"number": 3, "marks": str(tmp_path / "marks")}
    with Experiments(tmp_path, workers=0) as experiments:
        experiments.compute("noted", own, noted)
        (file,) = (tmp_path / "computed").iterdir()
        assert json.loads(file.read_text())["settings"]["number"] == 3
        file.write_text(file.read_text()[:-5])
        with pytest.raises(ValueError, match=r"not a whole result.*allowed: to delete it"):
            experiments.compute("noted", own, noted)
        file.unlink()
        assert experiments.compute("noted", own, noted)["double"] == 6


def test_the_time_of_computations_is_kept_with_them(tmp_path: Path) -> None:
    with Experiments(tmp_path, workers=0) as experiments:
        experiments.compute_many("busy", [{"number": 1}, {"number": 2}], busy)
    once = experiments.seconds
    assert len(once) == 2
    assert sum(once.values()) >= 0.1
    with Experiments(tmp_path, workers=0) as experiments:
        assert not experiments.seconds
        experiments.compute_many("busy", [{"number": 1}, {"number": 2}], busy)
    assert experiments.seconds == once


@pytest.mark.slow
def test_a_worker_computes_what_this_process_does_and_outlives_a_call(tmp_path: Path) -> None:
    own = [{"number": n, "marks": str(tmp_path / "marks")} for n in (1, 2, 3)]
    with Experiments(tmp_path / "one", workers=1) as experiments:
        one = [experiments.compute("first", own[0], noted), *experiments.compute_many("noted", own, noted)]
        (process,) = [worker.process for worker in experiments._workers._idle]
        with pytest.raises(ExperimentError, match="no such number"):
            experiments.compute("noted", own[0] | {"fails": True}, noted)
        assert process.is_alive()
    assert not process.is_alive()
    with Experiments(tmp_path / "none", workers=0) as experiments:
        assert one == [experiments.compute("first", own[0], noted), *experiments.compute_many("noted", own, noted)]
