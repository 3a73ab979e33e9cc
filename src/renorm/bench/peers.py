"""Other programs that train the same stack: JAX, where it is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ..errors import InputError
from .loops import renorm_fit, stack
from .measure import Row, row_of

PEERS = ("jax",)
# members -> goal: how many times JAX's speed a step of a fit must have
JAX_GOALS = {1: 1 / 5, 64: 1.0, 1024: 4.0, 4096: 4.0}
PROGRAM = Path(__file__).with_name("jax_steps.py")


def interpreter(peer: str) -> str:
    """The Python of a peer, ``jax`` or ``jax=PYTHON`` for that of another environment.

    Raises:
        InputError: for another peer, or where JAX cannot be imported there.
    """
    name, _, python = peer.partition("=")
    if name not in PEERS:
        raise InputError(f"peers={peer!r} is unknown", "jax, or jax=PYTHON of an environment that has it")
    python = python or sys.executable
    try:
        found = subprocess.run([python, "-c", "import jax"], capture_output=True, check=False).returncode == 0
    except OSError:
        found = False
    if not found:
        raise InputError(f"peers={peer!r}: {python} cannot import jax", "pip install jax, or jax=PYTHON that has it")
    return python


def jax_seconds(python: str, members: list[int], budget: float) -> dict[int, float]:
    """Seconds of a step in JAX for each number of members."""
    words = [python, str(PROGRAM), str(budget), *map(str, members)]
    lines = subprocess.run(words, capture_output=True, check=True, text=True).stdout.splitlines()
    return {int(size): float(seconds) for size, seconds in (line.split() for line in lines)}


def measure_jax(python: str, rounds: int, steps: int, budget: float) -> list[Row]:
    """A step of a fit against JAX's, in turns."""
    own: dict[int, list[float]] = {members: [] for members in JAX_GOALS}
    other: dict[int, list[float]] = {members: [] for members in JAX_GOALS}
    for _ in range(rounds):
        found = jax_seconds(python, list(JAX_GOALS), budget)
        for members, seconds in found.items():
            own[members].append(renorm_fit(stack(members), steps))
            other[members].append(seconds)
    return [
        row_of(f"fit of {members}, a step", own[members], "JAX", other[members], goal)
        for members, goal in JAX_GOALS.items()
    ]
