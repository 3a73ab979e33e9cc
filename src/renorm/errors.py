"""Errors by type: what is wrong with the input, and what keeps a run from going on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

# the disk, or what one may have of it, is full
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class InputError(ValueError):
    """Bad input: one line with the argument, its value and what is allowed; exit code 2 of the command line.

    Args:
        problem: the argument, its value and what is wrong with it.
        allowed: what may be given instead.

    Example:
        >>> str(InputError("seed=-1 is out of range", "whole numbers >= 0"))
        'seed=-1 is out of range; allowed: whole numbers >= 0'
    """

    def __init__(self, problem: str, allowed: str) -> None:
        super().__init__(f"{problem}; allowed: {allowed}")

    def __reduce__(self) -> tuple[Any, ...]:
        # the default would call __init__ with one argument in the parent of a worker process
        return _input_error, (str(self),)


def _input_error(message: str) -> InputError:
    return InputError(*message.rsplit("; allowed: ", 1))


class RunError(RuntimeError):
    """A run that cannot go on; the command line says why in one line and ends with exit code 1."""


def in_one_line(error: BaseException) -> str:
    """The text of an error that comes from elsewhere, on one line and not too long."""
    return " ".join(str(error).split())[:300]


def first_line(error: BaseException) -> str:
    """The first line of an error's text; what follows is often advice about libraries."""
    return next(iter(str(error).splitlines()), "")


def failure(error: BaseException) -> RunError | None:
    """The reason for which a run cannot go on, found behind what libraries made of it; None where it is another error."""
    for seen in _chain(error):
        if isinstance(seen, RunError):
            return seen
        if isinstance(seen, OSError) and seen.errno in NO_SPACE:
            where = f" to {seen.filename!r}" if seen.filename else ""
            return RunError(f"nothing more can be written{where} ({seen.strerror}); what was written before is whole")
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it was raised from, or while handling."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
