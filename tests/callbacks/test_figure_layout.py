"""What figures say is inside them, and true: labels, keys, the map's own line; constant order parameters are not drawn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from renorm.callbacks.cumulant_figures import draw_flow as draw_layers
from renorm.callbacks.layer_cumulants import sampled_cumulants
from renorm.callbacks.rg_figures import draw_flow
from renorm.callbacks.symmetry_breaking import SymmetryBreaking
from renorm.callbacks.symmetry_figures import draw_asymmetry_history
from renorm.callbacks.theory_figures import draw_gap
from renorm.cumulants import propagate, rg_flow
from renorm.datamodules import CLTDataModule, laws
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.zoo import MLP

MANY = [round(0.04 * number, 2) for number in range(22)]
LAW = laws.parse("uniform()")


def texts(figure: Figure) -> Iterator[Text]:
    for text in figure.findobj(Text):
        if isinstance(text, Text) and text.get_visible() and text.get_text().strip():
            yield text


def outside(figure: Figure) -> list[str]:
    """Titles, labels and notes that the figure's edge cuts."""
    FigureCanvasAgg(figure).draw()
    whole, found = figure.bbox, []
    named = [axes.yaxis.label for axes in figure.axes] + [axes.xaxis.label for axes in figure.axes]
    named += [axes.title for axes in figure.axes] + list(figure.texts)
    named += [label for axes in figure.axes for label in axes.get_yticklabels() if axes.get_label() == "<colorbar>"]
    for text in named:
        if text.get_text().strip() and text in set(texts(figure)):
            box = text.get_window_extent()
            if box.x0 < whole.x0 or box.x1 > whole.x1 or box.y0 < whole.y0 or box.y1 > whole.y1:
                found.append(text.get_text())
    return found


def stack(slopes: list[float], **arguments: object) -> MLP:
    return MLP(activation="leaky_relu", negative_slope=slopes, replicas=2, **arguments)  # type: ignore[arg-type]


def test_nothing_is_cut_off_in_the_figure_of_the_gap() -> None:
    model = MLP(replicas=2)
    x = torch.rand(500, 2)
    figure = draw_gap(propagate(model, LAW).compare(sampled_cumulants(model, x)), "uniform(), edgeworth")
    assert figure.axes[0].get_ylabel() == "predicted"
    assert outside(figure) == []
    note = figure.texts[0].get_window_extent()
    assert all(not note.overlaps(axes.xaxis.label.get_window_extent()) for axes in figure.axes)


@pytest.mark.parametrize("slopes", [MANY, MANY[:3]], ids=["many", "few"])
def test_the_flow_says_whose_line_is_exact(slopes: list[float]) -> None:
    model = stack(slopes)
    x = torch.randn(200, generator=torch.Generator().manual_seed(0))
    figure = draw_flow(rg_flow(model, x, steps=3), np.zeros((4, 4)), model.grid_groups(), "uniform()")
    styles = [(axes.lines[-1].get_linestyle(), axes.lines[-1].get_label()) for axes in figure.axes[:5]]
    assert styles == [("--", "exact map")] * 4 + [(":", "the map, same sample")]
    legend = figure.axes[4].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["the map, same sample"]
    assert outside(figure) == []
    assert (len(figure.axes) == 6) == (len(slopes) == len(MANY))  # the colour bar


def test_many_grid_points_have_a_colour_bar() -> None:
    labels = list(stack(MANY).grid_groups())
    flow = {label: {layer: np.full(4, 0.1) for layer in ("pre0", "out")} for label in labels}
    history = {epoch: {"pre0": {"input": [0.1] * 22, "full": [0.2] * 22}} for epoch in (0, 1)}
    for figure in (draw_layers(flow, None, None, "uniform()"), draw_asymmetry_history(history, labels)):
        bar = figure.axes[-1]
        assert bar.get_title("left") == "negative slope"
        assert [label.get_text() for label in bar.get_yticklabels()] == ["0", "0.2", "0.4", "0.64", "0.84"]
        assert outside(figure) == []


def test_a_single_network_has_a_panel_for_each_layer() -> None:
    history = {epoch: {"pre0": {"input": [0.1], "full": [0.2]}, "out": {"full": [0.3]}} for epoch in (0, 1)}
    figure = draw_asymmetry_history(history, ["all"])
    assert [[line.get_label() for line in axes.lines] for axes in figure.axes] == [["input", "full"], ["full"]]
    assert outside(figure) == []


@pytest.mark.parametrize(("symmetry", "drawn"), [("free", True), ("full", False)])
def test_order_parameters_of_tied_weights_are_not_drawn(symmetry: str, drawn: bool) -> None:
    breaking = SymmetryBreaking(figure_every_n_epochs=0, table=False)
    model, data = stack([0.1, 0.9], symmetry=symmetry), CLTDataModule(steps_per_epoch=2, val_samples=64)
    trainer = quiet_trainer(2, accelerator="cpu", limit_val_batches=1, callbacks=[breaking])
    trainer.fit(model, data)
    assert breaking.results
    assert ("symmetry/order_parameter" in breaking.figures(model, data)) == drawn  # type: ignore[arg-type]
