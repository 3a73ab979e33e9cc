"""Figures of the renormalisation-group flow and spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ..cumulants import RGFlowResult
from ..training.metrics import quantiles
from .grid_key import MOST_LABELS, add_grid_key, grid_colours


class Reference(NamedTuple):
    """How the map's own flow is drawn."""

    style: str
    label: str


EXACT = Reference("k--", "exact map")
OF_SAMPLE = Reference("k:", "the map, same sample")


def draw_flow(
    flow: RGFlowResult, exact: NDArray[np.float64] | None, groups: Mapping[str, Sequence[int]], law: str
) -> Figure:
    """Draw cumulants and the distance to the fixed point against steps, by grid point, with the map's own flow on top.

    Args:
        flow: flow of the learned map.
        exact: the exact recursion's cumulants, shape ``(steps + 1, 4)``; if None, those of the map on the same sample are drawn.
        groups: label -> members of each grid point.
        law: for the title.
    """
    figure = Figure(figsize=(9.5, 5.4))
    # a layout engine takes longer than all the drawing
    figure.subplots_adjust(0.06, 0.1, 0.985, 0.87, wspace=0.36, hspace=0.28)
    *panels, free = figure.subplots(2, 3).flat
    free.remove()  # its place is that of the key
    has_wasserstein = bool(flow.exact_wasserstein.isfinite().any())
    distance, own_distance = (
        (flow.wasserstein, flow.exact_wasserstein)
        if has_wasserstein
        else (flow.quantile_distance, flow.exact_quantile_distance)
    )
    learned = [*(flow.k[:, n] for n in range(4)), distance]
    curves = flow.exact_k.cpu().numpy() if exact is None else exact
    references = [*curves.T, own_distance.cpu().numpy()]
    # a sample's distance to the fixed point is not that of its law
    kinds = [OF_SAMPLE if exact is None else EXACT] * 4 + [OF_SAMPLE]
    titles = [
        "mean",
        "variance",
        "third cumulant",
        "fourth cumulant",
        "Wasserstein-1 to fixed point" if has_wasserstein else "quantile distance to fixed point",
    ]
    for axes, values, reference, title, kind in zip(panels, learned, references, titles, kinds, strict=True):
        steps = np.arange(len(reference))
        for (group, members), colour in zip(groups.items(), grid_colours(len(groups)), strict=True):
            rows = values[:, list(members)].cpu()
            low, median, high = (np.array([float(quantiles(row)[i]) for row in rows]) for i in range(3))
            axes.plot(steps, median, color=colour, linewidth=1, marker=".", label=group)
            if len(groups) <= MOST_LABELS:
                axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(steps, reference, kind.style, linewidth=1, label=kind.label)
        axes.set_title(title, fontsize="medium")
        axes.grid(alpha=0.3, linewidth=0.5)
    for axes in panels[2:]:
        axes.set_xlabel("step")
    if np.isfinite(references[4]).any():  # if the fixed point is known
        panels[4].set_yscale("log")
    for axes, reference in zip(panels[:4], references, strict=False):
        # a member that blows up must not hide the others
        span = max(float(np.ptp(reference)), 0.2)
        bottom, top = axes.get_ylim()
        axes.set_ylim(max(bottom, float(reference.min()) - span), min(top, float(reference.max()) + span))
    if len(groups) > MOST_LABELS:
        add_grid_key(figure, panels[0], list(groups), 0.1, 0.38)
        panels[0].legend(handles=panels[0].lines[-1:], fontsize="x-small")
    else:
        figure.legend(handles=panels[0].lines, loc="center", bbox_to_anchor=(0.85, 0.28), fontsize="small")
    if exact is not None:
        panels[4].legend(handles=panels[4].lines[-1:], fontsize="x-small")
    figure.suptitle(f"flow of the learned map, median over members, from {law}", fontsize="medium")
    return figure


def draw_spectrum(spectrum: Tensor, exact: NDArray[np.float64], basis: str = "hermite") -> Figure:
    """The matrix in polynomials at the fixed point, median over members, and its difference to the map's own.

    Args:
        spectrum: shape ``(M, n, n)``.
        exact: the map's own matrix, shape ``(n, n)``.
        basis: name of the polynomials.
    """
    median = spectrum.nanmedian(dim=0).values.numpy()
    figure = Figure(figsize=(9.5, 4))
    figure.subplots_adjust(0.06, 0.13, 0.98, 0.86, wspace=0.15)
    for axes, matrix, title in zip(
        figure.subplots(1, 2), (median, median - exact), ("learned map", "learned − exact"), strict=True
    ):
        finite = np.abs(matrix[np.isfinite(matrix)])
        largest = float(finite.max(initial=0.0)) or 1.0
        image = axes.imshow(matrix, cmap="RdBu_r", vmin=-largest, vmax=largest)
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel("n, of the input's density")
        axes.set_ylabel("m, of the output's density")
        for (m, n), value in np.ndenumerate(matrix):
            if abs(value) > 0.005 * largest:
                shade = "white" if abs(value) > 0.6 * largest else "black"
                axes.text(n, m, f"{value:.2g}", ha="center", va="center", fontsize=6, color=shade)
        figure.colorbar(image, ax=axes)
    figure.suptitle(f"spectrum at the fixed point ({basis} basis), median over members", fontsize="medium")
    return figure
