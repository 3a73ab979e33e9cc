"""How a run says that it cannot go on, though nothing was wrong with what it was asked."""

from __future__ import annotations

import errno
from collections.abc import Iterator

# the disk, or what one may have of it, is full
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class RunError(RuntimeError):
    """A run that cannot go on; the command line says why in one line and ends with exit code 1."""


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
