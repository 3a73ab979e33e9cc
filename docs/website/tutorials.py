"""Tutorials: notebooks in jupytext's percent format, run and written as pages with what they print and draw.

They run in this process, which has imported PyTorch already, and need no kernel of Jupyter.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import matplotlib
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

SCRIPTS = sorted((Path(__file__).parents[1] / "tutorials").glob("*.py"))
CELL = re.compile(r"^# %%( \[markdown\])?\n", re.MULTILINE)


def pages() -> dict[str, str | bytes]:
    """The page of every tutorial, and its figures, by path."""
    found: dict[str, str | bytes] = {}
    for script in SCRIPTS:
        found |= page(script)
    return found


def cells(text: str) -> Iterator[tuple[bool, str]]:
    r"""The cells of a notebook: whether each is Markdown, and what it says.

    Example:
        >>> list(cells("# %% [markdown]\n# # Title\n#\n# Text.\n\n# %%\nx = 1\n"))
        [(True, '# Title\n\nText.'), (False, 'x = 1')]
    """
    _, *parts = CELL.split(text)
    for mark, source in zip(parts[::2], parts[1::2], strict=True):
        source = source.strip("\n")
        yield bool(mark), re.sub(r"^# ?", "", source, flags=re.MULTILINE) if mark else source


def page(script: Path) -> dict[str, str | bytes]:
    """Run a tutorial in an empty folder; its page and figures, by path."""
    found: dict[str, str | bytes] = {}
    lines: list[str] = []
    matplotlib.use("Agg")
    with in_empty_folder(), plt.rc_context(), mock.patch.object(plt, "show"):
        names: dict[str, Any] = {"__name__": "__main__"}
        for is_text, source in cells(script.read_text()):
            if is_text:
                lines += [source, ""]
                continue
            printed, figures = run(source, names)
            lines += ["```python", source.strip(), "```", ""]
            lines += ["```text", printed.rstrip(), "```", ""] if printed.strip() else []
            for figure in figures:
                name = f"{script.stem}_figures/{len(found)}.png"
                found[f"tutorials/{name}"] = png(figure)
                lines += [f"![Figure {len(found)}]({name})", ""]
    return {f"tutorials/{script.stem}.md": "\n".join(lines), **found}


def run(source: str, names: dict[str, Any]) -> tuple[str, list[Figure]]:
    """What a cell prints, its last expression included, and the figures that it draws.

    Args:
        source: of the cell.
        names: what the cells before it have defined; those of this cell are added.
    """
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    value = None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, "<cell>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
        if value is not None and not isinstance(value, Figure | mock.Mock):
            print(repr(value))
    figures = [plt.figure(number) for number in plt.get_fignums()]
    plt.close("all")
    return printed.getvalue(), figures + ([value] if isinstance(value, Figure) and value not in figures else [])


def png(figure: Figure) -> bytes:
    """A figure as it is shown on a page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


@contextlib.contextmanager
def in_empty_folder() -> Iterator[None]:
    """Run in a folder of one's own, which goes afterwards."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
