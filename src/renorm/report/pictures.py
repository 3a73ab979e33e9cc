"""The figures of a report: written as files, and drawn into the page, by several processes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from ..errors import RunError
from ..progress import Told
from ..sweep.local_engine import Workers
from .finding import Drawing
from .outcome import Outcome
from .svg import inline_svg, lay_out, save_figure


class Picture(NamedTuple):
    """A figure to be drawn, the file it goes to without its ending, and the prefix of its ids on the page."""

    drawing: Drawing
    stem: Path
    prefix: str


def picture_of(outcome: Outcome, drawing: Drawing, folder: Path) -> Picture:
    """A figure of a claim, in a folder."""
    return Picture(drawing, folder / f"{outcome.claim.id}_{drawing.name}", f"{outcome.claim.id}-{drawing.name}")


def draw(picture: Picture) -> str:
    """Write a figure's files; returns it as an element of the page."""
    drawing, stem, prefix = picture
    lay_out(drawing.figure)
    save_figure(drawing.figure, stem)
    return inline_svg(drawing.figure, prefix, escape(drawing.caption, quote=True))


def write_pictures(
    outcomes: Sequence[Outcome], folder: Path, workers: int, tell: Told = lambda what, done, total: None
) -> dict[str, str]:
    """Write the figures of all claims.

    Args:
        outcomes: claims with their findings.
        folder: of the files; made if it does not exist.
        workers: number of processes; 0 draws in this one.
        tell: called as figures are drawn.

    Returns:
        Name of the file without its ending -> the figure as an element of the page.

    Raises:
        RunError: for a figure that cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [picture_of(outcome, drawing, folder) for outcome in outcomes for drawing in outcome.finding.figures]
    svgs: dict[str, str] = {}
    with Workers(workers) as pool:
        for done, (picture, svg) in enumerate(pool.run(pictures, draw), 1):
            if not svg.startswith("<svg"):  # one line about what failed
                raise RunError(f"figure {str(picture.stem)!r} cannot be written ({svg})")
            svgs[picture.stem.name] = svg
            tell(f"{len(pictures)} figures", done, len(pictures))
    return svgs
