"""The figure of a learned map shows the learned map, the exact one, and where they differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import renorm
from renorm.zoo import GNN, MLP


def heights(panel: Any) -> np.ndarray[Any, Any]:
    """What a panel's colours stand for."""
    return np.asarray(panel.collections[0].get_array())


def test_the_plane_shows_median_exact_map_and_difference(tmp_path: Path) -> None:
    model = MLP(width=3, replicas=3, seed=1)
    figure, panels = renorm.plot_map(model, span=(-2, 2))
    learned, exact, gap = map(heights, panels)
    t = torch.linspace(-2, 2, 81)
    x1, x2 = torch.meshgrid(t, t, indexing="xy")
    with torch.no_grad():
        median = model(torch.stack([x1, x2], dim=-1).flatten(0, 1)).median(dim=0).values.view(81, 81)
    assert learned.reshape(81, 81) == pytest.approx(median.numpy(), abs=1e-6)
    assert exact.reshape(81, 81) == pytest.approx(((x1 + x2) / 2**0.5).numpy(), abs=1e-6)
    assert gap == pytest.approx(learned - exact)
    figure.savefig(tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 10_000


def test_a_loaded_model_that_is_the_map_differs_nowhere() -> None:
    figure, (_, _, gap) = renorm.plot_map(renorm.load_pretrained("mlp_linear_free.uniform"), law="uniform()")
    assert np.abs(heights(gap)).max() < 1e-3
    assert gap.get_xlim() == pytest.approx((-(3**0.5), 3**0.5), abs=0.03)  # no further than the law goes
    assert "uniform" in figure.get_suptitle()


def test_larger_blocks_are_drawn_along_two_lines() -> None:
    model = GNN(graph="ring", block_size=4, replicas=5, width=2)
    model.divergence.steps = {1: 3}
    _, panels = renorm.plot_map(model)
    diagonal, across = ([line.get_ydata() for line in panel.lines] for panel in panels)
    assert diagonal[1][[0, -1]].tolist() == pytest.approx([-6, 6])
    assert np.abs(across[1]).max() == 0
    t = torch.linspace(-3, 3, 241)
    with torch.no_grad():
        rest = model(t.unsqueeze(1).expand(-1, 4))[[0, 2, 3, 4]].double()
    assert diagonal[0] == pytest.approx(rest.quantile(0.5, dim=0).numpy(), abs=1e-5)


def test_axes_of_ones_own() -> None:
    figure = Figure()
    own = figure.subplots(1, 3)
    same, panels = renorm.plot_map(MLP(replicas=2), members=[1], ax=own)
    assert same is figure
    assert list(panels) == list(own)
    assert own[0].get_title() == "learned, member 1"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"span": (1, 1)}, r"span=\(1, 1\) is not a range"),
        ({"span": (0, float("inf"))}, "is not a range"),
        ({"law": "student_t(df=2)"}, "has no variance"),
        ({"members": [1]}, r"members=\[1\] is not a list of members; allowed: numbers from 0 to 0"),
        ({"ax": Figure().subplots(1, 2)}, "ax has 2 axes; allowed here: 3"),
    ],
)
def test_what_cannot_be_drawn(arguments: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        renorm.plot_map(MLP(), **arguments)
