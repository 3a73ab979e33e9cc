"""The law of the numbers in a file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...expressions.fields import LARGEST
from .base import MAX_ORDER, Law, LawError, check_rounding, merge_atoms
from .csv_column import ALL_DELIMITERS, DECIMALS, INFER, NO_HEADER, Format, read_column
from .exact import Number, cumulants_of, shifted
from .table_columns import position

SUFFIXES = (".csv", ".npy", ".parquet")
FORMATS: dict[str, tuple[str | int, ...]] = {
    "delimiter": (INFER, *ALL_DELIMITERS),
    "decimal": (INFER, *DECIMALS),
    "header": (INFER, 0, NO_HEADER),
}
# of a file's footer, which says how much memory to ask for
PARQUET_BOUNDS = {"thrift_string_size_limit": 2**26, "thrift_container_size_limit": 10**6}
MAX_GROWTH = 1000  # rows of one value shrink to nothing, but not without end


@dataclass(frozen=True)
class Empirical(Law):
    r"""Draws, with replacement, from one column of a CSV, NPY or Parquet file.

    Its cumulants are those of the numbers there: plug-in cumulants, :math:`\kappa_2 = \frac1n \sum_i (x_i - \bar
    x)^2` and so on, not unbiased estimates: the law *is* the file. The file is read once, when the law is made; two
    laws are equal if their arguments are.

    How a CSV file is written is recognised where only one way of reading it gives numbers, and refused otherwise: then
    ``delimiter``, ``decimal`` and ``header`` say it. Numbers whose thousands are divided are refused.

    Args:
        path: file with suffix .csv, .npy or .parquet; a relative path starts from the working directory.
        column: name of a column, or its index from 0; NPY arrays are one-dimensional, or two-dimensional with an index.
        delimiter: of a CSV file, between cells: ``,``, ``;``, ``|``, a tab (also written ``\t``) or a blank; by default
            one of the first four.
        decimal: of a CSV file, mark before decimals: ``.`` or ``,``.
        header: of a CSV file: 0 if its first line names the columns, ``none`` (or None) if no line does; by default the
            first line does, unless the column is given by index and that line has numbers only.

    Raises:
        LawError: for a file or column that is missing, of another kind, empty, not numeric, not finite, beyond
            ±10^30, or written in a way that is not clear.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "returns.csv"
        ...     _ = path.write_text("day,r\n1,0\n2,0\n3,3\n")
        ...     law = Empirical(path=str(path), column="r")
        >>> law.cumulants(3)
        tensor([1., 2., 2.], dtype=torch.float64)
        >>> law.atoms()
        [(Fraction(0, 1), Fraction(2, 3)), (Fraction(3, 1), Fraction(1, 3))]
    """

    name = "empirical"
    path: str = field(metadata={"kind": "text"})
    column: str | int = field(default=0, metadata={"kind": "text"})
    delimiter: str = field(default=INFER, metadata={"kind": "text", "brief": True})
    decimal: str = field(default=INFER, metadata={"kind": "text", "brief": True})
    header: str | int | None = field(default=INFER, metadata={"kind": "text", "brief": True})

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", str(self.path))
        if isinstance(self.column, bool) or not isinstance(self.column, str | int):
            raise LawError(f"empirical: column={self.column!r} is neither name nor index", "a name, or 0 and up")
        object.__setattr__(self, "delimiter", "\t" if self.delimiter == r"\t" else self.delimiter)
        object.__setattr__(self, "header", NO_HEADER if self.header is None else self.header)
        self._check_format()
        object.__setattr__(self, "_values", _load(self.path, self.column, self._format))

    def _check_format(self) -> None:
        for name, allowed in FORMATS.items():
            value = getattr(self, name)
            # False equals 0
            if isinstance(value, bool) or value not in allowed:
                raise LawError(f"empirical: {name}={value!r} is unknown", ", ".join(map(repr, allowed)))
            if value != INFER and Path(self.path).suffix.lower() != ".csv":
                raise LawError(
                    f"empirical: {name}={value!r} of path={self.path!r} has no meaning", "files with suffix .csv"
                )
        if self._format.delimiter == self._format.decimal != INFER:
            raise LawError(f"empirical: delimiter=decimal={self.decimal!r} is ambiguous", "two different marks")
        if isinstance(self.column, str) and self.header == NO_HEADER:
            raise LawError(
                f"empirical: column={self.column!r} is a name, but header={NO_HEADER}", "an index, or header=0"
            )

    @property
    def _format(self) -> Format:
        return Format(self.delimiter, self.decimal, self.header)

    def __reduce__(self) -> tuple[Any, ...]:
        # a pickle holds the path, not the numbers
        return Empirical, (self.path, self.column, self.delimiter, self.decimal, self.header)

    @property
    def values(self) -> NDArray[np.float64]:
        """The column, float64, read-only."""
        values: NDArray[np.float64] = self.__dict__["_values"].array
        return values

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Values at random places."""
        pool = self.__dict__["_values"].tensor(x.dtype, x.device)
        places = torch.randint(pool.numel(), x.shape, device=x.device, generator=generator)
        return torch.take(pool, places, out=x)

    def exact_cumulants(self, order: int) -> list[Number]:
        """From exact sums of powers."""
        centre, moments = self.__dict__["_values"].moments
        return shifted(cumulants_of(moments[: order + 1]), centre)

    def support(self) -> tuple[float, float]:
        """Smallest and largest value."""
        return float(self.values.min()), float(self.values.max())

    def check_resolved(self, dtype: torch.dtype) -> None:
        """By the rounding of the values, see :meth:`Law.check_resolved`."""
        check_rounding(self, self.values, np.full(self.values.size, 1 / self.values.size), dtype)

    def atoms(self) -> list[tuple[Fraction | float, Fraction]]:
        """The distinct values and their frequencies; as long as the file, if all its values differ."""
        values, counts = np.unique(self.values, return_counts=True)
        n = len(self.values)
        return merge_atoms((Fraction(x), Fraction(c, n)) for x, c in zip(values.tolist(), counts.tolist(), strict=True))


