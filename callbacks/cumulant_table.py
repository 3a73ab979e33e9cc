"""The table of the cumulant diagnostics: every member, unit, layer and law of an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .layer_cumulants import ORDER, LayerCumulants
from .tables import write_epoch

if TYPE_CHECKING:
    import pyarrow as pa


def write_table(
    folder: Path,
    epoch: int,
    step: int,
    results: dict[str, dict[str, LayerCumulants]],
    exact: Mapping[str, Tensor | None],
) -> Path:
    """Write one epoch's rows as ``epoch_00007.parquet``, whole or not at all; read all epochs by giving the folder.

    Columns: ``epoch, step, law, layer, member, unit``; ``k1 ... k4`` and their standard errors ``stderr1 ... stderr4``, those
    of k3 and k4 too small in typical samples of heavy-tailed laws (:func:`renorm.cumulants.kstat_stderr`);
    ``exact1 ... exact4``, where the map has any, the exact cumulants of the target for layer ``out``, else NaN;
    ``skewness``, ``excess_kurtosis``; and
    ``covariance``, the unit's row of the layer's matrix of second joint cumulants; and ``across_nodes2 ... across_nodes4``, the
    sum of the joint cumulants between the nodes of the unit's feature, NaN for layers without nodes.

    Args:
        folder: where to write; made if it does not exist.
        epoch: number of the epoch.
        step: number of the step.
        results: law -> layer -> cumulants.
        exact: law -> exact cumulants of the target, shape ``(4,)``; None where they are not known.

    Returns:
        The file.
    """
    import pyarrow as pa

    any_known = any(known is not None for known in exact.values())
    tables = []
    for law, layers in results.items():
        for name, layer in layers.items():
            known = exact[law] if name == "out" else None
            values = [np.nan] * ORDER if known is None else known.tolist()
            tables.append(_layer_table(epoch, step, law, name, layer, values if any_known else None))
    return write_epoch(folder, epoch, pa.concat_tables(tables).unify_dictionaries())


def _layer_table(
    epoch: int, step: int, law: str, name: str, layer: LayerCumulants, exact: list[float] | None
) -> pa.Table:
    import pyarrow as pa

    members, units = layer.k.shape[1:]
    rows = members * units
    columns: dict[str, Any] = {
        "epoch": np.full(rows, epoch),
        "step": np.full(rows, step),
        "law": pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [law]),
        "layer": pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [name]),
        "member": np.repeat(np.arange(members), units),
        "unit": np.tile(np.arange(units), members),
    }
    values = {"k": layer.k, "stderr": layer.stderr}
    columns |= {f"{key}{n + 1}": v[n].flatten().cpu().numpy() for key, v in values.items() for n in range(ORDER)}
    columns |= {f"exact{n}": np.full(rows, value) for n, value in enumerate(exact or [], start=1)}
    columns["skewness"] = layer.skewness.flatten().cpu().numpy()
    columns["excess_kurtosis"] = layer.excess_kurtosis.flatten().cpu().numpy()
    across = _across_by_unit(layer)
    columns |= {f"across_nodes{n}": across[n - 1].flatten().cpu().numpy() for n in range(2, ORDER + 1)}
    offsets = np.arange(0, rows * units + 1, units, dtype=np.int32)
    columns["covariance"] = pa.ListArray.from_arrays(offsets, layer.covariance.flatten().cpu().numpy())
    return pa.table(columns)


def _across_by_unit(layer: LayerCumulants) -> Tensor:
    """The cumulants between nodes, repeated for every node of a feature, shape ``(4, M, units)``."""
    if layer.across_nodes is None:
        return torch.full_like(layer.k, torch.nan)
    return layer.across_nodes.repeat_interleave(layer.k.shape[-1] // layer.across_nodes.shape[-1], dim=-1)
