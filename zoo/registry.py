"""Named variants of the zoo: ``mlp_<activation>_<symmetry>`` and ``gnn_<layer>_<activation>_<symmetry>``."""

from __future__ import annotations

import difflib
import fnmatch
import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..pretrained import manifest
from .symmetry.graphs import GRAPH_SYMMETRIES, HOPS, symmetries_of
from .symmetry.symmetry import describe, list_symmetries

if TYPE_CHECKING:
    from ..training.stack import StackedModel

PREFIXES = ("mlp_", "gnn_")  # of the names


@dataclass(frozen=True)
class Variant:
    """One named architecture.

    Attributes:
        name: ``mlp_<activation>_<symmetry>``, ``gnn_<layer>_<activation>_<symmetry>`` or ``gnn_sage_max_<activation>_free``, with
            what is fixed behind it.
        class_path: where the model's class is.
        arguments: what sets the variant apart, for its constructor.
        description: one line.
    """

    name: str
    class_path: str
    arguments: dict[str, Any] = field(default_factory=dict)
    description: str = ""


def _variants() -> dict[str, Variant]:
    from .activations import find, list_activations

    found = []
    for activation in list_activations():
        summary = (find(activation).__doc__ or activation).strip().partition("\n")[0].rstrip(".")
        for symmetry in list_symmetries():
            arguments = {"activation": activation, "symmetry": symmetry}
            found += _with_fixed_parts(
                f"mlp_{activation}_{symmetry}", "MLP", arguments, f"{summary}; {describe(symmetry)}"
            )
    for layer in HOPS:
        for activation in list_activations():
            summary = (find(activation).__doc__ or activation).strip().partition("\n")[0].rstrip(".")
            for symmetry in symmetries_of(layer):
                arguments = {"layer": layer, "activation": activation, "symmetry": symmetry}
                meaning = f"{layer} on a pair of nodes; {summary}; {GRAPH_SYMMETRIES[symmetry].meaning}"
                found += _with_fixed_parts(f"gnn_{layer}_{activation}_{symmetry}", "GNN", arguments, meaning)
        if layer == "sage":
            found += _of_the_largest()
    return {variant.name: variant for variant in found}


def _of_the_largest() -> list[Variant]:
    """Graph networks that take the largest message: one layer stands for graph_conv and sage, which are the same then."""
    from .activations import find, list_activations

    variants = []
    for activation in list_activations():
        summary = (find(activation).__doc__ or activation).strip().partition("\n")[0].rstrip(".")
        arguments = {"layer": "sage", "aggregation": "max", "activation": activation, "symmetry": "free"}
        meaning = f"sage on a pair of nodes, max in place of mean; {summary}; {GRAPH_SYMMETRIES['free'].meaning}"
        variants += _with_fixed_parts(f"gnn_sage_max_{activation}_free", "GNN", arguments, meaning)
    return variants


def _with_fixed_parts(name: str, model: str, arguments: dict[str, Any], meaning: str) -> list[Variant]:
    """A variant, and for splines those that train the splines or the weights only."""
    class_path = f"renorm.zoo.{model}"
    found = [Variant(name, class_path, arguments, meaning)]
    if arguments["activation"] == "spline":
        note = f"{meaning}; weights stay at their initial values"
        found.append(Variant(f"{name}_fixed_weights", class_path, arguments | {"weights": "fixed"}, note))
        note = f"{meaning}; splines stay at their initial shape"
        found.append(Variant(f"{name}_fixed_spline", class_path, arguments | {"spline": "fixed"}, note))
    return found


def list_models(pattern: str | None = None, pretrained: bool = False) -> list[str]:
    """Names of all registered variants, or of all entries with trained weights, ``arch.tag``.

    Args:
        pattern: shell-style pattern, e.g. ``"*_full"``; all names by default.
        pretrained: names for :func:`renorm.load_pretrained`.

    Raises:
        ValueError: for a pattern that is not a string.

    Example:
        >>> list_models("mlp_relu_f*")
        ['mlp_relu_free', 'mlp_relu_full']
        >>> list_models("mlp_relu_free.g*", pretrained=True)
        ['mlp_relu_free.gaussian']
    """
    if pattern is not None and not isinstance(pattern, str):
        raise InputError(f"pattern={pattern!r} is not a string", 'a shell-style pattern, e.g. "*_full"')
    if pretrained:
        return manifest.pretrained_names(pattern)
    names = list(_variants())
    return names if pattern is None else fnmatch.filter(names, pattern)


def find_variant(name: str) -> Variant:
    """The variant of a name.

    Raises:
        ValueError: where there is none, with the closest names.
    """
    variants = _variants()
    if not isinstance(name, str) or name not in variants:
        close = difflib.get_close_matches(str(name), variants, n=3)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise InputError(f"model={name!r} is unknown", f"the names of 'renorm zoo list'{hint}")
    return variants[name]


def create_model(name: str, **overrides: Any) -> StackedModel:
    """Build a registered variant.

    Args:
        name: see :func:`list_models`.
        **overrides: constructor arguments that replace the variant's own.

    Raises:
        ValueError: for an unknown name or a bad argument.

    Example:
        >>> model = create_model("mlp_quadratic_full", width=8, replicas=16)
        >>> model.num_members
        16
    """
    variant = find_variant(name)
    module, _, cls = variant.class_path.rpartition(".")
    model_class = getattr(importlib.import_module(module), cls)
    arguments = variant.arguments | overrides
    try:
        model: StackedModel = model_class(**arguments)
    except TypeError as error:
        raise InputError(f"model={name!r} does not take these arguments: {error}") from None
    return model
