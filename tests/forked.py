"""Programs in a process of their own that need not import PyTorch again: forked from a server that has."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, ClassVar

import torch

from renorm import progress
from renorm.sweep import local_engine

from .composing import composed_only
from .reliability.runs import CONTEXT, Preparation


def run_forked(
    words: list[str],
    cwd: Path,
    script: Path | None = None,
    draws: bool = False,
    prepare: Preparation | None = None,
) -> subprocess.CompletedProcess[str]:
    """What ``python -m renorm words``, or ``python script words``, prints and its exit code.

    Args:
        words: the command and its arguments.
        cwd: folder in which it runs.
        script: a Python file instead of renorm.
        draws: whether it draws the figures of its runs.
        prepare: called in the process before anything else.
    """
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = CONTEXT.Process(target=_run, args=(words, cwd, script, out, err, draws, prepare))
        process.start()
        process.join(300)
        if process.exitcode is None:
            process.kill()
            raise AssertionError(f"{words} ran for more than five minutes\n{err.read_text()}")
        return subprocess.CompletedProcess(words, process.exitcode, out.read_text(), err.read_text())


class Forked:
    """In the place of a context of multiprocessing: its processes are forked from the server, and know our environment."""

    Pipe = CONTEXT.Pipe

    @staticmethod
    def Process(target: Callable[..., None], args: tuple[Any, ...], daemon: bool) -> BaseProcess:  # noqa: N802
        """A process that runs a function of a module."""
        return CONTEXT.Process(target=_in_environment, args=({**os.environ}, target, args), daemon=daemon)


class ForkedHere:
    """The same for a program that was forked itself: its workers are forked from it, as it knows no server.

    They know all that the program has imported, which workers that start anew have to be told.
    """

    _ours: ClassVar[list[Connection]] = []

    @classmethod
    def Pipe(cls) -> tuple[Connection, Connection]:  # noqa: N802
        """Both ends; a worker must not keep the first, or it would outlive a program that is killed."""
        ours, theirs = CONTEXT.Pipe()
        cls._ours.append(ours)
        return ours, theirs

    @classmethod
    def Process(cls, target: Callable[..., None], args: tuple[Any, ...], daemon: bool) -> BaseProcess:  # noqa: N802
        """A process that runs a function of a module."""
        fork = multiprocessing.get_context("fork")
        return fork.Process(target=_as_if_started, args=([*cls._ours], target, args), daemon=daemon)


def fork_workers() -> None:
    """Have this process, which was forked, fork its workers."""
    vars(local_engine)["multiprocessing"] = SimpleNamespace(get_context=lambda method: ForkedHere)


def _as_if_started(ours: list[Connection], target: Callable[..., None], args: tuple[Any, ...]) -> None:
    for connection in ours:
        connection.close()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    target(*args)


def run_together(target: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> list[int | None]:
    """Run a function of a module in processes that work together, one for each tuple of arguments; their exit codes."""
    processes = [Forked.Process(target, args, daemon=True) for args in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        process.kill()
    return [process.exitcode for process in processes]


def _in_environment(environment: dict[str, str], target: Callable[..., None], args: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    target(*args)


def _run(
    words: list[str], cwd: Path, script: Path | None, out: Path, err: Path, draws: bool, prepare: Preparation | None
) -> None:
    for path, descriptor in ((out, 1), (err, 2)):
        with path.open("wb", buffering=0) as file:
            os.dup2(file.fileno(), descriptor)
    os.chdir(cwd)
    os.environ |= {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    torch.set_num_threads(1)
    progress.QUIET = 3600.0  # nobody expects lines of progress, however busy the machine is
    sys.argv = ["renorm" if script is None else str(script), *words]
    sys.path.insert(0, str(cwd if script is None else script.parent))
    if prepare is not None:
        prepare()
    with contextlib.nullcontext() if draws else composed_only():
        if script is None:
            runpy.run_module("renorm", run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(str(script), run_name="__main__")
