"""Weight symmetries: which weights are tied, in MLPs and in graph networks, and how far weights are from it."""

from . import units as units  # its classes register themselves
from .orbits import GroupElement, SignedPermutation, symmetric_group
from .symmetry import Symmetry, list_symmetries
from .units import BlockGroup

__all__ = ["BlockGroup", "GroupElement", "SignedPermutation", "Symmetry", "list_symmetries", "symmetric_group"]
