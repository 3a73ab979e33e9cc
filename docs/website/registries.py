"""Lists of what comes with renorm: laws, activations, symmetries, graphs and maps, each with a picture."""

from __future__ import annotations

import dataclasses
import inspect
import io
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from renorm.callbacks.figures import shorten
from renorm.datamodules import laws
from renorm.datamodules.block_sources import BlockSource
from renorm.expressions.expression import Expression
from renorm.maps import BlockMap
from renorm.maps import names as map_names
from renorm.zoo import activations, list_activations, list_symmetries
from renorm.zoo.graphs import GRAPHS, edge_list
from renorm.zoo.symmetry import symmetry as symmetries
from renorm.zoo.symmetry.graphs import GRAPH_SYMMETRIES

from .markup import from_docstring, summary

Made: TypeAlias = Iterator[tuple[str, str | bytes]]

NEEDS = {  # examples of laws whose arguments have no defaults
    "empirical": "empirical(path=heights.csv)",
    "mirrored": "mirrored(exponential())",
    "mixture": "mixture(0.5*gaussian(mean=-1.5, std=0.5) + 0.5*gaussian(mean=1.5, std=0.5))",
    "standardised": "standardised(lognormal())",
}
COLOUR = "#4051b5"
DIVERGES = 5  # times as high as almost all of a density: a peak that has no end
SIZES = [4, 8, 1]  # block, units and output of the networks that are drawn


def example_of(name: str) -> tuple[laws.Law | None, str]:
    """A law with its default parameters, or with those that it needs, and how it is written; None for one of a file."""
    if name == "empirical":
        return None, NEEDS[name]
    law = laws.parse(NEEDS.get(name, name))
    return law, NEEDS.get(name) or shorten(str(law))


