"""Predicted against measured cumulants of every layer over training: where a closure fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from matplotlib.figure import Figure
from torch import Tensor

from ..checks import check_at_least, check_one_of
from ..cumulants import propagate
from ..cumulants.propagation import Gap
from ..cumulants.propagation.own_module import check_shape, graph_arguments
from ..cumulants.propagation.propagate import METHODS, is_stack
from ..datamodules import laws
from ..datamodules.blocks import BlockData, law_tags
from ..datamodules.sampling import stream
from ..errors import InputError
from ..limits import check_samples
from ..training.stack import StackedModel
from .diagnostic import Diagnostic, read_laws, trained_with_variance
from .figures import law_label
from .hooked_network import FEWEST_ROWS, HookedNetwork, Measured
from .layer_cumulants import ORDER, sampled_cumulants
from .probe import CopiesOfGraph, ProbeData
from .tables import mean_and_quantiles
from .theory_figures import draw_gap


class TheoryGap(Diagnostic):
    r"""Compare the predicted cumulants of every layer with those measured on a sample of blocks.

    Scalars ``theory_gap/<law>/<layer>/k<n>`` are predicted minus measured, means over members and units with quantiles, and
    ``..._stderr`` is the mean standard error of the measurement, so that a gap can be told from noise. Figures show predicted
    against measured; a Parquet file per epoch in the run's folder ``theory_gap`` has every member and unit.

    Of a module that is not a stack, it compares what :func:`renorm.cumulants.propagate` can read of it: ``network`` names the
    part. The part's own modules that are called as ``propagate`` calls the layers are measured by forward hooks, and all its
    outputs as ``out``, on a sample of the laws.

    Args:
        laws: laws of the input, with a variance; by default those trained on that have one.
        every_n_epochs: how often to compare; 0 for never.
        method: see :func:`renorm.cumulants.propagate`.
        closure: highest order of the cumulants that the prediction keeps, 2 to 4.
        samples: number of blocks in the sample, which is the same every time.
        members: how many members to compare, evenly spread over the stack: a prediction costs much more than a sample.
        figure_every_n_epochs: how often to draw figures, besides at the end of training; 0 for never.
        table: whether to write the Parquet files.
        network: name of the module that is predicted, in a LightningModule that is not a stack; by default all of it.
        shape: of one input of that module, without the batch, of a graph ``(nodes, features)``; by default that of the data
            module's blocks where it takes these, else a vector, as long as the one of its affine maps' inputs with which it runs.
        edge_index: edges of the graph, shape ``(2, E)``, for modules of PyG.
        edge_weight: their weights, shape ``(E,)``.
        prefix: see :class:`renorm.callbacks.Diagnostic`.

    Attributes:
        results: law -> layer -> :class:`renorm.cumulants.propagation.Gap`, of the compared members.

    Raises:
        InputError: if a value is out of range, a law is unknown, or the method cannot do the model.

    Example:
        >>> TheoryGap(laws="uniform()", every_n_epochs=1).method
        'edgeworth'
    """

    name = "theory_gap"
    takes_any_network = True
    results: dict[str, dict[str, Gap]]

    def __init__(
        self,
        laws: list[str] | str | None = None,
        every_n_epochs: int = 1,
        method: str = "edgeworth",
        closure: int = 4,
        samples: int = 2048,
        members: int = 16,
        figure_every_n_epochs: int = 50,
        table: bool = True,
        network: str | None = None,
        shape: Sequence[int] | None = None,
        edge_index: Any = None,
        edge_weight: Any = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(every_n_epochs, figure_every_n_epochs, table, prefix)
        check_at_least("samples", samples, 2 * ORDER)
        check_at_least("members", members, 1)
        check_samples(samples)
        check_one_of("method", method, METHODS)
        if closure not in (2, 3, 4):
            raise InputError(f"closure={closure} is out of range", "2 to 4")
        if network is not None and not isinstance(network, str):
            raise InputError(f"network={network!r} is not a name", "the name of one module, as 'encoder'")
        if edge_index is not None and shape is None:
            raise InputError("edge_index without a shape says nothing of the features", "shape=[nodes, features]")
        if edge_weight is not None and edge_index is None:
            raise InputError("edge_weight without edge_index", "both, or edge_index alone")
        self.laws = read_laws(laws)
        if self.laws == []:
            raise InputError("laws=[] measures nothing", "one or more, or every_n_epochs=0")
        for law in self.laws or []:
            if not law.has_variance:
                raise InputError(f"laws={str(law)!r} has no variance", "laws with one")
        self.method = method
        self.closure = closure
        self.samples = samples
        self.members = members
        self.network = network
        # in a file of settings, edges are lists
        given = {"edge_index": edge_index, "edge_weight": edge_weight}
        edges = {name: None if value is None else torch.as_tensor(value) for name, value in given.items()}
        self._edges: dict[str, Any] = {} if edge_index is None else edges
        self.shape = None if shape is None else check_shape(shape)

    def prepare(self, model: Measured, data: BlockData | ProbeData) -> None:
        """Predict once for each law, so that what cannot be predicted is rejected before training.

        Raises:
            InputError: for a model or a law that the method cannot do, or a module whose layers cannot be measured.
        """
        if self.network is not None and not isinstance(model, HookedNetwork):
            raise InputError(f"network={self.network!r} is for modules that are not stacks", "None for a stack")
        if not self.every_n_epochs:
            return
        if not data.independent and not isinstance(data, ProbeData):
            raise InputError("theory_gap.every_n_epochs needs blocks of independent variables; allowed here: 0")
        for law in self._chosen_laws(data):
            if isinstance(model, HookedNetwork):
                self.compare(model, law, data)
            else:
                propagate(model, law, ORDER, self.closure, self.method, members=[0], shape=self.shape, **self._edges)

    def measure(self, model: Measured, data: BlockData | ProbeData) -> dict[str, dict[str, Gap]]:
        """Return the gaps of every layer under each law; none of a network whose weights are no longer finite."""
        if isinstance(model, HookedNetwork) and not all(bool(p.isfinite().all()) for p in model.parameters()):
            return {}
        gaps = {}
        for law in self._chosen_laws(data):
            try:
                gaps[str(law)] = self.compare(model, law, data)
            except InputError as refused:  # it could be predicted before training, and may be again
                rank_zero_info(f"theory_gap: {law} is left out of this epoch: {refused}")
        return gaps

    def compare(self, model: Measured, law: laws.Law, data: BlockData | ProbeData) -> dict[str, Gap]:
        """Return predictions beside a sample's estimates, by layer."""
        predicted_of, measured_of = self._parts(model)
        members = self._chosen_members(measured_of)
        as_it_is = measured_of.undisturbed() if isinstance(measured_of, HookedNetwork) else contextlib.nullcontext()
        with torch.no_grad(), as_it_is:
            x = self._sample(measured_of, law, data)
            # a module that says itself what it is knows its shape
            shape = self.shape if self.shape is not None or is_stack(predicted_of) else x.shape[1:]
            predicted = propagate(
                *(predicted_of, law, ORDER, self.closure, self.method), members=members, shape=shape, **self._edges
            )
            if isinstance(measured_of, HookedNetwork):
                measured_of = measured_of.with_layers(list(predicted))
            x = x.to(next(measured_of.parameters()))
            if not self._edges:
                return predicted.compare(sampled_cumulants(measured_of, x, members=members))
            copies = CopiesOfGraph.of(x, graph_arguments(predicted_of, x.shape[1:], **self._edges))
            measured = sampled_cumulants(measured_of, copies, members=members)
            return predicted.compare({name: layer.nodes_first() for name, layer in measured.items()})

    def _parts(self, model: Measured) -> tuple[Any, Measured]:
        """What is predicted, and how it is measured."""
        if not isinstance(model, HookedNetwork):
            return model, model
        part = model.part(self.network)
        return part.module, part.module if isinstance(part.module, StackedModel) else part

    def _sample(self, model: Measured, law: laws.Law, data: BlockData | ProbeData) -> Tensor:
        """Inputs drawn from a law, the same ones each time."""
        if self.shape is None and not isinstance(data, ProbeData):
            blocks = data.probe(law, self.samples).x
            if not isinstance(model, HookedNetwork) or model.takes(blocks[:FEWEST_ROWS]):
                return blocks
        shape = self.shape
        if shape is None:
            shape = (model.width() if isinstance(model, HookedNetwork) else cast(StackedModel, model).block_size,)
        return law.sample((self.samples, *shape), generator=stream(0, "probe", str(law), 0, 0))

    def _chosen_members(self, model: Measured) -> list[int]:
        """Some of the members that have not diverged."""
        trained = [member for member in range(model.num_members) if member not in model.divergence.steps]
        return [trained[i] for i in evenly_spread(len(trained), self.members)]

    def _chosen_laws(self, data: BlockData | ProbeData) -> list[laws.Law]:
        if self.laws is not None:
            return self.laws
        if isinstance(data, ProbeData):
            raise InputError(
                "TheoryGap has no laws of the input", "laws=['gaussian()'], or a data module that has them"
            )
        return trained_with_variance(data)

    def scalars(self, model: Measured, data: BlockData | ProbeData) -> dict[str, float]:
        """Return the gaps over members and units, with the mean standard error of the measurement."""
        scalars: dict[str, float] = {}
        tags = law_tags(data, self.results)
        for law, gaps in self.results.items():
            for layer, gap in gaps.items():
                for n in range(ORDER):
                    tag = f"theory_gap/{tags[law]}/{layer}/k{n + 1}"
                    scalars |= mean_and_quantiles(tag, gap.gap[n])
                    scalars[f"{tag}_stderr"] = float(gap.stderr[n].nanmean())
        return scalars

    def figures(self, model: Measured, data: BlockData | ProbeData) -> dict[str, Figure]:
        """Draw predicted against measured cumulants under each law."""
        tags = law_tags(data, self.results)
        return {
            f"theory_gap/{tags[law]}": draw_gap(gaps, f"{law_label(law)}, {self.method}")
            for law, gaps in self.results.items()
        }

    def columns(self, model: Measured, data: BlockData | ProbeData) -> Iterator[dict[str, Any]]:
        """Yield every order, member and unit, layer by layer."""
        compared = np.array(self._chosen_members(self._parts(model)[1]))
        for law, gaps in self.results.items():
            for layer, gap in gaps.items():
                orders, members, units = gap.predicted.shape
                yield {
                    "law": law,
                    "layer": layer,
                    "order": np.repeat(np.arange(1, orders + 1), members * units),
                    "member": np.tile(np.repeat(compared, units), orders),
                    "unit": np.tile(np.arange(units), orders * members),
                    "predicted": gap.predicted,
                    "measured": gap.measured,
                    "stderr": gap.stderr,
                }


def evenly_spread(count: int, wanted: int) -> list[int]:
    """Return at most ``wanted`` of the numbers below ``count``, evenly spread.

    Example:
        >>> evenly_spread(10, 4), evenly_spread(3, 16)
        ([0, 3, 6, 9], [0, 1, 2])
    """
    wanted = min(count, wanted)
    return [round(i * (count - 1) / max(wanted - 1, 1)) for i in range(wanted)]
