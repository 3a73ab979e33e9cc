"""Cumulants of every layer, every epoch: scalars, figures and a table."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ..checks import check_at_least, check_one_of
from ..cumulants import kstat
from ..datamodules import laws
from ..datamodules.blocks import BlockData, Blocks, law_tags
from ..datamodules.clt import parse_laws
from ..datamodules.laws.quadrature import law_rule
from ..errors import InputError
from ..limits import check_samples
from ..training.stack import StackedModel
from .charts import Charts, chart_tag, lines
from .cumulant_figures import draw_flow, draw_history
from .cumulant_table import cumulant_columns
from .diagnostic import Diagnostic
from .figures import law_label, shorten
from .hooked_network import HookedNetwork, Measured, check_patterns
from .layer_cumulants import ORDER, LayerCumulants, integrated_cumulants, sampled_cumulants
from .probe import Probe, Probed
from .tables import mean_and_quantiles

log = logging.getLogger("renorm")

METHODS = ("sampling", "quadrature")
MOST_UNITS = 1024  # of a module whose outputs have a covariance matrix in the table: 8 MiB an epoch


class CumulantDiagnostics(Diagnostic):
    r"""Measure the cumulants of every layer: of a stack under chosen laws, of any LightningModule on a probe.

    Beside those of ``out`` are the exact ones, if the map has them.

    Scalars ``cumulants/<law>/<layer>/k<n>`` are means over members and units; ``..._q10`` and ``..._q90`` are quantiles; for
    graphs ``k<n>_across_nodes`` is the sum of the joint cumulants between nodes, for every feature. A
    Parquet file per epoch in the run's folder ``cumulants`` has every member and unit, with standard
    errors, which are too small in typical samples of heavy-tailed laws (:func:`renorm.cumulants.kstat_stderr`), see
    :func:`renorm.callbacks.cumulant_table.cumulant_columns`. Members that have diverged are left out.

    With ``layers`` or ``probe``, and for every module that is not a stack, the outputs of named modules are measured by forward
    hooks, see :class:`renorm.callbacks.hooked_network.HookedNetwork`. Then ``<law>`` is ``probe``, unless the data module has
    laws, and ``<layer>`` is the module's name; units are what follows the batch axis.

    Args:
        laws: laws of the input; by default those trained on.
        every_n_epochs: how often to measure; 0 for never.
        samples: number of blocks in the probe batch, which is the same every time.
        method: ``sampling``, or ``quadrature`` for numbers without noise, which needs blocks of 2 variables.
        figure_every_n_epochs: how often to draw figures, besides at the end of training; 0 for never.
        table: whether to write the Parquet files.
        layers: names of modules, with wildcards, as ``["encoder.*"]``; by default those of a stack, and of another module
            all that have no modules of their own and return a tensor.
        probe: a batch, or a loader, of which the first batches with ``samples`` rows are taken.
        prefix: see :class:`renorm.callbacks.Diagnostic`.

    Attributes:
        results: law -> layer -> cumulants of the last measurement.

    Raises:
        InputError: if a value is out of range or a law is unknown.
    """

    name = "cumulants"
    takes_any_network = True
    results: dict[str, dict[str, LayerCumulants]]
    # law -> one row per epoch measured: the epoch, then the medians of each layer and order
    _history: dict[str, list[list[float]]]

    def __init__(
        self,
        laws: list[str] | str | None = None,
        every_n_epochs: int = 1,
        samples: int = 256,
        method: str = "sampling",
        figure_every_n_epochs: int = 50,
        table: bool = True,
        layers: list[str] | str | None = None,
        probe: Any = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(every_n_epochs, figure_every_n_epochs, table, prefix)
        check_at_least("samples", samples, ORDER)
        check_samples(samples)
        check_one_of("method", method, METHODS)
        self.laws = None if laws is None else parse_laws("laws", laws)
        self.samples = samples
        self.method = method
        self.layers = check_patterns(layers)
        self.probe = None if probe is None else Probe(probe)
        if self.probe is not None and laws is not None:
            raise InputError(f"laws={laws!r} beside a probe has no effect", "one of the two")
        if method != "sampling" and (layers is not None or probe is not None):
            raise InputError(f"method={method!r} with layers or a probe", "sampling")
        self._probes: dict[str, Blocks | Probed] = {}
        self._layers: dict[str, list[str]] = {}  # law -> the layers of its rows in the history

    def prepare(self, model: Measured, data: BlockData) -> None:
        """Check that the method can do the data, and that the modules of a network that is not a stack can be measured.

        Raises:
            InputError: for quadrature with blocks of more than two variables, or laws that it cannot integrate; for a module
                or a probe that does not fit.
        """
        if isinstance(model, HookedNetwork):
            if self.method != "sampling":
                raise InputError(f"method={self.method!r} needs a stack, such as renorm.zoo.MLP", "sampling")
            model.try_probe(data, self._chosen_laws(data), self.samples)
            return
        if self.method == "quadrature":
            if not data.independent:
                raise InputError("method='quadrature' needs blocks of independent variables; allowed here: sampling")
            if data.block_size != 2:
                raise InputError(f"method='quadrature' with block_size={data.block_size}", "block_size=2, or sampling")
            for law in self._chosen_laws(data):
                if not isinstance(law, laws.Law):
                    raise InputError(f"method='quadrature' with law={str(law)!r}", "laws of one variable, or sampling")
                law_rule(law)  # rejects a law that it cannot integrate now, and not after the first epoch

    def _chosen_laws(self, data: BlockData) -> list[Any]:
        return self.laws or data.train_laws

    def measure(self, model: Measured, data: BlockData) -> dict[str, dict[str, LayerCumulants]]:
        """Return the cumulants of every layer under each law, and add their medians to the history."""
        results: dict[str, dict[str, LayerCumulants]] = {}
        for law in self._chosen_laws(data):
            layers = self.layers_under(law, model, data)
            results[str(law)] = {name: layer.without_diverged(model) for name, layer in layers.items()}
        for name, layers in results.items():
            medians = [value for layer in layers.values() for value in median_of_units(layer.k)]
            self._rows_of(name, list(layers)).append([self.epoch, *medians])
        return results

    def _rows_of(self, law: str, layers: list[str]) -> list[list[float]]:
        """The rows of a law's history; none of layers that are no longer the same, as after a resumption with other names."""
        rows, before = self._history.setdefault(law, []), self._layers.get(law)
        if rows and (before != layers if before else len(rows[0]) != 1 + ORDER * len(layers)):
            was = ", ".join(before) if before else f"{(len(rows[0]) - 1) // ORDER} layers"
            log.warning(
                "%s/%s: the history begins anew in epoch %d, as the layers (%s) are now %s",
                *(self.prefixed(self.name), law, self.epoch, was, ", ".join(layers)),
            )
            rows.clear()
        self._layers[law] = layers
        return rows

    def saved_history(self) -> dict[str, Any]:
        """The history, and the layers that it is of."""
        return super().saved_history() | {"layers": self._layers}

    def restore_history(self, saved: dict[str, Any]) -> None:
        """Take the history; checkpoints of versions up to 0.1 do not name its layers."""
        super().restore_history(saved)
        self._layers = saved.get("layers", {})

    def forget(self) -> None:
        """Forget the history, and the blocks that were measured on."""
        super().forget()
        self._layers, self._probes = {}, {}

    def layers_under(self, law: Any, model: Measured, data: BlockData) -> dict[str, LayerCumulants]:
        """Return the cumulants of every layer under one law, by the layer's name."""
        if self.method == "quadrature":
            return integrated_cumulants(cast(StackedModel, model), law)
        if str(law) not in self._probes:
            self._probes[str(law)] = data.probe(law, self.samples).to(next(model.parameters()))
        most_units = MOST_UNITS if isinstance(model, HookedNetwork) else None
        return sampled_cumulants(model, self._probes[str(law)].x, most_units=most_units)

    def scalars(self, model: Measured, data: BlockData) -> dict[str, float]:
        """Return mean and quantiles of every layer and order over members and units."""
        scalars: dict[str, float] = {}
        tags = law_tags(data, self.results)
        for law, layers in self.results.items():
            for name, layer in layers.items():
                for n in range(ORDER):
                    tag = f"cumulants/{tags[law]}/{name}/k{n + 1}"
                    scalars |= mean_and_quantiles(tag, layer.k[n])
                    scalars[chart_tag(tag)] = scalars[tag]
                    if n and layer.across_nodes is not None:
                        scalars |= mean_and_quantiles(f"{tag}_across_nodes", layer.across_nodes[n])
        return scalars

    def figures(self, model: Measured, data: BlockData) -> dict[str, Figure]:
        """Draw the flow through the layers, and its history over training, under each law."""
        figures: dict[str, Figure] = {}
        tags = law_tags(data, self.results)
        for law, layers in self.results.items():
            flow = {
                group: {name: np.array(median_of_units(layer.k[:, positions])) for name, layer in layers.items()}
                for group, positions in model.grid_groups().items()
            }
            start, image = variable_cumulants(data, law), data.target_cumulants(law)
            exact = None if start is None or image is None else torch.stack([start, image]).numpy()
            title = law_label(law)
            figures[f"cumulant_flow/{tags[law]}"] = draw_flow(flow, exact, self._probe_cumulants(law), title)
            rows = np.array(self._history[law])
            history = rows[:, 1:].reshape(len(rows), len(layers), ORDER)
            epochs = [int(epoch) for epoch in rows[:, 0]]
            figures[f"cumulant_history/{tags[law]}"] = draw_history(epochs, history, list(layers), title)
        return figures

    def _probe_cumulants(self, law: str) -> NDArray[np.float64] | None:
        probe = self._probes.get(law)
        if probe is None or isinstance(probe, Probed):
            return None
        return torch.stack([kstat(probe.x.flatten(), ORDER), kstat(probe.y, ORDER)]).cpu().numpy()

    def columns(self, model: Measured, data: BlockData) -> Iterator[dict[str, Any]]:
        """Yield every member and unit, layer by layer."""
        exact = {law: data.target_cumulants(law) for law in self.results}
        return cumulant_columns(self.step, self.results, exact)

    def charts(self, model: StackedModel, data: BlockData) -> dict[str, Charts]:
        """Return, for each law, a chart of each order; none for modules that were named."""
        if self.layers is not None or self.probe is not None:
            return {}
        names = list(model.trace(torch.zeros(1, model.block_size).to(next(model.parameters()))))
        chosen = self._chosen_laws(data)
        tags = law_tags(data, chosen)
        return {
            f"3 cumulants, {shorten(tag)}": {
                f"k{n} by layer": lines(*(f"cumulants/{tag}/{name}/k{n}" for name in names)) for n in range(1, 5)
            }
            for tag in (tags[str(law)] for law in chosen)
        }


def variable_cumulants(data: BlockData, law: str) -> Tensor | None:
    """Exact cumulants of one variable; None if they are not known."""
    if data.independent:
        return laws.parse(law).cumulants(ORDER)
    known = getattr(data, "variable_cumulants", None)  # which data modules of one's own need not have
    return None if known is None else known(law)


def median_of_units(k: Tensor) -> list[float]:
    """Return the median over members and units of each order, ``(4, M, units) -> 4`` numbers, without diverged members."""
    flat = k.flatten(1)
    medians: list[float] = flat.masked_fill(~flat.isfinite(), torch.nan).nanmedian(dim=1).values.tolist()
    return medians
