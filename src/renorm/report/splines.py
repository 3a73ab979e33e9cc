"""Train networks with learnable splines, and keep errors, non-linearity and the splines' shapes over training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..datamodules import CLTDataModule
from ..datamodules.laws.quadrature import block_rule
from ..training.stack import StackedModel
from .fits import errors_of, fit
from .nonlinearity import error_outside, nonlinearity


def train_splines(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train one variant, and measure it at every stop.

    Args:
        settings: see :func:`renorm.report.fits.fit`; and ``drawn``, how many members' splines are kept.

    Returns:
        ``trained`` and ``held_out`` errors, ``index`` and ``network``, the non-linearity of the hidden layer and of the whole
        network under the training law, and ``index_wide``, the former under the widest held-out law, each stop x
        member; ``laws``: law -> error at the end; ``outside``: law -> error from
        blocks inside the training law's support, and outside it, and the share of blocks outside; ``shapes``: see :func:`shapes`.
    """
    last = settings["stops"][-1]

    def look(model: StackedModel, data: CLTDataModule, step: int) -> dict[str, Any]:
        errors = errors_of(model, data)
        law = data.train_laws[0]
        index = nonlinearity(model, law)
        widest = max(data.held_out_laws, key=lambda other: float(other.cumulants(2)[1]))
        row = {
            "trained": errors["trained"],
            "held_out": errors["held_out"],
            "index": index["act0"].tolist(),
            "network": index["out"].tolist(),
            "index_wide": nonlinearity(model, widest)["act0"].tolist(),
            "shapes": shapes(model, data, settings.get("drawn", 1)),
        }
        if step == last:
            low, high = law.support()
            parts = {str(other): error_outside(model, other, low, high) for other in data.held_out_laws}
            row["laws"] = errors["laws"]
            row["outside"] = {name: [a.tolist(), b.tolist(), share] for name, (a, b, share) in parts.items()}
        return row

    rows = fit(settings, look)
    series = ("trained", "held_out", "index", "network", "index_wide", "shapes")
    found: dict[str, Any] = {name: [row[name] for row in rows] for name in series}
    return found | {"laws": rows[-1]["laws"], "outside": rows[-1]["outside"]}


@torch.no_grad()
def shapes(model: StackedModel, data: CLTDataModule, members: int, points: int = 61) -> dict[str, Any]:
    """The activations of the first hidden layer of some members, as curves, with where their networks use them.

    Returns:
        ``z``: shape ``(points,)``; ``phi``: member x unit x point; ``low`` and ``high``: the range of each unit's
        pre-activation under the training law, member x unit.
    """
    twin = model.double_copy()
    activation: Any = twin.activations[0]  # type: ignore[index]
    units = len(activation.units)
    z = torch.linspace(-4, 4, points, dtype=torch.float64)
    phi: Tensor = activation(z.expand(model.num_members, units, -1))[:members]
    x, _ = block_rule(data.train_laws[0], model.block_size)
    used = twin.trace(x)["pre0"][:members]
    return {
        "z": z.tolist(),
        "phi": phi.tolist(),
        "low": used.amin(dim=-1).tolist(),
        "high": used.amax(dim=-1).tolist(),
    }
