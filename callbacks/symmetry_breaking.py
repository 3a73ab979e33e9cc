"""How far the weights are from each symmetric subspace, over training: breaking and restoration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from ..datamodules.blocks import BlockData
from ..training.stack import StackedModel
from ..zoo.symmetry.orbits import Orbits
from ..zoo.symmetry.order_parameter import (
    OrderParameter,
    asymmetries_of,
    by_layer,
    layer_names,
    order_parameter,
    subspaces_by_layer,
)
from .charts import Charts, lines
from .diagnostic import Diagnostic
from .hooked_network import HookedNetwork, Measured, check_patterns
from .named_weights import Generators, check_generators, generated_subspaces, named_weights, sizes_of
from .symmetry_figures import draw_asymmetry_history, draw_order_parameter
from .tables import mean_and_quantiles

ROUNDING = 1e-6  # of an asymmetry


class SymmetryBreaking(Diagnostic):
    r"""Measure the asymmetry :math:`|W - P W| / |W|` of every layer's weight to each symmetric subspace.

    A layer has the name of what it computes, ``pre0, ..., out``. For ``odd`` subspaces the units ``2i`` and ``2i + 1`` make a
    pair, as in a network that was built odd. Logged are ``symmetry/<layer>/asymmetry/<symmetry>``, the mean over members with
    quantiles, and ``symmetry/<layer>/variance/<symmetry>`` and ``symmetry/<layer>/binder/<symmetry>``, means over grid points;
    figures show them by grid point. A Parquet file per epoch in the run's folder ``symmetry`` has every member.

    Of a module that is not a stack, and with ``layers``, the weight matrices of named modules are measured. They make a chain:
    axis 0 is the input of the first, axis ``i`` the output of the ``i``-th, and generators say how each axis moves.

    Args:
        every_n_epochs: how often to measure; 0 for never.
        figure_every_n_epochs: how often to draw figures, besides at the end of training; 0 for never.
        table: whether to write the Parquet files.
        layers: names of modules with a weight ``(out, in)``, with wildcards; by default the layers of a stack, and of another
            module all its affine maps.
        generators: the symmetries: names of registered ones, a list of group elements ``{axis: SignedPermutation}``, or
            ``{name: such a list}``; by default those of a stack, and else all registered ones that fit the layers.
        prefix: see :class:`renorm.callbacks.Diagnostic`.

    Attributes:
        results: layer -> symmetry -> asymmetry of each member, shape ``(M,)``.

    Raises:
        InputError: if a value is out of range.

    Example:
        >>> import numpy as np
        >>> from renorm.zoo.symmetry.orbits import SignedPermutation
        >>> mirror = {0: SignedPermutation(np.arange(64).reshape(8, 8)[:, ::-1].flatten())}  # of images of 8 x 8 pixels
        >>> SymmetryBreaking(layers=["encoder.0"], generators={"mirror": [mirror]}).layers
        ['encoder.0']
    """

    name = "symmetry"
    needs_data = False
    takes_any_network = True
    results: dict[str, dict[str, Tensor]]
    # epoch -> layer -> symmetry -> mean over the members of each grid point
    _history: dict[int, dict[str, dict[str, list[float]]]]

    def __init__(
        self,
        every_n_epochs: int = 1,
        figure_every_n_epochs: int = 50,
        table: bool = True,
        layers: list[str] | str | None = None,
        generators: Any = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(every_n_epochs, figure_every_n_epochs, table, prefix)
        check_generators(generators)
        self.layers = check_patterns(layers)
        self.generators: Generators | None = generators
        self._subspaces: dict[str, dict[str, Orbits]] = {}
        self._by_point: dict[str, dict[str, list[OrderParameter]]] = {}  # layer -> symmetry -> one for each grid point

    def prepare(self, model: Measured, data: BlockData) -> None:
        """Find the subspaces of every layer.

        Raises:
            InputError: for named modules without weight matrices, or generators that do not act on them.
        """
        if isinstance(model, StackedModel) and self.generators is None:
            self._subspaces = subspaces_by_layer(model)
        else:
            weights = self._weights(model)
            self._subspaces = by_layer(list(weights), generated_subspaces(self.generators, sizes_of(weights)))

    def _weights(self, model: Measured) -> dict[str, Tensor]:
        if isinstance(model, HookedNetwork):
            return named_weights(model, self.layers)
        weights = cast(StackedModel, model).tied_weights()
        return dict(zip(layer_names(len(weights)), weights, strict=True))

    def measure(self, model: Measured, data: BlockData) -> dict[str, dict[str, Tensor]]:
        """Return the asymmetry of every layer to every symmetry."""
        if not self._subspaces:
            return {}
        results = asymmetries_of(self._weights(model), self._subspaces, model.divergence.exclude)
        groups = model.grid_groups().values()
        self._by_point = {
            layer: {name: [order_parameter(values[rows]) for rows in groups] for name, values in symmetries.items()}
            for layer, symmetries in results.items()
        }
        self._history[self.epoch] = {
            layer: {name: [point.mean for point in points] for name, points in symmetries.items()}
            for layer, symmetries in self._by_point.items()
        }
        return results

    def scalars(self, model: Measured, data: BlockData) -> dict[str, float]:
        """Return the asymmetries over members, and their variance and Binder cumulant over grid points."""
        scalars: dict[str, float] = {}
        for layer, name, values in self._rows():
            scalars |= mean_and_quantiles(f"symmetry/{layer}/asymmetry/{name}", values)
            points = np.array(self._by_point[layer][name])
            scalars[f"symmetry/{layer}/variance/{name}"] = float(points[:, 1].mean())
            scalars[f"symmetry/{layer}/binder/{name}"] = float(points[:, 2].mean())
        return scalars

    def figures(self, model: Measured, data: BlockData) -> dict[str, Figure]:
        """Draw the asymmetry over epochs and, if there is a grid, against its first parameter."""
        if not self.results:
            return {}
        groups = model.grid_groups()
        figures = {"symmetry/asymmetry": draw_asymmetry_history(self._history, list(groups))}
        free = self._free()
        if model.grid_axes and free:
            axis = model.grid_axes[0]
            abscissa = [model.member_table[rows[0]][axis] for rows in groups.values()]
            figures["symmetry/order_parameter"] = draw_order_parameter(abscissa, free, axis)
        return figures

    def _free(self) -> dict[str, dict[str, list[OrderParameter]]]:
        """The order parameters that are not one and the same number everywhere, as those of tied weights are."""
        free = {
            layer: {name: points for name, points in symmetries.items() if not _is_constant(points)}
            for layer, symmetries in self._by_point.items()
        }
        return {layer: symmetries for layer, symmetries in free.items() if symmetries}

    def columns(self, model: Measured, data: BlockData) -> Iterator[dict[str, Any]]:
        """Yield the asymmetry of every member, layer by layer."""
        for layer, name, values in self._rows():
            where = {"step": self.step, "layer": layer, "symmetry": name}
            yield where | {"member": np.arange(len(values)), "asymmetry": values}

    def charts(self, model: StackedModel, data: BlockData) -> dict[str, Charts]:
        """Return a chart for each layer."""
        charts = {
            f"{layer}: distance to each symmetry": lines(*(f"symmetry/{layer}/asymmetry/{name}" for name in subspaces))
            for layer, subspaces in (self._subspaces or subspaces_by_layer(model)).items()
        }
        return {"4 symmetry": charts} if charts else {}

    def _rows(self) -> Iterator[tuple[str, str, Tensor]]:
        return ((layer, name, values) for layer, names in self.results.items() for name, values in names.items())


def _is_constant(points: Sequence[OrderParameter]) -> bool:
    means = np.array([point.mean for point in points])
    return bool(np.ptp(means) < ROUNDING and not any(point.variance > ROUNDING**2 for point in points))
