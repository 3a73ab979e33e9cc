"""The command line: looks at the first word only, and imports nothing heavy for help, version or a typing error."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import select
import sys
import warnings
from collections.abc import Iterator

from .. import __version__, errors
from ..checks import did_you_mean
from ..exit_codes import BAD_INPUT, CANNOT_GO_ON, INTERRUPTED, NOBODY_READS
from ..freed_memory import keep_freed_memory
from .options import joined
from .own_imports import own_imports
from .quick_imports import without_garbage_collection, without_scipy_signal

COMMANDS = {
    "fit": ("train networks on a map, by default the central-limit map", "fit:run"),
    "validate": ("validate a checkpoint on every law", "fit:run"),
    "test": ("judge a checkpoint on laws that training never saw", "fit:run"),
    "predict": ("write the outputs of a checkpoint to a Parquet or CSV file", "fit:run"),
    "zoo": ("variants and trained weights: list, show, verify, train, export", "zoo:run"),
    "certify": ("can these weights represent the map at all?", "certify:run"),
    "propagate": ("cumulants of every layer: predicted by theory, and measured", "propagate:run"),
    "sweep": ("many fits as one table; 'sweep plot' draws it", "sweep:run"),
    "report": ("every claim tested and judged, on one page", "report:run"),
    "bench": ("how fast training is on this machine", "bench:run"),
    "selftest": ("does this machine compute what it should?", "selftest:run"),
    "plot": ("draw error against slope; 'plot flow': flows of distributions", "plot:run"),
}


HELP = """usage: renorm COMMAND [options]

Which symmetries let a neural network learn a renormalisation-group step?

commands:
{commands}

options:
  -h, --help     this text; 'renorm COMMAND --help' for a command's own
  --import M     after a command: import a module or a file of your own first
  --version      the version

start with:  renorm fit --config mlp_quadratic_full
then watch:  tensorboard --logdir runs"""


def help_text() -> str:
    """The text of ``renorm --help``."""
    return HELP.format(commands="\n".join(f"  {name:<14} {text}" for name, (text, _) in COMMANDS.items()))


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code, see ``docs/reliability.md``, with one line on stderr where it is not 0.

    Args:
        argv: the words after ``renorm``; those of the process by default.
    """
    words = joined(sys.argv[1:] if argv is None else argv)
    with libraries_warnings_as_usual():
        try:
            code = _answer(words)
            sys.stdout.flush()
        except (BrokenPipeError, SystemExit):
            if not nobody_reads():
                raise
            # the interpreter's last flush would complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return NOBODY_READS
    return code


def _answer(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if words[0] in ("--version", "-V"):
        print(f"renorm {__version__}")
        return 0
    if (option := _empty(words)) is not None:
        return _refuse(f"{option}='' is empty; allowed: a value, or to leave it out")
    if words[0] not in COMMANDS:
        hint = did_you_mean(words[0], COMMANDS, most=1)
        return _refuse(f"command {words[0]!r} is unknown; allowed: {', '.join(COMMANDS)}{hint}")
    module, function = COMMANDS[words[0]][1].split(":")
    keep_freed_memory()
    try:
        with own_imports(words) as left:
            with without_garbage_collection(), without_scipy_signal(), said_while_it_lasts("loading PyTorch ..."):
                loaded = importlib.import_module(f".{module}", __package__)
            run = getattr(loaded, function)
            code = run(left)
    except KeyboardInterrupt:
        print("\nrenorm: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and nobody_reads():
            raise
        failed = errors.failure(error)
        cause = failed or errors.users_fault(error)
        if cause is None or (failed is None and os.environ.get("RENORM_DEBUG")):
            raise
        return _refuse(str(cause), BAD_INPUT if failed is None else CANNOT_GO_ON)
    return code or 0


def nobody_reads() -> bool:
    """Whether standard output is a pipe that its reader has closed, as in ``renorm zoo list | head -1``."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, ValueError, OSError):  # no such call on Windows, or no file behind it
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


@contextlib.contextmanager
def said_while_it_lasts(what: str) -> Iterator[None]:
    """Say on a terminal what takes the first seconds, and wipe it out afterwards."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    print(what, end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def libraries_warnings_as_usual() -> Iterator[None]:
    """Under ``PYTHONWARNINGS=error``, let only renorm's own warnings be errors: what libraries warn of is not the user's."""
    if not any(option.partition(":")[0] and "error".startswith(option.partition(":")[0]) for option in sys.warnoptions):
        yield
        return
    with warnings.catch_warnings():
        libraries = r"(?!renorm(\.|$)|__main__$)"
        warnings.filterwarnings("default", module=libraries)
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.filterwarnings("ignore", category=category, module=libraries)
        yield


def _empty(words: list[str]) -> str | None:
    """The first option, or word, that is given and empty: mostly a shell variable that was never set."""
    for before, word in itertools.pairwise(words):
        if not word:
            return before.removeprefix("--") if before.startswith("--") else f"the word after {before!r}"
    return next((word[2:-1] for word in words if word.startswith("--") and word.endswith("=")), None)


def refused(error: BaseException) -> bool:
    """Whether an error ends the command with exit code 2: it is about the input, not about a run that could not go on."""
    return errors.failure(error) is None and errors.users_fault(error) is not None


def _refuse(message: str, code: int = BAD_INPUT) -> int:
    print(f"renorm: error: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
