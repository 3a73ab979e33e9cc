"""Losses: against brute force and scipy, their gradients, what they are zero for, and that energy is unbiased."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from renorm.training.losses import LOSSES, clt_map, cumulant, energy, mse, pair_sum

Array = NDArray[np.float64]


def sample(members: int, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.randn(members, n, generator=generator, dtype=torch.float64).exp()
    return prediction, torch.randn(n, generator=generator, dtype=torch.float64)


def brute_energy(x: Array, y: Array) -> float:
    """Mean over ordered pairs of different blocks, as the definition reads."""
    n = len(x)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    return float(np.mean([2 * abs(x[i] - y[j]) - abs(x[i] - x[j]) - abs(y[i] - y[j]) for i, j in pairs]))


@given(b=st.integers(2, 9), n=st.integers(1, 5))
@settings(deadline=None)
def test_clt_map_is_the_normalised_sum(b: int, n: int) -> None:
    x = np.random.default_rng(b * n).normal(size=(n, b))
    expected = [math.fsum(row) / math.sqrt(b) for row in x]
    np.testing.assert_allclose(clt_map(torch.from_numpy(x)).numpy(), expected, rtol=1e-14, atol=1e-14)


def test_mse_is_the_mean_square_of_each_member() -> None:
    prediction, target = sample(3, 50)
    expected = [np.mean((p - target.numpy()) ** 2) for p in prediction.numpy()]
    np.testing.assert_allclose(mse(prediction, target).numpy(), expected, rtol=1e-14)


@given(values=st.lists(st.integers(-5, 5), min_size=1, max_size=12))
@settings(deadline=None)
def test_pair_sum_is_the_sum_over_pairs(values: list[int]) -> None:
    expected = sum(abs(a - b) for a, b in itertools.combinations(values, 2))
    assert float(pair_sum(torch.tensor(sorted(values), dtype=torch.float64))) == expected


@given(seed=st.integers(0, 99), n=st.integers(2, 20), ties=st.booleans())
@settings(deadline=None, max_examples=40)
def test_energy_is_the_mean_over_pairs_of_different_blocks(seed: int, n: int, ties: bool) -> None:
    prediction, target = sample(2, n, seed)
    if ties:
        prediction, target = prediction.round(), target.round()
    expected = [brute_energy(x, target.numpy()) for x in prediction.numpy()]
    np.testing.assert_allclose(energy(prediction, target).numpy(), expected, rtol=1e-10, atol=1e-12)


def test_energy_and_scipys_differ_by_the_pairs_of_one_block() -> None:
    """scipy's V-statistic counts pairs (i, i) too: n² V = n (n - 1) U + 2 sum |x_i - y_i|."""
    prediction, target = sample(3, 60)
    n = len(target)
    for x, u in zip(prediction.numpy(), energy(prediction, target).numpy(), strict=True):
        v = stats.energy_distance(x, target.numpy()) ** 2
        assert n * n * v == pytest.approx(n * (n - 1) * u + 2 * np.abs(x - target.numpy()).sum(), rel=1e-10)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_energy_is_unbiased_for_dependent_outputs_and_targets(n: int) -> None:
    """Every sample of n blocks from a law of three outcomes, weighed exactly; the output depends on its own target."""
    outcomes = [(0, 1, Fraction(1, 2)), (2, -1, Fraction(1, 3)), (5, 3, Fraction(1, 6))]  # f(x), y, probability

    def mean(left: int, right: int) -> Fraction:
        return sum((a[2] * b[2] * abs(a[left] - b[right]) for a in outcomes for b in outcomes), Fraction(0))

    exact = 2 * mean(0, 1) - mean(0, 0) - mean(1, 1)
    expected = 0.0
    for draw in itertools.product(outcomes, repeat=n):
        x, y = (torch.tensor([float(o[k]) for o in draw], dtype=torch.float64) for k in (0, 1))
        expected += float(math.prod(o[2] for o in draw)) * float(energy(x[None], y))
    assert expected == pytest.approx(float(exact), rel=1e-12)


def test_energy_does_not_know_which_target_is_whose() -> None:
    """The gradient on an output may not favour its own target: it vanishes for the exact map and for a shuffled one."""
    target = torch.linspace(-2, 2, 400, dtype=torch.float64)
    assert float(energy(target[None], target)) == pytest.approx(0, abs=1e-12)
    shuffled = target[torch.randperm(400, generator=torch.Generator().manual_seed(0))]
    assert abs(float(energy(shuffled[None], target))) < 0.02
    assert float(energy(target[None] + 1, target)) > 0.1


def test_cumulant_loss_is_scipys_kstat() -> None:
    prediction, target = sample(3, 80)
    sigma = math.sqrt(stats.kstat(target.numpy(), 2))
    for x, loss in zip(prediction.numpy(), cumulant(prediction, target).numpy(), strict=True):
        gaps = [(stats.kstat(x, n) - stats.kstat(target.numpy(), n)) / sigma**n for n in (1, 2, 3, 4)]
        assert loss == pytest.approx(sum(gap**2 for gap in gaps), rel=1e-10)


def test_cumulant_loss_has_no_unit() -> None:
    prediction, target = sample(2, 50)
    torch.testing.assert_close(cumulant(7 * prediction, 7 * target), cumulant(prediction, target), rtol=1e-11, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_gradient(name: str) -> None:
    prediction, target = sample(2, 9)
    assert torch.autograd.gradcheck(lambda p: LOSSES[name](p, target), (prediction.requires_grad_(),))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_precision_and_zero(name: str, dtype: torch.dtype) -> None:
    prediction, target = (t.to(dtype) for t in sample(4, 30))
    prediction[2] = target
    loss = LOSSES[name](prediction, target)
    assert loss.shape == (4,)
    assert loss.dtype == dtype
    assert float(loss[2]) == pytest.approx(0, abs=1e-5 if dtype == torch.float32 else 1e-13)
    assert (loss[[0, 1, 3]] > 1e-2).all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_member_that_is_nan_hurts_no_other(name: str) -> None:
    prediction, target = sample(3, 30)
    clean = LOSSES[name](prediction, target)
    prediction[1, 4] = torch.nan
    loss = LOSSES[name](prediction.requires_grad_(), target)
    assert loss.isnan().tolist() == [False, True, False]
    assert torch.equal(loss[[0, 2]], clean[[0, 2]])
    loss.sum().backward()
    assert prediction.grad is not None
    assert prediction.grad[[0, 2]].isfinite().all()


@pytest.mark.parametrize("name", ["energy", "cumulant"])
def test_losses_of_distributions_ignore_the_order(name: str) -> None:
    prediction, target = sample(2, 40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    both = LOSSES[name](prediction[:, order], target[order])
    torch.testing.assert_close(both, LOSSES[name](prediction, target), rtol=1e-12, atol=1e-12)
