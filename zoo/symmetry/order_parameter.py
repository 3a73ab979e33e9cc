"""How far weights are from a symmetric subspace: an order parameter of symmetry breaking, and its statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..layers import project
from .orbits import Orbits

if TYPE_CHECKING:
    from ...training.stack import StackedModel


class OrderParameter(NamedTuple):
    r"""Statistics of an order parameter :math:`m \ge 0` over members.

    Attributes:
        mean: :math:`\langle m \rangle`.
        variance: :math:`\langle m^2 \rangle - \langle m \rangle^2`, unbiased; NaN for one member.
        binder: Binder cumulant :math:`1 - \langle m^4 \rangle / (3 \langle m^2 \rangle^2)`: 2/3 where all members agree, 0
            where m is Gaussian about 0; NaN where m is 0 everywhere.
    """

    mean: float
    variance: float
    binder: float


def order_parameter(values: Tensor) -> OrderParameter:
    """Statistics over members, of those that have not diverged.

    Args:
        values: one number a member, shape ``(M,)``.

    Source:
        Binder, Zeitschrift für Physik B 43 (1981) 119.

    Example:
        >>> order_parameter(torch.tensor([0.5, 0.5, 0.5])).binder
        0.6666666666666667
    """
    m = values[values.isfinite()].double()
    if len(m) == 0:
        return OrderParameter(np.nan, np.nan, np.nan)
    variance = float(m.var()) if len(m) > 1 else np.nan
    second = m.square().mean()
    return OrderParameter(float(m.mean()), variance, float(1 - (m**4).mean() / (3 * second.square())))


def asymmetry(weight: Tensor, orbits: Orbits) -> Tensor:
    r"""Relative distance of a weight from its nearest symmetric one, :math:`|W - P W| / |W|`, between 0 and 1.

    Args:
        weight: one matrix a member, shape ``(M, out, in)``.
        orbits: orbits of its entries under the symmetry, whose projector is :math:`P`.

    Returns:
        Shape ``(M,)``, float64; NaN for a weight that is 0.

    Example:
        >>> from renorm.zoo.symmetry.symmetry import layer_orbits
        >>> tied = layer_orbits("input", [2, 1, 1])[0][0]
        >>> asymmetry(torch.tensor([[[1.0, 1.0]], [[1.0, -1.0]]]), tied)
        tensor([0., 1.], dtype=torch.float64)
    """
    weight = weight.double()
    broken = (weight - project(weight, orbits)).flatten(1).norm(dim=1)
    relative: Tensor = broken / weight.flatten(1).norm(dim=1)
    return relative


def asymmetries(
    model: StackedModel, subspaces: dict[str, dict[str, Orbits]] | None = None
) -> dict[str, dict[str, Tensor]]:
    """Asymmetry of every member, by layer and symmetry; NaN for members that have diverged.

    Args:
        model: the stack.
        subspaces: those of :func:`subspaces_by_layer`, for those who have them already.

    Example:
        >>> from renorm.zoo import MLP
        >>> {layer: list(found) for layer, found in asymmetries(MLP(symmetry="full", width=3)).items()}
        {'pre0': ['input', 'hidden', 'full'], 'out': ['hidden']}
    """
    if subspaces is None:
        subspaces = subspaces_by_layer(model)
    if not subspaces:  # of an architecture that may have no such weights at all
        return {}
    with torch.no_grad():
        weights = model.tied_weights()
        named = dict(zip(layer_names(len(weights)), weights, strict=True))
        return asymmetries_of(named, subspaces, model.divergence.exclude)


def asymmetries_of(
    weights: Mapping[str, Tensor], subspaces: Mapping[str, Mapping[str, Orbits]], exclude: Callable[[Tensor], Tensor]
) -> dict[str, dict[str, Tensor]]:
    """Asymmetry of named weights, by layer and symmetry.

    Args:
        weights: layer -> one matrix a member, shape ``(M, out, in)``.
        subspaces: layer -> symmetry -> orbits.
        exclude: puts NaN in the place of members that have diverged.
    """
    return {
        layer: {
            symmetry: exclude(asymmetry(weights[layer].detach(), orbits).cpu())
            for symmetry, orbits in by_symmetry.items()
        }
        for layer, by_symmetry in subspaces.items()
    }


def layer_names(count: int) -> list[str]:
    """Names of the affine layers, after what they compute.

    Example:
        >>> layer_names(3)
        ['pre0', 'pre1', 'out']
    """
    return [*(f"pre{i}" for i in range(count - 1)), "out"]


def subspaces_by_layer(model: StackedModel) -> dict[str, dict[str, Orbits]]:
    """For every affine layer, the symmetries that tie its weight, each subspace once, by the first name it goes by."""
    by_symmetry = model.symmetric_subspaces()
    return by_layer(layer_names(len(next(iter(by_symmetry.values()), ()))), by_symmetry)


def by_layer(names: Sequence[str], subspaces: Mapping[str, Sequence[Orbits]]) -> dict[str, dict[str, Orbits]]:
    """The symmetries that tie each layer's weight, each subspace once, by the first name it goes by.

    Args:
        names: of the layers.
        subspaces: symmetry -> orbits of each layer's weight.
    """
    layers: dict[str, dict[str, Orbits]] = {}
    for symmetry, orbits_by_layer in subspaces.items():
        for layer, orbits in zip(names, orbits_by_layer, strict=True):
            found = layers.setdefault(layer, {})
            if not orbits.is_free and not any(same_orbits(orbits, other) for other in found.values()):
                found[symmetry] = orbits
    return {layer: found for layer, found in layers.items() if found}


def same_orbits(one: Orbits, other: Orbits) -> bool:
    """Whether two symmetries tie a tensor in the same way."""
    return np.array_equal(one.index, other.index) and np.array_equal(one.sign, other.sign)
