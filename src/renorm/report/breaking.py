r"""How far networks of one hidden layer are from symmetric ones, over training: in their weights, and in what they compute.

The symmetric weights :math:`\{\theta : \theta = P\theta\}` of a group are a subspace. Hidden units have no order: a
symmetry which pairs them, as oddness does, has one subspace for each pairing, and the distance is that to the nearest.

Source:
    Ziyin, Xu, Poggio and Chuang, arXiv 2502.05300.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..training.stack import StackedModel
from .kinks import Units, units_of
from .seeded import axes_of, fresh_blocks, make_stack, relative_errors, train_stack

PROBES = 256  # blocks on which outputs are compared with those of transformed blocks


def follow_symmetries(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train, and measure the distances to symmetric networks at each stop.

    Args:
        settings: those of :func:`renorm.report.seeded.train_seeds`; a stop of 0 is the start.

    Returns:
        ``distances``: name -> stop x scale x rate x seed x member; see :func:`all_distances`. ``errors``: law -> the same of the
        last stop.
    """
    model = make_stack(settings)
    shape = axes_of(settings)
    x, _ = fresh_blocks(settings["law"], dict(settings) | {"rows": PROBES, "mirrored": False})
    looks = [all_distances(model, x) for _ in train_stack(model, settings)]
    errors = {law: relative_errors(model, *fresh_blocks(law, settings)) for law in settings["tests"]}
    return {
        "distances": {name: torch.stack([look[name] for look in looks]).view(-1, *shape).tolist() for name in looks[0]},
        "errors": {law: error.nan_to_num(nan=torch.inf).view(shape).tolist() for law, error in errors.items()},
    }


@torch.no_grad()
def all_distances(model: StackedModel, x: Tensor) -> dict[str, Tensor]:
    """Relative squared distances of every member, shape ``(M,)``: of all weights, of the layers, and of the function.

    Args:
        model: networks of one hidden layer on blocks of two.
        x: blocks on which the function is looked at, shape ``(N, 2)``.

    Returns:
        The symmetry, see :func:`distances`; symmetry and layer, ``input, first layer`` and so on; and symmetry and ``function``:
        the mean square of the part of the output that changes under it, over that of the output.
    """
    units = units_of(model)
    first = torch.cat([units.weight, units.bias.unsqueeze(-1)], dim=-1)
    found = distances(units)
    found["input, first layer"] = spread_over_columns(units.weight) / first.square().sum(dim=(1, 2))
    found["hidden, first layer"] = spread_over_units(first) / first.square().sum(dim=(1, 2))
    last = units.readout.unsqueeze(-1)
    found["hidden, readout"] = spread_over_units(last) / last.square().sum(dim=(1, 2))
    out = model(x).double()
    for name, other in (("odd", -model(-x).double()), ("input", model(x.flip(-1)).double())):
        found[f"{name}, function"] = ((out - other) / 2).square().mean(dim=-1) / out.square().mean(dim=-1)
    return {name: values.nan_to_num(nan=1.0) for name, values in found.items()}


def distances(units: Units) -> dict[str, Tensor]:
    r"""Squared distance of all weights and biases to the nearest symmetric ones, :math:`|\theta - P\theta|^2 / |\theta|^2`.

    Args:
        units: the networks, an even number of units on blocks of two.

    Returns:
        ``input``, ``hidden``, ``full``, ``odd``, ``odd_input``, and ``odd_input_reflected``, the conjugate of ``odd_input`` in
        which the first variable has its sign changed; shape ``(M,)`` each.

    Example:
        >>> weight = torch.tensor([[[1.0, 1.0], [-1.0, -1.0]]])
        >>> pair = Units(weight, torch.zeros(1, 2), torch.tensor([[0.5, -0.5]]), torch.zeros(1))
        >>> {name: round(float(value), 3) for name, value in distances(pair).items()}
        {'input': 0.0, 'hidden': 1.0, 'full': 1.0, 'odd': 0.0, 'odd_input': 0.0, 'odd_input_reflected': 0.889}
    """
    rows = torch.cat([units.weight, units.bias.unsqueeze(-1), units.readout.unsqueeze(-1)], dim=-1)
    size = rows.square().sum(dim=(1, 2)) + units.offset.square()
    reflected = units.weight * units.weight.new_tensor([-1.0, 1.0])
    columns, wrong_columns = spread_over_columns(units.weight), spread_over_columns(reflected)
    tied = units.weight.mean(dim=-1, keepdim=True).expand_as(units.weight)
    wrongly_tied = reflected.mean(dim=-1, keepdim=True).expand_as(reflected)
    with_tied = torch.cat([tied, rows[..., 2:]], dim=-1)
    with_wrongly_tied = torch.cat([wrongly_tied, rows[..., 2:]], dim=-1)
    offset = units.offset.square()
    found = {
        "input": columns,
        "hidden": spread_over_units(rows),
        "full": columns + spread_over_units(with_tied),
        "odd": odd_distance(rows) + offset,
        "odd_input": columns + odd_distance(with_tied) + offset,
        "odd_input_reflected": wrong_columns + odd_distance(with_wrongly_tied) + offset,
    }
    return {name: value / size for name, value in found.items()}


def spread_over_columns(weight: Tensor) -> Tensor:
    """Squared distance of weights ``(M, H, b)`` from those whose columns are equal, shape ``(M,)``."""
    return (weight - weight.mean(dim=-1, keepdim=True)).square().sum(dim=(1, 2))


def spread_over_units(rows: Tensor) -> Tensor:
    """Squared distance of units ``(M, H, parts)`` from equal ones, shape ``(M,)``."""
    return (rows - rows.mean(dim=1, keepdim=True)).square().sum(dim=(1, 2))


def odd_distance(rows: Tensor) -> Tensor:
    r"""Squared distance of units to the nearest that are odd in pairs, :math:`w' = -w, b' = b, a' = -a`, over all pairings.

    Args:
        rows: weights, bias and readout of each unit, shape ``(M, H, b + 2)``, H even.

    Returns:
        Shape ``(M,)``.
    """
    sign = rows.new_full((rows.shape[-1],), -1.0)
    sign[-2] = 1.0
    cost = (rows.unsqueeze(2) - (rows * sign).unsqueeze(1)).square().sum(dim=-1) / 2
    pairings = torch.from_numpy(all_pairings(rows.shape[1]))
    totals = cost[:, pairings[..., 0], pairings[..., 1]].sum(dim=-1)
    return totals.amin(dim=-1)


def all_pairings(count: int) -> NDArray[np.int64]:
    """All ways to pair an even number of things, shape ``(ways, count / 2, 2)``.

    Example:
        >>> all_pairings(4).tolist()
        [[[0, 1], [2, 3]], [[0, 2], [1, 3]], [[0, 3], [1, 2]]]
    """

    def ways(left: list[int]) -> Iterator[list[tuple[int, int]]]:
        if not left:
            yield []
        for i, partner in enumerate(left[1:], start=1):
            rest = left[1:i] + left[i + 1 :]
            yield from ([(left[0], partner), *others] for others in ways(rest))

    return np.array(list(itertools.chain(ways(list(range(count))))))
