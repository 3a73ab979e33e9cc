"""The report as one HTML page that works from disk: nothing is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from .finding import Drawing, plain
from .outcome import Outcome, effect_text
from .svg import inline_svg

STYLE_FILE = Path(__file__).with_name("page.css")
COLOURS_OF_VERDICTS = {
    "reproduced": "good",
    "yes": "good",
    "partly": "mixed",
    "not reproduced": "bad",
    "no": "bad",
}
LONGEST_LIST = 12  # numbers of a list that are shown


def render_page(outcomes: Sequence[Outcome], quick: bool, made: Mapping[str, str]) -> str:
    """The whole page, well-formed also as XML.

    Args:
        outcomes: in the order of the page.
        quick: whether it is a preview.
        made: with what and on what, for the footer.
    """
    preview = (
        '<p class="preview"><strong>Preview.</strong> Few members, few steps: the verdicts on this page count for nothing. '
        "Run <code>renorm report</code> without <code>--quick</code>.</p>"
    )
    title = "renorm: claims tested" + (" (preview)" if quick else "")
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en" xmlns="http://www.w3.org/1999/xhtml">',
            "<head>",
            '<meta charset="utf-8"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            '<meta name="color-scheme" content="light dark"/>',
            f"<title>{title}</title>",
            f"<style>\n{STYLE_FILE.read_text(encoding='utf-8')}</style>",
            "</head>",
            "<body>",
            f"<h1>{title}</h1>",
            preview if quick else "",
            "<p>Which symmetries let a neural network learn a renormalisation-group step? Every claim was tested "
            "by a protocol and judged by a "
            "rule that were written down before the run. Errors are relative: MSE over the variance of the "
            "target. Intervals are 95% bootstrap "
            "intervals over members.</p>",
            _overview(outcomes),
            *(_section(outcome) for outcome in outcomes),
            _footer(made),
            "</body>",
            "</html>",
            "",
        ]
    )


def _overview(outcomes: Sequence[Outcome]) -> str:
    rows = [
        f'<tr><td><a href="#{claim.id}">{claim.id}</a></td><td>{escape(claim.title)}</td><td>{_badge(finding.verdict)}</td>'
        f"<td>{escape(effect_text(finding.effect))}</td></tr>"
        for claim, finding, _ in outcomes
    ]
    head = "<tr><th></th><th>claim</th><th>verdict</th><th>effect</th></tr>"
    return f'<table class="overview"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'


def _badge(verdict: str) -> str:
    return f'<span class="verdict {COLOURS_OF_VERDICTS.get(verdict, "none")}">{escape(verdict)}</span>'


def _section(outcome: Outcome) -> str:
    claim, finding, error = outcome
    thresholds = ", ".join(f"{name} {value:g}" for name, value in claim.thresholds.items())
    rule = "".join(
        f"<dt{_marked(verdict == finding.verdict)}>{escape(verdict)}</dt><dd>{escape(text)}</dd>"
        for verdict, text in claim.rule.items()
    )
    parts = [
        f'<section id="{claim.id}">',
        f"<h2>{claim.id}. {escape(claim.title)} {_badge(finding.verdict)}</h2>",
        f'<p class="statement">{escape(claim.statement)}</p>',
        f'<p class="source">{escape(claim.source)}</p>',
        f"<h3>Protocol</h3><ul>{''.join(f'<li>{escape(line)}</li>' for line in claim.protocol)}</ul>",
        f'<h3>Rule, written before the run</h3><dl>{rule}</dl><p class="source">Thresholds: {escape(thresholds)}. '
        f"Settings: {claim.digest}.</p>",
        f'<p class="error"><strong>An experiment failed:</strong> {escape(error)}</p>' if error else "",
        "" if error else f'<p class="effect"><strong>Effect.</strong> {escape(effect_text(finding.effect))}</p>',
        *(_figure(claim.id, drawing) for drawing in finding.figures),
        *(f"<p>{escape(remark)}</p>" for remark in finding.remarks),
        f"<h3>What was tried</h3><p>{escape(finding.tried)}</p>" if finding.tried else "",
        f"<details><summary>Numbers</summary>{_numbers(plain(finding.numbers, 3))}</details>"
        if finding.numbers
        else "",
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _marked(chosen: bool) -> str:
    return ' class="chosen"' if chosen else ""


def _figure(claim: str, drawing: Drawing) -> str:
    drawn = inline_svg(drawing.figure, f"{claim}-{drawing.name}", escape(drawing.caption, quote=True))
    return f"<figure>{drawn}<figcaption>{escape(drawing.caption)}</figcaption></figure>"


def _numbers(numbers: Mapping[str, Any]) -> str:
    """Numbers as tables: mappings that have the same entries as rows of one, everything else by name."""
    single = {name: value for name, value in numbers.items() if not isinstance(value, Mapping)}
    parts = [_table(["", ""], ([name, value] for name, value in single.items()))] if single else []
    nested = {name: value for name, value in numbers.items() if isinstance(value, Mapping)}
    if nested and _is_table(nested):
        columns = list(next(iter(nested.values())))
        parts.append(_table(["", *columns], ([name, *row.values()] for name, row in nested.items())))
    else:
        parts += [f"<div><h4>{escape(_words(name))}</h4>{_numbers(value)}</div>" for name, value in nested.items()]
    return "".join(parts)


def _is_table(nested: Mapping[str, Mapping[str, Any]]) -> bool:
    columns = {tuple(row) for row in nested.values()}
    flat = all(not isinstance(cell, Mapping | list) for row in nested.values() for cell in row.values())
    return len(columns) == 1 and flat


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    titles = "".join(f"<th>{escape(_words(str(cell)))}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(_cell(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        shown = ", ".join(_cell(entry) for entry in value[:LONGEST_LIST])
        return shown + (f", … ({len(value)})" if len(value) > LONGEST_LIST else "")
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(entry)}" for name, entry in value.items())
    return _words(str(value))


def _words(name: str) -> str:
    """A name of the code as words; names of laws and activations stay."""
    return name.replace("_", " ") if "(" not in name else name


def _footer(made: Mapping[str, str]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in made.items())
    return f"<footer><dl>{rows}</dl></footer>"
