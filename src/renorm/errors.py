"""Errors by type: what is wrong with the input, and what keeps a run from going on."""

from __future__ import annotations

import errno
from collections.abc import Iterator

# the disk, or what one may have of it, is full
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class InputError(ValueError):
    """Bad input, reported in one line that names the argument, its value and what is allowed; exit code 2 of the command line.

    Args:
        problem: the argument, its value and what is wrong with it.
        allowed: what may be given instead; left out where ``problem`` says it, or where nothing else would do.

    Example:
        >>> str(InputError("seed=-1 is out of range", "whole numbers >= 0"))
        'seed=-1 is out of range; allowed: whole numbers >= 0'
    """

    def __init__(self, problem: str, allowed: str | None = None) -> None:
        super().__init__(problem if allowed is None else f"{problem}; allowed: {allowed}")


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


def users_fault(error: BaseException) -> BaseException | None:
    """The error about the user's input, or about a file, behind what libraries made of it; None where it is another error."""
    causes = list(_causes(error))
    about_input = [cause for cause in causes if isinstance(cause, InputError)]
    about_files = [cause for cause in causes if isinstance(cause, OSError) and cause.filename]
    return next(reversed(about_input or about_files), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it was raised from, or while handling."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
