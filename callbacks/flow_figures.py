"""Figures of the flow of distributions under a learned map, beside the map itself: densities, magnetisations, correlations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ..cumulants.rg import flow_samples
from ..datamodules import laws
from ..datamodules.block_sources import BlockSource
from ..datamodules.sampling import stream
from ..maps import BlockMap, Decimation
from ..training.metrics import HIGH, LOW
from ..training.stack import StackedModel
from .figures import law_label, verbatim
from .rg_flow import is_gaussian, start_of_flow

Numbers = NDArray[np.float64]
Start = TypeVar("Start", laws.Law, BlockSource)
# of each step: the members' outputs, shape (M, ...), and those of the map itself, shape (...)
Flow = Iterator[tuple[Tensor, Tensor]]

BINS = 60
SHOWN = (0.02, 0.98)  # levels of the quantiles between which densities are drawn, heavy tails being cut
MARGIN = 0.2  # beyond them, as a share of what is between them
QUARTILES = (0.25, 0.75)
LAST_BLOCKS = 8  # variables of a chain that are left after the last step
LEVELS = torch.tensor([LOW, 0.5, HIGH], dtype=torch.float64)


def draw_densities(
    models: Mapping[str, StackedModel],
    block_map: BlockMap,
    starts: list[laws.Law],
    steps: int,
    samples: int,
    seed: int,
) -> Figure:
    """Densities after 0, 1, 2, 4, ... steps, one row a law and one colour a model, with the fixed point's as a black line.

    All models, and the map itself in grey, start from the same draws and share the shuffles. Learned is the median over
    members of each bin, and the band is from their 10% to their 90% quantile. Where every width of the fixed point is fixed,
    the line has the quartiles of the map's last sample.

    Args:
        models: label -> stack, all of one block size and of the map.
        block_map: the map that they learned.
        starts: laws that flows start from.
        steps: the last step.
        samples: size of the samples.
        seed: of the draws.
    """
    columns = panels_of(steps)
    size = (1.75 * len(columns) + 0.5, 1.8 * len(starts) + 1.3)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(starts), len(columns), squeeze=False, sharex="row", sharey="row")
    for row, law in zip(panels, starts, strict=True):
        _draw_row(row, models, block_map, law, columns, samples, seed)
        row[0].set_ylabel(law_label(law, 28), fontsize="small")
    for panel, step in zip(panels[0], columns, strict=True):
        panel.set_title("start" if step == 0 else f"{step} step" + "s" * (step > 1), fontsize="medium")
    handles, names = panels[0, -1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize="small", frameon=False)
    return figure


def panels_of(steps: int) -> list[int]:
    """The steps that have a panel: 0, the powers of two, and the last.

    Example:
        >>> panels_of(8), panels_of(5)
        ([0, 1, 2, 4, 8], [0, 1, 2, 4, 5])
    """
    return sorted({0, steps, *(2**n for n in range(steps.bit_length()))})


def _draw_row(
    row: NDArray[np.object_],
    models: Mapping[str, StackedModel],
    block_map: BlockMap,
    law: laws.Law,
    columns: list[int],
    samples: int,
    seed: int,
) -> None:
    block_size = next(iter(models.values())).block_size
    flows = {}
    for name, model in models.items():
        x, generator = start_of_flow(law, samples, seed, block_map, block_size)
        flow = flow_samples(model, x, columns[-1], generator, block_map)
        flows[name] = [pair for step, pair in enumerate(flow) if step in columns]
    exact = [own.cpu().numpy() for _, own in next(iter(flows.values()))]
    edges = bin_edges(exact)
    fixed = fixed_density(block_map, block_size, exact[-1], edges)
    highest = 0.0
    for column, (panel, own) in enumerate(zip(row, exact, strict=True)):
        heights = histogram(own, edges)
        highest = max(highest, float(heights.max()))
        panel.stairs(heights, edges, color="0.8", fill=True, label="the map itself")
        for number, (name, pairs) in enumerate(flows.items()):
            learned = models[name].divergence.exclude(pairs[column][0].double()).cpu().numpy()
            _draw_learned(panel, learned, edges, f"C{number}", f"{verbatim(name)}, learned")
        if fixed is not None:
            panel.plot(*fixed, "k", linewidth=1, label="fixed point")
        panel.set_yticks([])
    row[0].set_ylim(0, 1.25 * highest)  # a learned law that shrinks to a point must not hide the others


def _draw_learned(panel: Axes, learned: Numbers, edges: Numbers, colour: str, label: str) -> None:
    kept = learned[~np.isnan(learned).all(axis=1)]
    heights = np.array([histogram(member, edges) for member in kept])
    if not len(heights):
        return
    low, median, high = np.quantile(heights, [LOW, 0.5, HIGH], axis=0)
    panel.stairs(high, edges, baseline=low, color=colour, alpha=0.25, fill=True, linewidth=0)
    panel.stairs(median, edges, color=colour, label=label)


def bin_edges(samples: list[Numbers]) -> Numbers:
    """Edges of bins that have most of every sample.

    Example:
        >>> edges = bin_edges([np.linspace(0, 1, 101), np.linspace(-2, 3, 101)])
        >>> len(edges), edges[[0, -1]]
        (61, array([-2.86,  3.86]))
    """
    ends = np.array([np.quantile(x[np.isfinite(x)], SHOWN) for x in samples])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    margin = MARGIN * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, BINS + 1)


def histogram(sample: Numbers, edges: Numbers) -> Numbers:
    """Density of a sample in equal bins; what lies beyond them, or is not finite, counts towards the whole.

    Example:
        >>> histogram(np.array([0.5, 0.5, 1.5, 9.0]), np.array([0.0, 1.0, 2.0]))
        array([0.5 , 0.25])
    """
    counts, _ = np.histogram(sample[np.isfinite(sample)], bins=edges)
    return np.asarray(counts / (len(sample) * (edges[1] - edges[0])), dtype=np.float64)


def fixed_density(
    block_map: BlockMap, block_size: int, last: Numbers, edges: Numbers
) -> tuple[Numbers, Numbers] | None:
    """Abscissae and density of the fixed point; None where it is not known, or has none.

    Args:
        block_map: the map.
        block_size: number of variables of a block.
        last: the map's sample after the last step, which the width is taken from where every width is fixed.
        edges: of the bins.
    """
    law = block_map.fixed_point(block_size)
    if law is None or law.atoms() is not None:
        return None
    width = 1.0
    # flows to a Gaussian start from variance 1; a linear map's other fixed points have any width
    if block_map.weights(block_size) is not None and not is_gaussian(block_map, block_size):
        known = law.quantiles(QUARTILES)
        if known is None:
            return None
        width = float(np.ptp(np.quantile(last, QUARTILES)) / np.ptp(known))
    x = np.linspace(edges[0], edges[-1], 2 * BINS + 1)
    return x, law.pdf(x / width) / width


def draw_magnetisations(
    models: Mapping[str, StackedModel],
    block_map: BlockMap,
    starts: list[laws.Law],
    steps: int,
    samples: int,
    seed: int,
) -> Figure:
    """Means of spins against steps, one panel a model and one colour a law, beside the map's own recursion.

    Args:
        models: label -> stack, all of one block size and of the map.
        block_map: the map that they learned, on spins.
        starts: laws of spins.
        steps: the last step.
        samples: size of the samples.
        seed: of the draws.
    """

    def flow(model: StackedModel, law: laws.Law) -> Flow:
        x, generator = start_of_flow(law, samples, seed, block_map, model.block_size)
        return flow_samples(model, x, steps, generator, block_map)

    def exact(law: laws.Law, block_size: int) -> Numbers | None:
        known = block_map.flow(law.cumulants(4), steps, block_size)
        return None if known is None else known[:, 0].numpy()

    return _draw_curves(models, starts, flow, lambda x: x.double().mean(dim=-1), exact, "mean of the spins")


def draw_correlations(
    models: Mapping[str, StackedModel],
    block_map: BlockMap,
    starts: list[BlockSource],
    steps: int,
    samples: int,
    seed: int,
) -> Figure:
    """Correlations of neighbours along chains against steps, one panel a model and one colour a chain, beside the exact ones.

    The blocks of a chain are successive variables, and their images are the chain after a step.

    Args:
        models: label -> stack, all of one block size and of the map.
        block_map: the map that they learned.
        starts: chains, such as ``ising_chain(coupling=1)``, whose correlations are the hyperbolic tangent of the coupling.
        steps: the last step.
        samples: number of variables of all chains together.
        seed: of the draws.
    """

    def flow(model: StackedModel, source: BlockSource) -> Flow:
        length = LAST_BLOCKS * model.block_size**steps
        generator = stream(seed, "probe", f"flow of the chain {source}", 0, 0)
        chains = source.blocks(max(samples // length, 1), length, generator)
        assert isinstance(chains, Tensor)
        return chain_samples(model, chains, steps, block_map)

    def exact(source: BlockSource, block_size: int) -> Numbers | None:
        return decimated_correlations(source, block_map, block_size, steps)

    return _draw_curves(models, starts, flow, neighbour_correlation, exact, "correlation of neighbours")


@torch.no_grad()
def chain_samples(model: StackedModel, chains: Tensor, steps: int, block_map: BlockMap) -> Flow:
    """Chains along the flow: the members' images, shape ``(M, N, L)``, and the map's own, ``(N, L)``, of falling length L.

    Args:
        model: the stack.
        chains: at the start, shape ``(N, L)``, with L a multiple of ``b`` to the power of ``steps``.
        steps: number of steps.
        block_map: the map that was learned.
    """
    learned, exact = chains.to(next(model.parameters())).expand(model.num_members, -1, -1), chains.double()
    yield learned, exact
    for _ in range(steps):
        members, rows, length = learned.shape
        images = model(learned.reshape(members, -1, model.block_size))
        learned = images.view(members, rows, length // model.block_size)
        exact = block_map(exact.view(rows, -1, model.block_size))
        yield learned, exact


def neighbour_correlation(chains: Tensor) -> Tensor:
    """Correlation of neighbours along chains, shape ``(..., N, L) -> (...)``; NaN where the variables are all equal.

    Example:
        >>> neighbour_correlation(torch.tensor([[1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]))
        tensor(0., dtype=torch.float64)
    """
    centred = chains.double() - chains.double().mean(dim=(-2, -1), keepdim=True)
    variance = centred.square().mean(dim=(-2, -1))
    return (centred[..., 1:] * centred[..., :-1]).mean(dim=(-2, -1)) / variance


def decimated_correlations(source: BlockSource, block_map: BlockMap, block_size: int, steps: int) -> Numbers | None:
    r"""Correlations of neighbours after 0 to ``steps`` steps of decimation: those of variables :math:`b^t` apart.

    Returns:
        Shape ``(steps + 1,)``; None for other maps, and for sources without exact cumulants.

    Example:
        >>> from renorm.datamodules.block_sources import IsingChain
        >>> from renorm.maps import Decimation
        >>> decimated_correlations(IsingChain(coupling=0.5), Decimation(), 2, 2).round(6)  # tanh(0.5) to the powers 1, 2, 4
        array([0.462117, 0.213552, 0.045605])
    """
    if not isinstance(block_map, Decimation):
        return None
    found = []
    for step in range(steps + 1):
        ends = torch.zeros(block_size**step + 1, dtype=torch.float64)
        ends[0] = 1
        single = source.sum_cumulants(ends, 2)
        ends[-1] = 1
        pair = source.sum_cumulants(ends, 2)
        if single is None or pair is None:
            return None
        found.append(float(pair[1] / (2 * single[1]) - 1))
    return np.array(found)


def _draw_curves(
    models: Mapping[str, StackedModel],
    starts: list[Start],
    flow: Callable[[StackedModel, Start], Flow],
    statistic: Callable[[Tensor], Tensor],
    exact: Callable[[Start, int], Numbers | None],
    label: str,
) -> Figure:
    """A number of each step of each flow: of the members, and the exact one, or that of the map on the same draws."""
    figure = Figure(figsize=(4.2 * len(models) + 0.5, 3.9), layout="constrained")
    panels = figure.subplots(1, len(models), squeeze=False, sharey=True)[0]
    lowest = highest = 0.0
    for panel, (name, model) in zip(panels, models.items(), strict=True):
        for number, start in enumerate(starts):
            numbers = [(statistic(learned), statistic(own)) for learned, own in flow(model, start)]
            learned = model.divergence.exclude(torch.stack([pair[0] for pair in numbers]), dim=1).cpu()
            known = exact(start, model.block_size)
            reference = torch.stack([pair[1] for pair in numbers]).cpu().numpy() if known is None else known
            low, median, high = learned.nanquantile(LEVELS, dim=1).numpy()
            panel.fill_between(range(len(low)), low, high, color=f"C{number}", alpha=0.25, linewidth=0)
            panel.plot(median, ".-", color=f"C{number}", label=law_label(start, 60))
            panel.plot(reference, "k--", linewidth=1)
            lowest, highest = min(lowest, float(reference.min())), max(highest, float(reference.max()))
        panel.plot([], "k--", linewidth=1, label="the map, same draws" if known is None else "exact")
        panel.set_title(f"{verbatim(name)}, learned", fontsize="medium")
        panel.set_xlabel("step")
        panel.grid(alpha=0.3, linewidth=0.5)
    margin = 0.08 * (highest - lowest)
    panels[0].set_ylim(lowest - margin, highest + margin)
    panels[0].set_ylabel(label)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize="small", frameon=False)
    return figure
