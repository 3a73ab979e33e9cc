"""Docstrings and GitHub's Markdown, written as the Markdown that MkDocs reads; formulas as MathML."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from inspect import cleandoc

from latex2mathml.converter import convert

ROLE = re.compile(r":(math|func|class|meth|mod|attr|data|obj):`([^`]+)`")
DISPLAYED = re.compile(r"^( *)\.\. math::[ ]*(.*)\n((?:(?:\1 +.*)?\n)*)", re.MULTILINE)
GITHUB_INLINE = re.compile(r"\$`([^`]+)`\$")
GITHUB_BLOCK = re.compile(r"^```math\n(.*?)^```", re.MULTILINE | re.DOTALL)
RENDERED = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)


# words in formulas, such as the name of an argument; commands of LaTeX, and what stands within those that set words, stay
WORD = re.compile(r"\\(?:mathrm|text|operatorname|begin|end)\{[^}]*\}|\\[A-Za-z]+|[A-Za-z]{3,}|df")
INDICES = frozenset("ijklmnohf")


def upright(latex: str) -> str:
    r"""A formula whose words are set upright; letters side by side are a product.

    Example:
        >>> print(upright(r"\exp(-rate\, x_{keep}) W_{ijk} + \operatorname{sign}(t)"))
        \exp(-\mathrm{rate}\, x_{\mathrm{keep}}) W_{ijk} + \operatorname{sign}(t)
    """

    def word(match: re.Match[str]) -> str:
        text = match[0]
        return text if text.startswith("\\") or set(text) <= INDICES else rf"\mathrm{{{text}}}"

    return WORD.sub(word, latex)


def no_link(target: str) -> str | None:
    """The resolver for pages without a reference: nothing is linked."""
    return None


def from_docstring(text: str, resolve: Callable[[str], str | None] = no_link) -> str:
    r"""Roles as formulas, links and code.

    Args:
        text: a docstring, or a part of one.
        resolve: the full path of what a role names; None where it is not known.

    Example:
        >>> from_docstring(r":math:`\kappa_n` of :func:`~renorm.cumulants.kstat`")
        '$\\kappa_n$ of `kstat`'
    """

    def role(match: re.Match[str]) -> str:
        kind, target = match.groups()
        if kind == "math":
            return f"${upright(' '.join(target.split()))}$"
        name = target.lstrip(".").removeprefix("~")
        shown = name.rpartition(".")[2] if target.startswith("~") else name
        path = resolve(name)
        return f"`{shown}`" if path is None else f'<autoref identifier="{path}" optional>`{shown}`</autoref>'

    def block(match: re.Match[str]) -> str:
        indent, first, rest = match.groups()
        lines = [line.strip() for line in (first, *rest.splitlines()) if line.strip()]
        return f"\n{indent}$$\n{indent}{upright(' '.join(lines))}\n{indent}$$\n\n"

    return ROLE.sub(role, DISPLAYED.sub(block, text + "\n")).rstrip("\n")


def summary(thing: object) -> str:
    """The docstring of a class or function down to its first section, as Markdown."""
    text = cleandoc(thing.__doc__ or "")
    return from_docstring(re.split(r"\n\n(?:Args|Attributes|Raises|Source|Example|Returns|Shapes):\n", text)[0])


def from_github(text: str) -> str:
    """GitHub's two ways to write formulas, as dollar signs.

    Example:
        >>> from_github("$`a_b`$ and $c$")
        '$a_b$ and $c$'
    """
    return GITHUB_BLOCK.sub(r"$$\n\1$$", GITHUB_INLINE.sub(r"$\1$", text))


def with_mathml(html: str) -> str:
    r"""Formulas of a rendered page as MathML, which browsers show without a script.

    Raises:
        ValueError: for a formula that is not LaTeX.

    Example:
        >>> with_mathml(r'of order <span class="arithmatex">\(g^2\)</span>')[:60]
        'of order <math xmlns="http://www.w3.org/1998/Math/MathML" di'
    """

    def formula(match: re.Match[str]) -> str:
        latex = unescape(match.group(2)).strip()[2:-2].strip()
        try:
            return convert(latex, display="block" if match.group(1) == "div" else "inline")
        except Exception as error:
            raise ValueError(f"not a formula: {latex!r}: {error!r}") from error

    return RENDERED.sub(formula, html)
