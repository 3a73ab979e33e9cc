"""Sources of blocks whose variables are not independent, written like laws: ``ising_chain(coupling=0.5)``.

Importing this package registers every source; :func:`parse_source` reads a source or a law.
"""

from __future__ import annotations

import re

from ...checks import did_you_mean
from ...errors import InputError
from ...expressions.reader import read
from ..laws import parse
from ..source import Source
from .ar1 import AR1
from .base import BlockSource
from .file_blocks import FileBlocks
from .ising_chain import IsingChain

__all__ = ["AR1", "BlockSource", "FileBlocks", "IsingChain", "parse_source"]

_NAME = re.compile(r"\s*([^\W\d]\w*)")


def parse_source(text: str) -> Source:
    """Read a law, or a source of blocks; the inverse of ``str``.

    Raises:
        InputError: where it is neither, in one line.

    Example:
        >>> str(parse_source("gaussian"))
        'gaussian(mean=0, std=1)'
    """
    found = _NAME.match(text) if isinstance(text, str) else None
    if found and found.group(1) in BlockSource.registry:
        return read(text, BlockSource)
    try:
        return parse(text)
    except InputError as error:
        problem, _, laws = str(error).partition("; allowed: ")
        if found is None or not problem.startswith(f"law {found.group(1)!r} is unknown"):
            raise
        sources = sorted(BlockSource.registry)
        hint = did_you_mean(found.group(1), sources)
        raise InputError(problem, f"{laws}, or a source of blocks: {', '.join(sources)}{hint}") from None
