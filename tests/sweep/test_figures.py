"""Phase diagrams: the statistics in them are right, and every figure is drawn from a real table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from matplotlib.image import AxesImage

from renorm.cli import main
from renorm.sweep.figures import band, draw_heat_map, draw_lines, draw_transition

from .test_run import SMALL, write


def table() -> dict[str, Any]:
    """Two symmetries, three slopes, two widths, 20 members each."""
    random = np.random.default_rng(0)
    grid = [(s, x, w) for s in ("free", "full") for x in (0.1, 0.5, 0.9) for w in (4.0, 8.0) for _ in range(20)]
    columns = {
        "symmetry": np.array([s for s, _, _ in grid]),
        "negative_slope": np.array([x for _, x, _ in grid]),
        "width": np.array([w for _, _, w in grid]),
    }
    return columns | {"value": random.lognormal(size=len(grid))}


def test_the_band_is_scipys() -> None:
    sample = np.random.default_rng(1).lognormal(size=200)
    centre, low, high = band(sample, np.mean, resamples=20000)
    reference = scipy.stats.bootstrap((sample,), np.mean, n_resamples=20000, method="percentile", rng=2)
    assert centre == np.mean(sample)
    assert np.allclose([low, high], reference.confidence_interval, rtol=0.01)
    assert band(sample, np.mean) == band(sample, np.mean)
    assert band(np.append(sample, np.nan), np.mean) == band(sample, np.mean)
    assert np.isnan(band(np.array([np.nan]), np.mean)).all()


def test_a_heat_map_has_the_medians() -> None:
    data = table()
    figure = draw_heat_map(data, "value", "negative_slope", "width", "symmetry")
    image = next(child for child in figure.axes[1].get_children() if isinstance(child, AxesImage))
    shown = np.asarray(image.get_array())
    wanted = [
        [
            np.median(
                data["value"][(data["symmetry"] == "full") & (data["negative_slope"] == x) & (data["width"] == w)]
            )
            for x in (0.1, 0.5, 0.9)
        ]
        for w in (4, 8)
    ]
    assert np.allclose(shown, wanted)


def test_lines_and_transitions_have_the_statistics() -> None:
    data = table()
    lines = draw_lines(data, "value", "negative_slope", "width", "symmetry").axes[0].get_lines()
    chosen = (data["symmetry"] == "free") & (data["width"] == 4)
    sample = [data["value"][chosen & (data["negative_slope"] == x)] for x in (0.1, 0.5, 0.9)]
    assert np.allclose(np.asarray(lines[0].get_ydata(), dtype=float), [np.median(s) for s in sample])
    mean, susceptibility, binder = draw_transition(data, "value", "negative_slope", "width", "symmetry").axes[:3]
    for axes, wanted in (
        (mean, [s.mean() for s in sample]),
        (susceptibility, [4 * s.var(ddof=1) for s in sample]),
        (binder, [1 - (s**4).mean() / (3 * (s**2).mean() ** 2) for s in sample]),
    ):
        assert np.allclose(np.asarray(axes.get_lines()[0].get_ydata(), dtype=float), wanted)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    settings = {"replicas": 2, "test_samples": 64, "held_out_laws": ["gaussian()"]}
    content = SMALL | {"settings": settings, "points": [{"steps": 2}, {"steps": 4}]}
    assert main(["sweep", "--config", str(write(folder, content)), "--out", str(folder / "out")]) == 0
    return folder / "out"


@pytest.mark.parametrize("kind", ["heatmap", "lines", "transition"])
def test_the_command_draws(kind: str, results: Path, tmp_path: Path) -> None:
    out = tmp_path / "figure.png"
    assert main(["sweep", "plot", str(results), "--kind", kind, "--where", "steps=4", "--out", str(out)]) == 0
    assert out.stat().st_size > 5000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "where=symmetry=... is missing: a figure has three axes; allowed for symmetry: free, full"),
        (["--kind", "pie"], "kind='pie' is unknown; allowed: heatmap, lines, transition"),
        (["--x", "depth"], "x='depth' is not an axis of the sweep; allowed: steps, width, symmetry, negative_slope"),
        (["--where", "steps=3"], "where='steps=3' finds nothing; allowed for steps: 2, 4"),
        (["--where", "depth=3"], "where='depth=3' names no axis"),
        (["--where", "steps=2", "--value", "speed"], "value='speed' is not a column of numbers; allowed: trained/mse"),
        (["--out", "x.txt"], "out='x.txt' cannot be a figure"),
        (["--where", "steps=2", "width=2", "symmetry=free", "--kind", "heatmap"], "kind='heatmap' needs two axes"),
    ],
)
def test_one_line_for_wrong_arguments(
    words: list[str], message: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = [] if "--out" in words else ["--out", str(tmp_path / "f.png")]
    assert main(["sweep", "plot", str(results), *words, *out]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "f.png").exists()


def test_no_folder_of_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "plot", str(tmp_path), "--out", str(tmp_path / "f.png")]) == 2
    assert "sweep.json' cannot be read" in capsys.readouterr().err
