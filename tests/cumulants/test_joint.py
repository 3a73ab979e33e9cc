"""Joint k-statistics: unbiased by enumeration, equal to one-variable ones on the diagonal, affine, mergeable."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from renorm.cumulants import joint, joint_kstat, joint_sums, kstat, kstat_stderr, merge_joint, moments_to_cumulants

ATOMS = torch.tensor([[-1.0, 2.0], [0.5, -1.0], [3.0, 1.0]], dtype=torch.float64)
WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def sample(n: int, d: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=generator, dtype=torch.float64)
    return -torch.rand(n, d, generator=generator, dtype=torch.float64).log() @ mixing


def exact_cumulant(order: int) -> Tensor:
    letters = "abcdef"
    moments = []
    for p in range(1, order + 1):
        terms = ",".join("n" + letter for letter in letters[:p])
        moments.append(torch.einsum(f"n,{terms}->{letters[:p]}", WEIGHTS, *[ATOMS] * p))
    return moments_to_cumulants(moments)[-1]


def every_sample(n: int) -> tuple[list[tuple[int, ...]], list[float]]:
    """Samples up to order, each with its probability."""
    counts = itertools.combinations_with_replacement(range(3), n)
    samples, probabilities = [], []
    for chosen in counts:
        multiplicity = math.factorial(n) / math.prod(math.factorial(chosen.count(i)) for i in range(3))
        samples.append(chosen)
        probabilities.append(multiplicity * math.prod(float(WEIGHTS[i]) for i in chosen))
    return samples, probabilities


@pytest.mark.parametrize("order", range(1, 7))
@pytest.mark.parametrize("extra", [0, 2])
def test_unbiased_by_full_enumeration(order: int, extra: int) -> None:
    samples, probabilities = every_sample(order + extra)
    assert sum(probabilities) == pytest.approx(1)
    mean = sum(
        (p * joint_kstat(ATOMS[list(chosen)], order) for chosen, p in zip(samples, probabilities, strict=True)),
        torch.zeros((2,) * order, dtype=torch.float64),
    )
    expected = exact_cumulant(order)
    torch.testing.assert_close(mean, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_squared_standard_errors_are_unbiased(order: int) -> None:
    samples, probabilities = every_sample(2 * order + 1)
    first, second, estimated = (torch.zeros((2,) * order, dtype=torch.float64) for _ in range(3))
    for chosen, p in zip(samples, probabilities, strict=True):
        sums = joint_sums(ATOMS[list(chosen)], 2 * order)
        k = sums.kstat(order)
        first, second = first + p * k, second + p * k * k
        estimated = estimated + p * sums.kstat_variance(order)
    torch.testing.assert_close(estimated, second - first.square(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_standard_errors_on_the_diagonal_are_those_of_one_variable(order: int) -> None:
    x = sample(60, 3)
    errors, single = joint_sums(x, 2 * order).kstat_stderr(order), kstat_stderr(x, order)[-1]
    for i in range(3):
        torch.testing.assert_close(errors[(i,) * order], single[i], rtol=1e-8, atol=1e-12)


def test_standard_errors_of_covariances_are_those_of_repeated_samples() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2000, 100, 2, generator=generator, dtype=torch.float64) @ torch.tensor(
        [[1.0, 0.5], [0.0, 1.0]], dtype=torch.float64
    )
    found = [(sums.kstat(2), sums.kstat_stderr(2)) for sums in (joint_sums(rows, 4) for rows in x)]
    spread = torch.stack([k for k, _ in found]).std(0)
    predicted = torch.stack([e for _, e in found]).square().mean(0).sqrt()
    torch.testing.assert_close(predicted, spread, rtol=0.06, atol=0)


@pytest.mark.parametrize("order", range(1, 7))
def test_the_diagonal_is_that_of_one_variable(order: int) -> None:
    x = sample(200, 3)
    tensor, single = joint_kstat(x, order), kstat(x, order)[-1]
    for i in range(3):
        torch.testing.assert_close(tensor[(i,) * order], single[i], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("order", range(2, 7))
def test_symmetric_and_affine(order: int) -> None:
    x = sample(100, 3)
    tensor = joint_kstat(x, order)
    for permutation in itertools.islice(itertools.permutations(range(order)), 1, None, 7):
        torch.testing.assert_close(tensor.permute(permutation), tensor, rtol=1e-10, atol=1e-10)
    weight = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.0, 1.0]], dtype=torch.float64)
    contracted = tensor
    for _ in range(order):
        contracted = torch.tensordot(contracted, weight, dims=([0], [1]))
    scale = float(contracted.abs().max())
    torch.testing.assert_close(joint_kstat(x @ weight.T + 5, order), contracted, rtol=1e-8, atol=1e-11 * scale)


def test_covariance_is_numpys() -> None:
    x = sample(300, 4)
    np.testing.assert_allclose(joint_kstat(x, 2).numpy(), np.cov(x.T.numpy()), rtol=1e-11)


@pytest.mark.parametrize("offset", [1e6, 1e9, 1e12])
@pytest.mark.parametrize("order", [2, 3, 4])
def test_nothing_is_lost_at_an_offset(offset: float, order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint, "BLOCK_CELLS", 500)
    x = torch.randint(-20, 20, (3000, 3), generator=torch.Generator().manual_seed(0)).double()
    x = x.sort(dim=0).values
    sigma = float(x.std(dim=0).max())
    difference = (joint_kstat(x + offset, order) - joint_kstat(x, order)).abs().max()
    assert float(difference) <= 1e-12 * sigma**order


@given(seed=st.integers(0, 100), cut=st.integers(0, 40), offset=st.sampled_from([0.0, 1e9]))
@settings(deadline=None, max_examples=25)
def test_merging_equals_one_pass(seed: int, cut: int, offset: float) -> None:
    x = sample(40, 2, seed) + offset
    merged, whole = merge_joint(joint_sums(x[:cut], 4), joint_sums(x[cut:], 4)), joint_sums(x, 4)
    assert float(merged.n) == 40
    for order in (1, 2, 3, 4):
        sigma = float(x.std(dim=0).max())
        torch.testing.assert_close(merged.kstat(order), whole.kstat(order), rtol=1e-12, atol=1e-11 * sigma**order)


def test_constant_and_few_values() -> None:
    assert torch.equal(joint_kstat(torch.full((50, 2), 0.1), 4), torch.zeros(2, 2, 2, 2, dtype=torch.float64))
    assert joint_kstat(sample(3, 2), 4).isnan().all()
    assert joint_kstat(torch.zeros(0, 2), 2).isnan().all()
    assert joint_sums(sample(3, 2), 4).kstat_stderr(2).isnan().all()


@pytest.mark.parametrize("dtype", [torch.int8, torch.float16, torch.bfloat16])
def test_every_type(dtype: torch.dtype) -> None:
    x = (10 * sample(50, 2)).clamp(-100, 100).to(dtype)
    torch.testing.assert_close(joint_kstat(x, 4), joint_kstat(x.double(), 4))


def test_missing_values() -> None:
    x = sample(50, 2)
    holes = x.clone()
    holes[3, 0], holes[7, 1] = torch.nan, torch.inf
    kept = x[[i for i in range(50) if i not in (3, 7)]]
    torch.testing.assert_close(joint_kstat(holes, 3, nan_policy="omit"), joint_kstat(kept, 3))
    assert joint_kstat(holes, 3)[0, 0, 0].isnan()
    with pytest.raises(ValueError, match="x has 2 rows with NaN or infinity"):
        joint_kstat(holes, 3, nan_policy="raise")


def test_gradients() -> None:
    x = sample(9, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: joint_kstat(v, 4), x)


def test_refuses_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="order=7 is out of range; allowed: whole numbers from 1 to 6"):
        joint_kstat(torch.zeros(5, 2), 7)
    with pytest.raises(ValueError, match=r"x has shape \(5,\); allowed: \(N, d\)"):
        joint_kstat(torch.zeros(5), 2)
    with pytest.raises(ValueError, match="order=6 of d=40 variables has 4096000000 entries; allowed: at most"):
        joint_kstat(torch.zeros(5, 40), 6)
    with pytest.raises(ValueError, match="parts have shapes"):
        merge_joint(joint_sums(torch.zeros(3, 2), 2), joint_sums(torch.zeros(3, 3), 2))
    with pytest.raises(ValueError, match="parts have shapes"):
        merge_joint()
