"""``renorm plot flow``: the flow of distributions under learned maps, beside the map itself."""

from __future__ import annotations

import math
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from renorm import maps
from renorm.callbacks.flow_figures import chain_samples, decimated_correlations, neighbour_correlation
from renorm.cli import main, plot_flow
from renorm.cumulants import rg_flow
from renorm.cumulants.rg import flow_samples
from renorm.datamodules import laws
from renorm.datamodules.block_sources import AR1, IsingChain, parse_source
from renorm.maps import Decimation, Majority, Maximum
from renorm.training.stack import StackedModel
from renorm.zoo import MLP

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "maps.md").read_text()
COMMANDS = re.findall(r"^renorm plot flow .*$", PAGE, re.MULTILINE)
SMALL = ["--steps", "3", "--samples", "512"]


class Exact(MLP):
    """A stack whose members all compute a map."""

    def __init__(self, block_map: str, block_size: int = 2, replicas: int = 3) -> None:
        super().__init__(block_size=block_size, replicas=replicas)
        self.learned_map = block_map

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return maps.parse(self.learned_map or "")(x.expand(self.num_members, *x.shape[-2:]))


def drawn(model: StackedModel, *starts: str, steps: int = 3, samples: int = 4096) -> Figure:
    return plot_flow.flow_figure({"one": model}, [parse_source(text) for text in starts], steps, samples, seed=0)


