"""RG maps: steps that take a block of ``b`` variables to one, written as text such as ``central_limit()`` or ``maximum(xi=0)``.

Importing this package registers every map; :func:`parse` reads one, and ``str`` writes it back. To add a map, see
:class:`BlockMap` in ``block_map.py``.
"""

if __name__ != "renorm.maps":
    raise ImportError("this folder is the package renorm.maps: import it by that name")

from ..expressions.fields import number, positive
from .basis import Basis, Hermite, Laguerre, Signs
from .block_map import BlockMap, names, parse
from .central_limit import CentralLimit
from .decimation import Decimation
from .majority import Majority
from .maximum import Maximum
from .stable import Stable

__all__ = [
    "Basis",
    "BlockMap",
    "CentralLimit",
    "Decimation",
    "Hermite",
    "Laguerre",
    "Majority",
    "Maximum",
    "Signs",
    "Stable",
    "names",
    "number",
    "parse",
    "positive",
]
