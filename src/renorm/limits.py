"""Limits of size: what fits this machine's memory, and whether settings can belong to the weights of a checkpoint.

A file or a flag of a few bytes may ask for a network of any size. Estimates are lower bounds: what is refused cannot work.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import InputError

FLOAT = 4  # bytes of float32
OF_MEMBER = 1000  # bytes: its row in the table of members, and its generator of random numbers
OF_LAYER = 10_000  # bytes: modules and their buffers
CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
UNKNOWN_MEMORY = 2.0**40  # of a system that does not say
DEEPEST = 10_000  # hidden layers: more take minutes to build, and no initialisation of ours trains them
MOST_MEMBERS = 2**20  # each has a row in a table and a generator of random numbers: a million take minutes to build
OF_ENTRY = 24  # bytes: which free weight an entry of a weight matrix is, and its sign; once for all members
MOST = 2.5e7  # entries of the weight matrices of one member, where ties leave few free weights: a width of 5000


def check_sizes(settings: dict[str, Any], weights: int) -> None:
    """Refuse settings that no checkpoint with so many weights can have.

    Args:
        settings: arguments of the model.
        weights: how many numbers its tensors hold.

    Raises:
        ValueError: naming the setting, its value and what is allowed.

    Example:
        >>> check_sizes({"width": 8, "depth": 2}, weights=100)
        >>> check_sizes({"width": 1_000_000_000}, weights=100)
        Traceback (most recent call last):
        ...
        renorm.errors.InputError: width=1000000000 does not fit 100 weights
    """
    settings = _with_activation(settings)
    # every member, layer and knot has a weight of its own
    for name in ("replicas", "depth", "knots"):
        if not _number(settings, name, 0) <= weights + 100:
            raise InputError(f"{name}={settings[name]!r} does not fit {weights} weights")
    if not _entries(settings) <= MOST + 100 * weights:
        raise InputError(f"{_largest_side(settings)} does not fit {weights} weights")


@functools.cache
def memory() -> float:
    """Bytes of memory that this machine has, or that this process may use of it."""
    try:
        found = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        found = UNKNOWN_MEMORY
    for path in CGROUPS:
        try:
            found = min(found, float(Path(path).read_text()))
        except (OSError, ValueError):  # none there, or "max"
            continue
    return found


def check_memory(sizes: Mapping[str, float], needed: float) -> None:
    """Refuse what cannot fit into memory, before anything of it is made.

    Args:
        sizes: settings on which it depends; the largest is named.
        needed: bytes, at least.

    Raises:
        ValueError: with the estimate.

    Example:
        >>> check_memory({"width": 8}, 1000)
        >>> check_memory({"width": 10**12, "depth": 1}, 3e24)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        renorm.errors.InputError: width=1000000000000 needs at least 3e+12 TB of memory; ...
    """
    if needed > memory():
        largest = max(sizes, key=lambda name: sizes[name])
        raise InputError(
            f"{largest}={sizes[largest]!r} needs at least {readable(needed)} of memory",
            f"smaller {', '.join(sizes)}, to fit {readable(memory())}",
        )


def readable(size: float) -> str:
    """A number of bytes in decimal units.

    Example:
        >>> readable(25_300_000_000), readable(3e24)
        ('25.3 GB', '3e+12 TB')
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def check_model(settings: Mapping[str, Any], members: int) -> None:
    """Refuse a stack whose weights, their gradients, or table of members cannot fit into memory.

    Args:
        settings: arguments of the model.
        members: how many networks it has.

    Raises:
        ValueError: with the estimate.
    """
    settings = _with_activation(settings)
    depth, knots = max(_number(settings, "depth", 1), 0), max(_number(settings, "knots", 0), 0)
    if depth > DEEPEST:
        raise InputError(f"depth={settings['depth']!r} is out of range", f"up to {DEEPEST} hidden layers")
    entries = _entries(settings)
    needed = members * (OF_MEMBER + 2 * FLOAT * (entries + knots)) + depth * OF_LAYER + 40 * knots**2
    needed += OF_ENTRY * entries
    names = ("width", "depth", "block_size", "knots", "replicas")
    check_memory({name: settings[name] for name in names if _number(settings, name, 0)}, needed)
    # no checkpoint of tied weights is read beyond it, so that none is trained
    if settings.get("symmetry") != "free" and entries > MOST:
        raise InputError(
            f"{_largest_side(settings)}: {entries:.3g} weights before any are tied is out of range", f"up to {MOST:.3g}"
        )
    if members > MOST_MEMBERS:
        replicas = settings.get("replicas")
        raise InputError(
            f"replicas={replicas!r}: {members} members is out of range", f"up to {MOST_MEMBERS} in a stack"
        )


