"""Moments and cumulants: round trips, laws of nature, scipy and enumeration."""

from __future__ import annotations

import itertools
import math

import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from renorm.cumulants import cumulants_to_moments, moments_to_cumulants

ATOMS = torch.tensor([[-1.0, 0.5, 2.0], [0.0, 1.0, -2.0], [3.0, 0.25, 1.0]], dtype=torch.float64)
WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def joint_moments(order: int) -> list[Tensor]:
    """Moments of a discrete law on three points of R^3."""
    found = []
    for p in range(1, order + 1):
        total = torch.zeros((3,) * p, dtype=torch.float64)
        for index in itertools.product(range(3), repeat=p):
            total[index] = (WEIGHTS * ATOMS[:, list(index)].prod(dim=1)).sum()
        found.append(total)
    return found


@pytest.mark.parametrize(
    ("moments_of_law", "expected"),
    [
        # older versions of scipy integrate the high moments of gamma laws numerically
        ([math.factorial(n) for n in range(1, 9)], [math.factorial(n - 1) for n in range(1, 9)]),
        ([scipy.stats.poisson(2.5).moment(n) for n in range(1, 9)], [2.5] * 8),
        ([scipy.stats.norm(1, 3).moment(n) for n in range(1, 9)], [1, 9, 0, 0, 0, 0, 0, 0]),
        (
            [0.5**n * math.factorial(n + 1) for n in range(1, 9)],
            [2 * 0.5**n * math.factorial(n - 1) for n in range(1, 9)],
        ),
    ],
    ids=["exponential", "poisson", "gaussian", "gamma"],
)
def test_cumulants_of_known_laws(moments_of_law: list[float], expected: list[float]) -> None:
    moments = torch.tensor(moments_of_law, dtype=torch.float64)
    scale = moments.abs().amax()
    torch.testing.assert_close(
        moments_to_cumulants(moments), torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-13 * float(scale)
    )
    torch.testing.assert_close(cumulants_to_moments(torch.tensor(expected, dtype=torch.float64)), moments)


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=8))
@settings(deadline=None)
def test_round_trip(values: list[float]) -> None:
    cumulants = torch.tensor(values, dtype=torch.float64)
    back = moments_to_cumulants(cumulants_to_moments(cumulants))
    scale = float(cumulants_to_moments(cumulants.abs())[-1])
    torch.testing.assert_close(back, cumulants, rtol=1e-9, atol=1e-12 * (1 + scale))


def test_features_are_kept_apart() -> None:
    cumulants = torch.randn(4, 2, 3, dtype=torch.float64)
    moments = cumulants_to_moments(cumulants)
    assert moments.shape == (4, 2, 3)
    torch.testing.assert_close(moments[:, 1, 2], cumulants_to_moments(cumulants[:, 1, 2]))


def test_joint_diagonals_are_those_of_one_variable() -> None:
    moments = joint_moments(5)
    cumulants = moments_to_cumulants(moments)
    for i in range(3):
        single = moments_to_cumulants(torch.stack([m[(i,) * p] for p, m in enumerate(moments, start=1)]))
        torch.testing.assert_close(torch.stack([c[(i,) * p] for p, c in enumerate(cumulants, start=1)]), single)


def test_joint_cumulants_add_under_sums_of_variables() -> None:
    a = torch.tensor([0.7, -1.2, 0.4], dtype=torch.float64)
    cumulants = moments_to_cumulants(joint_moments(5))
    combined = moments_to_cumulants(torch.stack([(WEIGHTS * (ATOMS @ a) ** p).sum() for p in range(1, 6)]))
    for p, joint in enumerate(cumulants, start=1):
        contracted = joint
        for _ in range(p):
            contracted = contracted @ a
        torch.testing.assert_close(contracted, combined[p - 1], rtol=1e-11, atol=1e-11)


def test_joint_round_trip_with_leading_axes() -> None:
    moments = [torch.stack([m, 2 * m]) for m in joint_moments(4)]
    back = cumulants_to_moments(moments_to_cumulants(moments))
    for one, other in zip(moments, back, strict=True):
        torch.testing.assert_close(one, other)


def test_independent_variables_have_no_joint_cumulants() -> None:
    x, y = torch.tensor([0.0, 1.0, 5.0]), torch.tensor([-1.0, 2.0])
    pairs = torch.cartesian_prod(x, y).double()
    moments = [torch.einsum("ni,nj,nk->ijk", pairs, pairs, pairs) / 6]
    second, first = torch.einsum("ni,nj->ij", pairs, pairs) / 6, pairs.mean(0)
    cumulants = moments_to_cumulants([first, second, *moments])
    for index in itertools.product(range(2), repeat=3):
        if len(set(index)) == 2:
            assert abs(float(cumulants[2][index])) < 1e-12
    assert abs(float(cumulants[1][0, 1])) < 1e-12


def test_gradients() -> None:
    m = torch.randn(5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(moments_to_cumulants, m)
    assert torch.autograd.gradcheck(cumulants_to_moments, m)


@pytest.mark.parametrize("shapes", [[], [()], [(2,), (2, 3)], [(2,), (2,)]])
def test_refuses_other_shapes(shapes: list[tuple[int, ...]]) -> None:
    tensors = [torch.zeros(shape) for shape in shapes]
    with pytest.raises(ValueError, match=r"moments have shapes .*; allowed:"):
        moments_to_cumulants(tensors)
    with pytest.raises(ValueError, match=r"cumulants have shapes .*; allowed:"):
        cumulants_to_moments(tensors)
