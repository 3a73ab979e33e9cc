"""The experiments of a report: run once, kept by the hash of what they are, shared between claims."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import InputError
from ..progress import Told
from ..sweep.config import Point, Sweep, by_size, digest, parse_sweep
from ..sweep.local_engine import Workers
from ..sweep.table import PointFiles, unified, write_text

if TYPE_CHECKING:
    import pyarrow as pa
    from typing_extensions import Self  # of the standard library from Python 3.11 on

Function = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class ExperimentError(Exception):
    """An experiment that a claim needs has failed; says which one and why."""


class Experiments:
    """Run experiments that have no result yet, in worker processes of one thread each, and write each result when it is done.

    Args:
        folder: of the results; made if it does not exist.
        workers: number of processes; 0 runs everything in this one.
        quick: whether this is a preview.
        seed: of weights and data, where the experiments' own settings have none.
        retry_failed: run experiments again that failed.
        tell: called as experiments end.

    Attributes:
        quick: whether this is a preview.
        seed: of weights, data and bootstrap.
        seconds: of processor time that each computation asked for took, in this run or an earlier one, by its file.
    """

    def __init__(
        self,
        folder: Path,
        workers: int,
        quick: bool = False,
        seed: int = 0,
        retry_failed: bool = False,
        tell: Told = lambda what, done, total: None,
    ) -> None:
        self.quick, self.seed = quick, seed
        self._retry, self._tell = retry_failed, tell
        self._tried: set[str] = set()
        self.seconds: dict[str, float] = {}
        self._workers = Workers(workers)
        self._points = PointFiles(folder / "points")
        self._computed = folder / "computed"
        for path in (self._points.points, self._computed):
            path.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._workers.close()

    # ---- sweeps --------------------------------------------------------------------------------------------------

    def run_sweeps(self, sweeps: Iterable[Mapping[str, Any]]) -> None:
        """Run all points of some sweeps that have no result yet, the largest first; claims ask for the tables later."""
        points = {point.key: point for sweep in sweeps for point in self._parse(sweep).points}
        self._run_points([point for point in points.values() if self._is_open(point.key, self._points.status(point))])

    def table(self, sweep: Mapping[str, Any]) -> pa.Table:
        """The rows of a sweep, one a member, in the sweep's order; points that have no result yet are run.

        Args:
            sweep: ``model``, ``settings``, ``axes`` and ``points``, as in ``configs/sweep/``.

        Raises:
            ExperimentError: where a point has failed.
            ValueError: for a mapping that is not a sweep, or a result that is not a whole table.
        """
        import pyarrow as pa

        self.run_sweeps([sweep])
        tables = []
        for point in self._parse(sweep).points:
            table = self._points.read(point)
            if table.column("status")[0].as_py() == "failed":
                where = ", ".join(f"{axis}={value!r}" for axis, value in point.axes.items())
                raise ExperimentError(f"{point.model} {where}: {table.column('error')[0].as_py()}")
            tables.append(table)
        return pa.concat_tables(unified(tables))

    def _parse(self, sweep: Mapping[str, Any]) -> Sweep:
        settings = dict(sweep.get("settings") or {})
        if "seed" not in (sweep.get("axes") or {}):
            settings.setdefault("seed", self.seed)
        return parse_sweep(dict(sweep) | {"settings": settings})

    def _run_points(self, points: list[Point]) -> None:
        from ..sweep.point import run_point

        done, total = 0.0, sum(point.cost for point in points)
        for point, outcome in self._outcomes(by_size(points), run_point):
            if isinstance(outcome, str):
                self._points.write_failure(point, outcome)
            else:
                self._points.write(point, outcome)
            self._tried.add(point.key)
            done += point.cost
            self._tell(f"{len(points)} fits", done, total)

    # ---- other computations --------------------------------------------------------------------------------------

    def compute(self, name: str, settings: Mapping[str, Any], function: Function) -> dict[str, Any]:
        """One computation other than a sweep, see :meth:`compute_many`."""
        return self.compute_many(name, [settings], function)[0]

    def compute_many(
        self, name: str, settings: Sequence[Mapping[str, Any]], function: Function
    ) -> list[dict[str, Any]]:
        """Computations that have no result yet, each in a worker process of one thread.

        Args:
            name: of the computation; with settings and renorm's version it is what a result is known by.
            settings: what ``function`` gets, JSON; ``seed`` is added where there is none. Those with a larger ``cost`` start
                first, without it they start in order.
            function: of a module, from settings to JSON.

        Returns:
            What ``function`` said, in the order of ``settings``.

        Raises:
            ExperimentError: where one has failed.
        """
        whole = [{"seed": self.seed} | dict(own) for own in settings]
        files = [self._computed / f"{digest([name, own, __version__])}.json" for own in whole]
        missing = {
            file: (function, own)
            for file, own in zip(files, whole, strict=True)
            if self._is_open(file.name, _status(file))
        }
        tasks = sorted(missing.items(), key=lambda task: -float(task[1][1].get("cost", 0)))
        done, total = 0.0, sum(_cost(own) for _, (_, own) in tasks)
        for (file, (_, own)), outcome in self._outcomes(tasks, _call):
            content = {"error": outcome} if isinstance(outcome, str) else outcome
            write_text(file, json.dumps({"name": name, "settings": own} | content))
            self._tried.add(file.name)
            done += _cost(own)
            self._tell(f"{name}: {len(tasks)} computations", done, total)
        return [self._result(file) for file in files]

    def _result(self, file: Path) -> dict[str, Any]:
        content = _read(file)
        if "error" in content:
            raise ExperimentError(f"{content['name']}: {content['error']}")
        self.seconds[file.name] = float(content.get("seconds", 0))  # results of older versions have none
        result: dict[str, Any] = content["result"]
        return result

    # ---- running -------------------------------------------------------------------------------------------------

    def _outcomes(self, tasks: list[Any], run: Callable[[Any], Any]) -> Iterable[tuple[Any, Any]]:
        if not self._workers.number:
            from ..sweep.point import prepare_worker

            prepare_worker()
        return self._workers.run(tasks, run)

    def _is_open(self, key: str, status: str) -> bool:
        """Whether to run an experiment; a failed one is tried at most once a report."""
        return status == "missing" or (status == "failed" and self._retry and key not in self._tried)


def _call(task: tuple[Path, tuple[Function, Mapping[str, Any]]]) -> dict[str, Any]:
    function, settings = task[1]
    start = time.process_time()
    result: dict[str, Any] = json.loads(json.dumps(dict(function(settings))))  # what cannot be kept fails here
    return {"result": result, "seconds": round(time.process_time() - start, 3)}


def _cost(settings: Mapping[str, Any]) -> float:
    return float(settings.get("cost", 1))


def _read(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{str(file)!r} is not a whole result ({error})", "to delete it, then it is computed again"
        ) from None
    return content


def _status(file: Path) -> str:
    if not file.exists():
        return "missing"
    return "failed" if "error" in _read(file) else "done"
