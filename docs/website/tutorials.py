"""Tutorials: notebooks in jupytext's percent format, run and written as pages with what they print and draw."""

from __future__ import annotations

import tempfile
from pathlib import Path

SCRIPTS = sorted((Path(__file__).parents[1] / "tutorials").glob("*.py"))
TIMEOUT = 1200  # seconds a cell may take, on a machine that is busy


def pages() -> dict[str, str | bytes]:
    """The page of every tutorial, and its figures.

    Raises:
        nbclient.exceptions.CellExecutionError: where one fails.
    """
    found: dict[str, str | bytes] = {}
    for script in SCRIPTS:
        found |= page(script)
    return found


def page(script: Path) -> dict[str, str | bytes]:
    """Run a tutorial in an empty folder; its page and figures, by path."""
    import jupytext  # of the extra docs
    from nbclient import NotebookClient
    from nbconvert import MarkdownExporter

    notebook = jupytext.read(script)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=TIMEOUT, kernel_name="python3", resources={"metadata": {"path": folder}}
        )
        client.execute()
    for cell in notebook.cells:
        cell["outputs"] = [out for out in cell.get("outputs", ()) if out.get("name") != "stderr"]
    resources = {"unique_key": script.stem, "output_files_dir": f"{script.stem}_figures"}
    text, resources = MarkdownExporter().from_notebook_node(notebook, resources)
    figures = {f"tutorials/{name}": content for name, content in resources["outputs"].items()}
    return {f"tutorials/{script.stem}.md": text, **figures}
