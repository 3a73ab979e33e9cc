"""The page of findings: every number comes from the claims of the full runs, and every checked sentence is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jinja2
import numpy as np
import pytest
import yaml
from findings import history, records
from findings.__main__ import PAGE, main
from findings.history import digest_at, rule_commit
from findings.page import BEFORE, TEMPLATES, environment, read_before, render_page, render_section
from findings.records import FILE, IMAGES, PendingError, Record, read_records, take, with_few_colours
from jinja2 import nodes
from PIL import Image

from renorm.errors import InputError
from renorm.report.claim import claim_ids, read_claim

NUMBERS = {
    "share_of_seeds": 0.8,
    "decades": {"a": {"value": 1.0, "low": 0.5, "high": 1.5}, "b": {"value": 2.0, "low": 1.9, "high": 2.1}},
}
# where prose may have digits: code, formulas, links, papers, claims
ALLOWED = (
    r"(?s)```.*?```",  # what one types
    r"(?s)\$\$.*?\$\$",
    r"\$[^$]+\$",
    r"`[^`]*[A-Za-z][^`]*`",  # code; a number alone is none
    r"\]\([^)\s]*\)",
    r"\barXiv \d{4}\.\d{4,5}",
    r"\barXiv hep-th/\d{7}",
    r"\b[BCDS]\d[ab]?\b",
)


def record(name: str = "C1", numbers: object = NUMBERS) -> Record:
    effect = {"name": "factor", "value": 3.0, "low": 2.0, "high": 4.0}
    more = {"settings": {"seeds": 5}, "thresholds": {"helps": 0.5}, "figures": [f"{name}_errors.png"]}
    return Record(name, {"title": "T", "verdict": "partly", "effect": effect, "numbers": numbers} | more)


def section(template: str, one: Record | None = None) -> str:
    """What a template for C1 becomes."""
    one = one or record()
    templates = environment()
    templates.loader = jinja2.DictLoader({"C1.md.jinja": template})
    return render_section(one, {"C1": one, "C2": Record("C2", None)}, templates)


def typed_digits(prose: str) -> list[str]:
    """Words of prose with digits where there may be none."""
    for allowed in ALLOWED:
        prose = re.sub(allowed, " ", prose)
    return re.findall(r"\S*\d\S*", prose)


def prose_and_constants(source: str) -> tuple[str, list[str]]:
    """The text of a template outside of its tags, and the tags that print what is typed into them."""
    tree = environment().parse(source)
    parts = [part for output in tree.find_all(nodes.Output) for part in output.nodes]
    prose = "".join(part.data if isinstance(part, nodes.TemplateData) else "{}" for part in parts)
    printed = [part for part in parts if not isinstance(part, nodes.TemplateData)]
    return prose, [str(part) for part in printed if not any(True for _ in _names(part))]


def _names(part: nodes.Node):  # type: ignore[no-untyped-def]
    if isinstance(part, nodes.Name):
        yield part
    yield from part.find_all(nodes.Name)


def test_the_committed_page_is_what_the_claims_make_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_page(read_records()), "run `python -m findings`"


@pytest.mark.parametrize("template", sorted(path.name for path in TEMPLATES.iterdir()))
def test_no_number_of_a_template_is_typed(template: str) -> None:
    prose, constants = prose_and_constants((TEMPLATES / template).read_text(encoding="utf-8"))
    assert typed_digits(prose) == []
    assert constants == []


def test_no_number_of_the_history_is_typed() -> None:
    for name, one in yaml.safe_load(BEFORE.read_text(encoding="utf-8")).items():
        assert typed_digits(one["why"]) == [], name
        assert one["before"] in read_claim(name).rule, name


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("It is 3.3% at `0.5`.", ["3.3%", "`0.5`."]),
        ("C6a of arXiv 2510.16591, $`2^n`$ at `lr 0.01`, [here](a1.md), {{ n('x') }}.", []),
        ("{% if ready %}Between {{ a }} and 4 decades.{% endif %}", ["4"]),
    ],
)
def test_typed_numbers_are_found(source: str, found: list[str]) -> None:
    assert typed_digits(prose_and_constants(source)[0]) == found


def test_constants_in_tags_are_found() -> None:
    assert len(prose_and_constants("{{ '3.3%' }} and {{ 4 * 2 }} and {{ n('share') | percent }}")[1]) == 2


def test_templates_fill_in_numbers() -> None:
    text = section(
        '{{ n("decades", "a") | interval }}, {{ n("decades") | span(by="power") }}, {{ s("seeds") | word }} seeds, '
        '{% check n("decades", "b").low > n("decades", "a").high %}b is larger.{% endcheck %} {{ figure("errors") }}'
    )
    assert "1.00 [0.50, 1.50], 10 to 100, five seeds, b is larger. ![T](images/claims/C1_errors.png)" in text
    assert "**Partly** (80% of the seeds)." in text
    assert "**3.0 [2.0, 4.0]**" in text


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        (
            '{% check n("decades", "a").low > 1 %}a is\nlarge.{% endcheck %}',
            "C1.md.jinja:1: the numbers do not say so: 'a is large.'",
        ),
        (
            '\n{{ n("decades", "c") }}',
            "C1.md.jinja:2: claim C1: path ('numbers', 'decades', 'c') does not exist; allowed: 'a', 'b'",
        ),
        ('{{ n("decades", "a").valeu }}', "C1.md.jinja:1: 'dict object' has no attribute 'valeu'"),
        ('{{ n("decades", "a").valeu | number }}', "C1.md.jinja:1: 'dict object' has no attribute 'valeu'"),
        ("{% check missing %}It is.{% endcheck %}", "C1.md.jinja:1: 'missing' is undefined"),
        ('{{ figure("maps") }}', "C1.md.jinja:1: claim C1: figure 'maps' does not exist; allowed: C1_errors.png"),
        ('{{ n("decades") | having("x") }}', "C1.md.jinja:1: no entry has ('x',); allowed: 'a', 'b'"),
        ("{% check %}", "C1.md.jinja:1: unexpected 'end of statement block'"),
    ],
)
def test_what_is_not_so_is_said_in_one_line(template: str, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        section(template)
    assert str(caught.value) == complaint


def test_a_draft_marks_what_is_not_so() -> None:
    templates = environment(draft=True)
    templates.loader = jinja2.DictLoader(
        {"C1.md.jinja": "{% check 2 < 1 %}No.{% endcheck %} {% check 1 < 2 %}Yes.{% endcheck %}"}
    )
    assert "**NOT SO (C1.md.jinja:1):** No. Yes." in render_section(record(), {"C1": record()}, templates)


def test_a_claim_without_a_run_has_no_numbers() -> None:
    assert "not in yet" in section('{{ n("decades") }}', Record("C1", None))
    assert section("{% if ready %}{{ n('x') }}{% else %}Theory.{% endif %}", Record("C1", None)).endswith("Theory.\n")
    assert "run of C2 by" in section('{{ of("C2").n("x") }}')
    with pytest.raises(PendingError):
        Record("C1", None).n("x")


def test_a_sentence_that_is_not_so_ends_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = json.loads(FILE.read_text(encoding="utf-8"))
    assert known["claims"]
    before = PAGE.read_bytes()
    wrong = {one["id"]: Record(one["id"], turned(one)) for one in known["claims"]}
    monkeypatch.setattr(
        "findings.__main__.read_records", lambda: {n: wrong.get(n, Record(n, None)) for n in claim_ids()}
    )
    assert main([]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("findings: ")
    assert "the numbers do not say so" in printed.err
    assert printed.err.count("\n") == 1
    assert PAGE.read_bytes() == before


def turned(value: object) -> object:
    """All numbers with their sign changed."""
    if isinstance(value, dict):
        return {key: turned(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [turned(entry) for entry in value]
    return -value if isinstance(value, float) else value


def test_a_reason_for_another_verdict_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "before.yaml"
    file.write_text("C1: {before: reproduced, now: depends, why: It hung on the rate.}")
    with pytest.raises(InputError, match=r"before.yaml: C1 explains the verdict 'depends', and the run has 'partly'"):
        read_before({"C1": record()}, file)
    assert read_before({"C1": Record("C1", None)}, file)
    reason = "C1: {before: reproduced, now: partly, why: \"a is less than b.\", check: '%s'}"
    file.write_text(reason % 'n("decades", "a", "value") < n("decades", "b", "value")')
    assert read_before({"C1": record()}, file)["C1"]["why"] == "a is less than b."
    file.write_text(reason % 'n("decades", "a", "value") > n("decades", "b", "value")')
    with pytest.raises(InputError, match=r"before.yaml: C1: the numbers do not say so: 'n\(\"decades\""):
        read_before({"C1": record()}, file)


def test_every_figure_is_shown_and_there_are_no_others() -> None:
    page = PAGE.read_text(encoding="utf-8")
    taken = {name for one in read_records().values() if one.ready for name in one.get("figures")}
    assert taken == {path.name for path in IMAGES.glob("*.png")}
    assert {name for name in taken if f"(images/claims/{name})" not in page} == set()


def report(folder: Path, claims: list[dict[str, object]], preview: bool = False) -> Path:
    """A report's folder with these claims and a figure each."""
    from matplotlib.figure import Figure

    (folder / "figures").mkdir(parents=True)
    content = {"renorm": "0", "preview": preview, "seed": 0, "claims": claims}
    (folder / "claims.json").write_text(json.dumps(content))
    for one in claims:
        Figure(figsize=(1, 1)).savefig(folder / "figures" / f"{one['id']}_new.png")
    return folder


