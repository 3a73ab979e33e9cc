"""Files of a newer renorm: said in one line, and taken where they fit."""

from __future__ import annotations

import functools
import logging
import re

from . import __version__

_NUMBERS = re.compile(r"\d{1,6}(\.\d{1,6}){0,3}")


def say_if_newer(what: str, version: object) -> None:
    """Log a warning, once a process, where a file says that a newer version of renorm wrote it.

    Args:
        what: the file, in words.
        version: what it says of its version; anything, it may be a stranger's.

    Example:
        >>> say_if_newer("the checkpoint", "0.0.1")
    """
    found = _NUMBERS.match(version) if isinstance(version, str) else None
    if found is not None and numbers(found.group()) > numbers(__version__):
        _say(what, found.group())


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers that compare; what follows them is left out.

    Example:
        >>> numbers("0.10.0rc1") > numbers("0.9.2")
        True
    """
    found = _NUMBERS.match(version)
    parts = [int(part) for part in found.group().split(".")] if found else []
    return (*parts, 0, 0, 0, 0)[:4]


@functools.cache
def _say(what: str, version: str) -> None:
    logging.getLogger("renorm").warning(
        "%s was written by renorm %s, newer than this one (%s); it is taken where it fits", what, version, __version__
    )
