"""Gradient alignment over training: do the members of a stack move together, and are they pulled to one solution?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..datamodules import CLTDataModule
from .alignment import Networks, agreement, descent, distinct, frustration, networks_of, pulls
from .curves import recorded_steps
from .fits import make_model, train

SOLUTIONS = 12  # at most: free networks end in as many places as there are members


def gradient_alignment(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train leaky-ReLU networks of one hidden layer, then compare their gradients on the way with where they ended.

    Args:
        settings: ``symmetry``, ``width``, ``negative_slope``, ``replicas``, ``steps``, ``records``, ``samples``, ``seed``.

    Returns:
        ``steps``; at each of them ``agreement``, mean cosine of a member's descent with the others', and ``frustration``, how
        much the pulls of the solutions cancel, a list over members; ``solutions``, how many distinct ones.
    """
    names = ("symmetry", "width", "negative_slope", "replicas", "seed")
    model = make_model("mlp_leaky_relu_free", **{name: settings[name] for name in names}, compile=False)
    data = CLTDataModule(seed=settings["seed"], eval_batch_size=settings["samples"], val_samples=settings["samples"])
    x = data.batch("val", 0, 0, law=data.train_laws[0]).x
    steps = recorded_steps(settings["steps"], settings["records"])
    path: list[tuple[Networks, Networks]] = []
    for _ in train(model, data, steps):
        path.append((networks_of(model), descent(model, x)))
    chosen = distinct(path[-1][0])
    kept = chosen[:SOLUTIONS]
    ends = Networks(path[-1][0].units[kept], path[-1][0].offset[kept])
    return {
        "steps": steps[:-1],
        "agreement": [_rounded(agreement(*there)) for there in path[:-1]],
        "frustration": [_rounded(frustration(*pulls(*there, ends))) for there in path[:-1]],
        "solutions": len(chosen),
    }


def _rounded(values: Tensor) -> list[float | None]:
    return [None if torch.isnan(value) else round(float(value), 6) for value in values]