def test_claims_and_figures_of_a_report_are_taken(tmp_path: Path) -> None:
    file, images = tmp_path / "claims.json", tmp_path / "images"
    claims = [{"id": name, "config": read_claim(name).digest, "verdict": "partly"} for name in ("C9", "C2")]
    assert take(report(tmp_path / "a", claims), file, images) == ["C9", "C2"]
    (images / "C2_old.png").touch()
    second = claims[1] | {"verdict": "depends"}
    assert take(report(tmp_path / "b", [second]), file, images) == ["C2"]
    found = {name: one for name, one in read_records(file).items() if one.ready}
    assert list(found) == ["C2", "C9"]
    assert found["C2"].get("verdict") == "depends"
    assert found["C2"].s("seeds") == 5
    assert found["C2"].get("figures") == ["C2_new.png"]
    assert sorted(path.name for path in images.iterdir()) == ["C2_new.png", "C9_new.png"]


@pytest.mark.parametrize("name", claim_ids())
def test_the_rule_is_that_of_the_commit_which_the_page_names(name: str) -> None:
    one = read_records()[name]
    if not one.ready or not one.has("rule_commit"):
        pytest.skip("no run yet, or taken without the history")
    found = digest_at(one.get("rule_commit"), name)
    if found is None:
        pytest.skip("a checkout without the history")
    assert found == read_claim(name).digest
    assert f"commit `{one.get('rule_commit')}`" in PAGE.read_text(encoding="utf-8")


