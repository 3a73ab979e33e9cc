"""Arguments of the small commands: what is wrong with them is said in one line, as everywhere."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn


class OneLineParser(argparse.ArgumentParser):
    """An argument parser that raises instead of printing its usage over several lines.

    Example:
        >>> parser = OneLineParser(prog="renorm plot")
        >>> _ = parser.add_argument("--size", type=int)
        >>> parser.parse_args(["--size", "big"])
        Traceback (most recent call last):
        ...
        ValueError: argument --size: invalid int value: 'big'; allowed: see 'renorm plot --help'
    """

    def error(self, message: str) -> NoReturn:
        """Raise a ValueError, which the command line prints as its one line."""
        raise ValueError(f"{message}; allowed: see '{self.prog} --help'")


def joined(words: Sequence[str]) -> list[str]:
    """``--option=-1e30`` for ``--option -1e30``: parsers take most negative numbers for options.

    Args:
        words: of a command line.

    Example:
        >>> joined(["fit", "--model.negative_slope", "-1e30", "--seed", "3"])
        ['fit', '--model.negative_slope=-1e30', '--seed', '3']
    """
    found: list[str] = []
    for word in words:
        if word.startswith("-") and _is_number(word) and found and found[-1].startswith("--") and "=" not in found[-1]:
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
