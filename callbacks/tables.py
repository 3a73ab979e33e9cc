"""Scalars and tables of the callbacks: numbers to the loggers, rows to Parquet files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from ..files.whole import whole_file
from ..training.metrics import HIGH, LOW
from .sending import folder_without, say_where, tag_for

if TYPE_CHECKING:
    import pyarrow as pa


def log_scalars(trainer: Trainer, scalars: dict[str, float]) -> None:
    """Send numbers to every logger of the run under tags that it takes, without those that are not finite."""
    finite = {tag: value for tag, value in scalars.items() if math.isfinite(value)}
    for logger in trainer.loggers:
        logger.log_metrics({tag_for(logger, tag): value for tag, value in finite.items()}, step=trainer.global_step)


def mean_and_quantiles(tag: str, values: Tensor) -> dict[str, float]:
    """Return mean, ``_q10`` and ``_q90`` of the finite values, by tag; a single value has no quantiles.

    Example:
        >>> mean_and_quantiles("k2", torch.tensor([0.5])), sorted(mean_and_quantiles("k2", torch.tensor([0.5, 1.5])))
        ({'k2': 0.5}, ['k2', 'k2_q10', 'k2_q90'])
    """
    if values.numel() == 1:
        return {tag: float(values)}
    finite = values.detach().double().flatten()
    finite = finite.masked_fill(~finite.isfinite(), torch.nan)
    levels = torch.tensor([LOW, HIGH], dtype=finite.dtype, device=finite.device)
    row = [*finite.nanmean().view(1).tolist(), *finite.nanquantile(levels).tolist()]
    return dict(zip((tag, f"{tag}_q10", f"{tag}_q90"), row, strict=True))


def dry(trainer: Trainer) -> bool:
    """Whether this is a trial run: with ``fast_dev_run`` no files may be left behind."""
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]


def run_folder(trainer: Trainer) -> Path | None:
    """Return the folder of a run: of the first logger that has one, else of the checkpoints, else in ``default_root_dir``.

    Loggers such as those of Weights & Biases and MLflow have no folder for other files. None for a run without loggers and
    checkpoints.
    """
    # not the trainer's log_dir, which all processes must ask for together
    folders = [getattr(logger, "log_dir", None) for logger in trainer.loggers]
    checkpoints = [getattr(callback, "dirpath", None) for callback in trainer.checkpoint_callbacks]
    existing = [*(folder for folder in folders if folder), *(Path(path).parent for path in checkpoints if path)]
    if existing or not trainer.loggers:
        return Path(existing[0]) if existing else None
    return folder_without(trainer.loggers[0], trainer)


def table_folder(trainer: Trainer, name: str) -> Path | None:
    """Return a folder for tables inside the run's folder; None for a run without a logger, and for a trial run.

    Where no logger has a folder, a line says once where it is.
    """
    folder = run_folder(trainer) if trainer.loggers and not dry(trainer) else None
    if folder is None:
        return None
    say_where(trainer, folder)
    return folder / name


def concatenated(parts: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Make one table of several parts, each a mapping from the names of its columns to values.

    A column is a tensor (which is flattened), an array, or a single value for all rows of its part.

    Example:
        >>> parts = [{"law": law, "k": torch.zeros(1, 2)} for law in ("a", "b")]
        >>> concatenated(parts).to_pydict()
        {'law': ['a', 'a', 'b', 'b'], 'k': [0.0, 0.0, 0.0, 0.0]}
    """
    import pyarrow as pa

    tables = []
    for part in parts:
        columns = {n: v.detach().flatten().cpu().numpy() if isinstance(v, Tensor) else v for n, v in part.items()}
        single = {name: isinstance(value, str) or not hasattr(value, "__len__") for name, value in columns.items()}
        rows = next((len(value) for name, value in columns.items() if not single[name]), 1)
        tables.append(pa.table({n: repeated(v, rows) if single[n] else as_arrow(v) for n, v in columns.items()}))
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries()


def as_arrow(values: Any) -> pa.Array:
    """Values as a column of a table; numbers stay where they are, without Arrow's conversion, which imports pandas.

    Example:
        >>> as_arrow(np.array([0.5, np.nan])).to_pylist()
        [0.5, nan]
    """
    import pyarrow as pa

    if isinstance(values, pa.Array):
        return values
    numbers = isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "iuf"
    if not numbers or values.dtype.itemsize < 4 or not values.dtype.isnative:
        return pa.array(values)
    memory = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, memory])


def repeated(value: Any, rows: int) -> pa.Array:
    """A column that has one value, a number or a text, in all rows.

    Example:
        >>> repeated("uniform()", 2).to_pylist()
        ['uniform()', 'uniform()']
    """
    import pyarrow as pa

    if not isinstance(value, str):
        return as_arrow(np.full(rows, value))
    text = value.encode()
    offsets = np.arange(rows + 1, dtype=np.int64) * len(text)
    column = pa.Array.from_buffers(pa.large_string(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(text * rows)])
    return column.cast(pa.string())


def write_epoch(folder: Path, epoch: int, table: pa.Table) -> Path:
    """Write the rows of one epoch, whole or not at all; read all epochs as one table by giving the folder."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"epoch_{epoch:05d}.parquet"
    with whole_file(path) as partial:
        pq.write_table(table, partial)
    return path


def is_due(epoch: int, every: int, last: int | None) -> bool:
    """Whether an epoch, counted from 0, is one of every ``every`` epochs or the last one; never if ``every`` is 0."""
    return bool(every) and ((epoch + 1) % every == 0 or epoch + 1 == last)
