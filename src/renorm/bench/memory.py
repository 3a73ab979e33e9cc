"""Memory of a training step, as counted by PyTorch's profiler, and peak memory of the process."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile


def step_memory(step: Callable[[], Any]) -> int:
    """Most bytes that the tensors made during a call hold at once, whatever the process held before.

    The profiler tells every tensor's memory as it is taken and given back, to the byte and the same at each call; resident
    memory would depend on what earlier work left with the allocator.

    Example:
        >>> step_memory(lambda: torch.zeros(1000) + torch.zeros(1000))
        12000
    """
    with _silent_stderr(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    memory = [event for event in events if event.get("name") == "[memory]"]
    held: dict[int, int] = {}
    most = 0
    for event in sorted(memory, key=lambda event: event["ts"]):
        address, size = event["args"]["Addr"], event["args"]["Bytes"]
        if size > 0:
            held[address] = size
            most = max(most, sum(held.values()))
        else:
            held.pop(address, None)  # absent where it was allocated before the call
    return most


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """The profiler's library writes when it starts and stops, past Python and past its own log level."""
    sys.stderr.flush()
    own = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(own, 2)
        os.close(own)


def peak_memory() -> float:
    """Peak memory of this process, GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
