"""Laws read from their text."""

from __future__ import annotations

from ...expressions.reader import read
from .base import REGISTRY, Law
from .contract import checked


def parse(text: str) -> Law:
    r"""Read a law, such as ``gamma(shape=2)`` or ``mixture(0.5*gaussian(mean=-1) + 0.5*laplace())``.

    Arguments are numbers by keyword or by position, in the order of the law's parameters; those left out have
    defaults, and ``gaussian`` alone is ``gaussian()``. Nothing is evaluated. The inverse of ``str``:
    ``parse(str(law)) == law``.

    Args:
        text: one law.

    Returns:
        The law; two that are written alike are equal.

    Raises:
        InputError: a ``ValueError`` of one line, with the argument, its value and what is allowed.

    Example:
        >>> parse("gaussian(1, std=3)")
        Gaussian(mean=1.0, std=3.0)
        >>> str(parse(" student_t ( df = 1e1 ) "))
        'student_t(df=10)'
    """
    return read(text, Law, checked)


def names() -> list[str]:
    """The names of all laws, in alphabetical order.

    Example:
        >>> "gaussian" in names()
        True
    """
    return sorted(REGISTRY)
