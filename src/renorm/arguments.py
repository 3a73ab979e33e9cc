"""Arguments of the small commands: what is wrong with them is said in one line, as everywhere."""

from __future__ import annotations

import argparse
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
