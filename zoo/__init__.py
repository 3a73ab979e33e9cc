"""Networks that learn the CLT map: stacked members, symmetries, activations, the registry."""

if __name__ != "renorm.zoo":
    raise ImportError("this folder is the package renorm.zoo: import it by that name")

from .activations import Activation, list_activations
from .base import StackedModel
from .gnn import GNN
from .losses import clt_map
from .mlp import MLP

__all__ = ["GNN", "MLP", "Activation", "StackedModel", "clt_map", "list_activations"]
