"""Figures as inline SVG: transparent background, lines and text in the page's colour, unique ids."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from .figures import COLOURS, WIDTH

# text as outlines looks the same everywhere; the salt makes the ids of clip paths and markers the same every time
STYLE: dict[Any, Any] = {"svg.fonttype": "path", "svg.hashsalt": "renorm", "font.size": 9.0}
NO_DATE = {"Date": None, "Creator": None}
PNG_DPI = 150


def lay_out(figure: Figure) -> None:
    """Lay a figure out once, before it is written several times: the layout takes longer than the writing."""
    with mpl.rc_context(STYLE):
        figure.draw_without_rendering()
    figure.set_layout_engine("none")


def save_figure(figure: Figure, stem: Path) -> None:
    """Write ``<stem>.svg`` and ``<stem>.png``, on white, for other documents."""
    with mpl.rc_context(STYLE):
        figure.savefig(stem.with_name(f"{stem.name}.svg"), metadata=NO_DATE, facecolor="white")
        figure.savefig(stem.with_name(f"{stem.name}.png"), dpi=PNG_DPI, metadata={"Software": None}, facecolor="white")


def inline_svg(figure: Figure, prefix: str, label: str) -> str:
    """A figure as an element of a page.

    Args:
        figure: black becomes the page's text colour, and the report's own colours its variables ``--series-<n>``.
        prefix: put before every id, so that two figures on a page have none in common.
        label: what readers hear who do not see.
    """
    for axes in figure.axes:
        if (legend := axes.get_legend()) is not None:
            legend.get_frame().set(facecolor="none", edgecolor="none")
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata=NO_DATE, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(href="|url\()#', rf"\1#{prefix}-", text)
    text = text.replace("#000000", "currentColor")
    for number, colour in enumerate(COLOURS):
        text = text.replace(colour, f"var(--series-{number})")
    head, rest = text.split(">", 1)
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    share = min(1.0, figure.get_size_inches()[0] / WIDTH)  # of the page's column
    return f'{head} role="img" aria-label="{label}" fill="currentColor" style="width: {share:.0%}">{rest.strip()}'