def check_samples(samples: int, name: str = "samples") -> None:
    """Refuse more samples than memory holds.

    Raises:
        ValueError: with the estimate.
    """
    check_memory({name: samples}, 2.0 * FLOAT * samples)


def check_blocks(settings: Mapping[str, int]) -> None:
    """Refuse batches, and outputs of a validation or test, that cannot fit into memory.

    Args:
        settings: arguments of the data.

    Raises:
        ValueError: with the estimate.
    """
    for samples in ("val_samples", "test_samples"):
        rows = min(settings["eval_batch_size"], settings[samples])
        sizes = {name: settings[name] for name in (samples, "eval_batch_size", "block_size")}
        check_memory(sizes, FLOAT * (1.0 * rows * settings["block_size"] + 2.0 * settings[samples]))
    sizes = {name: settings[name] for name in ("batch_size", "block_size")}
    check_memory(sizes, 1.0 * FLOAT * settings["batch_size"] * settings["block_size"])


def check_outputs(members: int, data: Mapping[str, int]) -> None:
    """Refuse a stack whose outputs on one batch, or on the samples of a law, cannot fit into memory.

    Args:
        members: how many networks it has.
        data: arguments of the data.

    Raises:
        ValueError: with the estimate.
    """
    for name in ("batch_size", "val_samples", "test_samples"):
        check_memory({name: data[name], "members": members}, 1.0 * FLOAT * members * data[name])


def training_memory(trained: float, hidden: float) -> float:
    """What a step of training holds: weights, their gradients, two states of the optimiser, and hidden values for the gradient.

    Adam has two states of a weight, and so is taken for all; hidden values are kept before and after the activation.

    Args:
        trained: bytes of the trained weights.
        hidden: bytes of the hidden units' values on one batch, where they are kept.

    Example:
        >>> training_memory(trained=1000, hidden=500)
        5000
    """
    return 4 * trained + 2 * hidden


def check_training(settings: Mapping[str, Any], batch_size: int, trained: float, hidden: float) -> None:
    """Refuse a training whose step does not fit into memory, before the first one.

    Args:
        settings: arguments of the model.
        batch_size: blocks of a step.
        trained: bytes of the trained weights.
        hidden: bytes of the hidden units' values on one batch, where they are kept.

    Raises:
        ValueError: with the estimate.
    """
    names = [name for name in ("width", "depth", "block_size", "replicas") if _number(settings, name, 0)]
    sizes = {name: settings[name] for name in names} | {"batch_size": batch_size}
    check_memory(sizes, training_memory(trained, hidden))


def _with_activation(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a model and of its activation, which may stand in ``activation_args`` instead."""
    nested = settings.get("activation_args")
    given = {name: value for name, value in settings.items() if value is not None}
    return {**(nested if isinstance(nested, dict) else {}), **given}


def _entries(settings: Mapping[str, Any]) -> float:
    """Entries of the weight matrices of one member, at least, with all ties written out.

    A member of width ``w``, depth ``d`` and blocks of ``b`` has ``b w + (d - 1) w^2 + w``; a graph has ``b^2`` edges.

    Example:
        >>> _entries({"width": 8, "depth": 2, "block_size": 4})
        104.0
    """
    width, depth, block = (
        max(_number(settings, name, default), 0.0) for name, default in (("width", 1), ("depth", 1), ("block_size", 2))
    )
    return width + max(depth - 1, 0) * width**2 + (block**2 if "graph" in settings else block * width)


def _largest_side(settings: Mapping[str, Any]) -> str:
    largest = max(("width", "block_size"), key=lambda name: _number(settings, name, 0))
    return f"{largest}={settings.get(largest)!r}"


def _number(settings: Mapping[str, Any], name: str, default: float) -> float:
    """A setting as a float; what is not a number is refused where the model is built."""
    value = settings.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    try:
        return float(value)
    except OverflowError:
        return math.inf
