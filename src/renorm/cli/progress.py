"""How far a long command is: bars on a terminal, now and then a line where the output goes to a file."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from ..report.experiments import Told

EVERY = 10.0  # seconds between two lines about one task


@contextlib.contextmanager
def shown_progress(stream: TextIO | None = None) -> Iterator[Told]:
    """Show the progress of tasks; yields what is to be called as they go on.

    Args:
        stream: where to; by default the standard error output.
    """
    from rich.console import Console

    console = Console(file=stream or sys.stderr)
    if not console.is_terminal:
        yield lines_about(console.file)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left:"))
    with Progress(*columns, TimeRemainingColumn(), console=console, speed_estimate_period=3600) as progress:
        tasks: dict[str, Any] = {}

        def tell(what: str, done: float, total: float) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield tell


def lines_about(stream: Any, now: Callable[[], float] = time.monotonic) -> Told:
    """What writes a line about a task when it begins to say something, every ten seconds, and when it has ended.

    Args:
        stream: where to.
        now: a clock, in seconds.

    Example:
        >>> import sys
        >>> tell = lines_about(sys.stdout, iter([0, 5, 20, 21]).__next__)
        >>> for done in (1, 2, 5, 10):
        ...     tell("fits", done, 10)
        fits: 10%
        fits: 50%, 25 s left
        fits: 100%
    """
    begun: dict[str, tuple[float, float]] = {}
    last: dict[str, float] = {}

    def tell(what: str, done: float, total: float) -> None:
        time_now = now()
        if what in last and time_now < last[what] + EVERY and done < total:
            return
        start, before = begun.setdefault(what, (time_now, done))
        last[what] = time_now
        share = done / total if total else 1.0
        left = ""
        if done > before and done < total:
            left = f", {_duration((time_now - start) * (total - done) / (done - before))} left"
        print(f"{what}: {share:.0%}{left}", file=stream, flush=True)

    return tell


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
