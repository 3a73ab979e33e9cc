"""Named variants of the zoo: ``mlp_<activation>_<symmetry>``, built from the registered activations and symmetries."""

from __future__ import annotations

import difflib
import fnmatch
import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .symmetry import SYMMETRIES

if TYPE_CHECKING:
    from .base import StackedModel


@dataclass(frozen=True)
class Variant:
    """One named architecture.

    Attributes:
        name: ``mlp_<activation>_<symmetry>``, with what is fixed behind it.
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
        for symmetry, meaning in SYMMETRIES.items():
            name = f"mlp_{activation}_{symmetry}"
            arguments = {"activation": activation, "symmetry": symmetry}
            found.append(Variant(name, "renorm.zoo.MLP", arguments, f"{summary}; {meaning}"))
            if activation == "spline":
                fixed_weights = arguments | {"weights": "fixed"}
                note = f"{summary}; {meaning}; weights stay at their initial values"
                found.append(Variant(f"{name}_fixed_weights", "renorm.zoo.MLP", fixed_weights, note))
                fixed_spline = arguments | {"spline": "fixed"}
                note = f"{summary}; {meaning}; splines stay at their initial shape"
                found.append(Variant(f"{name}_fixed_spline", "renorm.zoo.MLP", fixed_spline, note))
    return {variant.name: variant for variant in found}


def list_models(pattern: str | None = None) -> list[str]:
    """Names of all registered variants.

    Args:
        pattern: shell-style pattern, e.g. ``"*_full"``; all names by default.

    Example:
        >>> list_models("mlp_relu_f*")
        ['mlp_relu_free', 'mlp_relu_full']
    """
    names = list(_variants())
    return names if pattern is None else fnmatch.filter(names, pattern)


def find_variant(name: str) -> Variant:
    """The variant of a name.

    Raises:
        ValueError: where there is none, with the closest names.
    """
    variants = _variants()
    if name not in variants:
        close = difflib.get_close_matches(name, variants, n=3)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ValueError(f"model={name!r} is unknown; allowed: the names of 'renorm zoo list'{hint}")
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
        raise ValueError(f"model={name!r} does not take these arguments: {error}") from None
    return model
