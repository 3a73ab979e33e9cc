"""``--import``: the user's own modules, imported before a command runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from ..own_code import OPTION, VARIABLE, import_own_code
from .options import take_all


@contextlib.contextmanager
def own_imports(words: list[str]) -> Iterator[list[str]]:
    """Import every module that ``--import`` names; its classes are known within this context.

    Args:
        words: of a command line. A module is named as in Python, or by the path of its file.

    Returns:
        The other words.

    Raises:
        ValueError: for a module that is not there, or that fails.

    Example:
        >>> from renorm.own_code import imported
        >>> with own_imports(["test", "--import", "colorsys", "--ckpt_path", "last"]) as words:
        ...     words, imported()
        (['test', '--ckpt_path', 'last'], ['colorsys'])
    """
    names, words = take_all(words, OPTION)
    before = os.environ.get(VARIABLE)
    if names:
        os.environ[VARIABLE] = os.pathsep.join(names)
    try:
        import_own_code()
        yield words
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before
