"""The table of the cumulant diagnostics: every member, unit, layer and law of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .layer_cumulants import ORDER, LayerCumulants
from .tables import as_arrow, repeated


def cumulant_columns(
    step: int, results: Mapping[str, Mapping[str, LayerCumulants]], exact: Mapping[str, Tensor | None]
) -> Iterator[dict[str, Any]]:
    """Yield the columns of every layer and law.

    Columns: ``step, law, layer, member, unit``; ``k1 ... k4`` and their standard errors ``stderr1 ... stderr4``, those
    of k3 and k4 too small in typical samples of heavy-tailed laws (:func:`renorm.cumulants.kstat_stderr`);
    ``exact1 ... exact4``, if the map has exact cumulants, those of the target for layer ``out``, NaN for the others;
    ``skewness``, ``excess_kurtosis``; ``across_nodes2 ... across_nodes4``, the sum of the joint cumulants between the nodes of
    the unit's feature, NaN for layers without nodes; and ``covariance``, the unit's row of the layer's matrix of second joint
    cumulants, missing where the layer has too many units for it.

    Args:
        step: number of the step.
        results: law -> layer -> cumulants.
        exact: law -> exact cumulants of the target, shape ``(4,)``; None if they are not known.
    """
    any_known = any(known is not None for known in exact.values())
    for law, layers in results.items():
        for name, layer in layers.items():
            known = exact[law] if name == "out" else None
            values = [np.nan] * ORDER if known is None else known.tolist()
            yield {"step": step} | _layer_columns(law, name, layer, values if any_known else [])


def _layer_columns(law: str, name: str, layer: LayerCumulants, exact: list[float]) -> dict[str, Any]:
    import pyarrow as pa

    members, units = layer.k.shape[1:]
    rows = members * units
    columns: dict[str, Any] = {
        "law": pa.DictionaryArray.from_arrays(as_arrow(np.zeros(rows, np.int32)), repeated(law, 1)),
        "layer": pa.DictionaryArray.from_arrays(as_arrow(np.zeros(rows, np.int32)), repeated(name, 1)),
        "member": np.repeat(np.arange(members), units),
        "unit": np.tile(np.arange(units), members),
    }
    columns |= {f"k{n}": values for n, values in enumerate(layer.k, start=1)}
    columns |= {f"stderr{n}": values for n, values in enumerate(layer.stderr, start=1)}
    columns |= {f"exact{n}": value for n, value in enumerate(exact, start=1)}
    columns |= {"skewness": layer.skewness, "excess_kurtosis": layer.excess_kurtosis}
    across = _across_by_unit(layer)
    columns |= {f"across_nodes{n}": across[n - 1] for n in range(2, ORDER + 1)}
    if layer.covariance is None:
        columns["covariance"] = pa.nulls(rows, pa.list_(pa.float64()))
    else:
        offsets = np.arange(0, rows * units + 1, units, dtype=np.int32)
        rows_of_matrices = as_arrow(layer.covariance.flatten().cpu().numpy())
        columns["covariance"] = pa.ListArray.from_arrays(as_arrow(offsets), rows_of_matrices)
    return columns


def _across_by_unit(layer: LayerCumulants) -> Tensor:
    """The cumulants between nodes, repeated for every node of a feature, shape ``(4, M, units)``."""
    if layer.across_nodes is None:
        return torch.full_like(layer.k, torch.nan)
    return layer.across_nodes.repeat_interleave(layer.k.shape[-1] // layer.across_nodes.shape[-1], dim=-1)
