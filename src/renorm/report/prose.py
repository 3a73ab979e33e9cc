"""Sentences of claims as HTML: formulas between dollar signs become MathML, papers on arXiv links."""

from __future__ import annotations

import re
from html import escape

from latex2mathml.converter import convert
from markupsafe import Markup

FORMULA = re.compile(r"\$([^$]+)\$")
POWER = re.compile(r"\^(-?\d+(?:\.\d+)?|-?\w+|\((?:[^()]|\([^()]*\))*\))")
ROOT = re.compile(r"\bsqrt\((\w+)\)")
NUMBERED = re.compile(r"\b([xk])(\d)\b")  # variables of a block and cumulants
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
        >>> print(as_html("k2 of (x1 + x2) / sqrt(2), as steps^-p"))
        k<sub>2</sub> of (x<sub>1</sub> + x<sub>2</sub>) / √2, as steps<sup>−p</sup>
    """
    parts = FORMULA.split(text)  # every second one is a formula
    return Markup("".join(convert(part) if n % 2 else _linked(part) for n, part in enumerate(parts)))


def _linked(text: str) -> str:
    return ARXIV.sub(r'<a href="https://arxiv.org/abs/\1">\g<0></a>', _typeset(escape(text)))


def _typeset(text: str) -> str:
    """Formulas that are written in plain text, as they also stand on the screen: powers, roots and numbered variables."""
    text = POWER.sub(lambda power: f"<sup>{power[1].replace('-', '−')}</sup>", text)
    return NUMBERED.sub(r"\1<sub>\2</sub>", ROOT.sub(r"√\1", text))
