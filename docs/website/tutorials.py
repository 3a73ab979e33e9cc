"""Tutorials: scripts in jupytext's percent format, run and written as pages with what they print and draw."""

from __future__ import annotations


def pages() -> dict[str, str | bytes]:
    return {}
