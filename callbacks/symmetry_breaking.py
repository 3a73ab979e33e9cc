"""How far the weights are from each symmetric subspace, over training: breaking and restoration."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from ..training.stack import StackedModel
from ..zoo.layers import project
from ..zoo.symmetry.orbits import Orbits
from .figures import log_figure
from .symmetry_figures import draw_asymmetry_history, draw_order_parameter
from .tables import is_due, log_scalars, mean_and_quantiles, table_folder, write_epoch


class OrderParameter(NamedTuple):
    r"""Statistics of an order parameter :math:`m \ge 0` over members.

    Attributes:
        mean: :math:`\langle m \rangle`.
        variance: :math:`\langle m^2 \rangle - \langle m \rangle^2`, unbiased; NaN for one member.
        binder: Binder cumulant :math:`1 - \langle m^4 \rangle / (3 \langle m^2 \rangle^2)`: 2/3 where all members agree, 0
            where m is Gaussian about 0; NaN where m is 0 everywhere.
    """

    mean: float
    variance: float
    binder: float


def order_parameter(values: Tensor) -> OrderParameter:
    """Statistics over members, of those that have not diverged.

    Args:
        values: one number a member, shape ``(M,)``.

    Source:
        Binder, Zeitschrift für Physik B 43 (1981) 119.

    Example:
        >>> order_parameter(torch.tensor([0.5, 0.5, 0.5])).binder
        0.6666666666666667
    """
    m = values[values.isfinite()].double()
    if len(m) == 0:
        return OrderParameter(np.nan, np.nan, np.nan)
    variance = float(m.var()) if len(m) > 1 else np.nan
    second = m.square().mean()
    return OrderParameter(float(m.mean()), variance, float(1 - (m**4).mean() / (3 * second.square())))


def asymmetry(weight: Tensor, orbits: Orbits) -> Tensor:
    r"""Relative distance of a weight from its nearest symmetric one, :math:`|W - P W| / |W|`, between 0 and 1.

    Args:
        weight: one matrix a member, shape ``(M, out, in)``.
        orbits: orbits of its entries under the symmetry, whose projector is :math:`P`.

    Returns:
        Shape ``(M,)``, float64; NaN for a weight that is 0.

    Example:
        >>> from renorm.zoo.symmetry.orbits import layer_orbits
        >>> tied = layer_orbits("input", [2, 1, 1])[0][0]
        >>> asymmetry(torch.tensor([[[1.0, 1.0]], [[1.0, -1.0]]]), tied)
        tensor([0., 1.], dtype=torch.float64)
    """
    weight = weight.double()
    broken = (weight - project(weight, orbits)).flatten(1).norm(dim=1)
    relative: Tensor = broken / weight.flatten(1).norm(dim=1)
    return relative


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
                raise ValueError(f"{name}={value} is out of range; allowed: whole numbers >= 0")
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


def asymmetries(
    model: StackedModel, subspaces: dict[str, dict[str, Orbits]] | None = None
) -> dict[str, dict[str, Tensor]]:
    """Asymmetry of every member, by layer and symmetry; NaN for members that have diverged.

    Args:
        model: the stack.
        subspaces: those of :func:`subspaces_by_layer`, for those who have them already.

    Example:
        >>> from renorm.zoo import MLP
        >>> {layer: list(found) for layer, found in asymmetries(MLP(symmetry="full", width=3)).items()}
        {'pre0': ['input', 'hidden', 'full'], 'out': ['hidden']}
    """
    if subspaces is None:
        subspaces = subspaces_by_layer(model)
    if not subspaces:  # of an architecture that may have no such weights at all
        return {}
    with torch.no_grad():
        weights = model.tied_weights()
        named = dict(zip(layer_names(len(weights)), weights, strict=True))
        return {
            layer: {
                symmetry: model.divergence.exclude(asymmetry(named[layer], orbits).cpu())
                for symmetry, orbits in found.items()
            }
            for layer, found in subspaces.items()
        }


def layer_names(count: int) -> list[str]:
    """Names of the affine layers, after what they compute.

    Example:
        >>> layer_names(3)
        ['pre0', 'pre1', 'out']
    """
    return [*(f"pre{i}" for i in range(count - 1)), "out"]


def subspaces_by_layer(model: StackedModel) -> dict[str, dict[str, Orbits]]:
    """For every affine layer, the symmetries that tie its weight, each subspace once, by the first name it goes by."""
    layers: dict[str, dict[str, Orbits]] = {}
    for symmetry, by_layer in model.symmetric_subspaces().items():
        for layer, orbits in zip(layer_names(len(by_layer)), by_layer, strict=True):
            found = layers.setdefault(layer, {})
            if not orbits.is_free and not any(same_orbits(orbits, other) for other in found.values()):
                found[symmetry] = orbits
    return {layer: found for layer, found in layers.items() if found}


def same_orbits(one: Orbits, other: Orbits) -> bool:
    """Whether two symmetries tie a tensor in the same way."""
    return np.array_equal(one.index, other.index) and np.array_equal(one.sign, other.sign)
