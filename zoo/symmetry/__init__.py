"""Weight symmetries: which weights are tied, in MLPs and in graph networks, and how far weights are from it.

Importing this package registers every symmetry, those of ``built_in.py`` and ``graphs.py``; to add one, see :class:`Symmetry` in
``symmetry.py``.
"""

from . import built_in as built_in  # its classes register themselves
from .built_in import BlockGroup
from .orbits import GroupElement, SignedPermutation, symmetric_group
from .symmetry import Symmetry, list_symmetries

__all__ = ["BlockGroup", "GroupElement", "SignedPermutation", "Symmetry", "list_symmetries", "symmetric_group"]
