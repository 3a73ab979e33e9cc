"""Train networks with learnable splines, which start bent or straight, and keep errors, non-linearity and the splines' shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..training.stack import StackedModel
from ..zoo.activations.spline import Spline
from .nonlinearity import layer_indices
from .seeded import axes_of, fresh_blocks, make_stack, relative_errors, train_stack

PROBES = 512  # blocks under which non-linearity is measured
INDEX, NETWORK = "index", "index of the network"  # of the hidden layer, and of the whole network; kept among the errors


def train_splines(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train one variant, and measure it at every stop.

    Args:
        settings: those of :func:`renorm.report.seeded.train_seeds`; and ``start``, ``bent`` (smooth ReLUs, as in the zoo) or
            ``straight`` (the identity, with the same noise).

    Returns:
        ``errors``: law -> errors as of :func:`renorm.report.seeded.train_seeds`, and in the same form the non-linearity indices
        under the training law, :data:`INDEX` and :data:`NETWORK`; ``shapes``: those of one member at each stop, see
        :func:`shapes`.
    """
    model = make_stack(settings)
    if settings["start"] == "straight":
        straighten(model)
    shape = (1, *axes_of(settings))
    tests = {law: fresh_blocks(law, settings) for law in settings["tests"]}
    probes = fresh_blocks(settings["law"], dict(settings) | {"rows": PROBES})[0]
    found: dict[str, list[Any]] = {name: [] for name in (*tests, INDEX, NETWORK)}
    drawn = []
    for _ in train_stack(model, settings):
        for law, (x, y) in tests.items():
            found[law].append(relative_errors(model, x, y).nan_to_num(nan=torch.inf).view(shape).tolist())
        indices = layer_indices(
            model.double_copy(), probes.double(), probes.new_full((len(probes),), 1 / len(probes)).double()
        )
        for name, layer in ((INDEX, "act0"), (NETWORK, "out")):
            found[name].append(indices[layer].nan_to_num(nan=1.0).view(shape).tolist())
        drawn.append(shapes(model, probes))
    return {"errors": found, "shapes": drawn}


@torch.no_grad()
def straighten(model: StackedModel) -> None:
    """Start from the identity in place of the ReLU, with the same noise."""
    for spline in model.modules():
        if isinstance(spline, Spline):
            spline.theta.add_((spline.greville - spline.greville.clamp(min=0.0)).to(spline.theta))


@torch.no_grad()
def shapes(model: StackedModel, x: Tensor, points: int = 61) -> dict[str, Any]:
    """The activations of the first hidden layer of the first member, as curves, with where its network uses them.

    Args:
        model: the stack.
        x: blocks of the training law, shape ``(N, b)``.
        points: of a curve.

    Returns:
        ``z``: shape ``(points,)``; ``phi``: unit x point; ``low`` and ``high``: the range of each unit's pre-activation.
    """
    activation: Any = model.activations[0]  # type: ignore[index]
    units = len(activation.units)
    z = torch.linspace(-4, 4, points)
    phi = activation(z.expand(model.num_members, units, -1))[0]
    used = model.trace(x)["pre0"][0]
    return {
        "z": z.tolist(),
        "phi": phi.tolist(),
        "low": used.amin(dim=-1).tolist(),
        "high": used.amax(dim=-1).tolist(),
    }
