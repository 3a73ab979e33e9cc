"""``renorm report`` itself: from a folder of claims to the page, the same every time, and refusing what it cannot do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from renorm.cli import main
from renorm.cli.report import chosen_claims, judge_claims, write_all
from renorm.report import claim as claims
from renorm.report.experiments import Experiments

from .tiny import small_claims, tiny


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("renorm: error:")
    return line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--only C99", "only='C99' is not a claim; allowed: C1,"),
        ("--only C1,,c2", "only='c2'"),
        ("--only ,", "only=','"),
        ("--workers 0", "workers=0 is out of range"),
        ("--seed -1", "seed=-1 is out of range"),
        ("--quik", "--quik"),
        ("--seed x", "'x'"),
        ("--out /dev/null/x", "out='/dev/null/x' cannot be written to"),
        ("--out full", "out='full' holds other files"),
        ("--out other", "out='other' holds a report with preview=True, not False"),
        ("--out other --quick --seed 3", "seed=0, not 3"),
        ("--out torn", "out='torn' holds a report with kind=None"),
    ],
)
def test_refused(
    words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    contents = {"full/mine.txt": "precious", "torn/report.json": "{"}
    known = {"kind": "renorm report", "renorm": "0.1.0", "preview": True, "seed": 0}
    contents["other/report.json"] = json.dumps(known)
    for name, text in contents.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    assert main(["report", *words.split()]) == 2
    assert said in one_line(capsys)
    files = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == contents


def test_claims_come_in_the_order_of_the_report() -> None:
    assert chosen_claims(" B1, C9,C1 ,C1") == ["C1", "C9", "B1"]
    assert chosen_claims(None) == claims.claim_ids()


def report(out: Path, **more: int) -> str:
    """A report of one small claim in this process, as the text of ``claims.json``."""
    (out / "figures").mkdir(parents=True, exist_ok=True)
    with Experiments(out / "experiments", workers=0, quick=True, **more) as experiments:
        outcomes = judge_claims([tiny("C1")], experiments)
    write_all(out, outcomes, True, more.get("seed", 0), {})
    return (out / "claims.json").read_text()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report that tests only read, or copy."""
    folder = tmp_path_factory.mktemp("written")
    report(folder)
    return folder


def test_the_same_seed_gives_the_same_bits(written: Path, tmp_path: Path) -> None:
    first, again = (written / "claims.json").read_text(), report(tmp_path / "b")
    assert first == again
    for name in ("figures/C1_errors.svg", "figures/C1_errors.png", "index.html", "claims.md"):
        assert (written / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert report(tmp_path / "c", seed=1) != first


def test_started_again_a_report_trains_nothing(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    first = (written / "claims.json").read_text()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "experiments").rglob("*")}
    next(path for path in kept if path.suffix == ".json").unlink()
    assert report(tmp_path) == first
    more = {path: path.stat().st_mtime_ns for path in (tmp_path / "experiments").rglob("*")}
    assert sum(more[path] != kept[path] for path in kept if path.is_file()) == 1

    def refuse(settings: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("renorm.report.trained_networks.train_seeds", refuse)
    assert report(tmp_path) == first


@pytest.mark.slow
def test_one_worker_and_two_write_the_same(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(claims, "FOLDER", claims.FOLDER)  # to be set back
    small_claims(tmp_path / "claims")
    found = []
    for workers in ("1", "2"):
        out = tmp_path / workers
        assert main(["report", "--quick", "--out", str(out), "--workers", workers]) == 0
        printed = capsys.readouterr()
        assert "claims: 1 judged" in printed.out
        assert str(out / "index.html") in printed.out
        assert ": 100%" in printed.err
        found.append((out / "claims.json").read_bytes())
    assert found[0] == found[1]
    assert found[0] == (written / "claims.json").read_bytes()  # of no worker
    # a second run needs no worker, and a folder of a preview takes no full report
    assert main(["report", "--quick", "--out", str(tmp_path / "1")]) == 0
    assert (tmp_path / "1" / "claims.json").read_bytes() == found[0]
    assert main(["report", "--out", str(tmp_path / "1")]) == 2
