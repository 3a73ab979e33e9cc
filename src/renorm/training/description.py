"""A model in one line, for ``print(model)``."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from ..zoo.activations import keywords

if TYPE_CHECKING:
    from .stack import StackedModel

# hyperparameters that are shown even at their defaults
FIRST = ("block_size", "activation")
ALWAYS_SHOWN = (*FIRST, "symmetry", "width", "depth", "graph", "layer")


def describe(model: StackedModel) -> str:
    """The class of a model, its settings that are not defaults, and how many members and parameters it has.

    Example:
        >>> from renorm.zoo import MLP
        >>> describe(MLP(negative_slope=[0.5, 0.9]))
        "MLP(block_size=2, activation='leaky_relu', negative_slope=[0.5, 0.9], width=8, depth=1, symmetry='free'): \
2 members of 33 parameters"
    """
    defaults, of_activations = _defaults(type(model)), keywords()
    # keywords of the activation, which are the last of the base's, right after its name
    names = sorted(model.hparams, key=lambda name: 1 if name in of_activations else 2 * (name not in FIRST))
    settings = {name: model.hparams[name] for name in names}
    shown = [
        f"{name}={value!r}" for name, value in settings.items() if name in ALWAYS_SHOWN or value != defaults.get(name)
    ]
    size = sum(p.numel() for p in model.parameters()) // model.num_members
    members = f"{model.num_members} member{'s' if model.num_members > 1 else ''}"
    return f"{type(model).__name__}({', '.join(shown)}): {members} of {size} parameters"


def _defaults(cls: type) -> dict[str, Any]:
    """Defaults of the arguments of a class and its bases, those of the class itself first."""
    initialisers = [base.__dict__["__init__"] for base in reversed(cls.__mro__) if "__init__" in base.__dict__]
    return {name: p.default for init in initialisers for name, p in inspect.signature(init).parameters.items()}