class _Values:
    """A column in memory, with what is derived from it."""

    def __init__(self, array: NDArray[np.float64]) -> None:
        self.array = array
        self.array.flags.writeable = False
        self._tensors: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def tensor(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        key = (dtype, device)
        if key not in self._tensors:
            self._tensors[key] = torch.tensor(self.array, dtype=dtype, device=device)
        return self._tensors[key]

    @functools.cached_property
    def moments(self) -> tuple[Fraction, list[Fraction]]:
        """A point near the mean, and the exact moments of order 0 to 8 about it."""
        integers, exponent = _as_integers(self.array)
        n = len(integers)
        centre = sum(integers) // n
        sums = [0] * (MAX_ORDER + 1)
        for integer in integers:
            power = d = integer - centre
            for p in range(1, MAX_ORDER + 1):
                sums[p] += power
                power *= d
        unit = Fraction(2) ** exponent
        return centre * unit, [Fraction(1), *(Fraction(sums[p], n) * unit**p for p in range(1, MAX_ORDER + 1))]


def _as_integers(values: NDArray[np.float64]) -> tuple[list[int], int]:
    """Integers and one exponent of 2 that together are exactly the values: sums of integers lose nothing."""
    mantissa, exponent = np.frexp(values)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    # trailing zeros, the lowest set bit, go into the exponent: short integers are fast
    zeros = np.where(whole == 0, 0, np.frexp((whole & -whole).astype(np.float64))[1] - 1)
    exponent = exponent - 53 + zeros
    lowest = int(exponent[whole != 0].min(initial=1100))
    pairs = zip((whole >> zeros).tolist(), exponent.tolist(), strict=True)
    return [integer << (e - lowest) if integer else 0 for integer, e in pairs], lowest


def _load(path: str, column: str | int, how: Format) -> _Values:
    """The column of a file, kept for as long as the file does not change."""
    file = Path(path)
    if file.suffix.lower() not in SUFFIXES:
        raise LawError(f"empirical: path={path!r} has an unsupported suffix", ", ".join(SUFFIXES))
    if not file.is_file():
        raise LawError(f"empirical: path={path!r} does not exist", "an existing file")
    state = file.stat()
    return _read(str(file.absolute()), path, column, how, (state.st_mtime_ns, state.st_size))


@functools.lru_cache(maxsize=16)
def _read(file: str, path: str, column: str | int, how: Format, version: tuple[int, int]) -> _Values:
    readers: dict[str, Callable[[str, str, str | int], NDArray[Any]]]
    readers = {".csv": functools.partial(read_column, how=how), ".npy": _read_npy, ".parquet": _read_parquet}
    where = f"empirical: column={column!r} of path={path!r}"
    try:
        return _Values(_checked(where, readers[Path(file).suffix.lower()](file, where, column)))
    except LawError:
        raise
    except Exception as error:  # readers of three formats fail in any way they can on a file that is none
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise LawError(
            f"{where} cannot be read ({reason})", "a well-formed file, with one number in each cell"
        ) from None


def _checked(where: str, values: NDArray[Any]) -> NDArray[np.float64]:
    if values.dtype.kind not in "iuf":
        raise LawError(f"{where} is not numeric (it holds {values.dtype})", "integers or floating-point numbers")
    if values.size == 0:
        raise LawError(f"{where} is empty", "one number or more")
    result = np.array(values, dtype=np.float64)
    bad = int(np.count_nonzero(~np.isfinite(result)))
    if bad:
        raise LawError(f"{where} has {bad} missing, NaN or infinite values", "finite numbers")
    if np.abs(result).max() > LARGEST:
        raise LawError(f"{where} has values out of range", f"{-LARGEST:g} to {LARGEST:g}")
    return result


def _read_npy(file: str, where: str, column: str | int) -> NDArray[Any]:
    array = np.load(file, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.ndim not in (1, 2):
        raise LawError(f"{where} has shape {getattr(array, 'shape', None)}", "arrays of one or two dimensions")
    width = 1 if array.ndim == 1 else array.shape[1]
    index = position(where, column, [str(i) for i in range(width)] if isinstance(column, str) else [""] * width)
    return array if array.ndim == 1 else array[:, index]


def _read_parquet(file: str, where: str, column: str | int) -> NDArray[Any]:
    import pyarrow
    from pyarrow import parquet

    with parquet.ParquetFile(file, page_checksum_verification=True, **PARQUET_BOUNDS) as table:
        schema = table.schema_arrow
        size = Path(file).stat().st_size
        if table.metadata.num_rows > MAX_GROWTH * size:
            raise LawError(
                f"{where} claims {table.metadata.num_rows} rows in {size} bytes", f"{MAX_GROWTH} rows a byte"
            )
        index = position(where, column, schema.names)
        kind, name = schema.types[index], schema.names[index]
        types = pyarrow.types
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
            raise LawError(f"{where} is not numeric (it holds {kind})", "integers or floating-point numbers")
        values = table.read(columns=[name]).column(0)
    return np.asarray(values.cast(pyarrow.float64(), safe=False).to_numpy())
