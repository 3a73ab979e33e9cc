"""The page: one well-formed file that loads nothing, the same bits every time, with every claim's figures and numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from renorm.cli.report import judge_claims, write_all
from renorm.errors import RunError
from renorm.report.claim import read_claim
from renorm.report.experiments import Experiments
from renorm.report.figures import COLOURS, mark_threshold, panels, set_log
from renorm.report.finding import UNDECIDED, Drawing, Effect, Finding
from renorm.report.outcome import Outcome, check_finding, markdown, undecided
from renorm.report.page import render_page
from renorm.report.pictures import write_pictures
from renorm.report.prose import as_html
from renorm.report.svg import inline_svg

from .tiny import NAMES, tiny

XHTML = "{http://www.w3.org/1999/xhtml}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of all claims of this file's helper, with experiments of no meaning; and one claim whose experiments fail."""
    out = tmp_path_factory.mktemp("report")
    (out / "figures").mkdir()
    claims = [tiny(name) for name in NAMES]
    broken = tiny("C1", members=0)
    with Experiments(out / "experiments", workers=0, quick=True) as experiments:
        outcomes = judge_claims([*claims, broken], experiments)
    assert [outcome.error for outcome in outcomes[:-1]] == [""] * len(NAMES)
    write_all(out, outcomes, True, 0, {"Versions": "<none>"})
    return out


@pytest.mark.slow
def test_every_claim_is_judged_and_a_failing_one_stops_no_other(folder: Path) -> None:
    content = json.loads((folder / "claims.json").read_text())
    assert content["preview"] is True
    *judged, failed = content["claims"]
    assert [claim["id"] for claim in judged] == list(NAMES)
    for claim in judged:
        assert claim["verdict"] in claim["rule"]
        assert claim["effect"]["low"] <= claim["effect"]["value"] <= claim["effect"]["high"], claim["id"]
        assert claim["numbers"]
        assert len(claim["protocol"]) == 3
        assert claim["tried"] or claim["verdict"] in ("reproduced", "yes")
    assert failed["verdict"] == UNDECIDED
    assert "replicas=0 is out of range" in failed["error"]


@pytest.mark.slow
def test_the_page_is_whole(folder: Path) -> None:
    text = (folder / "index.html").read_text()
    root = ElementTree.fromstring(text)
    check_page(text, root)
    sections = {section.get("id"): section for section in root.iter(f"{XHTML}section")}
    assert set(sections) == {*NAMES}
    for name in NAMES[1:]:
        figures = list((folder / "figures").glob(f"{name}_*.svg"))
        assert len(figures) == len(list((folder / "figures").glob(f"{name}_*.png"))) >= 1
        assert len(list(sections[name].iter(f"{XHTML}figure"))) == len(figures)
    for figure in (folder / "figures").glob("*.svg"):
        ElementTree.parse(figure)
        assert f'href="figures/{figure.name}"' in text
    assert "An experiment failed" in text
    assert "&lt;none&gt;" in text


def check_page(text: str, root: ElementTree.Element) -> None:
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    # the failing claim of the fixture is there twice on purpose
    assert len(set(ids)) >= len(ids) - 1
    links = re.findall(r'href="([^"]*)"|url\(([^)]*)\)|src="([^"]*)"', text)
    targets = [next(part for part in link if part) for link in links]
    assert targets
    for target in targets:
        assert target.startswith(("#", "data:image/png;base64,", "figures/", "https://arxiv.org/abs/")), target
        assert not target.startswith("#") or target[1:] in ids, target
    assert not re.search(r"<(script|link|iframe|img)\b|@import", text)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def drawn() -> Figure:
    figure, (left, right) = panels(2)
    for position, values in enumerate(([1e-3, 1e-2], [1.0, 2.0, 3.0])):
        left.plot([position] * len(values), values, ".", color=COLOURS[position])
    set_log(left)
    mark_threshold(left, 0.1, "limit")
    right.plot([1, 10], [1.5, 0.15], marker=".", color=COLOURS[0], label="band")
    right.fill_between([1, 10], [1.0, 0.1], [2.0, 0.2], color=COLOURS[0], alpha=0.2)
    right.legend()
    return figure


def finding(**more: object) -> Finding:
    drawings = [Drawing("one", 'A "first" & second.', drawn()), Drawing("two", "Again.", drawn())]
    numbers = {
        "share": 0.123456,
        "rows": {"x": {"a": 1.0, "b": None}, "y": {"a": 2.0, "b": 3}},
        "list": list(range(20)),
    }
    given = {"verdict": "partly", "effect": Effect("ratio", 2.0, 1.0, 3.0), "numbers": numbers, "figures": drawings}
    return Finding(**given | {"tried": "much", "remarks": ["a < b"]} | more)  # type: ignore[arg-type]


