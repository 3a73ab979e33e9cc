"""Train variants and ask whether what they learned is a renormalisation-group step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from .. import maps
from ..cumulants import rg_flow
from ..datamodules import laws
from ..training.stack import StackedModel
from .seeded import ROWS, axes_of, fresh_blocks, make_stack, relative_errors, spectrum_errors, train_stack

BLOWN_UP = 1e100
CURVES = ("k2", "k3", "k4", "distance")


def train_flows(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train as :func:`renorm.report.seeded.train_seeds`, then follow the flow of every member and take its spectrum.

    Args:
        settings: those of :func:`train_seeds`, with one stop; and ``start``, the standardised law at which the flow starts,
            ``steps`` and ``samples`` of the flow, and the highest ``order`` of the spectrum and its ``nodes``, of
            quadrature, a variable.

    Returns:
        ``errors``: the training law's, and ``eigenvalue`` (the largest relative error of one), ``eigenvalue 0``, ... (each
        by itself), ``variance`` (relative difference from the exact map's after the flow) and ``distance`` (Wasserstein
        distance to the Gaussian over the exact map's), all step x grid x scale x rate x seed x member. ``curves``: medians over
        the members of a seed, scale x rate x seed x step of the flow; ``exact``: those of the exact map.
    """
    model = make_stack(settings)
    tests = {law: fresh_blocks(law, settings) for law in settings["tests"]}
    list(train_stack(model, settings))  # to the last stop
    found = {law: relative_errors(model, x, y) for law, (x, y) in tests.items()}
    twin = model.double_copy().requires_grad_(False)
    wrong = spectrum_errors(twin, maps.parse(settings["map"]), settings["order"], settings["nodes"])[1]
    found |= {"eigenvalue": wrong.amax(dim=1)} | {f"eigenvalue {n}": row for n, row in enumerate(wrong.mT)}
    generator = torch.Generator().manual_seed(settings["seed"] + 1)
    start = laws.parse(settings["start"]).sample((settings["samples"],), generator=generator)
    start = start - start.mean()  # which even the exact map would let grow by a factor of sqrt(2) a step
    flow = rg_flow(InRows(twin), start.double(), settings["steps"], generator=generator)
    curves = dict(zip(CURVES, (*flow.k[:, 1:4].unbind(1), flow.wasserstein), strict=True))
    exact = dict(zip(CURVES, (*flow.exact_k[:, 1:4].unbind(1), flow.exact_wasserstein), strict=True))
    found["variance"] = (curves["k2"][-1] / exact["k2"][-1] - 1).abs()
    found["distance"] = curves["distance"][-1] / exact["distance"][-1]
    shape = axes_of(settings)
    return {
        # a flow that blows up is infinitely wrong, and sums of what it has become must not overflow
        "errors": {name: finite(values).view(1, 1, *shape).tolist() for name, values in found.items()},
        "curves": {
            name: finite(values.T.reshape(*shape, -1)).median(dim=-2).values.tolist() for name, values in curves.items()
        },
        "exact": {name: values.tolist() for name, values in exact.items()},
    }


def finite(values: Tensor) -> Tensor:
    """Values, with infinity for what is not a number or has blown up."""
    values = values.nan_to_num(nan=torch.inf)
    return torch.where(values.abs() > BLOWN_UP, torch.inf, values)


class InRows:
    """A stack that evaluates a part of its members' blocks at a time, for many members.

    Args:
        model: the stack.
    """

    def __init__(self, model: StackedModel) -> None:
        self._model, self.block_size, self.num_members = model, model.block_size, model.num_members

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The stack's."""
        return self._model.parameters()

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs ``(M, N)`` on blocks ``(M, N, b)``."""
        return torch.cat([self._model(part) for part in torch.split(x, ROWS, dim=-2)], dim=-1)
