"""Sentences of claims as HTML: formulas between dollar signs become MathML, papers on arXiv links."""

from __future__ import annotations

import re
from html import escape

from latex2mathml.converter import convert
from markupsafe import Markup

FORMULA = re.compile(r"\$([^$]+)\$")
ARXIV = re.compile(r"\b(?:arXiv[: ])(\d{4}\.\d{4,5}|[a-z-]+/\d{7})")


def as_html(text: str) -> Markup:
    r"""A sentence as HTML, everything else escaped.

    Args:
        text: with formulas in LaTeX between dollar signs, and papers as in ``arXiv 2510.16591``.

    Example:
        >>> print(as_html("a < b, see arXiv 2510.16591"))
        a &lt; b, see <a href="https://arxiv.org/abs/2510.16591">arXiv 2510.16591</a>
        >>> "<msup>" in as_html("of order $g^2$")
        True
    """
    parts = FORMULA.split(text)  # every second one is a formula
    return Markup("".join(convert(part) if n % 2 else _linked(part) for n, part in enumerate(parts)))


def _linked(text: str) -> str:
    return ARXIV.sub(r'<a href="https://arxiv.org/abs/\1">\g<0></a>', escape(text))