def test_the_commit_of_a_rule_is_the_first_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = read_claim("C2")
    monkeypatch.setattr(history, "_commits", lambda path: ["d" * 40, "c" * 40, "b" * 40, "a" * 40])
    digests = {"d": claim.digest, "c": claim.digest, "b": "other", "a": claim.digest}
    monkeypatch.setattr(history, "digest_at", lambda commit, name: digests[commit[0]])
    assert rule_commit("C2") == "c" * history.DIGITS
    digests["d"] = "other"
    assert rule_commit("C2") is None


def test_an_image_with_few_colours_keeps_rare_ones(tmp_path: Path) -> None:
    shades = np.random.default_rng(0).integers(0, 256, (64, 64, 1)).repeat(3, axis=-1)
    shades[:2, :2], shades[5:7, 5:7] = (213, 94, 0), (0, 158, 115)  # a red and a green point among greys
    Image.fromarray(shades.astype(np.uint8)).save(tmp_path / "a.png")
    with_few_colours(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as small:
        assert small.mode == "P"
        found = np.asarray(small.convert("RGB")).astype(int)
    assert np.abs(found - shades).max() <= 24


@pytest.mark.parametrize(
    ("changed", "preview", "complaint"),
    [
        ({}, True, "is a preview; allowed: a full report"),
        ({"config": "0123"}, False, "claim C2 was judged by another rule or other settings"),
        ({"error": "failed"}, False, "claim C2 is undecided"),
    ],
)
def test_other_reports_are_refused(tmp_path: Path, changed: dict[str, object], preview: bool, complaint: str) -> None:
    one = {"id": "C2", "config": read_claim("C2").digest, "verdict": "partly"} | changed
    with pytest.raises(InputError, match=complaint):
        take(report(tmp_path / "a", [one], preview), tmp_path / "claims.json", tmp_path / "images")
    assert not (tmp_path / "claims.json").exists()


def test_a_folder_that_is_no_report_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--take", str(tmp_path / "none")]) == 2
    assert "is not a finished report" in capsys.readouterr().err
    assert records.FILE.exists()
