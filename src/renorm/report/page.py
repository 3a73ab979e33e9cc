"""The report as one HTML page without external resources; the template is ``page.html.jinja``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .claim import Claim, read_claim
from .finding import plain
from .outcome import Outcome, effect_text
from .prose import as_html

FOLDER = Path(__file__).parent
COLOURS_OF_VERDICTS = {
    "reproduced": "good",
    "yes": "good",
    "partly": "mixed",
    "depends": "mixed",
    "not reproduced": "bad",
    "no": "bad",
}
LONGEST_LIST = 12  # numbers of a list that are shown


def render_page(outcomes: Sequence[Outcome], quick: bool, made: Mapping[str, str], pictures: Mapping[str, str]) -> str:
    """The whole page, well-formed also as XML.

    Args:
        outcomes: in the order of the page.
        quick: whether it is a preview.
        made: with what and on what, for the footer.
        pictures: name of a figure's file without its ending -> the figure as an element of the page.
    """
    templates = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["prose"] = as_html
    return templates.get_template("page.html.jinja").render(
        title="renorm: claims tested" + (" (preview)" if quick else ""),
        style=Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
        colours=COLOURS_OF_VERDICTS,
        quick=quick,
        sections=[_section(outcome, quick, pictures) for outcome in outcomes],
        made=made,
    )


def _section(outcome: Outcome, quick: bool, pictures: Mapping[str, str]) -> dict[str, Any]:
    """The part of the page about one claim, as values for the template."""
    claim, finding, error = outcome
    return {
        "claim": claim,
        "finding": finding,
        "error": error,
        "effect": effect_text(finding.effect),
        "share": f"{share:.0%} of seeds" if (share := finding.numbers.get("share_of_seeds")) is not None else "",
        "cut": _cut(read_claim(claim.id), claim) if quick else "",
        "thresholds": ", ".join(f"{name} {value:g}" for name, value in claim.thresholds.items()),
        "figures": [
            {
                "svg": Markup(pictures[f"{claim.id}_{one.name}"]),
                "caption": one.caption,
                "file": f"figures/{claim.id}_{one.name}.svg",
            }
            for one in finding.figures
        ],
        "numbers": _numbers(plain(finding.numbers, 3)),
    }


def _cut(full: Claim, preview: Claim) -> str:
    """What a preview ran in place of the full run's settings, as text."""
    changed = [
        f"{_words(name)} {_cell(now)}" + (f" instead of {_cell(before)}" if before is not None else "")
        for name, before, now in _changes(full.settings, preview.settings)
    ]
    return "; ".join(dict.fromkeys(changed))


def _changes(before: Any, now: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Settings that differ, as name, old value (None where there was none), and new value; lists of numbers are one setting."""
    if isinstance(now, Mapping) and isinstance(before, Mapping):
        for key, value in now.items():
            yield from _changes(before.get(key), value, str(key))
    elif now != before:
        yield name, before, now


def _numbers(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as ``tables``, head and rows of each, and ``parts``, titles with numbers of their own.

    Mappings that have the same entries are rows of one table; everything else goes by its name.
    """
    single = {name: value for name, value in numbers.items() if not isinstance(value, Mapping)}
    nested = {name: value for name, value in numbers.items() if isinstance(value, Mapping)}
    tables = [(["", ""], [[_cell(name), _cell(value)] for name, value in single.items()])] if single else []
    if nested and _is_table(nested):
        columns = [_words(str(column)) for column in next(iter(nested.values()))]
        rows = [[_cell(name), *map(_cell, row.values())] for name, row in nested.items()]
        return {"tables": [*tables, (["", *columns], rows)], "parts": []}
    return {"tables": tables, "parts": [(_words(name), _numbers(value)) for name, value in nested.items()]}


def _is_table(nested: Mapping[str, Mapping[str, Any]]) -> bool:
    columns = {tuple(row) for row in nested.values()}
    flat = all(not isinstance(cell, Mapping | list) for row in nested.values() for cell in row.values())
    return len(columns) == 1 and flat


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
