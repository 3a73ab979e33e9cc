"""The recursion of cumulants against enumeration of the map itself."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from renorm.cumulants import (
    clt_eigenvalues,
    clt_fixed_point,
    clt_flow,
    clt_step,
    clt_step_joint,
    joint_kstat,
    kstat,
    moments_to_cumulants,
)

VALUES = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)
WEIGHTS = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)


def cumulants(values: torch.Tensor, weights: torch.Tensor, order: int = 6) -> torch.Tensor:
    return moments_to_cumulants(torch.stack([(weights * values**p).sum() for p in range(1, order + 1)]))


def pushed(b: int, times: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Every block with its probability, mapped; repeated on its own output."""
    values, weights = VALUES, WEIGHTS
    for _ in range(times):
        blocks = torch.cartesian_prod(*[values] * b)
        weights = torch.cartesian_prod(*[weights] * b).prod(dim=1)
        values = blocks.sum(dim=1) / math.sqrt(b)
    return values, weights


@pytest.mark.parametrize("b", [2, 3, 5])
def test_step_equals_enumeration(b: int) -> None:
    torch.testing.assert_close(clt_step(cumulants(VALUES, WEIGHTS), b), cumulants(*pushed(b)), rtol=1e-9, atol=1e-11)


def test_flow_equals_repeated_enumeration() -> None:
    flow = clt_flow(cumulants(VALUES, WEIGHTS), steps=3)
    for t in range(4):
        torch.testing.assert_close(flow[t], cumulants(*pushed(2, t)), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("b", [2, 4, 16])
def test_slope_of_log_cumulants_is_one_minus_half_the_order(b: int) -> None:
    flow = clt_flow(torch.ones(8, dtype=torch.float64), 10, b).log() / math.log(b)
    slopes = (flow[-1] - flow[0]) / 10
    torch.testing.assert_close(slopes, 1 - torch.arange(1, 9, dtype=torch.float64) / 2)
    torch.testing.assert_close(clt_eigenvalues(8, b).log() / math.log(b), slopes)


def test_centred_laws_flow_to_the_fixed_point() -> None:
    start = cumulants(VALUES - (WEIGHTS * VALUES).sum(), WEIGHTS)
    start[0] = 0.0
    end = clt_fixed_point(start)
    torch.testing.assert_close(clt_flow(start, 80)[-1], end, rtol=0, atol=1e-10)
    torch.testing.assert_close(clt_step(end), end)
    assert clt_fixed_point(torch.tensor([1.0, 1.0]))[0].isnan()


def test_dependent_blocks() -> None:
    blocks = torch.tensor(list(itertools.product([-1.0, 0.0, 2.0], repeat=3)), dtype=torch.float64)
    blocks = torch.cat([blocks, blocks[:, :1] ** 2 + blocks[:, 1:2]], dim=1)  # four variables that depend on each other
    joint = [joint_kstat(blocks, n) for n in range(1, 5)]
    torch.testing.assert_close(clt_step_joint(joint), kstat(blocks.sum(dim=1) / 2, 4), rtol=1e-10, atol=1e-12)


def test_independent_blocks_are_a_special_case() -> None:
    kappa = cumulants(VALUES, WEIGHTS, 4)
    joint = []
    for n in range(1, 5):
        tensor = torch.zeros((3,) * n, dtype=torch.float64)
        for i in range(3):
            tensor[(i,) * n] = kappa[n - 1]
        joint.append(tensor)
    torch.testing.assert_close(clt_step_joint(joint), clt_step(kappa, 3))


def test_refuses_wrong_arguments() -> None:
    for b in (1, 2.0, True, -3):
        with pytest.raises(ValueError, match=r"block_size=.* is out of range; allowed: whole numbers >= 2"):
            clt_step(torch.zeros(4), b)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="steps=-1 is out of range"):
        clt_flow(torch.zeros(4), -1)
    with pytest.raises(ValueError, match="joint has shapes"):
        clt_step_joint([torch.zeros(2), torch.zeros(2, 3)])
    with pytest.raises(ValueError, match="block_size=0"):
        clt_step_joint([])
