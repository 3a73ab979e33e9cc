"""All architectures by name: those of renorm, and every ``StackedModel`` of your own, which is known by being defined."""

from __future__ import annotations

from ..own_code import find_class, subclasses
from ..training.stack import OWN_NAMES, StackedModel
from . import gnn, mlp, module_stack  # noqa: F401  # defined here, and so known

RENORM = "renorm."


def architectures() -> dict[str, type[StackedModel]]:
    """Name and class of every architecture, renorm's own first; of two classes of one name, the one defined last.

    Example:
        >>> list(architectures())[:3]
        ['MLP', 'GNN', 'ModuleStack']
    """
    found = {cls.__name__: cls for cls in _defined()}
    return {name: found[name] for name in OWN_NAMES if name in found} | found


def find_architecture(path: str) -> type[StackedModel] | None:
    """The class that a config, a checkpoint or a manifest names; None where no such class is defined.

    Args:
        path: ``MLP``, or with the module that a class was imported from or defined in, ``renorm.zoo.MLP``.

    Raises:
        ValueError: where several classes of your own have the name, and none of them the path.

    Example:
        >>> find_architecture("renorm.zoo.MLP").__name__, find_architecture("elsewhere.MLP")
        ('MLP', None)
    """
    return find_class("model", path, _defined(), any_module=True)


def known_names() -> str:
    """The names of all architectures, for messages."""
    return ", ".join(architectures())


def _defined() -> list[type[StackedModel]]:
    """Every subclass, in the order of definition; a class that was refused for its name may linger, and does not count."""
    return [
        cls for cls in subclasses(StackedModel) if cls.__name__ not in OWN_NAMES or cls.__module__.startswith(RENORM)
    ]
