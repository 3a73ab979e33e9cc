"""A figure of the learned map beside the exact one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from ..datamodules import laws
from ..errors import InputError
from ..maps import BlockMap
from ..training.metrics import HIGH, LOW
from ..training.recipe import known_map
from ..training.stack import StackedModel, check_stack
from .figures import law_label

SIDE = 81  # points along an axis of the plane
POINTS = 241  # along a line
SHOWN = 0.99  # share of the differences that the colours tell apart
LEVELS = 8  # contour lines, about
DEVIATIONS = 3.0  # of a law on either side of its mean


def plot_map(
    model: StackedModel,
    law: laws.Law | str | None = None,
    span: tuple[float, float] = (-3.0, 3.0),
    members: Sequence[int] | None = None,
    ax: Sequence[Axes] | None = None,
    map: str | None = None,
) -> tuple[Figure, NDArray[Any]]:
    r"""Draw the learned map beside the exact one.

    For blocks of two, three panels: contour lines of the learned map, those of the exact map, and the difference in colour. For
    larger blocks, two: outputs along the diagonal ``(t, ..., t)``, and along ``(t, -t, 0, ..., 0)``.
    Learned is the median over members at each point; bands are from their 10% to their 90% quantile.

    Args:
        model: the stack, on any device.
        law: gives the range of the variables: three standard deviations on either side of the mean, within the law's support.
        span: lowest and highest value of a variable, if there is no law.
        members: positions of the members in the stack; by default all that have not diverged.
        map: the exact map; by default the one that the model was trained on, or the central-limit map.
        ax: axes to draw into, as many as there are panels; a new figure by default.

    Returns:
        The figure and its panels.

    Raises:
        InputError: for a law without a variance, an empty range, members that are not in the stack, or the wrong number of axes.

    Example:
        >>> from renorm.zoo import MLP
        >>> figure, panels = plot_map(MLP(activation="linear", replicas=3), law="uniform()")
        >>> [panel.get_title() for panel in panels]
        ['learned, median of 3 members', 'exact, $(x_1 + x_2)/\\sqrt{2}$', 'learned − exact']
    """
    check_stack(model)
    target = known_map(model, map)
    chosen = _chosen(model, members)
    low, high = _range(law, span)
    count = 3 if model.block_size == 2 else 2
    figure, panels = _panels(ax, count)
    what = f"median of {len(chosen)} members" if len(chosen) > 1 else f"member {chosen[0]}"
    name = "learned" if model.num_members == 1 else f"learned, {what}"
    if model.block_size == 2:
        _draw_plane(panels, model, target, chosen, (low, high), name)
    else:
        _draw_lines(panels, model, target, chosen, (low, high), name)
    if ax is None:
        origin = "" if law is None else f", over {law_label(law)}"
        kind = ", ".join(str(model.hparams[key]) for key in ("activation", "make") if key in model.hparams)
        figure.suptitle(f"{type(model).__name__}, {kind}{origin}", fontsize="medium")
    return figure, panels


def _chosen(model: StackedModel, members: Sequence[int] | None) -> list[int]:
    trained = [member for member in range(model.num_members) if member not in model.divergence.steps]
    chosen = trained if members is None else list(members) if isinstance(members, Iterable) else []
    if not chosen or not all(type(m) is int and 0 <= m < model.num_members for m in chosen):
        raise InputError(f"members={members!r} is not a list of members", f"numbers from 0 to {model.num_members - 1}")
    return chosen


def _range(law: laws.Law | str | None, span: tuple[float, float]) -> tuple[float, float]:
    if law is not None:
        law = law if isinstance(law, laws.Law) else laws.parse(law)
        mean, variance = law.cumulants(2).tolist()
        if not math.isfinite(variance):
            raise InputError(f"law={str(law)!r} has no variance", "laws with one, or span=(low, high)")
        reach = DEVIATIONS * math.sqrt(variance)
        lowest, highest = law.support()
        span = (max(lowest, mean - reach), min(highest, mean + reach))
    try:
        low, high = map(float, span)
    except (TypeError, ValueError):
        low = high = math.nan
    if not low < high or not math.isfinite(high - low):
        raise InputError(f"span={span!r} is not a range", "(low, high) with low < high")
    return low, high


def _panels(ax: Sequence[Axes] | None, count: int) -> tuple[Figure, NDArray[Any]]:
    if ax is None:
        figure = Figure(figsize=(4 * count, 4), layout="compressed")
        return figure, np.asarray(figure.subplots(1, count))
    panels = np.asarray(ax, dtype=object).reshape(-1)
    if not all(isinstance(panel, Axes) for panel in panels):
        raise InputError(f"ax={ax!r} is not a list of axes", f"{count} axes of matplotlib, one per panel")
    if len(panels) != count:
        raise InputError(f"ax has {len(panels)} axes; allowed here: {count}, one per panel")
    return cast(Figure, panels[0].figure), panels


@torch.no_grad()
def _outputs(
    model: StackedModel, target: BlockMap, x: Tensor, members: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return low, median and high output of the members at each block, ``(3, N)``, and that of the exact map, ``(N,)``."""
    parameter = next(model.parameters())
    outputs = model(x.to(parameter))[members].double().cpu()
    levels = torch.tensor([LOW, 0.5, HIGH], dtype=torch.float64)
    learned = outputs.masked_fill(~outputs.isfinite(), torch.nan).nanquantile(levels, dim=0)
    return learned.numpy(), target(x).numpy()


