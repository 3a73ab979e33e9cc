"""What to say when a run was stopped: where it stands, and the command that goes on."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from ..own_code import command_line
from .options import take_all


def how_to_go_on(words: list[str], checkpoint: Path | None) -> str:
    """One line with the command that resumes a fit from a checkpoint, or starts it anew where there is none."""
    again = take_all(words, "--ckpt_path")[1]
    if checkpoint is not None and checkpoint.is_file():
        # which has the weights of where the run started
        again = [*take_all(again, "--init_from")[1], "--ckpt_path", str(checkpoint)]
    return f"go on:  {command_line(again)}"


@contextlib.contextmanager
def stopped_in_words(words: list[str], kept: Callable[[], str]) -> Iterator[None]:
    """Where Ctrl-C or SIGTERM stops what keeps its results as it goes, say so and end with the signal's exit code.

    Args:
        words: the command, which goes on where it was.
        kept: says what is kept.
    """

    def interrupt(number: int, _: Any) -> NoReturn:
        raise KeyboardInterrupt(number)

    # only the main thread may have handlers
    handled = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, interrupt) if handled else None
    try:
        yield
    except KeyboardInterrupt as stop:
        print(f"\nstopped: {kept()}\ngo on:  {command_line(words)}", file=sys.stderr)
        sys.exit(128 + (stop.args[0] if stop.args else signal.SIGINT))
    finally:
        if handled:
            signal.signal(signal.SIGTERM, before)
