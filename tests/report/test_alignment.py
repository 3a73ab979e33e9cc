"""Alignment of gradients by brute force: every permutation, finite differences, and cases with known answers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from renorm.report.alignment import (
    Networks,
    agreement,
    descent,
    distinct,
    frustration,
    matched,
    networks_of,
    permuted,
    pulls,
)
from renorm.report.fits import make_model
from renorm.training.losses import clt_map


def random_networks(members: int, hidden: int = 4, seed: int = 0) -> Networks:
    generator = torch.Generator().manual_seed(seed)
    return Networks(
        torch.randn(members, hidden, 4, generator=generator, dtype=torch.float64),
        torch.randn(members, generator=generator, dtype=torch.float64),
    )


def test_matching_is_the_best_of_all_permutations() -> None:
    one, other = random_networks(5), random_networks(5, seed=1)
    found = permuted(one, matched(one, other))
    for m in range(5):
        distances = [
            float((one.units[m, list(order)] - other.units[m]).square().sum())
            for order in itertools.permutations(range(4))
        ]
        assert float((found.units[m] - other.units[m]).square().sum()) == pytest.approx(min(distances))


@pytest.mark.parametrize("symmetry", ["free", "full", "odd"])
def test_descent_is_the_velocity_of_the_written_out_weights(symmetry: str) -> None:
    model = make_model(f"mlp_leaky_relu_{symmetry}", replicas=2, width=4, seed=1).double()
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = descent(model, x)
    before, h = networks_of(model), 1e-6
    gradients = torch.autograd.grad(model.losses(x, clt_map(x)).sum(), list(model.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter -= h * gradient
    velocity = (networks_of(model).flat() - before.flat()) / h
    torch.testing.assert_close(found.flat(), velocity, rtol=1e-6, atol=1e-6)


def test_pulls_are_cosines_after_matching() -> None:
    weights, velocity, solutions = random_networks(3), random_networks(3, seed=1), random_networks(2, seed=2)
    cosines, directions = pulls(weights, velocity, solutions)
    for m, k in itertools.product(range(3), range(2)):
        best = min(
            itertools.permutations(range(4)),
            key=lambda order: float((solutions.units[k, list(order)] - weights.units[m]).square().sum()),
        )
        ahead = torch.cat(
            [
                (solutions.units[k, list(best)] - weights.units[m]).flatten(),
                (solutions.offset[k] - weights.offset[m])[None],
            ]
        )
        wanted = torch.nn.functional.cosine_similarity(velocity.flat()[m], ahead, dim=0)
        torch.testing.assert_close(cosines[m, k], wanted)
        torch.testing.assert_close(directions[m, k], ahead / ahead.norm())


def test_order_of_units_means_nothing() -> None:
    weights, velocity, solutions = random_networks(2), random_networks(2, seed=1), random_networks(1, seed=2)
    shuffled = permuted(solutions, torch.tensor([[2, 0, 3, 1]]))
    torch.testing.assert_close(pulls(weights, velocity, solutions)[0], pulls(weights, velocity, shuffled)[0])
    order = torch.tensor([[1, 3, 0, 2]]).expand(2, -1)
    torch.testing.assert_close(
        agreement(weights, velocity), agreement(permuted(weights, order), permuted(velocity, order))
    )


def test_a_member_that_moves_straight_to_a_solution_has_cosine_one() -> None:
    weights, solutions = random_networks(1), random_networks(1, seed=5)
    there = permuted(solutions, matched(solutions, weights))
    velocity = Networks(0.3 * (there.units - weights.units), 0.3 * (there.offset - weights.offset))
    cosines, directions = pulls(weights, velocity, solutions)
    assert float(cosines) == pytest.approx(1.0)
    assert float(frustration(cosines, directions)) == pytest.approx(0.0, abs=1e-12)


def test_frustration_between_two_directions() -> None:
    for angle in np.linspace(0, np.pi, 7):
        directions = torch.tensor([[[1.0, 0.0], [np.cos(angle), np.sin(angle)]]]).double()
        found = frustration(torch.tensor([[0.4, 0.4]]).double(), directions)
        assert float(found) == pytest.approx(1 - abs(np.cos(angle / 2)), abs=1e-12)
    assert frustration(torch.tensor([[-0.1, -0.2]]), torch.ones(1, 2, 3)).isnan().all()


def test_agreement_of_copies_is_one_and_of_opposites_minus_one() -> None:
    one = random_networks(1)
    order = torch.tensor([[3, 1, 0, 2]])
    twins = [permuted(one, torch.arange(4)[None]), permuted(one, order)]
    weights = Networks(*(torch.cat(parts) for parts in zip(*twins, strict=True)))
    torch.testing.assert_close(agreement(weights, weights), torch.ones(2).double())
    opposite = Networks(weights.units * torch.tensor([1, -1])[:, None, None], weights.offset * torch.tensor([1, -1]))
    torch.testing.assert_close(agreement(weights, opposite), -torch.ones(2).double())
    with pytest.raises(ValueError, match="members=1 is too few"):
        agreement(one, one)


def test_distinct_solutions_are_counted_up_to_the_order_of_units() -> None:
    ends = random_networks(3)
    order = torch.tensor([[1, 0, 3, 2]]).expand(3, -1)
    again = permuted(ends, order)
    assert distinct(Networks(torch.cat([ends.units, again.units]), torch.cat([ends.offset, again.offset]))) == [0, 1, 2]


def test_depth_is_checked() -> None:
    with pytest.raises(ValueError, match="depth=2 is out of range; allowed: 1"):
        networks_of(make_model("mlp_relu_free", depth=2))
