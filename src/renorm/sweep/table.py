"""The folder of a sweep: its description, one file for each finished point, and one table of all points."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..files.untrusted import read_json
from ..files.whole import is_unused, one_writer, whole_file
from .config import Point, Sweep

if TYPE_CHECKING:
    import pyarrow as pa

SWEEP_FILE = "sweep.json"
RESULTS_FILE = "results.parquet"
SEAL = b"sha256"  # of the rest of a table
# limits for the footer, which determines how much memory is allocated
BOUNDS = {"thrift_string_size_limit": 2**26, "thrift_container_size_limit": 10**6}
MAX_GROWTH = 1000  # columns that repeat one value are compressed strongly
MAX_CELLS = 10**7


class PointFiles:
    """Finished points on disk, a file each, by the hash of their settings; every file is written whole or not at all.

    Args:
        path: the folder of the files, which exists.
    """

    def __init__(self, path: Path) -> None:
        self.points = path

    def file(self, point: Point) -> Path:
        """The file with a point's rows."""
        return self.points / f"{point.key}.parquet"

    def status(self, point: Point) -> str:
        """``missing``, ``done`` or ``failed``.

        Raises:
            ValueError: for a file that is not a whole table.
        """
        if not self.file(point).exists():
            return "missing"
        status: str = read_table(self.file(point)).column("status")[0].as_py()
        return status

    def write(self, point: Point, columns: dict[str, list[Any]]) -> None:
        """Write the rows of a finished point."""
        rows = len(next(iter(columns.values())))
        status: dict[str, list[Any]] = {"status": ["done"] * rows, "error": [None] * rows}
        self._write_rows(point, status | columns)

    def write_failure(self, point: Point, error: str) -> None:
        """Write the error of a failed point, as one row."""
        self._write_rows(point, {"status": ["failed"], "error": [error]})

    def _write_rows(self, point: Point, columns: dict[str, list[Any]]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = len(columns["status"])
        axes = {name: [_cell(value)] * rows for name, value in point.axes.items() if name not in columns}
        table = pa.table({"config": [point.key] * rows} | axes | columns)
        with whole_file(self.file(point)) as partial:
            pq.write_table(sealed(table), partial)

    def read(self, point: Point) -> pa.Table:
        """A point's rows, with the axes of the sweep that asks, whichever sweep ran it.

        Raises:
            ValueError: for a file that is not a whole table.
        """
        import pyarrow as pa

        table = read_table(self.file(point))
        for name, value in point.axes.items():
            if name not in table.column_names:
                table = table.append_column(name, pa.array([_cell(value)] * len(table)))
        return table


class Folder(PointFiles):
    """The results of one sweep on disk.

    Args:
        path: the folder; made if it does not exist.
        sweep: the sweep that it belongs to.

    Raises:
        ValueError: where the folder cannot be written to, or belongs to another sweep.
    """

    def __init__(self, path: Path, sweep: Sweep) -> None:
        super().__init__(path / "points")
        self.path, self.sweep = path, sweep
        known = path / SWEEP_FILE
        try:
            if not is_unused(path) and not known.exists():
                raise InputError(f"out={str(path)!r} holds other files", "a new or empty folder, or this sweep's own")
            if known.exists() and read_description(path)["digest"] != sweep.digest:
                raise InputError(
                    f"out={str(path)!r} holds another sweep or other settings", "a new folder, or the sweep's own"
                )
            with one_writer(path, wait=1):
                # first, as it marks the folder as this sweep's
                write_text(known, json.dumps(self._description(), indent=1) + "\n")
                self.points.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"out={str(path)!r} cannot be written to ({error.strerror or error})") from None

    def _description(self) -> dict[str, Any]:
        points = [{"key": point.key, "model": point.model, "settings": point.settings} for point in self.sweep.points]
        return {"name": self.sweep.name, "digest": self.sweep.digest, "axes": self.sweep.axes, "points": points}

    def collect(self) -> Path:
        """All finished points as one file, a row group each, in the sweep's order."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables = unified([read_table(self.file(point)) for point in self.sweep.points if self.file(point).exists()])
        schema = sealed(pa.concat_tables(tables)).schema
        with whole_file(self.path / RESULTS_FILE) as partial, pq.ParquetWriter(partial, schema) as writer:
            for table in tables:
                writer.write_table(table.cast(schema), row_group_size=max(1, len(table)))
        return self.path / RESULTS_FILE


def unified(tables: list[pa.Table]) -> list[pa.Table]:
    """The same rows under one schema; what a table lacks is null."""
    import pyarrow as pa

    schema = pa.unify_schemas([table.schema.remove_metadata() for table in tables], promote_options="permissive")
    found = []
    for table in tables:
        empty = {name: pa.nulls(len(table), schema.field(name).type) for name in schema.names}
        known = {name: table.column(name).cast(schema.field(name).type) for name in table.column_names}
        found.append(pa.table(empty | known, schema=schema))
    return found


def read_description(folder: Path) -> dict[str, Any]:
    """Read the description of a sweep from its folder.

    Raises:
        ValueError: where there is none.
    """
    path = folder / SWEEP_FILE
    content: dict[str, Any] = read_json(path, repr(str(path)), "a folder of 'renorm sweep'")
    axes = content.get("axes") if isinstance(content, dict) else None
    known = isinstance(axes, list) and all(isinstance(axis, str) for axis in axes)
    if not known or not {"digest", "points"} <= content.keys():
        raise InputError(f"{str(path)!r} does not describe a sweep", "a folder of 'renorm sweep'")
    return content


def read_table(path: Path) -> pa.Table:
    """One Parquet file.

    Raises:
        ValueError: where it is not whole, or not one of a sweep's.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, **BOUNDS) as file:
            check_size(file.metadata, path.stat().st_size)
            table = file.read()
            table.validate(full=True)
            if (table.schema.metadata or {}).get(SEAL) != seal(table):
                raise InputError("its checksum differs")
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{str(path)!r} is not a whole table ({reason})", "to delete it, then its points are run again"
        ) from None
    if not {"config", "status"} <= set(table.column_names) or not len(table):
        raise InputError(f"{str(path)!r} is not a table of a sweep", "to delete it, then its points are run again")
    return table


def seal(table: pa.Table) -> bytes:
    """A checksum of names and values. Parquet's own checksums do not cover the footer, which locates the columns."""
    digest = hashlib.sha256()
    for name in table.column_names:
        digest.update(f"{name}\0{table.column(name).to_pylist()!r}\0".encode())
    return digest.hexdigest().encode()


def sealed(table: pa.Table) -> pa.Table:
    """The table with its checksum in the metadata."""
    return table.replace_schema_metadata({SEAL: seal(table)})


def check_size(metadata: Any, size: int) -> None:
    """Refuse a file that would be decompressed to far more than its size.

    Raises:
        ValueError: where it is too large.
    """
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    cells = metadata.num_rows * metadata.num_columns
    unpacked = sum(group.total_byte_size for group in groups)
    if max(cells, unpacked) > MAX_GROWTH * size + MAX_CELLS:
        raise InputError(f"{metadata.num_rows} rows in a file of {size} bytes")


def _cell(value: Any) -> Any:
    """A setting as one cell: lists as text."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
