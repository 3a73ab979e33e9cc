"""The rows of a file as blocks."""

from __future__ import annotations

import functools
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InputError
from ..source import Source
from .base import BlockSource

TARGETS = ("map", "last")


@dataclass(frozen=True)
class FileBlocks(BlockSource):
    """Draws, with replacement, from the rows of an NPY file of shape ``(N, b)``: one block a row.

    With ``target=last`` the file has one column more, ``(N, b + 1)``: the target of each block, in place of the map's.
    Rows that a model is judged on should not be rows that it is trained on: ``rows="0:8000"`` takes these alone, as a Python
    slice does.

    Args:
        path: file with suffix .npy; a relative path starts from the working directory.
        target: ``map``, where the data module's map gives the target, or ``last``, for the last column.
        rows: which rows, ``start:stop``; all by default.

    Raises:
        InputError: for a file that is missing, of another kind or width, empty or not finite.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = str(Path(folder) / "pairs.npy")
        ...     np.save(path, np.array([[0.0, 1.0], [2.0, 3.0]]))
        ...     source = FileBlocks(path)
        >>> source.blocks(3, 2, torch.Generator().manual_seed(0)).shape
        torch.Size([3, 2])
    """

    name = "blocks"
    path: str = field(metadata={"kind": "text"})
    target: str = field(default="map", metadata={"kind": "text", "brief": True})
    rows: str = field(default=":", metadata={"kind": "text", "brief": True})

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", str(self.path))
        if self.target not in TARGETS:
            raise InputError(f"blocks: target={self.target!r} is unknown", ", ".join(TARGETS))
        values = _load(self.path)[self._slice()]
        if not len(values):
            raise InputError(f"blocks: rows={self.rows!r} of path={self.path!r} is empty", "one row or more")
        object.__setattr__(self, "_values", values)

    def _slice(self) -> slice:
        start, colon, stop = str(self.rows).partition(":")
        try:
            bounds = [int(bound) if bound.strip() else None for bound in (start, stop)]
        except ValueError:
            colon = ""
        if not colon:
            raise InputError(f"blocks: rows={self.rows!r} is not a slice", "start:stop, such as 0:8000, or 8000:")
        return slice(*bounds)

    def overlaps(self, other: Source) -> bool:
        """Whether two sources share rows of one file."""
        if not isinstance(other, FileBlocks) or Path(self.path).resolve() != Path(other.path).resolve():
            return False
        count = len(_load(self.path))
        own, others = (set(range(count)[source._slice()]) for source in (self, other))
        return not own.isdisjoint(others)

    def __reduce__(self) -> tuple[Any, ...]:
        # a pickle holds the path, not the numbers
        return FileBlocks, (self.path, self.target, self.rows)

    def check(self, block_size: int, dtype: torch.dtype) -> None:
        """Refuse a file of another width."""
        wanted = block_size + (self.target == "last")
        width = self._array.shape[1]
        if width != wanted:
            hint = f", {block_size} variables and a target" if self.target == "last" else ""
            other = (
                "; target=last, if the last column is the target" if (self.target, width) == ("map", wanted + 1) else ""
            )
            raise InputError(
                f"blocks: path={self.path!r} has {width} columns",
                f"{wanted}, for data.block_size={block_size}{hint}{other}",
            )
        largest = float(np.abs(self._array).max())
        if largest > torch.finfo(dtype).max:
            raise InputError(f"blocks: path={self.path!r} has {largest:.3g}, beyond {dtype}", "smaller numbers")

    def blocks(self, rows: int, block_size: int, generator: torch.Generator) -> Tensor | tuple[Tensor, Tensor]:
        """Rows drawn with replacement."""
        chosen = torch.randint(len(self._array), (rows,), generator=generator)
        drawn = torch.from_numpy(self._array[chosen.numpy()]).to(torch.get_default_dtype())
        return drawn if self.target == "map" else (drawn[:, :-1].contiguous(), drawn[:, -1].contiguous())

    @property
    def _array(self) -> NDArray[np.float64]:
        values: NDArray[np.float64] = vars(self)["_values"]
        return values


@functools.lru_cache(maxsize=8)
def _load(path: str) -> NDArray[np.float64]:
    what = f"blocks: path={path!r}"
    if Path(path).suffix.lower() != ".npy":
        raise InputError(f"{what} is not an NPY file", "files that numpy.save wrote, with suffix .npy")
    try:
        found = np.load(path, allow_pickle=False)
    except OSError as error:
        raise InputError(f"{what} cannot be read ({error.strerror or 'damaged'})", "an NPY file") from None
    except (ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise InputError(f"{what} cannot be read ({str(error).splitlines()[0]})", "an NPY file of numbers") from None
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind not in "fiub":
        shape = getattr(found, "shape", "unknown")
        raise InputError(f"{what} has shape {shape} of {getattr(found, 'dtype', 'objects')}", "numbers of shape (N, b)")
    values = np.asarray(found, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{what} has numbers that are not finite", "finite numbers")
    return values
