"""The measurements of ``renorm bench``: goals, scaling with size, shares of the time, and drift over a long run."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from lightning.pytorch import Callback
from torch import Tensor

from ..callbacks import CumulantDiagnostics, Generalization, RGFlow, SymmetryBreaking
from ..datamodules import CLTDataModule
from ..zoo import GNN, MLP, StackedModel
from .loops import (
    BATCH,
    bare_forward,
    bare_step,
    fit_clock,
    plain_lightning,
    plain_pytorch,
    renorm_fit,
    seconds_of,
    stack,
)
from .memory import step_memory

# members -> goals: how many times cheaper a member-step is than a step of plain Lightning, and of plain PyTorch
GOALS: dict[int, tuple[float, float | None]] = {1: (1, None), 64: (100, 25), 1024: (1000, 200)}
GNN_GOAL = 3.0
OTHER_GOAL = 300  # of the other networks at 1024 members, against plain Lightning
GROWTH: dict[str, list[int]] = {
    "members": [1, 4, 16, 64, 256, 1024, 4096, 16384],
    "width": [4, 8, 16, 32, 64, 128, 256],
    "depth": [1, 2, 4, 8],
    "batch": [64, 256, 1024, 4096],
}
QUICK_GROWTH: dict[str, list[int]] = {"members": [1, 64, 1024], "width": [4, 16], "depth": [1, 2], "batch": [64, 256]}
CONVERGED_STEPS = 20_000
DEFAULT_EPOCH = 200  # steps
# steps between two validations with all diagnostics; None is training alone
EPOCHS: tuple[int | None, ...] = (None, 200, 2000, 5000, 10_000)
OF_AN_EPOCH = ("validation", "callbacks")  # parts that are not part of a step
LEAST_TRAINING = 0.7  # goal: share of training in a default epoch, with its validation and all diagnostics
MOST_SAMPLING, MOST_OVERHEAD = 0.1, 0.3  # goals: shares of sampling, and of Lightning and callbacks together

Row = dict[str, Any]


def measure_goals(rounds: int, steps: int) -> list[Row]:
    """Costs side by side, in turns, as medians of the ratios of each round."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, seconds in _one_round(steps):
            found.setdefault(name, []).append(seconds)
    rows = []
    for members, (lightning, pytorch) in GOALS.items():
        own = [seconds / members for seconds in found[f"fit {members}"]]
        for against, goal in (("plain Lightning", lightning), ("plain PyTorch", pytorch)):
            if goal is not None:
                rows.append(row_of(f"fit of {members}, a member-step", own, against, found[against], goal))
    gnn = [seconds / 1024 for seconds in found["gnn 1024"]]
    mlp = [seconds / 1024 for seconds in found["fit 1024"]]
    row = row_of("GNN pair, fit of 1024, a member-step", gnn, "the MLP's", mlp, GNN_GOAL)
    rows.append(
        row | {"ratio": 1 / row["ratio"], "reached": bool(1 / row["ratio"] <= GNN_GOAL), "goal": f"<= {GNN_GOAL:g}"}
    )
    return rows


def others() -> dict[str, StackedModel]:
    """Stacks of 1024 other networks; those whose activations are a library's loops are not compiled."""
    plain: dict[str, Any] = {"activation": "leaky_relu", "replicas": 1024}
    kinds: dict[str, Callable[..., StackedModel]] = {
        "2-8-8-1": lambda **options: MLP(**plain | options, depth=2),
        "splines": lambda **options: MLP(**plain | options | {"activation": "spline"}),
        "tanh": lambda **options: MLP(**plain | options | {"activation": "tanh"}),
        "gelu": lambda **options: MLP(**plain | options | {"activation": "gelu"}),
        "GNN on a ring of 8": lambda **options: GNN(**plain | options, block_size=8, graph="ring"),
    }
    return {name: make(compile=make().fuses) for name, make in kinds.items()}


def measure_others(rounds: int, steps: int) -> list[Row]:
    """A member-step of other networks against plain Lightning's 2-8-1, in turns."""
    lightning: list[float] = []
    own: dict[str, list[float]] = {}
    for _ in range(rounds):
        lightning.append(plain_lightning(steps))
        for name, model in others().items():
            own.setdefault(name, []).append(renorm_fit(model, steps) / 1024)
    return [
        row_of(f"{name}, fit of 1024, a member-step", seconds, "plain Lightning", lightning, OTHER_GOAL)
        for name, seconds in own.items()
    ]


def _one_round(steps: int) -> Iterator[tuple[str, float]]:
    yield "plain Lightning", plain_lightning(steps)
    yield "plain PyTorch", plain_pytorch(steps)
    for members in GOALS:
        yield f"fit {members}", renorm_fit(stack(members), steps)
    yield "gnn 1024", renorm_fit(GNN(activation="leaky_relu", replicas=1024, compile=True), steps)


def row_of(name: str, own: list[float], against: str, other: list[float], goal: float) -> Row:
    """One row: medians of both, and of the ratios of each round."""
    ratio = statistics.median(b / a for a, b in zip(own, other, strict=True))
    return {
        "what": name,
        "seconds": statistics.median(own),
        "against": against,
        "seconds_against": statistics.median(other),
        "ratio": ratio,
        "goal": f">= {goal:g}",
        "reached": bool(ratio >= goal),
    }


