"""The engine on this machine: worker processes that live as long as the sweep, one thread each."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple, TypeAlias

from .config import Point

Columns: TypeAlias = dict[str, list[Any]]
Outcome: TypeAlias = tuple[Point, Columns | str]  # the point with its columns, or with what went wrong

DIED = "the worker process died (killed, or out of memory)"


class Worker(NamedTuple):
    """A process and what it works on."""

    process: BaseProcess
    connection: Connection
    point: Point


def run_locally(points: list[Point], workers: int, run: Callable[[Point], Columns]) -> Iterator[Outcome]:
    """Run points as workers become free, and yield each as it ends; a worker that dies costs its own point only.

    Args:
        points: in the order in which they start.
        workers: number of processes.
        run: what to do with a point, in the worker; a function of a module.
    """
    # importing torch costs seconds: workers stay; and it must not start more threads than it is given
    os.environ["OMP_NUM_THREADS"] = "1"
    waiting, busy = deque(points), dict[Connection, Worker]()
    try:
        while waiting and len(busy) < workers:
            _start(busy, waiting.popleft(), run)
        while busy:
            ready: list[Any] = wait(list(busy))
            for connection in ready:
                worker = busy.pop(connection)
                outcome = _received(worker)
                if waiting:
                    point = waiting.popleft()
                    if outcome is None:
                        _start(busy, point, run)
                    else:
                        worker.connection.send(point)
                        busy[worker.connection] = worker._replace(point=point)
                yield worker.point, DIED if outcome is None else outcome
    finally:
        for worker in busy.values():
            worker.process.kill()


def _start(busy: dict[Connection, Worker], point: Point, run: Callable[[Point], Columns]) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, run), daemon=True)
    process.start()
    theirs.close()  # so that the death of the process ends the connection
    ours.send(point)
    busy[ours] = Worker(process, ours, point)


def _received(worker: Worker) -> Columns | str | None:
    try:
        outcome: Columns | str = worker.connection.recv()
        return outcome
    except (EOFError, ConnectionError):
        return None


def serve(connection: Connection, run: Callable[[Point], Columns]) -> None:
    """The life of a worker: points in, outcomes out, until nobody listens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes; the first one decides
    from .point import prepare_worker

    prepare_worker()
    while True:
        try:
            connection.send(attempt(run, connection.recv()))
        except (EOFError, ConnectionError):
            return


def attempt(run: Callable[[Point], Columns], point: Point) -> Columns | str:
    """A point's columns, or its error in one line: a failing point stops nothing."""
    try:
        return run(point)
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())[:500]
