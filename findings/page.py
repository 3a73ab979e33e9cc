"""The page: templates filled from records, with sentences that are checked against the numbers."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from renorm.errors import InputError
from renorm.member_bootstrap import LEVEL
from renorm.report.claim import read_claim

from .formats import FILTERS, at, interval, percent
from .records import FOLDER, PendingError, Record

TEMPLATES = FOLDER / "templates"
PAGE = "findings.md.jinja"
BEFORE = FOLDER / "before.yaml"


class Check(Extension):
    """``{% check a < b %}A sentence.{% endcheck %}``: the sentence, or an error that names it where the condition is false."""

    tags = {"check"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        """Read the condition and the sentence."""
        line = next(parser.stream).lineno
        condition = parser.parse_expression()
        sentence = parser.parse_statements(("name:endcheck",), drop_needle=True)
        where = nodes.Const(f"{parser.name}:{line}")
        call = self.call_method("checked", [condition, where], lineno=line)
        return nodes.CallBlock(call, [], [], sentence).set_lineno(line)

    def checked(self, condition: Any, where: str, caller: Callable[[], str]) -> str:
        """The sentence, where it is so."""
        sentence = caller()
        if not condition and self.environment.globals["draft"]:
            return f"**NOT SO ({where}):** {sentence}"
        if not condition:
            raise InputError(f"{where}: the numbers do not say so: {' '.join(sentence.split())!r}")
        return sentence


def environment(draft: bool = False, folder: Path = TEMPLATES) -> Environment:
    """Of the templates of a folder; in a draft sentences that are not so are marked, and are no error."""
    found = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        extensions=[Check],
        keep_trailing_newline=True,
        autoescape=False,
    )
    found.filters.update(FILTERS)
    found.globals.update(at=at, level=LEVEL, draft=draft)
    return found


def render_page(records: Mapping[str, Record], templates: Environment | None = None) -> str:
    """The whole page as Markdown.

    Raises:
        InputError: where a sentence is not so, a path does not exist, or a template is wrong; names template and line.
    """
    templates = templates or environment()
    sections = {name: render_section(record, records, templates) for name, record in records.items()}
    before = read_before(records)
    shared = {
        "sections": sections,
        "records": records,
        "rows": claim_rows(records),
        "history": history_rows(records, before),
        "pending": [name for name, record in records.items() if not record.ready],
    }
    return _tidy(_filled(templates, PAGE, shared))


def render_draft(names: Iterable[str], records: Mapping[str, Record]) -> str:
    """Sections of some claims, with every sentence marked that is not so."""
    templates = environment(draft=True)
    return "\n".join(_tidy(render_section(records[name], records, templates)) for name in names)


def render_section(record: Record, records: Mapping[str, Record], templates: Environment) -> str:
    """The part of the page about one claim: title, statement, verdict and what the claim's template says."""
    claim = read_claim(record.name)
    own = {name: getattr(record, name) for name in ("n", "s", "t", "figure", "ready")}
    own |= {"claim": record, "of": records.__getitem__}
    parts = [f"## {claim.id}. {claim.title}", f"*{claim.statement}*"]
    template = f"{record.name}.md.jinja"
    try:
        if not record.ready and template not in templates.list_templates():
            raise PendingError(record.name)
        body = _filled(templates, template, own)
    except PendingError as error:
        body = f"The full run of {error} by its present rule is not in yet."
    return "\n\n".join([*parts, *([verdict_in_words(record)] if record.ready else []), body.strip()]) + "\n"


