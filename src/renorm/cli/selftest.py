"""``renorm selftest``: run every check, print one table, and say what to do about each failure."""

from __future__ import annotations

import logging
import math
import platform
import time
import warnings
from typing import NamedTuple

import torch
from rich.table import Table

from .. import __version__
from ..checks import check_one_of
from ..console import print_table, print_wrapped
from ..errors import InputError
from ..progress import shown_steps
from ..selftest.checks import CHECKS, Check
from .options import OneLineParser

DEVICES = ("auto", "cpu", "cuda")


class Outcome(NamedTuple):
    """The result of a check; ``problem`` is the text of the error where the check could not run."""

    check: Check
    deviation: float
    seconds: float
    problem: str | None

    @property
    def status(self) -> str:
        """``ok``, ``FAILED``, or ``skipped`` where there is nothing to compare with."""
        if self.problem is not None:
            return "FAILED"
        if math.isnan(self.deviation):
            return "skipped"
        return "ok" if self.deviation <= self.check.tolerance else "FAILED"


def run(words: list[str]) -> int:
    """Run ``renorm selftest``; returns 0 where every check is ok, else 1."""
    parser = OneLineParser(
        prog="renorm selftest",
        description="does this machine compute what it should? Takes under a minute; exit code 1 where a check failed",
    )
    parser.add_argument(
        "--device", default="auto", help=f"{', '.join(DEVICES)} (default: auto, the GPU if there is one)"
    )
    arguments = parser.parse_args(words[1:])
    device = find_device(arguments.device)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    outcomes = []
    with warnings.catch_warnings(), shown_steps() as show:
        warnings.simplefilter("ignore")
        for number, check in enumerate(CHECKS, start=1):
            show(f"{number} of {len(CHECKS)}, {check.name}")
            outcomes.append(measured(check, device))
    print_outcomes(outcomes, device)
    return int(any(outcome.status == "FAILED" for outcome in outcomes))


def find_device(name: str) -> torch.device:
    """The device with a name.

    Raises:
        ValueError: for another name, or a GPU that is not there.
    """
    check_one_of("device", name, DEVICES)
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise InputError("device='cuda' is not there (torch.cuda.is_available() is false)", "auto, cpu")
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def measured(check: Check, device: torch.device) -> Outcome:
    """Run one check; an exception counts as its result."""
    start = time.perf_counter()
    try:
        deviation, problem = check.measure(device), None
    except Exception as error:
        deviation, problem = math.inf, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return Outcome(check, deviation, time.perf_counter() - start, problem)


def print_outcomes(outcomes: list[Outcome], device: torch.device) -> None:
    """Print one row a check, then advice on failures."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print_wrapped(
        f"renorm {__version__}, torch {torch.__version__}, Python {platform.python_version()}, {device.type} ({where})"
    )
    table = Table("check", "", box=None, pad_edge=False)
    for heading in ("deviation", "allowed", "seconds"):
        table.add_column(heading, justify="right")
    for check, deviation, seconds, problem in outcomes:
        status = Outcome(check, deviation, seconds, problem).status
        shown = "" if math.isnan(deviation) else f"{deviation:.1e}"
        table.add_row(check.name, status, shown, f"{check.tolerance:.0e}", f"{seconds:.1f}")
    print_table(table, ("seconds", "allowed"))
    for outcome in outcomes:
        if outcome.status == "FAILED":
            said = f" ({outcome.problem})" if outcome.problem else ""
            print_wrapped(f"{outcome.check.name}{said}: {outcome.check.advice}")
    failed = sum(outcome.status == "FAILED" for outcome in outcomes)
    print_wrapped(f"{failed} of {len(outcomes)} checks FAILED" if failed else f"all {len(outcomes)} checks ok")
