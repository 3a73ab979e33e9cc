r"""Which weights of a graph network are tied: the groups of :mod:`renorm.zoo.symmetry.orbits`, acting on one more axis.

A layer's weight has an axis of *hops*: what comes from the neighbours, and what a node keeps of its own. ``tied`` lets a
group permute the hops, so that a node and its neighbours weigh the same. All else is as for an MLP, with the features of a
node in place of units: every node has the same weights, whatever the symmetry.
"""

from __future__ import annotations

from dataclasses import dataclass

from .orbits import GroupElement, Orbits, SignedPermutation, orbits, pair_swap, symmetric_group

GRAPH_SYMMETRIES: dict[str, str] = {
    "free": "no weights tied",
    "tied": "a node and its neighbours weigh the same",
    "hidden": "invariant under permuting the features of a hidden layer",
    "full": "tied and hidden together",
    "odd": "f(-x) = -f(x) through sign-flipped pairs of features",
    "odd_tied": "odd and tied together",
}
# separate weights of each layer: neighbours and self, or one for both
HOPS = {"graph_conv": 2, "gcn": 1, "sage": 2, "gin": 1, "edge_conv": 2, "gat": 1}
TIED = ("tied", "full", "odd_tied")
ODD = ("odd", "odd_tied")


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


def per_layer(layer: str, symmetry: str | list[str], depth: int) -> list[str]:
    """One symmetry name for each message-passing layer.

    Args:
        layer: name of the layer.
        symmetry: one name for all layers, or a list with one for each.
        depth: number of message-passing layers.

    Raises:
        ValueError: for an unknown name, a list of the wrong length, odd layers mixed with others, or odd attention.

    Example:
        >>> per_layer("sage", "tied", 2)
        ['tied', 'tied']
    """
    names = [symmetry] * depth if isinstance(symmetry, str) else symmetry
    if not isinstance(names, list | tuple) or not all(isinstance(n, str) and n in GRAPH_SYMMETRIES for n in names):
        allowed = ", ".join(GRAPH_SYMMETRIES)
        raise ValueError(f"symmetry={symmetry!r} is unknown for graphs; allowed: {allowed}, or a list of them")
    if len(names) != depth:
        raise ValueError(
            f"symmetry={symmetry} names {len(names)} layers; allowed: one name, or one for each of {depth}"
        )
    if len({name in ODD for name in names}) > 1:
        raise ValueError(f"symmetry={symmetry} mixes odd layers with others; allowed: odd in every layer or in none")
    for name in names:
        if name not in symmetries_of(layer):
            raise ValueError(
                f"symmetry={symmetry!r} would switch off the attention of layer={layer!r}; "
                f"allowed: {', '.join(symmetries_of(layer))}, or another layer"
            )
    return list(names)


def symmetries_of(layer: str) -> list[str]:
    """Names of the symmetries that a layer can have.

    All but the odd ones of ``gat``: an odd layer needs attention that is the same for ``x`` and ``-x``. In the first layer
    attention depends on ``a . W x``, which would be its own negative: attention would be switched off, not made odd.

    Example:
        >>> symmetries_of("gat")
        ['free', 'tied', 'hidden', 'full']
    """
    return [name for name in GRAPH_SYMMETRIES if layer != "gat" or name not in ODD]


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
        ValueError: for an unknown symmetry, or an odd number of features where features come in pairs.
    """
    depth = len(sizes) - 2
    names = per_layer(layer, symmetry, depth)
    group: list[GroupElement] = []
    for i, name in enumerate(names):
        if name in TIED:
            group += [{hop_axis(i): g} for g in symmetric_group(HOPS[layer])]
        if name in ("hidden", "full"):
            group += [{i + 1: g} for g in symmetric_group(sizes[i + 1])]
    if names[0] in ODD:
        for width in sizes[1:-1]:
            if width % 2:
                raise ValueError(
                    f"width={width} is odd; symmetry {names[0]!r} pairs the features: allowed: even widths"
                )
        flip: GroupElement = {i: pair_swap(sizes[i]) for i in range(1, depth + 1)}
        flip[0] = SignedPermutation.identity(sizes[0], sign=-1)
        flip[depth + 1] = SignedPermutation.identity(sizes[-1], sign=-1)
        group.append(flip)
    return group


def graph_orbits(layer: str, symmetry: str | list[str], sizes: list[int]) -> tuple[list[ConvOrbits], Orbits, Orbits]:
    """Orbits of every message-passing layer, then of the readout's weight ``(out, in)`` and bias ``(out,)``.

    Args:
        layer: name of the message-passing layers.
        symmetry: one name, or one for each message-passing layer.
        sizes: features of a node in the input, in each hidden layer, and in the output.

    Raises:
        ValueError: for an unknown symmetry, or an odd number of features where features come in pairs.

    Example:
        >>> layers, weight, bias = graph_orbits("sage", "full", [1, 8, 8, 1])
        >>> [layer.weight.count for layer in layers], weight.count, bias.count
        ([1, 1], 1, 1)
        >>> [layer.weight.count for layer in graph_orbits("sage", "odd", [1, 8, 8, 1])[0]]
        [8, 64]
    """
    names = per_layer(layer, symmetry, len(sizes) - 2)
    group = generators(layer, names, sizes)
    size_of = dict(enumerate(sizes)) | {hop_axis(i): HOPS[layer] for i in range(len(names))}

    def tied(*axes: int) -> Orbits:
        acting = [element for element in group if any(axis in element for axis in axes)]
        identities = {axis: SignedPermutation.identity(size_of[axis]) for axis in axes}
        actions = [tuple(element.get(axis, identities[axis]) for axis in axes) for element in acting]
        return orbits(tuple(size_of[axis] for axis in axes), actions)

    layers = []
    for i, name in enumerate(names):
        weight = tied(i + 1, hop_axis(i), i)
        flat = (sizes[i + 1], HOPS[layer] * sizes[i])
        weight = Orbits(weight.index.reshape(flat), weight.sign.reshape(flat), weight.representatives)
        layers.append(ConvOrbits(weight, tied(i + 1), name in TIED))
    return layers, tied(len(sizes) - 1, len(sizes) - 2), tied(len(sizes) - 1)