def verdict_in_words(record: Record) -> str:
    """The verdict with its share over seeds, where on the axes it is another, and the effect with its interval."""
    numbers = record.n()
    lines = [f"**{record.get('verdict').capitalize()}** ({percent(numbers['share_of_seeds'])} of the seeds)."]
    if "verdict_along_the_axes" in numbers:
        lines.append(_along(numbers["verdict_along_the_axes"]))
    if "verdict_by_rate" in numbers:
        lines.append(
            "By learning rate: "
            + ", ".join(f"{v} ({k.split()[1]})" for k, v in numbers["verdict_by_rate"].items())
            + "."
        )
    if "within_the_training_law" in numbers:
        within = numbers["within_the_training_law"]
        lines.append(
            f"On laws within the training law it is **{within['verdict']}** ({percent(within['share_of_seeds'])} of the seeds): "
            + _lower(_along(within["verdict_along_the_axes"]))
        )
    if "verdict_beyond_the_training_law" in numbers:
        beyond, share = numbers["verdict_beyond_the_training_law"], numbers["share_of_seeds_beyond"]
        lines.append(f"On the worst law beyond the training law it is **{beyond}** ({percent(share)} of the seeds).")
    if record.has("rule_commit"):
        lines.append(f"Rule and settings are those of commit `{record.get('rule_commit')}`.")
    effect = record.get("effect")
    return (
        " ".join(lines) + f"\n\nEffect, with its {percent(LEVEL)} interval: {effect['name']}, **{interval(effect)}**."
    )


def _along(places: Mapping[str, Mapping[str, Any]]) -> str:
    """Verdicts along the axes, in a sentence."""
    (_, first), *others = places.items()
    start = f"{first['verdict'].capitalize()} at the reference ({percent(first['share_of_seeds'])} of the seeds)"
    changed = [
        f"{one['verdict']} at {name.replace('training law ', 'the training law ')} ({percent(one['share_of_seeds'])})"
        for name, one in others
        if one["verdict"] != first["verdict"]
    ]
    if not others:
        return f"{start}."
    if not changed:
        return f"{start}, and everywhere else on the axes."
    return (
        f"{start}; {', '.join(changed)}{', and as at the reference elsewhere' if len(changed) < len(others) else ''}."
    )


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def claim_rows(records: Mapping[str, Record]) -> list[dict[str, str]]:
    """The table of claims: id, statement, verdict, share of seeds and effect, of every claim that has been judged."""
    return [
        {
            "id": name,
            "claim": read_claim(name).statement,
            "verdict": record.get("verdict"),
            "share": percent(record.n("share_of_seeds")),
            "effect": f"{record.get('effect', 'name')}: {interval(record.get('effect'))}",
        }
        for name, record in records.items()
        if record.ready
    ]


def read_before(records: Mapping[str, Record], file: Path = BEFORE) -> dict[str, dict[str, str]]:
    """Verdicts of the first full run, and why they are others now.

    Raises:
        InputError: where the reason is that of a verdict other than the run's, or where the run's numbers do not bear it out.
    """
    found: dict[str, dict[str, str]] = yaml.safe_load(file.read_text(encoding="utf-8"))
    templates = environment()
    for name, one in found.items():
        record = records[name]
        if not record.ready:
            continue
        if one.get("now") != record.get("verdict"):
            raise InputError(
                f"{file.name}: {name} explains the verdict {one.get('now')!r}, and the run has {record.get('verdict')!r}"
            )
        is_so = templates.compile_expression(one["check"], undefined_to_none=False)
        if not is_so(n=record.n, s=record.s, t=record.t):
            raise InputError(f"{file.name}: {name}: the numbers do not say so: {one['check']!r}")
    return found


def history_rows(records: Mapping[str, Record], before: Mapping[str, Mapping[str, str]]) -> list[dict[str, str]]:
    """The table of verdicts before and now; claims whose run is not in have no verdict now."""
    return [
        {
            "id": name,
            "before": one["before"],
            "now": records[name].get("verdict") if records[name].ready else "not in yet",
            "why": one["why"] if records[name].ready else "",
        }
        for name, one in before.items()
    ]


def _filled(templates: Environment, name: str, values: Mapping[str, Any]) -> str:
    """A template with values.

    Raises:
        InputError: for whatever is wrong, with template and line.
    """
    try:
        return templates.get_template(name).render(values)
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(name) else f"{_where(error, name)}: {text}") from None
    except TemplateError as error:
        raise InputError(f"{_where(error, name)}: {' '.join(str(error).split())}") from None


def _where(error: BaseException, name: str) -> str:
    """Template and line where an error was raised."""
    line = getattr(error, "lineno", None)
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.endswith((name, "<template>")):
            line = frame.lineno
    return f"{name}:{line}" if line else name


def _tidy(text: str) -> str:
    """At most one empty line in a row, none at the end, no blanks at the ends of lines."""
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n"
