"""Orbits: against brute force over the whole group, and against counts worked out by hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from renorm.zoo import MLP
from renorm.zoo.symmetry.orbits import Orbits, SignedPermutation, orbits
from renorm.zoo.symmetry.symmetry import layer_orbits, list_symmetries

BLOCK_GROUPS = ("cyclic", "dihedral", "permutation")

Ints = NDArray[np.int64]
Axis = tuple[Ints, int]  # image of each position, and a sign


def of_block(symmetry: str, size: int) -> list[Ints]:
    """Every element of a group that moves the units along with the block, as a permutation of the block."""
    if symmetry == "permutation":
        return [np.array(p) for p in itertools.permutations(range(size))]
    rotations = [np.roll(np.arange(size), shift) for shift in range(size)]
    return rotations + [r[::-1] for r in rotations] if symmetry == "dihedral" else rotations


def whole_group(symmetry: str, sizes: list[int]) -> Iterator[list[Axis]]:
    """Every element of the group, straight from the definition of each symmetry."""

    def permutations(size: int, moved: bool) -> list[Ints]:
        return [np.array(p) for p in itertools.permutations(range(size))] if moved else [np.arange(size)]

    if symmetry in BLOCK_GROUPS:
        for image in of_block(symmetry, sizes[0]):
            hidden = [(np.concatenate([image + c for c in range(0, n, sizes[0])]), 1) for n in sizes[1:-1]]
            yield [(image, 1), *hidden, (np.arange(sizes[-1]), 1)]
        return
    blocks = permutations(sizes[0], symmetry in ("input", "full", "odd_input"))
    if symmetry in ("odd", "odd_input"):
        for block, flip in itertools.product(blocks, (False, True)):
            sign = -1 if flip else 1
            hidden = [(np.arange(n) ^ 1 if flip else np.arange(n), 1) for n in sizes[1:-1]]
            yield [(block, sign), *hidden, (np.arange(sizes[-1]), sign)]
        return
    moved = symmetry in ("hidden", "full")
    for element in itertools.product(blocks, *(permutations(n, moved) for n in sizes[1:-1])):
        yield [*((image, 1) for image in element), (np.arange(sizes[-1]), 1)]


def naive_relation(shape: tuple[int, ...], actions: list[tuple[Axis, ...]]) -> Ints:
    """``R[e, f] = s`` where the group forces ``W_e = s W_f``; a row of zeros where it forces ``W_e = 0``."""
    size = int(np.prod(shape))
    reached = np.zeros((2, size, size), dtype=bool)  # by which signs entry e goes to entry f
    for action in actions:
        image = np.ravel_multi_index(np.meshgrid(*(axis[0] for axis in action), indexing="ij"), shape).ravel()
        sign = int(np.prod([axis[1] for axis in action]))
        reached[(1 - sign) // 2, np.arange(size), image] = True
    vanishes = reached[:, np.arange(size), np.arange(size)][1]
    relation = reached[0].astype(np.int64) - reached[1]
    relation[vanishes] = 0
    return relation


def relation_of(found: Orbits) -> Ints:
    index, sign = found.index.ravel(), found.sign.ravel()
    return (index[:, None] == index) * sign[:, None] * sign


def assert_consistent(found: Orbits) -> None:
    """Numbering, representatives and signs agree: the first entry of each orbit stands for it, with sign +1."""
    index, sign = found.index.ravel(), found.sign.ravel()
    assert set(index[sign != 0]) == set(range(found.count))
    for orbit, first in enumerate(found.representatives):
        members = np.flatnonzero((index == orbit) & (sign != 0))
        assert first == members[0]
        assert sign[first] == 1


SHAPES = [(b, width, depth) for b in (2, 3) for width in (2, 4) for depth in (1, 2)]
SHAPES += [(4, 2, 1), (2, 1, 1), (5, 3, 1), (2, 2, 3), (2, 3, 3), (3, 6, 2), (4, 4, 2), (4, 8, 1)]


CASES = [
    (symmetry, *shape)
    for symmetry in list_symmetries()
    for shape in SHAPES
    if not (symmetry.startswith("odd") and shape[1] % 2)
    and not (symmetry in BLOCK_GROUPS and shape[1] % shape[0])
    and not (symmetry in ("hidden", "full") and shape[1] > 4)  # groups of thousands
]


@pytest.mark.parametrize(("symmetry", "block", "width", "depth"), CASES)
def test_orbits_are_those_of_the_whole_group(symmetry: str, block: int, width: int, depth: int) -> None:
    sizes = [block, *[width] * depth, 1]
    found = layer_orbits(symmetry, sizes)
    group = list(whole_group(symmetry, sizes))
    assert len(found) == depth + 1
    for layer, (weight, bias) in enumerate(found):
        acting = [(element[layer + 1], element[layer]) for element in group]
        distinct = {(tuple(o[0]), o[1], tuple(i[0]), i[1]): (o, i) for o, i in acting}
        for tensor, actions in ((weight, list(distinct.values())), (bias, [(o,) for o, _ in distinct.values()])):
            assert_consistent(tensor)
            shape = tensor.index.shape
            assert np.array_equal(relation_of(tensor), naive_relation(shape, actions))


@pytest.mark.parametrize(
    ("symmetry", "counts"),
    [
        ("free", [(16, 8), (64, 8), (8, 1)]),
        ("input", [(8, 8), (64, 8), (8, 1)]),
        ("hidden", [(2, 1), (1, 1), (1, 1)]),
        ("full", [(1, 1), (1, 1), (1, 1)]),
        ("odd", [(8, 4), (32, 4), (4, 0)]),
        ("odd_input", [(4, 4), (32, 4), (4, 0)]),
        (["free", "hidden"], [(16, 8), (8, 1), (1, 1)]),
        (["hidden", "free"], [(2, 1), (8, 8), (8, 1)]),
        (["full", "free"], [(1, 1), (8, 8), (8, 1)]),
        (["input", "hidden"], [(8, 8), (8, 1), (1, 1)]),
        (["odd_input", "odd"], [(4, 4), (32, 4), (4, 0)]),
    ],
)
def test_numbers_of_free_parameters(symmetry: str | list[str], counts: list[tuple[int, int]]) -> None:
    assert [(w.count, b.count) for w, b in layer_orbits(symmetry, [2, 8, 8, 1])] == counts


@pytest.mark.parametrize("symmetry", ["input", "hidden", *BLOCK_GROUPS])
def test_free_parameters_are_counted_by_burnside(symmetry: str) -> None:
    """The number of orbits is the mean number of entries that an element leaves in place."""
    sizes = [3, 6, 3, 1] if symmetry != "hidden" else [3, 3, 3, 1]
    group = list(whole_group(symmetry, sizes))
    for layer, (weight, bias) in enumerate(layer_orbits(symmetry, sizes)):
        still = [[int((axis[0] == np.arange(len(axis[0]))).sum()) for axis in element] for element in group]
        assert weight.count == np.mean([fixed[layer + 1] * fixed[layer] for fixed in still])
        assert bias.count == np.mean([fixed[layer + 1] for fixed in still])


@pytest.mark.parametrize("symmetry", BLOCK_GROUPS)
@pytest.mark.parametrize(
    "layers", [["{}"] * 2, ["{}", "free"], ["{}", "hidden"]], ids=["both", "then_free", "then_hidden"]
)
def test_networks_are_invariant_under_their_group_and_no_larger_one(symmetry: str, layers: list[str]) -> None:
    names = [name.format(symmetry) for name in layers]
    model = MLP(symmetry=names, width=8, depth=2, block_size=4, activation="gelu", replicas=2).double()
    x = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    inside = {tuple(image.tolist()) for image in of_block(symmetry, 4)}
    for image in itertools.permutations(range(4)):
        same_outputs = torch.allclose(model(x[:, list(image)]), model(x), rtol=1e-13, atol=1e-14)
        assert same_outputs == (image in inside)


def test_deep_sets_layers_are_two_numbers_a_pair_of_channels() -> None:
    """Zaheer et al. 2017, lemma 3: ``a`` on the diagonal, ``b`` off it."""
    weight, _ = layer_orbits("permutation", [4, 8, 8, 1])[1]
    for (c, i), (d, j) in itertools.product(itertools.product(range(2), range(4)), repeat=2):
        assert weight.index[4 * c + i, 4 * d + j] == weight.index[4 * c, 4 * d + (i != j)]
    assert weight.count == 8


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_permutation_is_deep_sets(activation: str) -> None:
    """Layers of ``a h_i + b sum_{j != i} h_j``, summed over the positions; then a network of that sum, where there is one."""
    b, x = 5, torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def rho(h: Tensor, layers: list[Tensor], offsets: list[Tensor]) -> Tensor:
        """A network without symmetry, of one value a channel."""
        for weight, offset in zip(layers[:-1], offsets[:-1], strict=True):
            h = phi(h @ weight.T + offset)
        return (h @ layers[-1].T + offsets[-1])[:, 0]

    for symmetry in (["permutation"], ["permutation"] * 2, ["permutation", "permutation", "free"]):
        model = MLP(block_size=b, symmetry=symmetry, depth=len(symmetry), width=2 * b, activation=activation).double()
        phi = getattr(torch.nn.functional, activation)
        layers = [(weight[0], offset[0]) for weight, offset in model.dense() if offset is not None]
        equivariant = symmetry.count("permutation")
        h = x.unsqueeze(1)  # (N, channels, b)
        for weight, offset in layers[:equivariant]:
            of_positions = weight.view(2, b, h.shape[1], b)
            diagonal, off = of_positions[:, 0, :, 0], of_positions[:, 0, :, 1]
            others = h.sum(dim=2, keepdim=True) - h
            h = phi(diagonal @ h + off @ others + offset.view(2, b)[:, :1])
        pooled = h.sum(dim=2)
        after = layers[equivariant:]
        first = after[0][0].view(-1, 2, b)[:, :, 0]  # the same at every position: a weight of the sum
        expected = rho(pooled, [first, *(weight for weight, _ in after[1:])], [offset for _, offset in after])
        torch.testing.assert_close(model(x)[0], expected, rtol=1e-12, atol=1e-12)


def test_the_maximum_needs_units_that_move_along_with_the_block() -> None:
    """max(x, y) = (|x - y| + x + y) / 2, while tied columns give a function of x + y."""
    x = 3 * torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    model = MLP(symmetry="permutation", activation="relu", width=6).double()
    hidden, readout = model.affine_layers()
    hidden.weight.fill(torch.tensor([[1, -1], [-1, 1], [1, 1], [1, 1], [-1, -1], [-1, -1]]))
    readout.weight.fill(torch.tensor([[0.5, 0.5, 0.25, 0.25, -0.25, -0.25]]))
    for layer in (hidden, readout):
        assert layer.bias is not None
        layer.bias.fill(torch.zeros(layer.bias.shape))
    assert float((model(x)[0] - x.amax(dim=1)).detach().abs().max()) < 1e-14
    tied = MLP(symmetry="input", activation="relu", width=6, replicas=20).double()
    same_sum = torch.stack([x.sum(dim=1), torch.zeros(len(x), dtype=torch.float64)], dim=1)
    torch.testing.assert_close(tied(x), tied(same_sum), rtol=1e-12, atol=1e-12)
    assert float((x.amax(dim=1) - same_sum.amax(dim=1)).abs().max()) > 1


def test_the_output_bias_of_an_odd_network_vanishes() -> None:
    _, bias = layer_orbits("odd", [2, 4, 1])[-1]
    assert bias.sign.tolist() == [0]
    assert bias.index.tolist() == [0]
    assert not bias.is_free


@st.composite
def signed_actions(draw: st.DrawFn) -> tuple[tuple[int, ...], list[tuple[Axis, ...]]]:
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=2)))
    axis = [st.tuples(st.permutations(range(n)).map(np.array), st.sampled_from([1, -1])) for n in shape]
    return shape, draw(st.lists(st.tuples(*axis), max_size=3))


def closure(shape: tuple[int, ...], generators: list[tuple[Axis, ...]]) -> list[tuple[Axis, ...]]:
    """Every product of the generators; of a finite group, these are its elements."""

    def key(element: tuple[Axis, ...]) -> tuple[tuple[tuple[int, ...], int], ...]:
        return tuple((tuple(int(i) for i in image), sign) for image, sign in element)

    identity: tuple[Axis, ...] = tuple((np.arange(n), 1) for n in shape)
    known, new = {key(identity): identity}, [identity]
    while new:
        products = [
            tuple((g[0][e[0]], g[1] * e[1]) for g, e in zip(generator, element, strict=True))
            for generator in generators
            for element in new
        ]
        new = [product for product in {key(p): p for p in products}.values() if key(product) not in known]
        known |= {key(element): element for element in new}
    return list(known.values())


@given(case=signed_actions())
@settings(deadline=None, max_examples=60)
def test_orbits_of_any_signed_permutations(case: tuple[tuple[int, ...], list[tuple[Axis, ...]]]) -> None:
    shape, generators = case
    found = orbits(shape, [tuple(SignedPermutation(*axis) for axis in g) for g in generators])
    assert_consistent(found)
    assert np.array_equal(relation_of(found), naive_relation(shape, closure(shape, generators)))


def same(one: list[tuple[Orbits, Orbits]], other: list[tuple[Orbits, Orbits]]) -> bool:
    pairs = zip([o for layer in one for o in layer], [o for layer in other for o in layer], strict=True)
    return all(np.array_equal(a.index, b.index) and np.array_equal(a.sign, b.sign) for a, b in pairs)


@pytest.mark.parametrize(
    ("symmetry", "expected"),
    [
        ("free", ["free", "free", "free"]),
        ("input", ["input", "free", "free"]),
        ("hidden", ["hidden", "hidden", "hidden"]),
        ("full", ["full", "hidden", "hidden"]),
        ("odd", ["odd", "odd", "odd"]),
        ("odd_input", ["odd_input", "odd", "odd"]),
        ("cyclic", ["cyclic", "cyclic", "cyclic"]),
        ("permutation", ("permutation", "permutation", "permutation")),
    ],
)
def test_one_name_is_spread_over_the_layers(symmetry: str, expected: list[str]) -> None:
    sizes = [2, 4, 4, 4, 1]
    assert same(layer_orbits(symmetry, sizes), layer_orbits(expected, sizes))


@pytest.mark.parametrize(
    ("symmetry", "says"),
    [
        ("Full", r"symmetry='Full' is unknown; allowed: free, input, hidden, full, odd, odd_input"),
        ("", r"symmetry='' is unknown"),
        (None, r"symmetry=None is unknown; allowed: free"),
        (["free"], r"symmetry=\['free'\] names 1 layers; allowed: one name, or one for each of 2"),
        ([], r"symmetry=\[\] names 0 layers"),
        (["free", "none"], r"symmetry='none' is unknown"),
        (["free", ["full"]], r"symmetry=\['full'\] is unknown"),
        (["free", "input"], r"symmetry\[1\]='input' ties the columns of the block.*allowed: free, hidden, odd"),
        (["full", "full"], r"symmetry\[1\]='full' ties the columns"),
        (["odd", "odd_input"], r"symmetry\[1\]='odd_input' ties the columns"),
        (["odd", "hidden"], r"symmetry=\['odd', 'hidden'\] mixes odd layers .*allowed: odd in every layer or in none"),
        (["free", "odd"], r"symmetry=\['free', 'odd'\] mixes odd layers"),
        (
            ["free", "cyclic"],
            r"symmetry\[1\]='cyclic' moves its units along .* and symmetry\[0\]='free' does not; allowed",
        ),
    ],
)
def test_refuses_in_one_line(symmetry: str | list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        layer_orbits(symmetry, [2, 4, 4, 1])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("symmetry", ["odd", "odd_input"])
def test_pairs_need_an_even_width(symmetry: str) -> None:
    with pytest.raises(
        ValueError, match=rf"width=3 is odd, and symmetry='{symmetry}' pairs the units; allowed: even widths"
    ):
        layer_orbits(symmetry, [2, 3, 1])


@pytest.mark.parametrize("symmetry", BLOCK_GROUPS)
def test_channels_need_whole_copies_of_the_block(symmetry: str) -> None:
    says = rf"width=8 does not hold whole copies .*symmetry='{symmetry}' .*allowed: multiples of block_size=3"
    with pytest.raises(ValueError, match=says):
        layer_orbits(symmetry, [3, 8, 1])
