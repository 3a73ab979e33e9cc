"""How far the weights are from each symmetric subspace, over training: breaking and restoration."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from ..errors import InputError
from ..training.stack import StackedModel
from ..zoo.symmetry.orbits import Orbits
from ..zoo.symmetry.order_parameter import OrderParameter, asymmetries, order_parameter, subspaces_by_layer
from .figures import log_figure
from .symmetry_figures import draw_asymmetry_history, draw_order_parameter
from .tables import is_due, log_scalars, mean_and_quantiles, table_folder, write_epoch


class SymmetryBreaking(Callback):
    r"""Measure the asymmetry :math:`|W - P W| / |W|` of every layer's weight to each symmetric subspace.

    A layer has the name of what it computes, ``pre0, ..., out``. For ``odd`` subspaces the units ``2i`` and ``2i + 1`` make a
    pair, as in a network that was built odd. Logged are ``symmetry/<layer>/asymmetry/<symmetry>``, the mean over members with
    quantiles, and ``symmetry/<layer>/variance/<symmetry>`` and ``symmetry/<layer>/binder/<symmetry>``, means over grid points;
    figures have them by grid point. A Parquet file an epoch in the run's folder ``symmetry`` has every member.

    Args:
        every_n_epochs: how often to measure; 0 for never.
        figure_every_n_epochs: how often to draw figures, besides at the end of training; 0 for never.
        table: whether to write the Parquet files.

    Attributes:
        results: layer -> symmetry -> asymmetry of each member, shape ``(M,)``.

    Raises:
        ValueError: for a value out of range.
    """

    def __init__(self, every_n_epochs: int = 1, figure_every_n_epochs: int = 50, table: bool = True) -> None:
        for name, value in (("every_n_epochs", every_n_epochs), ("figure_every_n_epochs", figure_every_n_epochs)):
            if value < 0:
                raise InputError(f"{name}={value} is out of range", "whole numbers >= 0")
        self.every_n_epochs = every_n_epochs
        self.figure_every_n_epochs = figure_every_n_epochs
        self.table = table
        self.results: dict[str, dict[str, Tensor]] = {}
        self._subspaces: dict[str, dict[str, Orbits]] = {}
        # epoch -> layer -> symmetry -> mean over the members of each grid point
        self._history: dict[int, dict[str, dict[str, list[float]]]] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the subspaces of every layer."""
        if not isinstance(pl_module, StackedModel):
            raise TypeError("SymmetryBreaking needs a StackedModel")
        self._subspaces = subspaces_by_layer(pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure, log, draw and write, on the first process only: weights are the same on all."""
        epoch = trainer.current_epoch
        if not is_due(epoch, self.every_n_epochs, None) or not trainer.is_global_zero or not self._subspaces:
            return
        assert isinstance(pl_module, StackedModel)
        self.results = asymmetries(pl_module, self._subspaces)
        groups = pl_module.grid_groups()
        by_point = {
            layer: {name: [order_parameter(values[rows]) for rows in groups.values()] for name, values in found.items()}
            for layer, found in self.results.items()
        }
        self._log(trainer, by_point)
        self._history[epoch] = {
            layer: {name: [point.mean for point in points] for name, points in found.items()}
            for layer, found in by_point.items()
        }
        if is_due(epoch, self.figure_every_n_epochs, trainer.max_epochs):
            log_figure(trainer, "symmetry/asymmetry", draw_asymmetry_history(self._history, list(groups)))
            if pl_module.grid_axes:
                axis = pl_module.grid_axes[0]
                abscissa = [pl_module.member_table[rows[0]][axis] for rows in groups.values()]
                log_figure(trainer, "symmetry/order_parameter", draw_order_parameter(abscissa, by_point, axis))
        if self.table:
            self._write(trainer, epoch)

    def _log(self, trainer: Trainer, by_point: dict[str, dict[str, list[OrderParameter]]]) -> None:
        scalars: dict[str, float] = {}
        for layer, found in self.results.items():
            for name, values in found.items():
                scalars |= mean_and_quantiles(f"symmetry/{layer}/asymmetry/{name}", values)
                points = np.array(by_point[layer][name])
                scalars[f"symmetry/{layer}/variance/{name}"] = float(points[:, 1].mean())
                scalars[f"symmetry/{layer}/binder/{name}"] = float(points[:, 2].mean())
        log_scalars(trainer, scalars)

    def _write(self, trainer: Trainer, epoch: int) -> None:
        folder = table_folder(trainer, "symmetry")
        if folder is None:
            return
        import pyarrow as pa

        rows = [(layer, name, values) for layer, found in self.results.items() for name, values in found.items()]
        members = len(rows[0][2])
        columns = {
            "epoch": np.full(len(rows) * members, epoch),
            "step": np.full(len(rows) * members, trainer.global_step),
            "layer": np.repeat([layer for layer, _, _ in rows], members),
            "symmetry": np.repeat([name for _, name, _ in rows], members),
            "member": np.tile(np.arange(members), len(rows)),
            "asymmetry": torch.cat([values for _, _, values in rows]).numpy(),
        }
        write_epoch(folder, epoch, pa.table(columns))

    def state_dict(self) -> dict[str, Any]:
        """The history that figures show, so that a resumed run draws the same ones."""
        return {"history": self._history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the history."""
        self._history = state_dict["history"]
