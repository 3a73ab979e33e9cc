"""Networks that learn the CLT map: stacked members, symmetries, activations, the registry.

Everything is imported on first use: ``renorm zoo list`` needs no PyTorch.
"""

from typing import TYPE_CHECKING

if __name__ != "renorm.zoo":
    raise ImportError("this folder is the package renorm.zoo: import it by that name")

from ..lazy import on_first_use

if TYPE_CHECKING:
    from ..training.losses import clt_map
    from ..training.stack import StackedModel
    from .activations import Activation, list_activations
    from .gnn import GNN
    from .mlp import MLP
    from .module_stack import ModuleStack
    from .symmetry import Symmetry, list_symmetries

__all__ = [
    "GNN",
    "MLP",
    "Activation",
    "ModuleStack",
    "StackedModel",
    "Symmetry",
    "clt_map",
    "list_activations",
    "list_symmetries",
]

_HOMES = {"Activation": ".activations", "list_activations": ".activations", "clt_map": "..training.losses"}
_HOMES |= {"Symmetry": ".symmetry", "list_symmetries": ".symmetry", "ModuleStack": ".module_stack"}
_HOMES |= {"StackedModel": "..training.stack", "MLP": ".mlp", "GNN": ".gnn"}

__getattr__, __dir__ = on_first_use(__name__, _HOMES)
