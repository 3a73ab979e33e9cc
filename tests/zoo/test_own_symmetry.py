"""A symmetry of the user's own: one class is followed by networks, subspaces, certificates, and refused where it does not act."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from renorm import certify
from renorm.zoo import MLP, Symmetry, list_symmetries
from renorm.zoo.registry import list_models
from renorm.zoo.symmetry import BlockGroup, GroupElement, SignedPermutation
from renorm.zoo.symmetry.order_parameter import asymmetries
from renorm.zoo.symmetry.symmetry import REGISTRY

Own = Callable[[Callable[[list[int]], Any]], str]


@pytest.fixture
def own() -> Iterator[Own]:
    """A symmetry with these generators, by its name."""

    def define(made: Callable[[list[int]], Any]) -> str:
        class Mine(Symmetry):
            """Of this test."""

            name = "mine"

            def generators(self, sizes: list[int]) -> list[GroupElement]:
                group: list[GroupElement] = made(sizes)
                return group

        return Mine.name

    yield define
    REGISTRY.pop("mine", None)


def reflection(sizes: list[int]) -> list[GroupElement]:
    """Reverse the block, and swap neighbouring units."""
    swap = {axis: SignedPermutation(np.arange(n) ^ 1) for axis, n in enumerate(sizes[1:-1], start=1)}
    return [{0: SignedPermutation(np.arange(sizes[0])[::-1])} | swap]


def even(sizes: list[int]) -> list[GroupElement]:
    """f(-x) = f(x) through pairs of units."""
    return [{0: SignedPermutation.identity(sizes[0], sign=-1), 1: SignedPermutation(np.arange(sizes[1]) ^ 1)}]


def nothing_left(sizes: list[int]) -> list[GroupElement]:
    return [{0: SignedPermutation.identity(sizes[0], sign=-1)}]


def odd_by_order(sizes: list[int]) -> list[GroupElement]:
    """Odd, by pairs that are not neighbours."""
    half = {axis: SignedPermutation(np.roll(np.arange(n), n // 2)) for axis, n in enumerate(sizes[1:-1], start=1)}
    return [half | {axis: SignedPermutation.identity(sizes[axis], sign=-1) for axis in (0, len(sizes) - 1)}]


def test_one_class_is_a_new_symmetry_everywhere(own: Own) -> None:
    name = own(reflection)
    assert name in list_symmetries()
    assert "mlp_relu_mine" in list_models("mlp_relu_*")
    model = MLP(symmetry=name, width=4, depth=2, block_size=3, replicas=2).double()
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(x.flip(1)), model(x), rtol=1e-13, atol=1e-14)
    assert not torch.allclose(model(x.roll(1, 1)), model(x))
    # in the layer between, odd pairs are the same subspace
    assert all(float(asymmetries(model)[layer][name].max()) < 1e-7 for layer in ("pre0", "out"))
    free = asymmetries(MLP(width=4, depth=2, block_size=3, replicas=2))
    assert all(float(free[layer][name].min()) > 1e-2 for layer in ("pre0", "out"))


@pytest.mark.parametrize("activation", ["linear", "relu", "leaky_relu", "quadratic", "spline"])
@pytest.mark.parametrize("generators", [reflection, odd_by_order])
def test_certificates_find_weights_that_keep_a_symmetry_of_ones_own(
    activation: str, generators: Callable[[list[int]], list[GroupElement]], own: Own
) -> None:
    found = certify(MLP(symmetry=own(generators), activation=activation, width=4, block_size=3))
    assert found.verdict == "representable"
    assert found.check is not None
    assert found.check < 1e-12


def test_what_no_argument_settles_is_undecided(own: Own) -> None:
    assert certify(MLP(symmetry=own(reflection), activation="relu", width=2, block_size=3)).verdict == "undecided"
    assert certify(MLP(symmetry="permutation", activation="relu", width=3, block_size=3)).verdict == "undecided"


def test_an_even_network_is_not_the_map(own: Own) -> None:
    model = MLP(symmetry=own(even), width=4)
    x = torch.randn(5, 2)
    torch.testing.assert_close(model(-x), model(x))
    found = certify(model)
    assert (found.verdict, found.infimum, found.best_errors) == ("not representable", "positive", ())


@pytest.mark.parametrize("symmetry", ["cyclic", "dihedral", "permutation"])
@pytest.mark.parametrize("activation", ["linear", "relu", "quadratic", "leaky_relu"])
def test_certificates_of_groups_that_move_units_along(symmetry: str, activation: str) -> None:
    found = certify(MLP(symmetry=symmetry, activation=activation, width=6, block_size=3, depth=2))
    assert found.verdict == "representable"
    one_channel_each = certify(MLP(symmetry=symmetry, activation=activation, width=3, block_size=3))
    assert one_channel_each.verdict == ("representable" if activation == "linear" else "undecided")


@pytest.mark.parametrize(
    ("generators", "says"),
    [
        (
            lambda sizes: [{0: SignedPermutation(np.arange(9))}],
            r"takes axis 0 to image=\[0, 1, .*; allowed: a permutation of",
        ),
        (
            lambda sizes: [{0: SignedPermutation(np.array([0, 0]))}],
            r"takes axis 0 to image=\[0, 0\]; allowed: a permutation",
        ),
        (
            lambda sizes: [{0: SignedPermutation(np.array([0.5, 1]))}],
            r"takes axis 0 to image=\[0.5, 1.0\]; allowed: a perm",
        ),
        (lambda sizes: [{0: SignedPermutation.identity(2, sign=2)}], r"has sign=2 on axis 0; allowed: 1, -1"),
        (lambda sizes: [{7: SignedPermutation.identity(2)}], r"moves axis 7; allowed: 0, the block, to 2, the output"),
        (lambda sizes: [{0: [1, 0]}], r"moves axis 0 by a list; allowed: a SignedPermutation"),
        (lambda sizes: SignedPermutation.identity(2), r"has generators=Signed.*; allowed: a list of dicts"),
        (lambda sizes: None, r"has generators=None; allowed: a list of dicts"),
        (lambda sizes: sizes[9], r"fails on the sizes \[2, 8, 1\]: IndexError: .*; allowed: generators\(sizes\)"),
    ],
)
def test_what_does_not_act_is_refused(generators: Callable[[list[int]], Any], says: str, own: Own) -> None:
    name = own(generators)
    for build in (lambda: MLP(symmetry=name), lambda: MLP().symmetric_subspaces()):
        with pytest.raises(ValueError, match=f"symmetry='mine' {says}") as error:
            build()
        assert "\n" not in str(error.value)


def test_sizes_that_it_does_not_fit_are_refused_and_have_no_subspace(own: Own) -> None:
    def halves(sizes: list[int]) -> list[GroupElement]:
        if sizes[0] % 2:
            raise ValueError("halves need an even block")
        return [{0: SignedPermutation(np.roll(np.arange(sizes[0]), sizes[0] // 2))}]

    name = own(halves)
    with pytest.raises(
        ValueError, match=r"symmetry='mine' does not fit the sizes \[3, 8, 1\]: halves need an even block"
    ):
        MLP(symmetry=name, block_size=3)
    assert name not in MLP(block_size=3).symmetric_subspaces()
    assert name in MLP(block_size=4).symmetric_subspaces()


def test_a_symmetry_that_leaves_no_weights(own: Own) -> None:
    with pytest.raises(
        ValueError, match=r"symmetry='mine' forces all weights of layer 0 to be 0; allowed: one that leaves"
    ):
        MLP(symmetry=own(nothing_left))
    assert "mine" not in MLP().symmetric_subspaces()


def test_a_name_that_is_taken() -> None:
    with pytest.raises(ValueError, match=r"name='cyclic' of .*Mine is taken by Cyclic; allowed: another name"):

        class Mine(BlockGroup):
            """Of this test."""

            name = "cyclic"
