"""How far a long command is: bars on a terminal, now and then a line where the output goes to a file."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

EVERY = 10.0  # seconds between two lines about one task
QUIET = 2.0  # seconds in which a command need not say anything
Told = Callable[[str, float, float], None]  # what is running, how much of it is done, and how much there is


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


def lines_about(stream: Any, now: Callable[[], float] = time.monotonic, quiet: float = 0.0) -> Told:
    """What writes a line about a task when it begins to say something, every ten seconds, and when it has ended.

    Args:
        stream: where to.
        now: a clock, in seconds.
        quiet: seconds in which nothing is written about a task.

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
        start, before = begun.setdefault(what, (time_now, done))
        if time_now < start + quiet or (what in last and time_now < last[what] + EVERY and done < total):
            return
        last[what] = time_now
        share = f"{done / total if total else 1.0:.0%}" if total < math.inf else f"{done:g} done"
        left = ""
        if done > before and done < total < math.inf:
            left = f", {_duration((time_now - start) * (total - done) / (done - before))} left"
        print(f"{what}: {share}{left}", file=stream, flush=True)

    return tell


def lines_if_long(stream: Any) -> Told:
    """What writes lines about a task that takes more than two seconds.

    Args:
        stream: where to.
    """
    return lines_about(stream, quiet=QUIET)


@contextlib.contextmanager
def shown_steps(
    stream: TextIO | None = None, quiet: float | None = None, every: float = EVERY
) -> Iterator[Callable[[str], None]]:
    """Show what a command is doing where nobody knows how long it will take; yields what is to be called at each step.

    A terminal shows the step with the time since the first one. Anything else gets a line, with that time, when two seconds
    have passed or a step takes that long, and then one every ten seconds.

    Args:
        stream: where to; by default the standard error output.
        quiet: seconds of a step without a line; two by default.
        every: seconds between two lines.
    """
    from rich.console import Console

    console = Console(file=stream or sys.stderr, markup=False)
    if console.is_terminal:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("", total=None)
            yield lambda step: progress.update(task, description=step)
        return
    watch = _Watch(console.file, QUIET if quiet is None else quiet, every)
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    try:
        yield watch.show
    finally:
        watch.show(None)
        thread.join()


class _Watch:
    """Writes lines about what runs while it takes long, from a thread of its own."""

    def __init__(self, stream: Any, quiet: float, every: float) -> None:
        self._stream, self._quiet, self._every = stream, quiet, every
        self._changed = threading.Condition()
        self._step: str | None = ""
        self._step_began = time.monotonic()

    def show(self, step: str | None) -> None:
        """Start a step; None ends the watch."""
        with self._changed:
            self._step, self._step_began = step, time.monotonic()
            self._changed.notify()

    def run(self) -> None:
        """Wait for steps until there are no more."""
        with self._changed:
            began = time.monotonic()
            last = began + self._quiet - self._every  # many short steps together are a long one
            while self._step is not None:
                due = last + self._every
                if last <= self._step_began:  # nothing was said of this step
                    due = min(due, self._step_began + self._quiet)
                was_told = self._changed.wait(max(due - time.monotonic(), 0) if self._step else None)
                if not was_told and self._step:
                    last = time.monotonic()
                    print(f"{self._step}: {_duration(last - began)}", file=self._stream, flush=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