def measure_growth(sizes: dict[str, list[int]], budget: float) -> list[Row]:
    """Time and memory of a step without Lightning, as one size grows and the others stay at 64 members of 2-8-1."""
    rows = []
    for axis, values in sizes.items():
        for value in values:
            members = value if axis == "members" else 64
            own: Row = {axis: value} if axis in ("width", "depth") else {}
            batch = value if axis == "batch" else BATCH
            step = bare_step(stack(members, **own), batch)
            seconds = seconds_of(step, budget)
            rows.append({"axis": axis, "value": value, "seconds": seconds, "bytes": step_memory(step)})
    return rows


def slopes(rows: list[Row]) -> dict[str, float]:
    """Exponent of time against each axis over its upper half, where fixed costs no longer matter."""
    found = {}
    for axis in dict.fromkeys(row["axis"] for row in rows):
        points = [(row["value"], row["seconds"]) for row in rows if row["axis"] == axis]
        upper = np.log(points[len(points) // 2 - (len(points) < 4) :])
        found[str(axis)] = float(np.polyfit(upper[:, 0], upper[:, 1], 1)[0])
    return found


def measure_parts(members: int, steps: int, budget: float) -> dict[str, float]:
    """Seconds a step of sampling, forward, backward, optimiser and Lightning, and an epoch of validation and callbacks.

    Lightning's part is what a fit's step takes beyond the same step in a bare loop, in turns; validation is what it takes to
    compute outputs and losses on every law, and callbacks what their metrics and diagnostics add.
    """
    model, data, numbers = stack(members), CLTDataModule(batch_size=BATCH), itertools.count()
    forward, optimizer = bare_forward(model, BATCH)

    def draw() -> Tensor:
        return data.batch("train", 0, next(numbers)).x

    def update() -> None:
        draw()
        model.optimizer_zero_grad(0, 0, optimizer)
        forward().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    update()
    parts = {"sampling": seconds_of(draw, budget), "forward": seconds_of(forward, budget)}
    both = seconds_of(lambda: forward().backward(), budget)  # type: ignore[no-untyped-call]
    parts |= {"backward": both - parts["forward"], "optimiser": seconds_of(optimizer.step, budget)}
    pairs = [(renorm_fit(stack(members), steps), seconds_of(update, budget)) for _ in range(3)]
    parts["Lightning"] = max(0.0, statistics.median(fit - bare for fit, bare in pairs))
    core = [Generalization(), CumulantDiagnostics(), SymmetryBreaking(), RGFlow()]
    training, validated, diagnosed = (
        _epoch_seconds(members, callbacks, validate) for callbacks, validate in (([], False), ([], True), (core, True))
    )
    return parts | {
        "validation": max(0.0, validated - training),
        "callbacks": max(0.0, diagnosed - max(validated, training)),
    }


def _epoch_seconds(members: int, callbacks: list[Callback], validate: bool) -> float:
    """Seconds an epoch, from the second to the one before the last: figures are drawn at every fifth, and at the end."""
    data = CLTDataModule(batch_size=BATCH, steps_per_epoch=DEFAULT_EPOCH)
    clock = fit_clock(stack(members), 7 * DEFAULT_EPOCH + 1, *callbacks, validate=validate, datamodule=data)
    return (clock.stamps[6 * DEFAULT_EPOCH - 1] - clock.stamps[DEFAULT_EPOCH - 1]) / 5


def shares_of(parts: dict[str, float], epoch: int | None) -> dict[str, float]:
    """Share of each part in the time of a run with a validation and all diagnostics after every ``epoch`` steps.

    Example:
        >>> shares_of({"forward": 1.0, "validation": 100.0, "callbacks": 200.0}, epoch=100)
        {'forward': 0.25, 'validation': 0.25, 'callbacks': 0.5}
    """
    a_step = {
        name: seconds if name not in OF_AN_EPOCH else seconds / epoch if epoch else 0.0
        for name, seconds in parts.items()
    }
    total = sum(a_step.values())
    return {name: seconds / total for name, seconds in a_step.items()}


def share_of_training(parts: dict[str, float], epoch: int | None) -> float:
    """Share of all that is not validation and callbacks.

    Example:
        >>> share_of_training({"forward": 1.0, "validation": 50.0, "callbacks": 50.0}, epoch=100)
        0.5
    """
    return 1 - sum(share for name, share in shares_of(parts, epoch).items() if name in OF_AN_EPOCH)


def measure_convergence(members: int, steps: int) -> float:
    """Time of the last tenth of a long run over the first: members converge, and must not slow down."""
    clock = fit_clock(
        stack(members),
        steps,
        datamodule=CLTDataModule(batch_size=BATCH, steps_per_epoch=steps),
    )
    tenth = steps // 10
    first = clock.stamps[tenth] - clock.stamps[tenth // 10]
    return (clock.stamps[-1] - clock.stamps[-1 - (tenth - tenth // 10)]) / first
