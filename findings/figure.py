"""``docs/images/claims.png``: one row a claim, its effect with the interval, and its verdict by colour."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from renorm.report.page import COLOURS_OF_VERDICTS

from .formats import interval, percent
from .records import FOLDER, Record, with_few_colours

FILE = FOLDER.parent / "docs" / "images" / "claims.png"
SHADES = {
    "good": "#009e73",
    "mixed": "#e69f00",
    "bad": "#d55e00",
}  # for all kinds of colour vision, as words stand beside
DEPENDS = "#0072b2"
ROW = 0.42  # inches
WIDTH, VERDICT, AXIS, TEXT = 9.6, 3.65, 5.0, 6.3  # of the figure, and where its columns begin
LENGTH = 1.1  # of an effect's axis
LETTERS = 68  # of a line of small print
HEADING = -0.85  # where the headings are, in rows


def save_figure(records: Mapping[str, Record], file: Path = FILE) -> None:
    """Draw all claims that have been judged."""
    with mpl.rc_context({"font.size": 8.0}):
        figure = draw([record for record in records.values() if record.ready])
        figure.savefig(file, dpi=130, metadata={"Software": None})
    with_few_colours(file)


def draw(judged: list[Record]) -> Figure:
    """A row a claim: id and title, verdict with its share of seeds, and effect on an axis of its own."""
    figure = Figure(figsize=(WIDTH, ROW * (len(judged) + 0.9)))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, WIDTH), ylim=(len(judged) - 0.4, -1.3))
    axes.axis("off")
    headings = {
        0.08: "claim",
        VERDICT - 0.05: "verdict, share of seeds",
        AXIS: "effect, each on its own\nscale; tick: no effect",
        TEXT: "value [95% interval], and what it is",
    }
    for place, words in headings.items():
        axes.text(place, HEADING, words, va="center", fontsize=7, color="#404040", fontstyle="italic", linespacing=1.0)
    for row, record in enumerate(judged):
        draw_row(axes, row, record)
    return figure


def draw_row(axes: Axes, row: int, record: Record) -> None:
    """Id, title and verdict on the left, the interval in the middle, the effect in words on the right."""
    verdict, effect = record.get("verdict"), record.get("effect")
    colour = DEPENDS if verdict == "depends" else SHADES[COLOURS_OF_VERDICTS[verdict]]
    axes.text(0.08, row, record.name, va="center", fontweight="bold")
    axes.text(0.45, row, fill(record.get("title"), 52), va="center", fontsize=7)
    axes.plot([VERDICT], [row], "s", color=colour, markersize=7)
    axes.text(VERDICT + 0.1, row, f"{verdict}, {percent(record.n('share_of_seeds'))}", va="center")
    low, value, high = (effect[name] for name in ("low", "value", "high"))
    if None not in (low, value, high):
        draw_interval(axes, row, (low, value, high), no_effect(effect["name"]), colour)
    axes.text(TEXT, row - 0.27, interval(effect), va="center", fontweight="bold")
    axes.text(
        TEXT, row + 0.2, fill(effect["name"], LETTERS), va="center", fontsize=6.3, color="#404040", linespacing=1.0
    )
    axes.axhline(row + 0.5, color="#e8e8e8", linewidth=0.5)


def no_effect(name: str) -> float:
    """The number that stands for no effect at all: 1 of a factor, 0 of anything else.

    Example:
        >>> no_effect("factor by which the half-way point moves"), no_effect("decades of tied over free networks")
        (1.0, 0.0)
    """
    return 1.0 if name.startswith("factor ") or name.endswith(", a factor") else 0.0


def draw_interval(axes: Axes, row: int, ends: tuple[float, float, float], none: float, colour: str) -> None:
    """A number with its interval on an axis of its own, on which no effect has a tick."""
    left, right = min(none, ends[0]), max(none, ends[-1])
    tick, low, value, high = (AXIS + LENGTH * (one - left) / (right - left or 1) for one in (none, *ends))
    axes.plot([AXIS, AXIS + LENGTH], [row, row], color="#d0d0d0", linewidth=0.8)
    axes.plot([tick, tick], [row - 0.22, row + 0.22], color="#909090", linewidth=0.8)
    axes.plot([low, high], [row, row], color=colour, linewidth=3, solid_capstyle="butt")
    axes.plot([value], [row], "o", color=colour, markersize=4)
