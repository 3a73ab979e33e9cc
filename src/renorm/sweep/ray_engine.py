"""The engine on a Ray cluster: actors that live as long as the sweep, one core each."""

from __future__ import annotations

import contextlib
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import InputError
from .config import Point
from .local_engine import DIED, Columns, Outcome, attempt


def run_on_ray(
    points: list[Point], workers: int, run: Callable[[Point], Columns], address: str | None = None
) -> Iterator[Outcome]:
    """Run points on Ray actors, and yield each as it ends; an actor that dies costs its own point only.

    Args:
        points: in the order in which they start.
        workers: number of actors.
        run: what to do with a point.
        address: of a running cluster, such as ``auto`` or ``10.0.0.1:6379``; by default one starts on this machine.

    Raises:
        ValueError: where Ray is not installed, or the cluster cannot be reached.
    """
    # must be there before Ray starts its processes, which inherit it
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise InputError("engine='ray' needs Ray", "engine=local, or pip install 'renorm[sweep]'") from None
    _connect(ray, workers, address)
    make = ray.remote(num_cpus=1, max_restarts=0, runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}})(Runner)
    try:
        waiting, busy = deque(points), dict[Any, tuple[Any, Point]]()
        while waiting and len(busy) < workers:
            _hand_out(busy, make.remote(), waiting.popleft(), run)
        while busy:
            (ready,), _ = ray.wait(list(busy))
            actor, point = busy.pop(ready)
            try:
                outcome: Columns | str = ray.get(ready)
            except ray.exceptions.RayActorError:
                outcome, actor = DIED, None
            if waiting:
                _hand_out(busy, actor or make.remote(), waiting.popleft(), run)
            yield point, outcome
    finally:
        ray.shutdown()


class Runner:
    """An actor: what a worker process is to the local engine."""

    def __init__(self) -> None:
        from .point import prepare_worker

        prepare_worker()

    def run(self, run: Callable[[Point], Columns], point: Point) -> Columns | str:
        """One point, in the actor."""
        return attempt(run, point)


def _hand_out(busy: dict[Any, tuple[Any, Point]], actor: Any, point: Point, run: Callable[[Point], Columns]) -> None:
    busy[actor.run.remote(run, point)] = (actor, point)


def _connect(ray: Any, workers: int, address: str | None) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is not None:
        try:
            ray.init(address=address, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"address={address!r} reaches no Ray cluster ({reason})", "auto, or host:port") from None
        return
    # a Ray cluster has no authentication: listen on loopback only, without a dashboard
    with contextlib.suppress(KeyError):
        del os.environ["RAY_ADDRESS"]
    ray.init(num_cpus=workers, include_dashboard=False, _node_ip_address="127.0.0.1", **options)
