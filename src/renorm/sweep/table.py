"""A sweep's folder: what it is, one file for each finished point, and all of them as one table."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .config import Point, Sweep

if TYPE_CHECKING:
    import pyarrow as pa

SWEEP_FILE = "sweep.json"
RESULTS_FILE = "results.parquet"


class PointFiles:
    """Finished points on disk, a file each, by the hash of their settings; every file is written whole or not at all.

    Args:
        path: the folder of the files, which exists.
    """

    def __init__(self, path: Path) -> None:
        self.points = path

    def file(self, point: Point) -> Path:
        """Where a point's rows are."""
        return self.points / f"{point.key}.parquet"

    def status(self, point: Point) -> str:
        """``missing``, ``done`` or ``failed``.

        Raises:
            ValueError: for a file that is no whole table.
        """
        if not self.file(point).exists():
            return "missing"
        status: str = read_table(self.file(point)).column("status")[0].as_py()
        return status

    def write(self, point: Point, columns: dict[str, list[Any]]) -> None:
        """Keep a finished point."""
        rows = len(next(iter(columns.values())))
        status: dict[str, list[Any]] = {"status": ["done"] * rows, "error": [None] * rows}
        self._write_rows(point, status | columns)

    def write_failure(self, point: Point, error: str) -> None:
        """Keep what went wrong with a point, as one row."""
        self._write_rows(point, {"status": ["failed"], "error": [error]})

    def _write_rows(self, point: Point, columns: dict[str, list[Any]]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = len(columns["status"])
        axes = {name: [_cell(value)] * rows for name, value in point.axes.items() if name not in columns}
        table = pa.table({"config": [point.key] * rows} | axes | columns)
        partial = self.file(point).with_suffix(".partial")
        pq.write_table(table, partial)
        os.replace(partial, self.file(point))

    def read(self, point: Point) -> pa.Table:
        """A point's rows, with the axes of the sweep that asks, whichever sweep ran it.

        Raises:
            ValueError: for a file that is no whole table.
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
            if path.is_dir() and any(path.iterdir()) and not known.exists():
                raise ValueError(
                    f"out={str(path)!r} holds other files; allowed: a new or empty folder, or this sweep's own"
                )
            if known.exists() and read_description(path)["digest"] != sweep.digest:
                raise ValueError(
                    f"out={str(path)!r} holds another sweep or other settings; allowed: a new folder, or the sweep's own"
                )
            self.points.mkdir(parents=True, exist_ok=True)
            write_text(known, json.dumps(self._description(), indent=1) + "\n")
        except OSError as error:
            raise ValueError(f"out={str(path)!r} cannot be written to ({error.strerror or error})") from None

    def _description(self) -> dict[str, Any]:
        points = [{"key": point.key, "model": point.model, "settings": point.settings} for point in self.sweep.points]
        return {"name": self.sweep.name, "digest": self.sweep.digest, "axes": self.sweep.axes, "points": points}

    def collect(self) -> Path:
        """All finished points as one file, a row group each, in the sweep's order."""
        import pyarrow.parquet as pq

        tables = unified([read_table(self.file(point)) for point in self.sweep.points if self.file(point).exists()])
        partial = self.path / f"{RESULTS_FILE}.partial"
        with pq.ParquetWriter(partial, tables[0].schema) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=max(1, len(table)))
        os.replace(partial, self.path / RESULTS_FILE)
        return self.path / RESULTS_FILE


def unified(tables: list[pa.Table]) -> list[pa.Table]:
    """The same rows under one schema; what a table lacks is null."""
    import pyarrow as pa

    schema = pa.unify_schemas([table.schema for table in tables], promote_options="permissive")
    found = []
    for table in tables:
        empty = {name: pa.nulls(len(table), schema.field(name).type) for name in schema.names}
        known = {name: table.column(name).cast(schema.field(name).type) for name in table.column_names}
        found.append(pa.table(empty | known, schema=schema))
    return found


def read_description(folder: Path) -> dict[str, Any]:
    """What a sweep's folder says that it is.

    Raises:
        ValueError: where it does not say so.
    """
    try:
        content = json.loads((folder / SWEEP_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{str(folder / SWEEP_FILE)!r} cannot be read ({error}); allowed: a folder of 'renorm sweep'"
        ) from None
    if not isinstance(content, dict) or not {"digest", "axes", "points"} <= content.keys():
        raise ValueError(f"{str(folder / SWEEP_FILE)!r} describes no sweep; allowed: a folder of 'renorm sweep'")
    return content


def read_table(path: Path) -> pa.Table:
    """One Parquet file.

    Raises:
        ValueError: where it is not whole, or not one of a sweep's.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{str(path)!r} is no whole table ({reason}); allowed: to delete it, then its points are run again"
        ) from None
    if not {"config", "status"} <= set(table.column_names) or not len(table):
        raise ValueError(f"{str(path)!r} is no table of a sweep; allowed: to delete it, then its points are run again")
    return table


def _cell(value: Any) -> Any:
    """A setting as one cell: lists as text."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
