"""Plain gradient descent from scaled initial weights, with fresh blocks at every step: what theories of the flow are about."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..training.stack import StackedModel
from ..zoo.registry import create_model
from .seeded import fresh_blocks, relative_errors, training_batches


def scaled_stack(settings: Mapping[str, Any]) -> StackedModel:
    """Networks at several initial scales and strengths of weight decay; those that differ in nothing else start alike.

    Args:
        settings: ``model`` (a variant's name), ``arguments``, ``scales``, ``decays`` (one, 0, by default), ``seeds``, ``members``
            and ``seed``. All initial weights and biases of a member are multiplied by its scale.

    Returns:
        Members in the order grid x decay x scale x seed x member.
    """
    decays, scales = settings.get("decays", [0.0]), settings["scales"]
    members = settings["seeds"] * settings["members"]
    replicas = len(decays) * len(scales) * members
    model = create_model(
        settings["model"], **settings["arguments"], replicas=replicas, seed=settings["seed"], compile=False
    )
    with torch.no_grad():
        for parameter in model.parameters():
            values = parameter.view(-1, len(decays), len(scales), members, *parameter.shape[1:])
            first = values[:, :1, :1].clone()
            values.copy_(first * torch.tensor(scales).view(1, 1, -1, *[1] * (values.ndim - 3)))
    return model


def descend(model: StackedModel, settings: Mapping[str, Any]) -> Iterator[float]:
    r"""Descend by :math:`\theta \to \theta - \eta \nabla (L + \gamma |\theta|^2)`, L the mean squared error of fresh blocks.

    The time of the gradient flow is measured so that a linear network's gain grows at the rate of
    :math:`\tfrac12 E (f - y)^2`: n steps take the time :math:`2 \eta n`.

    Args:
        model: of :func:`scaled_stack`; each seed has a stream of blocks of its own.
        settings: those of :func:`scaled_stack`; ``map``, ``law`` and ``block_size`` of the blocks, ``batch``, how many a step;
            ``rate``, of learning; ``time``, to which it descends, and ``every``, the time between looks.

    Yields:
        The time, from 0 on, at each look.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decays = torch.tensor(settings.get("decays", [0.0]))
    decay = decays.repeat_interleave(len(settings["scales"]) * settings["seeds"] * settings["members"])
    decay = decay.repeat(model.num_members // len(decay))
    rate, stride = settings["rate"], max(1, round(settings["every"] / settings["rate"] / 2))
    batches = training_batches(model.num_members, settings)
    last = math.ceil(settings["time"] / rate / 2 / stride) * stride
    for step in range(last + 1):
        if step % stride == 0:
            yield 2 * rate * step
        if step == last:
            return
        x, y = next(batches)
        (model(x) - y).square().mean(dim=-1).sum().backward()
        with torch.no_grad():
            for parameter in parameters:
                assert parameter.grad is not None
                parameter.mul_(1 - 2 * rate * decay.view(-1, *[1] * (parameter.ndim - 1)))
                parameter.sub_(parameter.grad, alpha=rate)
                parameter.grad = None


@torch.no_grad()
def linear_errors(model: StackedModel) -> tuple[Tensor, Tensor]:
    r"""Gain and error of linear networks of one hidden layer on blocks of independent variables of mean 0 and variance 1.

    With :math:`f(x) = v \cdot x + c` and the target :math:`u \cdot x`, :math:`|u| = 1`, the gain is :math:`v \cdot u`, and the
    error, relative to the variance of the target, :math:`|v - u|^2 + c^2`. It is exact for every such law.

    Returns:
        Gain and error, shape ``(M,)`` each, float64.

    Example:
        >>> model = create_model("mlp_linear_free")
        >>> gain, error = linear_errors(model)
        >>> bool(error >= (1 - gain) ** 2)
        True
    """
    (weight, bias), (readout, offset) = (
        (w.double(), torch.zeros_like(w[..., 0]).double() if b is None else b.double()) for w, b in model.dense()
    )
    v = (readout @ weight)[:, 0]
    c = (readout @ bias.unsqueeze(-1))[:, 0, 0] + offset[:, 0]
    target = v.new_full((v.shape[-1],), v.shape[-1] ** -0.5)
    return v @ target, (v - target).square().sum(dim=1) + c.square()


def crossing_times(times: NDArray[np.float64], errors: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """When errors first fall below a threshold, logarithmically interpolated; infinite where they never do.

    Args:
        times: shape ``(T,)``.
        errors: shape ``(T, ...)``.
        threshold: which one.

    Example:
        >>> crossing_times(np.array([0.0, 1.0, 2.0]), np.array([[1.0, 1.0], [0.1, 0.9], [0.01, 0.8]]), 0.1**0.5)
        array([0.5, inf])
    """
    below = errors < threshold
    after = below.argmax(axis=0)
    before = np.maximum(after - 1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (np.log(np.take_along_axis(errors, i[None], 0)[0]) for i in (before, after))
        share = np.where(after > 0, (first - math.log(threshold)) / (first - second), 0.0)
    found: NDArray[np.float64] = times[before] + share * (times[after] - times[before])
    return np.where(below.any(axis=0), found, np.inf)


def learning_times(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train, and say when errors fall below thresholds.

    Args:
        settings: those of :func:`descend`; ``thresholds`` of the error relative to the variance of the target; ``rows``, how many
            fresh blocks of the training law, and as many mirror images, the error is measured on.

    Returns:
        ``times``: a list a threshold, grid x scale x seed x member, at most the time of the descent.
    """
    model = scaled_stack(settings)
    shape = (-1, len(settings["scales"]), settings["seeds"], settings["members"])
    x, y = fresh_blocks(settings["law"], dict(settings) | {"mirrored": True})
    looks = [(time, relative_errors(model, x, y).view(shape).numpy()) for time in descend(model, settings)]
    times, errors = np.array([time for time, _ in looks]), np.stack([error for _, error in looks])
    return {
        "times": [
            crossing_times(times, errors, threshold).clip(max=times[-1]).tolist()
            for threshold in settings["thresholds"]
        ]
    }
