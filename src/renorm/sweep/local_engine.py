"""The engine on this machine: worker processes that live as long as they are needed, one thread each."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from .config import Point

if TYPE_CHECKING:
    from typing_extensions import Self  # of the standard library from Python 3.11 on

Columns: TypeAlias = dict[str, list[Any]]
Outcome: TypeAlias = tuple[Point, Columns | str]  # the point with its columns, or with its error
Task = TypeVar("Task")
Result = TypeVar("Result")

PATIENCE = 10  # seconds that an idle worker has to end by itself
DIED = "the worker process died (killed, or out of memory)"


class Worker(NamedTuple):
    """A worker process, and our end of the pipe to it."""

    process: BaseProcess
    connection: Connection


class Workers:
    """Processes that take tasks one by one; they start when first needed and live until closed.

    Args:
        number: how many at most; 0 runs everything in this process.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._idle: list[Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes; they remove their temporary files if they can."""
        ending, self._idle = self._idle, []
        for worker in ending:
            worker.connection.close()  # the worker then returns
        for worker in ending:
            worker.process.join(PATIENCE)
            worker.process.kill()
            worker.process.join()

    def run(self, tasks: list[Task], run: Callable[[Task], Result]) -> Iterator[tuple[Task, Result | str]]:
        """Run tasks as workers become free, and yield each as it ends; a worker that dies costs its own task only.

        Args:
            tasks: in the order in which they start.
            run: what to do with a task, in the worker; a function of a module.

        Yields:
            A task with its result, or with its error in one line.
        """
        if not self.number:
            yield from ((task, attempt(run, task)) for task in tasks)
            return
        waiting, busy = deque(tasks), dict[Connection, tuple[Worker, Task]]()
        try:
            while waiting and len(busy) < self.number:
                self._hand_out(busy, waiting.popleft(), run)
            while busy:
                ready: list[Any] = wait(list(busy))
                for connection in ready:
                    worker, task = busy.pop(connection)
                    outcome = self._received(worker)
                    if waiting:
                        self._hand_out(busy, waiting.popleft(), run)
                    yield task, outcome
        finally:
            for worker, _ in busy.values():
                worker.process.kill()

    def _hand_out(self, busy: dict[Connection, tuple[Worker, Task]], task: Task, run: Callable[[Task], Result]) -> None:
        while self._idle:
            worker = self._idle.pop()
            if worker.process.is_alive():
                break
        else:
            worker = start_worker()
        worker.connection.send((run, task))
        busy[worker.connection] = (worker, task)

    def _received(self, worker: Worker) -> Any:
        try:
            outcome = worker.connection.recv()
        except (EOFError, ConnectionError):
            return DIED
        self._idle.append(worker)
        return outcome


def run_locally(points: list[Point], workers: int, run: Callable[[Point], Columns]) -> Iterator[Outcome]:
    """Run the points of a sweep on processes of their own, see :meth:`Workers.run`.

    Args:
        points: in the order in which they start.
        workers: number of processes.
        run: what to do with a point, in the worker; a function of a module.
    """
    with Workers(workers) as pool:
        yield from pool.run(points, run)


def start_worker() -> Worker:
    """Start a worker process."""
    # workers stay alive, as importing torch takes seconds; torch must not start more threads than allowed
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()  # so that the death of the process ends the connection
    return Worker(process, ours)


def serve(connection: Connection) -> None:
    """The loop of a worker: receive tasks and send outcomes until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes; the first one decides
    from .point import prepare_worker

    prepare_worker()
    while True:
        try:
            run, task = connection.recv()
            connection.send(attempt(run, task))
        except (EOFError, ConnectionError):
            return


def attempt(run: Callable[[Task], Result], task: Task) -> Result | str:
    """A task's result, or its error in one line: a failing task stops nothing."""
    try:
        return run(task)
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())[:500]