def _draw_plane(
    panels: NDArray[Any],
    model: StackedModel,
    target: BlockMap,
    members: list[int],
    span: tuple[float, float],
    name: str,
) -> None:
    t = np.linspace(*span, SIDE)
    blocks = np.stack(np.meshgrid(t, t), axis=-1).reshape(-1, 2)
    (_, learned, _), exact = _outputs(model, target, torch.from_numpy(blocks), members)
    learned, exact = (values.reshape(SIDE, SIDE) for values in (learned, exact))
    # the same lines and colours in both panels
    levels = MaxNLocator(LEVELS).tick_values(exact.min(), exact.max())
    colours = {"cmap": "RdBu_r", "vmin": exact.min(), "vmax": exact.max(), "alpha": 0.5}
    titles = [name, f"exact, {target.formula(2)}", "learned − exact"]
    for panel, values, title in zip(panels, (learned, exact), titles, strict=False):
        panel.pcolormesh(t, t, values, rasterized=True, **colours)
        panel.clabel(panel.contour(t, t, values, levels=levels, colors="black", linewidths=1), fmt="%g")
        panel.set_title(title, fontsize="medium")
    gap = learned - exact
    # a few extreme corners must not leave one colour for all the rest
    largest = float(np.quantile(np.abs(gap[np.isfinite(gap)]), SHOWN)) if np.isfinite(gap).any() else 0.0
    largest = largest or 1.0
    image = panels[2].pcolormesh(t, t, gap, cmap="PuOr_r", vmin=-largest, vmax=largest, rasterized=True)
    panels[2].figure.colorbar(image, ax=panels[2], shrink=0.8, extend="both")
    panels[2].set_title(titles[2], fontsize="medium")
    for panel in panels:
        panel.set_aspect("equal")
        panel.set_xlabel("$x_1$")
    panels[0].set_ylabel("$x_2$")


def _draw_lines(
    panels: NDArray[Any],
    model: StackedModel,
    target: BlockMap,
    members: list[int],
    span: tuple[float, float],
    name: str,
) -> None:
    t = np.linspace(*span, POINTS)
    across = np.zeros(model.block_size)
    across[0], across[1] = 1.0, -1.0
    directions = {"$(t, …, t)$": np.ones_like(across), "$(t, -t, 0, …, 0)$": across}
    for panel, (name, direction) in zip(panels, directions.items(), strict=True):
        (low, median, high), exact = _outputs(model, target, torch.from_numpy(np.outer(t, direction)), members)
        if len(members) > 1:
            panel.fill_between(t, low, high, color="C0", alpha=0.25, linewidth=0, label="10% to 90% of members")
        panel.plot(t, median, color="C0", label=name)
        panel.plot(t, exact, "k--", linewidth=1, label=f"exact, {target.formula(model.block_size)}")
        panel.set_title(f"along {name}", fontsize="medium")
        panel.set_xlabel("$t$")
        panel.grid(alpha=0.3, linewidth=0.5)
    panels[0].set_ylabel("output")
    panels[0].legend(fontsize="small")