def svg(figure: Figure) -> bytes:
    """A figure as SVG, the same bytes each time."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    return buffer.getvalue()


def small_figure(width: float = 3.2, height: float = 1.9) -> tuple[Figure, Axes]:
    """A figure of one panel."""
    figure = Figure(figsize=(width, height))
    panel = figure.subplots()
    panel.spines[["top", "right"]].set_visible(False)
    return figure, panel


def heading(name: str, picture: str | None = None, words: str = "", small: bool = True) -> list[str]:
    """A heading, with its picture below, at the width of a column or of the page."""
    size = "{ .small }" if small else ""
    return [f"## {name}", "", *([f"![{words or name}](images/{picture}){size}", ""] if picture else [])]


def reference(thing: type) -> str:
    """A link to the documentation of a class."""
    module = inspect.getmodule(thing)
    path = f"{module.__name__ if module else ''}.{thing.__qualname__}"
    return f'<autoref identifier="{path}" optional>`{thing.__name__}`</autoref>'


def parameters(thing: type[Expression]) -> str:
    """The parameters of a law or a map with their defaults."""
    shown = []
    for field in dataclasses.fields(thing):
        has = not isinstance(field.default, dataclasses._MISSING_TYPE)
        shown.append(f"`{field.name}`" + (f" = {field.default}" if has else ""))
    return ", ".join(shown)


def law_pages() -> Made:
    """Every law: how it is written, its density or its values, its first cumulants."""
    lines = [
        "# Laws",
        "",
        "Values of `--data.train_laws` and `--data.held_out_laws`, which `laws.parse` reads, too. ",
    ]
    lines[-1] += "Cumulants are those of the law as it is written here; – where one does not exist."
    lines += ["", "| law | written | κ1 | κ2 | κ3 | κ4 |", "| --- | --- | ---: | ---: | ---: | ---: |"]
    entries: list[str] = []
    for name in laws.names():
        cls, (law, text) = laws.Law.registry[name], example_of(name)
        lines.append(f"| [{name}](#{name}) | `{text}` | {' | '.join(cumulants(law))} |")
        picture = None if law is None else picture_of(law)
        entries += [
            "",
            *heading(name, f"law_{name}.svg" if picture else None, text),
            f"`{text}`, {reference(cls)}.",
            "",
            summary(cls),
        ]
        if shown := parameters(cls):
            entries += ["", f"Parameters: {shown}."]
        if picture is not None:
            yield f"reference/images/law_{name}.svg", picture
    lines += ["", "Blocks of variables that are not independent:", "", "| source | what it is |", "| --- | --- |"]
    for source, cls in sorted(BlockSource.registry.items()):
        lines.append(f"| `{source}` | {first_line(cls)} {reference(cls)} |")
    yield "reference/laws.md", "\n".join([*lines, *entries]) + "\n"


def cumulants(law: laws.Law | None) -> list[str]:
    """The first four cumulants, as cells."""
    values = [np.nan] * 4 if law is None else law.cumulants(4).tolist()
    return ["–" if np.isnan(value) else f"{value:.4g}" for value in values]


def picture_of(law: laws.Law) -> bytes:
    """The density of a law, or the probabilities of its values."""
    figure, panel = small_figure()
    if type(law).name == "poisson":
        values = np.arange(8)
        panel.vlines(values, 0, law.scipy().pmf(values), color=COLOUR, linewidth=3)
    elif (atoms := law.atoms()) is not None:
        values, weights = (np.array([float(x) for x in row]) for row in zip(*atoms, strict=True))
        panel.vlines(values, 0, weights, color=COLOUR, linewidth=3)
    else:
        low, high = density_range(law)
        x = np.linspace(low, high, 400)
        y = law.pdf(x)
        panel.plot(x, y, color=COLOUR)
        panel.fill_between(x, y, alpha=0.15, color=COLOUR)
        highest, most = y[np.isfinite(y)].max(), np.quantile(y[np.isfinite(y)], 0.99)
        panel.set_ylim(0, 1.1 * (highest if highest < DIVERGES * most else most))
    panel.set_xlabel("x")
    return svg(figure)


def density_range(law: laws.Law) -> tuple[float, float]:
    """Where almost all of a law is, with a margin."""
    x = law.sample(20000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low, high = torch.quantile(x, torch.tensor([0.01, 0.985], dtype=torch.float64)).tolist()
    margin = 0.15 * (high - low)
    return low - margin, high + margin


def first_line(thing: type) -> str:
    """The first line of a docstring, as Markdown."""
    return from_docstring((inspect.getdoc(thing) or "").partition("\n")[0])


def activation_page() -> Made:
    """Every activation with its curve, at the default parameters."""
    lines = [
        "# Activations",
        "",
        "Values of `--model.activation`; one of your own is [one class](../how_to/own_activation.md).",
    ]
    z = torch.linspace(-2.5, 2.5, 401)
    for name in list_activations():
        cls = activations.find(name)
        curve = cls(1, torch.zeros(1, dtype=torch.long))
        curve.reset_parameters(lambda shape: torch.full((1, *shape), 0.5))
        with torch.no_grad():
            values = curve(z.view(1, 1, -1)).flatten()
        figure, panel = small_figure()
        panel.axhline(0, color="0.8", linewidth=0.8)
        panel.plot(z, values, color=COLOUR)
        panel.set_xlabel("z")
        yield f"reference/images/activation_{name}.svg", svg(figure)
        lines += ["", *heading(name, f"activation_{name}.svg"), f"{reference(cls)}: {summary(cls)}", ""]
        lines += [f"Parity: {cls.parity or 'none'}. Parameters that may be a list, the grid: "]
        lines[-1] += f"{', '.join(f'`{key}`' for key in cls.grid) or 'none'}."
    yield "reference/activations.md", "\n".join(lines) + "\n"


def symmetry_page() -> Made:
    """Every symmetry with the weights that it ties."""
    block, width, _ = SIZES
    lines = [
        "# Symmetries",
        "",
        "Values of `--model.symmetry`; [how they act, and one of your own](../symmetries.md). ",
    ]
    lines[-1] += (
        f"Pictures: weights of a network {block}-{width}-1, a column a unit. Above, what comes from the block; below, the "
    )
    lines[-1] += (
        "bias and what goes to the output. Equal colours in one frame are one number; a minus is its negative, white is 0."
    )
    for name in list_symmetries():
        (first, bias), (last, _) = symmetries.layer_orbits(name, SIZES)
        figure = Figure(figsize=(3.2, 2.6))
        panels = figure.subplots(3, 1, height_ratios=[block, 1, 1])
        for panel, orbits, label in zip(panels, (first, bias, last), ("block", "bias", "out"), strict=True):
            draw_orbits(
                panel,
                *(np.atleast_2d(x.T if x.ndim == 2 and label == "block" else x) for x in (orbits.index, orbits.sign)),
            )
            panel.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
        yield f"reference/images/symmetry_{name}.svg", svg(figure)
        count = sum(o.count for layer in symmetries.layer_orbits(name, SIZES) for o in layer)
        cls = symmetries.find(name)
        lines += [
            "",
            *heading(name, f"symmetry_{name}.svg"),
            summary(cls),
            "",
            f"{count} free numbers of {block * width + 2 * width + 1}.",
        ]
    lines += ["", "## Of graph networks", "", "| symmetry | what is tied |", "| --- | --- |"]
    lines += [f"| `{name}` | {kind.meaning} |" for name, kind in GRAPH_SYMMETRIES.items()]
    yield "reference/symmetries.md", "\n".join(lines) + "\n"


def draw_orbits(panel: Axes, index: np.ndarray, sign: np.ndarray) -> None:
    """Colour the entries of a tensor by their orbits."""
    shades = np.where(sign == 0, np.nan, (index * 0.618034) % 1)  # neighbours far apart
    panel.imshow(shades, cmap="turbo", vmin=0, vmax=1, alpha=0.75, aspect="auto")
    for row, column in np.argwhere(sign < 0):
        panel.text(column, row, "−", ha="center", va="center")
    panel.set_xticks([])
    panel.set_yticks([])


def graph_page() -> Made:
    """Every named graph, drawn."""
    lines = [
        "# Graphs",
        "",
        "Values of `--model.graph`: a name, or edges, `[[0, 1], [2, 1]]`. Messages go along the arrows; ",
    ]
    lines[-1] += "the last node is the target of the readout `target`. "
    lines[-1] += inspect.cleandoc(edge_list.__doc__ or "").split("\n\n")[1].replace("``", "`")
    for name in GRAPHS:
        nodes = 2 if name.startswith("pair") else 5
        edges = edge_list(name, nodes)
        yield f"reference/images/graph_{name}.svg", svg(drawn_graph(edges, nodes, centre=name == "star"))
        lines += [
            "",
            *heading(name, f"graph_{name}.svg"),
            f"{nodes} nodes: {', '.join(f'{a} → {b}' for a, b in edges)}.",
        ]
    yield "reference/graphs.md", "\n".join(lines) + "\n"


def drawn_graph(edges: list[tuple[int, int]], nodes: int, centre: bool) -> Figure:
    """The nodes of a graph on a circle, the last one in the middle if asked for."""
    around = nodes - centre
    angles = np.pi / 2 - 2 * np.pi * np.arange(around) / around
    places = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if nodes == 2:
        places = np.array([[-1.0, 0.0], [1.0, 0.0]])
    elif centre:
        places = np.concatenate([places, np.zeros((1, 2))])
    figure = Figure(figsize=(2, 0.7 if nodes == 2 else 2))
    panel = figure.subplots()
    for source, target in edges:
        style = {"arrowstyle": "-|>", "shrinkA": 11, "shrinkB": 11, "color": "0.4", "connectionstyle": "arc3,rad=0.08"}
        panel.annotate("", xy=places[target], xytext=places[source], arrowprops=style)
    panel.scatter(*places.T, s=260, color=["#d7dcf4"] * (nodes - 1) + [COLOUR], zorder=3)
    for node, (x, y) in enumerate(places):
        panel.text(x, y, str(node), ha="center", va="center", zorder=4, color="white" if node == nodes - 1 else "black")
    panel.set_xlim(-1.35, 1.35)
    panel.set_ylim(*((-0.4, 0.4) if nodes == 2 else (-1.35, 1.35)))
    panel.axis("off")
    return figure


def map_page() -> Made:
    """Every map: its formula, what it respects, its spectrum, and the flow that it has."""
    lines = [
        "# Maps",
        "",
        "Values of `--data.map`. [Maps](../maps.md) explains them, with the flow of learned maps; one of your own is ",
    ]
    lines[-1] += "[one class](../how_to/own_map.md)."
    for name in map_names():
        cls = BlockMap.registry[name]
        block_map = cls()
        size = 3 if name == "majority" else 2
        spectrum, fixed = block_map.spectrum(4, size), block_map.fixed_point(size)
        lines += [
            "",
            *heading(name, f"../../images/maps/{name}.png", f"Flow under {name}, learned and exact", small=False),
        ]
        lines += [f"`{block_map}`, {reference(cls)}.", "", summary(cls), ""]
        if shown := parameters(cls):
            lines += [f"- parameters: {shown}"]
        lines += [
            f"- parity: {block_map.parity or 'none'}",
            f"- invariant under permutations: {'yes' if block_map.permutation_symmetric else 'no'}",
        ]
        lines += [f"- fixed point for blocks of {size}: {f'`{fixed}`' if fixed is not None else 'none in closed form'}"]
        if spectrum is not None:
            values = ", ".join(f"{value:.4g}" for value in spectrum.tolist())
            lines += [f"- eigenvalues of orders 0 to {len(spectrum) - 1} there: {values}"]
    yield "reference/maps.md", "\n".join(lines) + "\n"


def registry_pages() -> Made:
    """All of these pages and their pictures."""
    for page in (law_pages, activation_page, symmetry_page, graph_page, map_page):
        yield from page()
