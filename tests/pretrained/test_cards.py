"""Cards and their page say what the manifest says."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from renorm.cli import main
from renorm.console import shorten
from renorm.pretrained.cards import card, overview
from renorm.pretrained.manifest import find_entry, pretrained_names
from renorm.pretrained.page import anchor, page

ROOT = Path(__file__).parent.parent.parent
NAME = "mlp_quadratic_full.uniform"


def test_the_page_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    written = (ROOT / "docs" / "zoo.md").read_text()
    assert written == page(), "write it again: renorm zoo cards > docs/zoo.md"
    assert main(["zoo", "cards"]) == 0
    assert capsys.readouterr().out == written
    for name in pretrained_names():
        assert f"\n### {name}\n" in written
        assert f"(#{anchor(name)})" in written


def test_the_pages_have_the_right_number() -> None:
    number = len(pretrained_names())
    assert f"\n{number} stacks of 16 come with the package" in (ROOT / "docs" / "pretrained.md").read_text()
    assert f"one of {number} trained stacks" in (ROOT / "README.md").read_text()


def test_show_prints_the_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "show", NAME, "--wide"]) == 0
    text, entry = capsys.readouterr().out, find_entry(NAME)
    assert text.startswith(f"# {NAME}\n")
    for part in (entry["file"]["sha256"], entry["trajectory"]["sha256"], entry["command"], entry["licence"]):
        assert part in text
    assert f"certificate: {entry['certificate']['verdict']}" in text
    for law, metrics in entry["metrics"].items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{shorten(law, 80)}`")]
        median, (low, high) = metrics["relative_mse"]["median"], metrics["relative_mse"]["interval"]
        assert f"| {metrics['relative_mse']['best']:.2g} | {median:.2g} [{low:.2g}, {high:.2g}] |" in row
        assert ("(trained)" in row) == (law in entry["data"]["train_laws"])
    best = entry["spectrum"]["eigenvalues"][entry["best_member"]]
    assert f"| best member | {best[0]:.5g} | {best[1]:.5g} |" in text


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "show", NAME, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == find_entry(NAME)


def test_the_list_has_the_worst_law(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "list", "*quadratic_full.*", "--pretrained", "--wide"]) == 0
    text, entry = capsys.readouterr().out, find_entry(NAME)
    (row,) = [line for line in text.splitlines() if line.startswith(NAME)]
    held_out = [m["relative_mse"] for law, m in entry["metrics"].items() if law not in entry["data"]["train_laws"]]
    assert row.split()[-2:] == [f"{max(m[key] for m in held_out):.2g}" for key in ("best", "median")]
    assert "mlp_relu_free.uniform" not in text


def spoil(entry: dict[str, Any], key: str) -> dict[str, Any]:
    changed = copy.deepcopy(entry)
    if key == "diverged":
        changed["validation_loss"][0] = None
        changed["metrics"]["rademacher()"]["k4_error"] = {"best": None, "median": None, "interval": [None, None]}
        changed["metrics"]["rademacher()"]["relative_mse"]["best"] = None
    elif key == "laws":
        changed["data"] = {"train_laws": 3}
    elif key == "metrics":
        changed["metrics"] = {"uniform()": {}}
    else:
        changed["spectrum"] = {"eigenvalues": [], "exact": []}
    return changed


@pytest.mark.parametrize("key", ["diverged", "laws", "metrics", "spectrum"])
def test_a_card_of_gaps_is_still_a_card(key: str) -> None:
    text = card(NAME, spoil(find_entry(NAME), key))
    assert text.startswith(f"# {NAME}\n")
    if key == "diverged":
        assert "16, 1 diverged" in text
        assert "| – |" in text


def test_every_entry_has_a_row() -> None:
    names = pretrained_names()
    headings, rows = overview(names)
    assert [row[0] for row in rows] == names
    assert {len(row) for row in rows} == {len(headings)}
    assert {row[2] for row in rows if row[1] == "central_limit()"} == {
        "representable",
        "not representable",
        "undecided",
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["show", "mlp_quadratic_ful.uniform"], f"did you mean '{NAME}'"),
        (["show"], "NAME"),
        (["list", "nonsense*", "--pretrained"], "matches no entry"),
        (["list", "nonsense*"], "matches no variant"),
        (["cards", "extra"], "unrecognized"),
        (["nonsense"], "invalid choice"),
        ([], "ACTION"),
    ],
)
def test_bad_input(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
