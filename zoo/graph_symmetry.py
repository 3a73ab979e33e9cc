r"""Which weights of a graph network are tied: the groups of :mod:`renorm.zoo.symmetry`, acting on one more axis.

A layer's weight has an axis of *hops*: what comes from the neighbours, and what a node keeps of its own. ``tied`` lets a
group permute the hops, so that a node and its neighbours weigh the same. All else is as for an MLP, with the features of a
node in place of units: every node has the same weights, whatever the symmetry.
"""

from __future__ import annotations

from dataclasses import dataclass

from .symmetry import GroupElement, Orbits, SignedPermutation, orbits, pair_swap, symmetric_group

GRAPH_SYMMETRIES: dict[str, str] = {
    "free": "no weights tied",
    "tied": "a node and its neighbours weigh the same",
    "hidden": "invariant under permuting the features of a hidden layer",
    "full": "tied and hidden together",
    "odd": "f(-x) = -f(x) through sign-flipped pairs of features",
    "odd_tied": "odd and tied together",
}


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


def per_layer(symmetry: str | list[str], depth: int) -> list[str]:
    """One symmetry name for each message-passing layer.

    Args:
        symmetry: one name for all layers, or a list with one for each.
        depth: number of message-passing layers.

    Raises:
        ValueError: for an unknown name, a list of the wrong length, or odd layers mixed with others.

    Example:
        >>> per_layer("tied", 2)
        ['tied', 'tied']
    """
    names = [symmetry] * depth if isinstance(symmetry, str) else symmetry
    if not isinstance(names, list | tuple) or not all(isinstance(n, str) and n in GRAPH_SYMMETRIES for n in names):
        allowed = ", ".join(GRAPH_SYMMETRIES)
        raise ValueError(f"symmetry={symmetry!r} is unknown for graphs; allowed: {allowed}, or a list of them")
    if len(names) != depth:
        raise ValueError(f"symmetry={symmetry} names {len(names)} layers; allowed: one name, or one for each of {depth}")
    if len({name in ODD for name in names}) > 1:
        raise ValueError(f"symmetry={symmetry} mixes odd layers with others; allowed: odd in every layer or in none")
    return list(names)


def hop_axis(layer: int) -> int:
    """Name of a layer's axis of hops among the axes of the network, whose features are 0, 1, 2, ..."""
    return -1 - layer


def generators(symmetry: str | list[str], sizes: list[int], hops: int) -> list[GroupElement]:
    """Generators of a graph network's symmetry group.

    Args:
        symmetry: one name, or one for each message-passing layer.
        sizes: features of a node in the input, in each hidden layer, and in the output.
        hops: 2 where a layer has separate weights for neighbours and self, 1 where it has one weight.

    Raises:
        ValueError: for an unknown symmetry, or an odd number of features where features come in pairs.
    """
    depth = len(sizes) - 2
    names = per_layer(symmetry, depth)
    group: list[GroupElement] = []
    for layer, name in enumerate(names):
        if name in TIED:
            group += [{hop_axis(layer): g} for g in symmetric_group(hops)]
        if name in ("hidden", "full"):
            group += [{layer + 1: g} for g in symmetric_group(sizes[layer + 1])]
    if names[0] in ODD:
        for width in sizes[1:-1]:
            if width % 2:
                raise ValueError(f"width={width} is odd; symmetry {names[0]!r} pairs the features: allowed: even widths")
        flip: GroupElement = {layer: pair_swap(sizes[layer]) for layer in range(1, depth + 1)}
        flip[0] = SignedPermutation.identity(sizes[0], sign=-1)
        flip[depth + 1] = SignedPermutation.identity(sizes[-1], sign=-1)
        group.append(flip)
    return group


def graph_orbits(symmetry: str | list[str], sizes: list[int], hops: int) -> tuple[list[ConvOrbits], Orbits, Orbits]:
    """Orbits of every message-passing layer, then of the readout's weight ``(out, in)`` and bias ``(out,)``.

    Args:
        symmetry: one name, or one for each message-passing layer.
        sizes: features of a node in the input, in each hidden layer, and in the output.
        hops: 2 where a layer has separate weights for neighbours and self, 1 where it has one weight.

    Raises:
        ValueError: for an unknown symmetry, or an odd number of features where features come in pairs.

    Example:
        >>> layers, weight, bias = graph_orbits("full", [1, 8, 8, 1], hops=2)
        >>> [layer.weight.count for layer in layers], weight.count, bias.count
        ([1, 1], 1, 1)
        >>> [layer.weight.count for layer in graph_orbits("odd", [1, 8, 8, 1], hops=2)[0]]
        [8, 64]
    """
    names = per_layer(symmetry, len(sizes) - 2)
    group = generators(names, sizes, hops)
    size_of = dict(enumerate(sizes)) | {hop_axis(layer): hops for layer in range(len(names))}

    def tensor(*axes: int) -> Orbits:
        acting = [element for element in group if any(axis in element for axis in axes)]
        identities = {axis: SignedPermutation.identity(size_of[axis]) for axis in axes}
        actions = [tuple(element.get(axis, identities[axis]) for axis in axes) for element in acting]
        return orbits(tuple(size_of[axis] for axis in axes), actions)

    layers = []
    for layer, name in enumerate(names):
        weight = tensor(layer + 1, hop_axis(layer), layer)
        flat = (sizes[layer + 1], hops * sizes[layer])
        weight = Orbits(weight.index.reshape(flat), weight.sign.reshape(flat), weight.representatives)
        layers.append(ConvOrbits(weight, tensor(layer + 1), name in TIED))
    return layers, tensor(len(sizes) - 1, len(sizes) - 2), tensor(len(sizes) - 1)