@pytest.mark.parametrize("command", COMMANDS, ids=[command.split("/")[-1] for command in COMMANDS])
def test_the_commands_of_the_page_run(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With small samples, and another file: the last of two equal options counts."""
    figures: list[Figure] = []
    keep = plot_flow.flow_figure
    monkeypatch.setattr(plot_flow, "flow_figure", lambda *given: figures.append(keep(*given)) or figures[0])
    _, *words = shlex.split(command)
    assert (ROOT / words[-1]).is_file(), "a picture of the page that is missing"
    assert f"]({Path(words[-1]).relative_to('docs')})" in PAGE
    out = tmp_path / "flow.svg"
    assert main([*words, *SMALL, "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"figure: {out}\n"
    assert out.stat().st_size > 1000
    # two laws by the steps 0, 1, 2 and 3, or a panel a model
    assert len(figures[0].axes) == (2 if "chain" in command or "majority" in command else 8)


def test_every_map_has_a_picture() -> None:
    assert {Path(command.split()[-1]).stem for command in COMMANDS} == set(maps.names())
    for name in maps.names():
        assert f"\n## {name}\n" in PAGE


def test_a_model_that_computes_the_map_has_its_densities() -> None:
    """Learned and the map's own histograms are equal at every step, and those of another map are not."""
    exact = drawn(Exact("maximum(xi=0)"), "exponential()")
    for panel in exact.axes:
        own, band, learned = panel.patches
        np.testing.assert_allclose(learned.get_data().values, own.get_data().values, atol=0.02)
        np.testing.assert_array_equal(band.get_data().values, band.get_data().baseline)
    linear = MLP(activation="linear", replicas=3)
    linear.learned_map = "maximum(xi=0)"
    own, _, learned = drawn(linear, "exponential()").axes[-1].patches
    assert np.abs(learned.get_data().values - own.get_data().values).max() > 0.1


def test_densities_are_beside_the_fixed_points() -> None:
    (line,) = drawn(Exact("maximum(xi=0)"), "gumbel()").axes[-1].lines
    x, y = line.get_data()
    np.testing.assert_allclose(y, np.exp(-x - np.exp(-x)), rtol=1e-12)
    # every width of Cauchy's law is fixed under the mean: the line has that of the sample
    (line,) = drawn(Exact("stable(alpha=1)"), "cauchy(scale=3)", samples=65536).axes[-1].lines
    assert float(line.get_data()[1].max()) == pytest.approx(1 / (3 * math.pi), rel=0.05)
    assert not drawn(Exact("decimation(keep=0)"), "uniform()").axes[-1].lines


def test_magnetisations_are_those_of_the_recursion() -> None:
    """From one start, by the formula of blocks of three: m' = (3 m - m^3) / 2."""
    learned, reference, _ = (
        drawn(Exact("majority()", 3), "mixture(0.5*bernoulli(p=1) + 0.5*rademacher())", samples=65536).axes[0].lines
    )
    m = [0.5]
    for _ in range(3):
        m.append((3 * m[-1] - m[-1] ** 3) / 2)
    np.testing.assert_allclose(reference.get_ydata(), m, rtol=1e-12)
    np.testing.assert_allclose(np.asarray(learned.get_ydata(), dtype=float), m, atol=0.02)


def test_correlations_along_chains_are_those_of_decimation() -> None:
    lines = drawn(Exact("decimation(keep=0)"), "ising_chain(coupling=1)", samples=2**18).axes[0].lines
    exact = [math.tanh(1.0) ** 2**step for step in range(4)]
    np.testing.assert_allclose(lines[1].get_ydata(), exact, rtol=1e-9)
    np.testing.assert_allclose(np.asarray(lines[0].get_ydata(), dtype=float), exact, atol=0.02)
    # the coupling of the page
    coupling = 1.0
    for step in range(4):
        assert math.tanh(coupling) == pytest.approx(exact[step], rel=1e-9)
        coupling = Decimation().coupling(coupling, 2)


def test_exact_correlations_of_an_autoregression_and_of_no_decimation() -> None:
    found = decimated_correlations(AR1(rho=0.8), Decimation(), 3, 2)
    assert found is not None
    np.testing.assert_allclose(found, [0.8, 0.8**3, 0.8**9], rtol=1e-9)
    assert decimated_correlations(IsingChain(coupling=1.0), Majority(), 3, 2) is None


def test_neighbours_of_a_chain_against_numpy() -> None:
    chains = torch.from_numpy(np.random.default_rng(0).normal(size=(200, 50)).cumsum(axis=1))
    left, right = chains[:, :-1].flatten().numpy(), chains[:, 1:].flatten().numpy()
    mean, variance = float(chains.mean()), float(chains.var(correction=0))
    expected = np.mean((left - mean) * (right - mean)) / variance
    assert float(neighbour_correlation(chains)) == pytest.approx(expected, rel=1e-12)


def test_chains_keep_their_order() -> None:
    chains = torch.arange(32.0).reshape(2, 16)
    (learned, own), *_, (last, own_last) = chain_samples(Exact("decimation(keep=0)"), chains, 2, Decimation())
    assert learned.shape == (3, 2, 16)
    assert own.shape == (2, 16)
    np.testing.assert_array_equal(own_last.numpy(), chains[:, ::4].numpy())
    np.testing.assert_array_equal(last[0].numpy(), chains[:, ::4].numpy())


def test_samples_are_those_of_the_measured_flow() -> None:
    x, block_map = laws.parse("gumbel()").sample(100, generator=torch.Generator().manual_seed(1)), Maximum()
    model = MLP(replicas=2)
    flow = rg_flow(model, x, 3, torch.Generator().manual_seed(0), block_map)
    pairs = list(flow_samples(model, x, 3, torch.Generator().manual_seed(0), block_map))
    assert len(pairs) == 4
    for step, (learned, own) in enumerate(pairs):
        torch.testing.assert_close(learned.double().mean(dim=1), flow.k[step, 0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(own.mean(), flow.exact_k[step, 0])


BAD = [
    ("--model mlp_relu_free.maximums --law gumbel()", "mlp_relu_free.maximums"),
    ("--model mlp_relu_free.uniform --law gumbels()", "law 'gumbels' is unknown"),
    ("--model mlp_relu_free.uniform --law cauchy()", "variance"),
    (
        "--model mlp_relu_free.majority --law gaussian()",
        "other values than the variables of majority(); allowed: laws on -1, 1",
    ),
    ("--model mlp_relu_free.majority --law bernoulli()", "other values than the variables of majority()"),
    ("--model mlp_relu_free.uniform mlp_relu_free.maximum --law gumbel()", "mlp_relu_free.maximum' differs"),
    ("--model mlp_relu_free.decimation --law gaussian() ising_chain()", "laws alone, or chains alone"),
    ("--model mlp_relu_free.decimation --law ising_chain() --steps 20", "steps=20 needs chains of 8388608 variables"),
    ("--model mlp_relu_free.uniform --law gaussian() --steps 0", "steps=0 is out of range; allowed: 1 to 64"),
    ("--model mlp_relu_free.uniform --law gaussian() --samples 3", "samples=3"),
    ("--model mlp_relu_free.uniform --law gaussian() --seed -1", "seed=-1"),
    ("--law gaussian()", "the following arguments are required: --model"),
    ("--model nowhere.ckpt --law gaussian()", "nowhere.ckpt"),
]


@pytest.mark.parametrize(("words", "expected"), BAD, ids=[words[:60] for words, _ in BAD])
def test_bad_input_is_one_line(words: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "flow.png"
    assert main(["plot", "flow", *words.split(), "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.err.count("\n") == 1
    assert not captured.out
    assert not out.exists()


def test_figures_without_a_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["plot", "flow", "--model", "mlp_relu_free.uniform", "--law", "gaussian()", "--out"]
    for out, expected in (
        ("flow.txt", "has no known format"),
        (str(tmp_path / "no" / "flow.png"), "is in no folder that exists"),
    ):
        assert main([*given, out]) == 2
        assert expected in capsys.readouterr().err