def test_a_figure_takes_the_pages_colours_and_has_its_own_ids() -> None:
    one, two = inline_svg(drawn(), "C1-one", "label"), inline_svg(drawn(), "C1-two", "label")
    assert inline_svg(drawn(), "C1-one", "label") == one
    ids = [set(re.findall(r' id="([^"]*)"', text)) for text in (one, two)]
    assert len(ids[0]) > 10
    assert not ids[0] & ids[1]
    assert "currentColor" in one
    assert "var(--series-0)" in one
    assert "#000000" not in one
    assert "#ffffff" not in one  # no white box on a dark page
    ElementTree.fromstring(one)


def test_two_claims_on_a_page(tmp_path: Path) -> None:
    outcomes = [Outcome(read_claim("C1"), finding()), Outcome(read_claim("C2"), finding(tried=""))]
    pictures = write_pictures(outcomes, tmp_path, workers=0)
    text = render_page(outcomes, False, {"Versions": "none"}, pictures)
    root = ElementTree.fromstring(text)
    check_page(text, root)
    assert len([element.get("id") for element in root.iter() if element.get("id")]) == len(
        {element.get("id") for element in root.iter() if element.get("id")}
    )
    assert "preview" not in text.partition("</style>")[2].lower()
    assert text.count("What was tried") == 1
    assert "a &lt; b" in text
    assert "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, … (20)" in text
    assert text == render_page(outcomes, False, {"Versions": "none"}, pictures)
    assert "Preview." in render_page([Outcome(read_claim("C1"), finding(figures=[]))], True, {}, {})
    contents = root.find(f".//{XHTML}nav")
    assert contents is not None
    assert [link.get("href") for link in contents.iter(f"{XHTML}a")] == ["#top", "#C1", "#C2"]
    overview = root.find(f".//{XHTML}table")
    assert overview is not None
    assert [link.get("href") for link in overview.iter(f"{XHTML}a")] == ["#C1", "#C2"]
    for claim in ("C1", "C2"):
        for line in (*read_claim(claim).protocol, *read_claim(claim).rule.values()):
            assert as_html(line) in text


@pytest.mark.slow
def test_processes_draw_what_one_draws(tmp_path: Path) -> None:
    first, second = ([Outcome(read_claim("C1"), finding())] for _ in range(2))
    told: list[tuple[str, float, float]] = []
    alone = write_pictures(first, tmp_path / "alone", workers=0)
    assert write_pictures(second, tmp_path / "two", workers=2, tell=lambda *words: told.append(words)) == alone
    assert told[-1] == ("2 figures", 2, 2)
    for name in ("C1_one.png", "C1_one.svg", "C1_two.svg"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_a_figure_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "C1_one.svg").mkdir()
    with pytest.raises(RunError, match=r"figure '.*C1_one' cannot be written \(IsADirectoryError: "):
        write_pictures([Outcome(read_claim("C1"), finding())], tmp_path, workers=0)


def test_the_table_for_other_documents() -> None:
    text = markdown([Outcome(read_claim("C1"), finding()), undecided(read_claim("C2"), "broken")], quick=True)
    assert text.startswith("*A preview")
    lines = text.strip().splitlines()[2:]
    assert len(lines) == 4
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert "**partly** | ratio: 2 (95%: 1 to 3) | ![Linear networks](figures/C1_one.svg)" in lines[2]
    assert f"**{UNDECIDED}** | –" in lines[3]


def test_a_finding_must_keep_to_its_claim() -> None:
    claim = read_claim("C1")
    check_finding(claim, finding())
    with pytest.raises(ValueError, match="verdict='yes'"):
        check_finding(claim, finding(verdict="yes"))
    with pytest.raises(ValueError, match="distinct names"):
        check_finding(claim, finding(figures=[Drawing("one", "", Figure())] * 2))


def test_formulas_and_papers_are_shown_as_such() -> None:
    claim = read_claim("C1")
    remarks = [r"The error is $g^2$, and $\lambda_n < 1$ (a < b; arXiv 2510.16591, arXiv cond-mat/0703232)."]
    text = render_page([Outcome(claim, finding(remarks=remarks, figures=[]))], False, {}, {})
    ElementTree.fromstring(text)
    assert "<msup><mi>g</mi><mn>2</mn></msup>" in text
    assert "$" not in text.partition("</style>")[2]
    assert '<a href="https://arxiv.org/abs/cond-mat/0703232">arXiv cond-mat/0703232</a>' in text
    assert "(a &lt; b;" in text


def test_a_preview_says_what_it_ran() -> None:
    shown = render_page([Outcome(read_claim("C1", quick=True), finding(figures=[]))], True, {}, {})
    members, full = (read_claim("C1", quick=quick).settings["members"] for quick in (True, False))
    assert members < full
    assert f"members {members} instead of {full}" in shown
    assert "instead of" not in render_page([Outcome(read_claim("C1"), finding(figures=[]))], False, {}, {})
