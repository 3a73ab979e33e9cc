r"""Which weights of a graph network are tied: the groups of :mod:`renorm.zoo.symmetry.orbits`, acting on one more axis.

A layer's weight has an axis of *hops*: what comes from the neighbours, and what a node keeps of its own. ``tied`` lets a
group permute the hops, so that a node and its neighbours weigh the same. All else is as for an MLP, with the features of a
node in place of units: every node has the same weights, whatever the symmetry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ...errors import InputError
from . import units as units  # its classes register themselves
from .orbits import GroupElement, Orbits, orbits, symmetric_group
from .symmetry import action, combine, is_odd, moves


class GraphSymmetry(NamedTuple):
    """A symmetry of a graph network: one of the features of a node, and whether its hops are tied too."""

    features: str
    ties_hops: bool
    meaning: str


GRAPH_SYMMETRIES: dict[str, GraphSymmetry] = {
    "free": GraphSymmetry("free", False, "no weights tied"),
    "tied": GraphSymmetry("free", True, "a node and its neighbours weigh the same"),
    "hidden": GraphSymmetry("hidden", False, "invariant under permuting the features of a hidden layer"),
    "full": GraphSymmetry("hidden", True, "tied and hidden together"),
    "odd": GraphSymmetry("odd", False, "f(-x) = -f(x) through sign-flipped pairs of features"),
    "odd_tied": GraphSymmetry("odd", True, "odd and tied together"),
}
# separate weights of each layer: neighbours and self, or one for both
HOPS = {"graph_conv": 2, "gcn": 1, "sage": 2, "gin": 1, "edge_conv": 2, "gat": 1}


@dataclass(frozen=True)
class ConvOrbits:
    """The ties of one message-passing layer.

    Attributes:
        weight: orbits of the weight, shape ``(out, hops * in)``; the neighbours' hop first.
        bias: orbits of the bias, shape ``(out,)``.
        tied: whether a node and its neighbours weigh the same.
    """

    weight: Orbits
    bias: Orbits
    tied: bool


def per_layer(layer: str, symmetry: str | list[str], depth: int, aggregation: str | None = None) -> list[str]:
    """One symmetry name for each message-passing layer.

    Args:
        layer: name of the layer.
        symmetry: one name for all layers, or a list with one for each.
        depth: number of message-passing layers.
        aggregation: see :func:`symmetries_of`.

    Raises:
        ValueError: for an unknown name, a list of the wrong length, or odd layers where there are none.

    Example:
        >>> per_layer("sage", "tied", 2)
        ['tied', 'tied']
    """
    names = [symmetry] * depth if isinstance(symmetry, str) else symmetry
    if not isinstance(names, list | tuple) or not all(isinstance(n, str) and n in GRAPH_SYMMETRIES for n in names):
        allowed = ", ".join(GRAPH_SYMMETRIES)
        raise InputError(f"symmetry={symmetry!r} is unknown for graphs", f"{allowed}, or a list of them")
    if len(names) != depth:
        raise InputError(f"symmetry={symmetry} names {len(names)} layers", f"one name, or one for each of {depth}")
    for name in names:
        allowed = ", ".join(symmetries_of(layer, aggregation))
        if name not in symmetries_of(layer):
            raise InputError(
                f"symmetry={symmetry!r} would switch off the attention of layer={layer!r}",
                f"{allowed}, or another layer",
            )
        if name not in symmetries_of(layer, aggregation):
            raise InputError(
                f"symmetry={symmetry!r} is not odd with aggregation={aggregation!r}: the largest of -x is not minus that of x",
                f"{allowed}, or another aggregation",
            )
    return list(names)


def symmetries_of(layer: str, aggregation: str | None = None) -> list[str]:
    """Names of the symmetries that a layer can have.

    All but the odd ones of ``gat``: an odd layer needs attention that is the same for ``x`` and ``-x``. In the first layer
    attention depends on ``a . W x``, which would be its own negative: attention would be switched off, not made odd. Nor can a
    layer be odd that takes the largest of what its neighbours hold: that of ``-x`` is not minus that of ``x``.

    Args:
        layer: name of the layer.
        aggregation: ``sum``, ``mean``, ``max``, or None for the layer's own.

    Example:
        >>> symmetries_of("gat") == symmetries_of("sage", "max") == ["free", "tied", "hidden", "full"]
        True
    """
    smallest = [1, 2, 1]
    return [
        name
        for name, symmetry in GRAPH_SYMMETRIES.items()
        if (layer != "gat" and aggregation != "max") or not is_odd(action(symmetry.features, smallest), smallest)
    ]


def hop_axis(layer: int) -> int:
    """Name of a layer's axis of hops among the axes of the network, whose features are 0, 1, 2, ..."""
    return -1 - layer


def generators(layer: str, symmetry: str | list[str], sizes: list[int]) -> list[GroupElement]:
    """Generators of a graph network's symmetry group.

    Args:
        layer: name of the message-passing layers.
        symmetry: one name, or one for each message-passing layer.
        sizes: features of a node in the input, in each hidden layer, and in the output.

    Raises:
        ValueError: for an unknown symmetry, odd layers mixed with others, or an odd number of features where they make pairs.
    """
    names = per_layer(layer, symmetry, len(sizes) - 2)
    group = combine([action(GRAPH_SYMMETRIES[name].features, sizes) for name in names], names, sizes)
    for i, name in enumerate(names):
        if GRAPH_SYMMETRIES[name].ties_hops:
            group += [{hop_axis(i): element} for element in symmetric_group(HOPS[layer])]
    return group


def graph_orbits(
    layer: str, symmetry: str | list[str], sizes: list[int], aggregation: str | None = None
) -> tuple[list[ConvOrbits], Orbits, Orbits]:
    """Orbits of every message-passing layer, then of the readout's weight ``(out, in)`` and bias ``(out,)``.

    Args:
        layer: name of the message-passing layers.
        symmetry: one name, or one for each message-passing layer.
        sizes: features of a node in the input, in each hidden layer, and in the output.
        aggregation: see :func:`symmetries_of`.

    Raises:
        ValueError: for an unknown symmetry, odd layers mixed with others, or an odd number of features where they make pairs.

    Example:
        >>> layers, weight, bias = graph_orbits("sage", "full", [1, 8, 8, 1])
        >>> [layer.weight.count for layer in layers], weight.count, bias.count
        ([1, 1], 1, 1)
        >>> [layer.weight.count for layer in graph_orbits("sage", "odd", [1, 8, 8, 1])[0]]
        [8, 64]
    """
    names = per_layer(layer, symmetry, len(sizes) - 2, aggregation)
    group = generators(layer, names, sizes)
    size_of = dict(enumerate(sizes)) | {hop_axis(i): HOPS[layer] for i in range(len(names))}

    def tied(*axes: int) -> Orbits:
        acting = [element for element in group if any(axis in element for axis in axes)]
        actions = [tuple(moves(element, axis, size_of[axis]) for axis in axes) for element in acting]
        return orbits(tuple(size_of[axis] for axis in axes), actions)

    layers = []
    for i, name in enumerate(names):
        weight = tied(i + 1, hop_axis(i), i)
        flat = (sizes[i + 1], HOPS[layer] * sizes[i])
        weight = Orbits(weight.index.reshape(flat), weight.sign.reshape(flat), weight.representatives)
        layers.append(ConvOrbits(weight, tied(i + 1), GRAPH_SYMMETRIES[name].ties_hops))
    return layers, tied(len(sizes) - 1, len(sizes) - 2), tied(len(sizes) - 1)
