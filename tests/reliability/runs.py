"""Fits in processes that can be killed: forked from a server that has imported everything, they start in milliseconds."""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

from renorm.cli import main

from ..composing import composed_only

Preparation = Callable[[], None]

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.preload"])


def start(
    words: Sequence[str | Path],
    log: Path,
    prepare: Preparation | None = None,
    seconds: int = 120,
    draws: bool = False,
) -> BaseProcess:
    """Run the command line in a process of its own; what it prints goes to a file, which is written anew.

    Args:
        words: the command and its arguments.
        log: file for standard output and standard error.
        prepare: called in the process before anything else.
        seconds: after which the process says where it hangs.
        draws: whether it draws its figures for TensorBoard, or only composes them.
    """
    process = CONTEXT.Process(target=_run, args=([str(word) for word in words], str(log), prepare, seconds, draws))
    process.start()
    return process


def run(
    words: Sequence[str | Path],
    log: Path,
    prepare: Preparation | None = None,
    seconds: int = 120,
    draws: bool = False,
) -> int:
    """Like :func:`start`, to its end; returns the exit code, negative for a signal."""
    process = start(words, log, prepare, seconds, draws)
    process.join(seconds)
    assert process.exitcode is not None, log.read_text()
    return process.exitcode


def run_group(words: Sequence[str | Path], log: Path, size: int) -> list[int]:
    """Run the command line in several processes that train together, started as torchrun starts them; their exit codes."""
    port = free_port()
    words = [*words, "--trainer.devices", str(size), "--trainer.accelerator", "cpu", "--trainer.strategy", "ddp"]
    logs = [log.with_suffix(f".{rank}") for rank in range(size)]
    group = [start(words, logs[rank], functools.partial(join_group, rank, size, port)) for rank in range(size)]
    for process in group:
        process.join(120)
    codes = [process.exitcode for process in group]
    for process in group:
        process.kill()
    assert None not in codes, [path.read_text() for path in logs]
    log.write_text("".join(path.read_text() for path in logs))
    return [code for code in codes if code is not None]


def free_port() -> int:
    """A port for processes that train together."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def join_group(rank: int, size: int, port: int) -> None:
    """Tell this process, as torchrun does, its place among those that train together."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "GROUP_RANK": 0}
    os.environ |= {name: str(value) for name, value in place.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "tests"}


def _run(words: list[str], log: str, prepare: Preparation | None, seconds: int, draws: bool) -> None:
    with open(log, "wb", buffering=0) as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    faulthandler.dump_traceback_later(seconds - 10, exit=True)
    torch.set_num_threads(1)
    if prepare is not None:
        prepare()
    with contextlib.nullcontext() if draws else composed_only():
        sys.exit(main(words))


def events(run: Path) -> list[tuple[str, int, bytes]]:
    """Tag, step and value of everything that stands in a run's event files, however often it does."""
    found = []
    for path in sorted(run.glob("events.out.tfevents.*")):
        # a file may end in the middle of a record
        with contextlib.suppress(Exception):
            for event in LegacyEventFileLoader(str(path)).Load():
                found += [(v.tag, event.step, v.SerializeToString()) for v in event.summary.value]
    return found


def scalars(run: Path) -> list[tuple[str, int, bytes]]:
    """What of :func:`events` are numbers, sorted by tag and step."""
    return sorted(
        (tag, step, value) for tag, step, value in events(run) if not tag.startswith(("_hparams_", "custom_scalars"))
    )


def load(path: Path) -> dict[str, Any]:
    """A checkpoint."""
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


def assert_equal(here: Any, there: Any, where: str = "") -> None:
    """Nested dicts and lists of tensors and numbers are equal, bit by bit."""
    assert type(here) is type(there), where
    if isinstance(here, dict):
        assert here.keys() == there.keys(), where
        for key in here:
            assert_equal(here[key], there[key], f"{where}/{key}")
    elif isinstance(here, list | tuple):
        assert len(here) == len(there), where
        for index, (one, other) in enumerate(zip(here, there, strict=True)):
            assert_equal(one, other, f"{where}/{index}")
    elif isinstance(here, torch.Tensor):
        assert torch.equal(here, there), where
    else:
        assert here == there, where
