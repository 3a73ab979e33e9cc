"""The weight matrices of named modules as a chain of axes, and the symmetric subspaces that generators give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from ..errors import InputError
from ..zoo.symmetry.orbits import GroupElement, Orbits
from ..zoo.symmetry.symmetry import check_group, network_group, orbits_of, subspaces
from .hooked_network import HookedNetwork, affine_maps, find_modules

# names of registered symmetries, or group elements, of one group without a name or of several with names
Generators: TypeAlias = str | Sequence[str] | list[GroupElement] | Mapping[str, list[GroupElement]]

UNNAMED = "own"  # what a group without a name is called in tags


def named_weights(network: HookedNetwork, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
    """The weight ``(M, out, in)`` of every named module that has a matrix, in the order of their definition.

    Weights that a module makes of others, as spectral norms do, are those of evaluation mode, and reading them changes nothing.

    Args:
        network: whose modules.
        layers: names, with wildcards; None for every affine map of vectors, such as ``nn.Linear``.

    Raises:
        InputError: for names without a weight matrix.
    """
    module = network.module
    chosen = affine_maps(module) if layers is None else find_modules(module, layers, called=False)
    with network.undisturbed():
        found = {name: matrix for name, one in chosen.items() if (matrix := _matrix(one, network)) is not None}
    for name in chosen:
        if name in (layers or ()) and name not in found:
            raise InputError(f"layers={name!r} has no weight of shape (out, in)", "modules such as nn.Linear")
    if not found:
        raise InputError(f"layers={layers} of {type(module).__name__} have no weight (out, in)", "such as nn.Linear")
    return found


def _matrix(module: Any, network: HookedNetwork) -> Tensor | None:
    weight = _weight(module)
    if isinstance(weight, nn.Module):  # the weight of a stack's layer, with its ties
        weight = weight()
    if not isinstance(weight, Tensor):
        return None
    if is_lazy(weight):
        raise InputError(
            f"layers: {type(module).__name__} has no weights before its first batch", "pass one through it"
        )
    if weight.ndim == 2 and network.num_members == 1 and not network.is_stack:
        return weight.unsqueeze(0)
    return weight if weight.ndim == 3 and network.is_stack else None


def _weight(module: nn.Module) -> Any:
    """The weight as the next pass will have it: hooks of norms and of pruning make it only then."""
    kept = dict(vars(module))
    try:
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm | SpectralNorm | BasePruningMethod):
                hook(module, ())
        return getattr(module, "weight", None)
    finally:
        vars(module).update(kept)


def sizes_of(weights: Mapping[str, Tensor]) -> list[int]:
    """Length of every axis of the chain: the first layer's inputs, then each layer's outputs.

    Raises:
        InputError: for layers that do not follow one another.

    Example:
        >>> import torch
        >>> sizes_of({"hidden": torch.zeros(1, 8, 2), "head": torch.zeros(1, 3, 8)})
        [2, 8, 3]
    """
    sizes: list[int] = []
    for name, weight in weights.items():
        if sizes and weight.shape[2] != sizes[-1]:
            raise InputError(
                f"layers: {name!r} has {weight.shape[2]} inputs, the one before it {sizes[-1]} outputs",
                "layers that follow one another, named in layers=[...]",
            )
        sizes += [weight.shape[1]] if sizes else [weight.shape[2], weight.shape[1]]
    return sizes


def generated_subspaces(generators: Generators | None, sizes: list[int]) -> dict[str, list[Orbits]]:
    """Orbits of every layer's weight under each symmetry.

    Args:
        generators: see :data:`Generators`; None for all registered symmetries that fit.
        sizes: length of every axis.

    Raises:
        InputError: for what does not act on axes of these sizes, or moves no weight.

    Example:
        >>> import numpy as np
        >>> from renorm.zoo.symmetry.orbits import SignedPermutation
        >>> swap = {0: SignedPermutation(np.array([1, 0]))}
        >>> generated_subspaces({"swap": [swap]}, [2, 1])["swap"][0].index.tolist()
        [[0, 0]]
    """
    if generators is None:
        return subspaces(sizes)
    found = {}
    for name, group in _groups(generators, sizes).items():
        found[name] = [weight for weight, _ in orbits_of(group, sizes)]
        if all(weight.is_free for weight in found[name]):
            raise InputError(f"generators={name!r} move no weight of layers with the sizes {sizes}", "some that do")
    return found


def check_generators(generators: Any) -> None:
    """Refuse what :data:`Generators` does not list.

    Raises:
        InputError: naming its type.
    """
    named = generators.values() if isinstance(generators, Mapping) else [generators]
    elements = [one for group in named for one in (group if isinstance(group, list | tuple) else [group])]
    fits = elements and all(isinstance(one, dict | str) for one in elements)
    if generators is not None and not fits:
        raise InputError(
            f"generators={generators!r} is a {type(generators).__name__}",
            "names of symmetries, a list of group elements {axis: SignedPermutation}, or {name: such a list}",
        )


def _groups(generators: Generators, sizes: list[int]) -> dict[str, list[GroupElement]]:
    if isinstance(generators, Mapping):
        return {name: check_group(name, group, sizes) for name, group in generators.items()}
    if isinstance(generators, str):
        generators = [generators]
    names = [one for one in generators if isinstance(one, str)]
    if len(names) == len(generators):
        return {name: network_group(name, sizes) for name in names}
    return {UNNAMED: check_group(UNNAMED, list(generators), sizes)}
