"""Logging figures, and what the figures share; pyplot is not used, because it keeps every figure alive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from lightning.pytorch import Trainer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..console import shorten as shorten  # figures and tables on the screen shorten laws alike
from ..datamodules.blocks import short_text
from ..files.whole import whole_file
from ..training.metrics import quantiles
from ..training.stack import StackedModel
from .sending import file_name, send_figure
from .tables import table_folder

COLOURS = 10  # of lines, after which they begin again with another style
LINE_STYLES = ("-", "--", ":")


def log_figure(trainer: Trainer, tag: str, figure: Figure) -> None:
    """Send a figure to every logger that takes figures; if there is none, save it in the run's folder ``figures``."""
    if not trainer.is_global_zero:
        return
    taken = [send_figure(logger, tag, figure, trainer.global_step) for logger in trainer.loggers]
    folder = None if any(taken) else table_folder(trainer, "figures")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / file_name(tag, trainer.global_step)) as partial:
            figure.savefig(partial, format="png")


def error_by_grid_point(
    model: StackedModel, results: Mapping[str, Mapping[str, Tensor]], metric: str = "relative_mse"
) -> Figure:
    """Draw the median error under each law against the grid's parameter, with a band from the 10% to the 90% quantile of members.

    Args:
        model: the stack; its first grid axis is the abscissa, or the law if there is no grid.
        results: law -> metric -> one number per member.
        metric: the metric to draw.
    """
    # a layout engine takes longer than all the drawing; laws are named on the right, without a grid slanted below
    figure = Figure(figsize=(9.5, 4.5) if model.grid_axes else (7, 4.5))
    figure.subplots_adjust(*((0.08, 0.12, 0.67) if model.grid_axes else (0.24, 0.3, 0.97)), 0.97)
    axes = figure.add_subplot()
    if model.grid_axes:
        draw_error_lines(axes, model, results, metric)
    else:
        _draw_error_bars(axes, results, metric)
    axes.set_yscale("log")
    axes.set_ylabel(metric.replace("_", " "))
    return figure


def draw_error_lines(axes: Axes, model: StackedModel, results: Mapping[str, Mapping[str, Tensor]], metric: str) -> None:
    """Draw a line for each law over the values of the first grid axis."""
    axis = model.grid_axes[0]
    values = np.array([member[axis] for member in model.member_table])
    abscissa = np.unique(values)
    for number, (law, metrics) in enumerate(results.items()):
        error = metrics[metric].detach().cpu()
        bands = np.array([[float(q) for q in quantiles(error[values == value])] for value in abscissa])
        style = LINE_STYLES[number // COLOURS % len(LINE_STYLES)]
        (line,) = axes.plot(abscissa, bands[:, 1], style, marker=".", label=law_label(law))
        axes.fill_between(abscissa, bands[:, 0], bands[:, 2], color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set_xlabel(axis.replace("_", " "))
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)


def _draw_error_bars(axes: Axes, results: Mapping[str, Mapping[str, Tensor]], metric: str) -> None:
    names = [law_label(law) for law in results]
    bands = np.array([[float(q) for q in quantiles(metrics[metric].detach().cpu())] for metrics in results.values()])
    spread = np.abs(bands[:, [0, 2]].T - bands[:, 1])
    axes.errorbar(range(len(names)), bands[:, 1], yerr=spread, fmt="o", capsize=4)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize="small")


def law_label(law: Any, length: int = 36) -> str:
    """How figures name a law: by its short text, cut where it is longer than so many letters.

    Example:
        >>> law_label("uniform(low=-1.7320508075688772, high=1.7320508075688772)")
        'uniform()'
    """
    return verbatim(shorten(short_text(law), length))


def verbatim(text: str) -> str:
    r"""Escape dollar signs, which paths in laws may have, so that matplotlib does not read a formula.

    Example:
        >>> print(verbatim("empirical(path='a$b$.npy')"))
        empirical(path='a\$b\$.npy')
    """
    return text.replace("$", r"\$")
