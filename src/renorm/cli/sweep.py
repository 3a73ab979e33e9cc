"""``renorm sweep``: run a sweep, or draw one."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..checks import check_at_least, check_one_of
from ..console import print_wrapped
from ..errors import InputError
from ..files.whole import one_writer
from ..progress import shown_progress
from ..sweep.config import Point, Sweep, by_size, read_sweep
from ..sweep.local_engine import Outcome, run_locally
from ..sweep.table import Folder
from .interrupt import stopped_in_words
from .options import OneLineParser

ENGINES = ("local", "ray")


def run(words: list[str]) -> None:
    """Run ``renorm sweep`` or ``renorm sweep plot``."""
    if words[1:2] == ["plot"]:
        from .sweep_plot import run as plot

        plot(words[1:])
        return
    parser = OneLineParser(
        prog="renorm sweep", description="fits over axes that cannot be stacked; see also 'sweep plot'"
    )
    parser.add_argument("--config", "-c", required=True, help="the sweep: a YAML file, or the name of one of renorm's")
    parser.add_argument("--out", help="folder of the results (default: sweeps/<name>)")
    parser.add_argument("--engine", default="local", help="local processes, or actors of a Ray cluster")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="how many (default: one a core)")
    parser.add_argument("--address", help="engine ray: a running cluster, e.g. auto (default: one on this machine)")
    parser.add_argument("--retry_failed", action="store_true", help="run failed points again")
    parser.add_argument("--dry_run", action="store_true", help="print the points and what is missing, run nothing")
    arguments = parser.parse_args(words[1:])
    check_one_of("engine", arguments.engine, ENGINES)
    check_at_least("workers", arguments.workers, 1)
    if arguments.address and arguments.engine != "ray":
        raise InputError(
            f"address={arguments.address!r} is for engine=ray; allowed with {arguments.engine!r}: no address"
        )
    sweep = read_sweep(arguments.config)
    check_points(sweep)
    if arguments.dry_run:
        print_points(sweep)
        return
    out = Path(arguments.out or f"sweeps/{sweep.name}")
    folder = Folder(out, sweep)

    def kept() -> str:
        left = sum(folder.status(point) == "missing" for point in sweep.points)
        return f"{len(sweep.points) - left} of {len(sweep.points)} points are kept"

    with one_writer(out):
        missing = points_to_run(folder, arguments.retry_failed)
        with stopped_in_words(words, kept):
            _run_all(folder, missing, arguments)
        _report(folder)


def check_points(sweep: Sweep) -> None:
    """Build every point once with few members, so that settings out of range are reported before anything runs.

    Raises:
        ValueError: naming the point and what is wrong with it.
    """
    from ..sweep.point import build

    for point in sweep.points:
        try:
            build(Point(point.model, point.settings | {"replicas": point.settings.get("replicas", 1)}, point.axes))
        except ValueError as error:
            where = ", ".join(f"{axis}={value!r}" for axis, value in point.axes.items())
            raise InputError(f"config: {error}" + (f" (at {where})" if where else "")) from None


def print_points(sweep: Sweep) -> None:
    """One line a point, in the order in which they would start."""
    for point in by_size(sweep.points):
        axes = ", ".join(f"{axis}={value!r}" for axis, value in point.axes.items())
        print_wrapped(f"{point.key}  {axes or 'the only point'}")
    print(f"{len(sweep.points)} points")


def points_to_run(folder: Folder, retry_failed: bool) -> list[Point]:
    """The points that have no result yet, the largest first, so that no worker is left with a large one at the end."""
    wanted = ("missing", "failed") if retry_failed else ("missing",)
    return by_size([point for point in folder.sweep.points if folder.status(point) in wanted])


def _run_all(folder: Folder, points: list[Point], arguments: Any) -> None:
    if not points:
        return
    done, total = 0.0, sum(point.cost for point in points)
    with shown_progress() as tell:
        tell(f"{len(points)} points", done, total)
        for point, outcome in _outcomes(points, arguments):
            if isinstance(outcome, str):
                folder.write_failure(point, outcome)
                print(f"failed: {point.key}: {outcome}", file=sys.stderr)
            else:
                folder.write(point, outcome)
            done += point.cost
            tell(f"{len(points)} points", done, total)


def _outcomes(points: list[Point], arguments: Any) -> Iterator[Outcome]:
    from ..sweep.point import run_point

    workers = min(arguments.workers, len(points))
    if arguments.engine == "local":
        return run_locally(points, workers, run_point)
    from ..sweep.ray_engine import run_on_ray

    return run_on_ray(points, workers, run_point, arguments.address)


def _report(folder: Folder) -> None:
    failed = sum(folder.status(point) == "failed" for point in folder.sweep.points)
    path = folder.collect()
    print(f"points:  {len(folder.sweep.points) - failed} done" + (f", {failed} failed" if failed else ""))
    print(f"table:   {path}")
    print(f"draw:    {shlex.join(['renorm', 'sweep', 'plot', str(folder.path), '--out', 'phase.png'])}")
