r"""Scale laws, :math:`k_n(c x) = c^n k_n(x)`, wherever the answer is representable; and under PyTorch's function transforms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from renorm.cumulants import (
    Cumulants,
    JointCumulants,
    joint_kstat,
    joint_sums,
    kstat,
    kstat_stderr,
    merge,
    merge_joint,
    power_sums,
)
from renorm.cumulants.units import times_power_of_two, unit_exponent

from . import exact

EXPONENTS = st.integers(-500, 500) | st.sampled_from([-1000, -149, -127, -101, -100, 100, 101, 126, 127, 900, 1000])


def sample(n: int = 60, features: int = 2, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, features, generator=generator, dtype=torch.float64).exp()


def scaled(k: Tensor, exponent: int, order: int) -> Tensor:
    r""":math:`2^{r e} k_r` for orders on the first axis, rounded once, by Python."""

    def power(value: float, p: int) -> float:
        try:
            return math.ldexp(value, p * exponent)
        except OverflowError:
            return math.copysign(math.inf, value)

    rows = [[power(v, p) for v in row.flatten().tolist()] for p, row in enumerate(k.view(order, -1), start=1)]
    return torch.tensor(rows, dtype=torch.float64).view(k.shape)


def check(found: Tensor, k: Tensor, exponent: int, order: int, exactly: bool = True) -> None:
    expected = scaled(k, exponent, order)
    assert torch.equal(found.isnan(), expected.isnan())
    if exactly:  # a normal number has the same digits; a subnormal one may be rounded twice
        normal = (expected.abs() > 1e-307) | (expected == 0) & (k.abs() < 1e-300)
        assert torch.equal(found[normal & ~expected.isnan()], expected[normal & ~expected.isnan()])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-307, equal_nan=True)


@given(exponent=EXPONENTS, seed=st.integers(0, 99), features=st.sampled_from([1, 2]))
@settings(deadline=None, max_examples=25)
@example(exponent=99, seed=0, features=2)
@example(exponent=99, seed=0, features=1)
def test_scale_by_a_power_of_two_changes_no_digit(exponent: int, seed: int, features: int) -> None:
    """Of two features one alone may need a unit of its own; it is then summed by itself, in another order."""
    x = sample(features=features, seed=seed)
    y = times_power_of_two(x, torch.tensor(exponent))
    alone = features == 1
    check(kstat(y, 8), kstat(x, 8), exponent, 8, exactly=alone)
    check(kstat_stderr(y), kstat_stderr(x), exponent, 4, exactly=alone)
    check(kstat(y, 8, nan_policy="omit"), kstat(x, 8, nan_policy="omit"), exponent, 8, exactly=alone)
    check(kstat(torch.vstack([y, y[:1] * torch.nan]), 4, nan_policy="omit"), kstat(x), exponent, 4, exactly=False)


@pytest.mark.parametrize(("scale", "dtype"), [(1e-45, torch.float32), (1e38, torch.float32), (1e-38, torch.bfloat16)])
def test_the_ends_of_single_precision(scale: float, dtype: torch.dtype) -> None:
    x = (torch.randint(1, 4, (500,), generator=torch.Generator().manual_seed(0)).double() * scale).to(dtype)
    for r, k in enumerate(kstat(x, 8).tolist(), start=1):
        expected = exact.kstat(x.double().tolist(), r) if r * abs(math.log10(scale)) < 307 else 0.0
        assert k == pytest.approx(expected, rel=1e-9)
    unit = x.double() / float(x[0].double())
    errors = kstat_stderr(x)
    assert (errors > 0).all()
    powers = x[0].double() ** torch.arange(1, 5)
    torch.testing.assert_close(errors, kstat_stderr(unit) * powers, rtol=1e-9, atol=0)


def in_parts(metric: Any, x: Tensor) -> Any:
    for batch in x.split(7):
        metric.update(batch)
    return metric.compute()


@given(exponent=EXPONENTS)
@settings(deadline=None, max_examples=15)
def test_streams_and_merged_summaries_at_any_scale(exponent: int) -> None:
    x = sample()
    y = times_power_of_two(x, torch.tensor(exponent))
    merged = [merge(*(power_sums(part, 8) for part in data.split(7))) for data in (x, y)]
    check(merged[1].kstat(8), merged[0].kstat(8), exponent, 8, exactly=False)
    check(merged[1].kstat_stderr(4), merged[0].kstat_stderr(4), exponent, 4, exactly=False)
    one, other = in_parts(Cumulants(2), x), in_parts(Cumulants(2), y)
    check(other.k, one.k, exponent, 4, exactly=False)
    check(other.stderr, one.stderr, exponent, 4, exactly=False)
    assert torch.equal(one.dominated, other.dominated)
    moved = power_sums(y, 4).moved_to(y[0])
    check(moved.kstat(4), kstat(x), exponent, 4, exactly=False)


@given(exponents=st.tuples(EXPONENTS, EXPONENTS), order=st.integers(1, 3))
@settings(deadline=None, max_examples=15)
def test_joint_cumulants_of_variables_with_scales_of_their_own(exponents: tuple[int, int], order: int) -> None:
    x = sample()
    exponent = torch.tensor(exponents)
    y = times_power_of_two(x, exponent)
    total = exponent
    for _ in range(order - 1):
        total = total.unsqueeze(-1) + exponent
    k, errors = joint_kstat(x, order), joint_sums(x, 2 * order).kstat_stderr(order)
    expected, bars = times_power_of_two(k, total), times_power_of_two(errors, total)
    tiny = {"rtol": 1e-9, "atol": 1e-307}
    torch.testing.assert_close(joint_kstat(y, order), expected, **tiny)
    torch.testing.assert_close(joint_sums(y, 2 * order).kstat_stderr(order), bars, equal_nan=True, **tiny)
    merged = merge_joint(*(joint_sums(part, order) for part in y.split(7)))
    torch.testing.assert_close(merged.kstat(order), expected, **tiny)
    streamed = in_parts(JointCumulants(2, order, stderr=True), y)
    torch.testing.assert_close(streamed.k, expected, **tiny)
    torch.testing.assert_close(streamed.stderr, bars, equal_nan=True, **tiny)


def test_batches_of_other_scales_and_none() -> None:
    for small, large in ((1e-45, 1.0), (1.0, 1e38), (1e-45, 1e38), (0.0, 1e38), (0.0, 1e-45)):
        x = torch.cat([sample(30) * small, sample(30, seed=1) * large])
        x[40:] = 0.0  # and parts that are constant, or empty
        parts = [x[:0], x[:15], x[15:30], x[30:35], x[35:], x[:0]]
        exactly = [[exact.kstat(column.tolist(), r) for column in x.T] for r in range(1, 5)]
        expected = torch.tensor(exactly, dtype=torch.float64)
        merged = merge(*(power_sums(part, 8) for part in parts))
        metric, joint = Cumulants(2), JointCumulants(2, 2)
        for part in parts:
            metric.update(part)
            joint.update(part)
        for found in (kstat(x), merged.kstat(4), metric.compute().k):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
        torch.testing.assert_close(metric.compute().stderr, kstat_stderr(x), rtol=1e-7, atol=0)
        torch.testing.assert_close(joint.compute().k.diagonal(), kstat(x)[1], rtol=1e-9, atol=0)


def test_constants_far_apart() -> None:
    parts = [power_sums(torch.full((3, 1), value, dtype=torch.float64), 8) for value in (1e38, -1e38, 0.0)]
    whole = torch.tensor([1e38, -1e38, 0.0], dtype=torch.float64).repeat_interleave(3)[:, None]
    torch.testing.assert_close(merge(*parts).kstat_stderr(4), kstat_stderr(whole), rtol=1e-9, atol=0)
    assert merge(*parts).kstat_stderr(4)[1] > 1e75


def test_ordinary_scales_keep_the_unit_1() -> None:
    x = sample() * 1e20
    assert power_sums(x).exponent.tolist() == [0, 0]
    assert joint_sums(x * 1e-40, 4).exponent.tolist() == [0, 0]
    mixed = power_sums(torch.stack([x[:, 0], x[:, 1] * 1e20], dim=1))
    assert mixed.exponent[0] == 0
    assert mixed.exponent[1] > 100
    assert unit_exponent(torch.tensor([1e30, 9e-31, 0.0], dtype=torch.float64)).tolist() == [0, 0, 0]


def test_a_summary_without_a_unit_is_in_the_unit_1() -> None:
    sums = power_sums(sample(), 8)
    plain = type(sums)(sums.n, sums.centre, sums.sums)
    assert torch.equal(plain.kstat(4), sums.kstat(4))
    assert torch.equal(merge(plain, plain).kstat(4), merge(sums, sums).kstat(4))


def stderr_of_joint(x: Tensor) -> Tensor:
    return joint_sums(x, 4).kstat_stderr(2)


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "kstat": kstat,
    "kstat of order 8": lambda x: kstat(x, 8),
    "kstat along another axis": lambda x: kstat(x, 2, dim=-1),
    "kstat of one feature": lambda x: kstat(x[:, 0]),
    "kstat_stderr": kstat_stderr,
    "merge": lambda x: merge(power_sums(x[:20]), power_sums(x[20:])).kstat(4),
    "joint_kstat": lambda x: joint_kstat(x, 3),
    "joint stderr": stderr_of_joint,
    "too few values": lambda x: kstat(x[:3]),
    "no values": lambda x: kstat(x[:0]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vmap_equals_a_loop(name: str) -> None:
    function = FUNCTIONS[name]
    x = torch.stack([sample(seed=seed) * scale for seed, scale in enumerate((1.0, 1e-45, 1e38, 0.0, math.nan))])
    loop = torch.stack([function(v) for v in x])
    found = torch.func.vmap(function)(x)
    torch.testing.assert_close(found, loop, rtol=1e-12, atol=0, equal_nan=True)
    torch.testing.assert_close(
        torch.func.vmap(function, in_dims=2)(x.movedim(0, 2)), loop, rtol=1e-12, atol=0, equal_nan=True
    )


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if "values" not in name])
@pytest.mark.parametrize("scale", [1.0, 1e-45, 1e37])
def test_func_grad_equals_autograd_and_a_loop(name: str, scale: float) -> None:
    def total(v: Tensor) -> Tensor:
        return (FUNCTIONS[name](v) * weight).sum()

    x = torch.stack([sample(seed=seed) * scale for seed in range(3)])
    weight = torch.ones(())
    single = torch.func.grad(total)(x[0])
    leaf = x[0].clone().requires_grad_()
    total(leaf).backward()
    assert leaf.grad is not None
    assert torch.equal(single, leaf.grad)
    assert single.abs().max() > 0
    loop = torch.stack([torch.func.grad(total)(v) for v in x])
    tiny = {"rtol": 1e-9, "atol": float(1e-12 * loop.abs().max())}
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(total))(x), loop, **tiny)
    torch.testing.assert_close(torch.func.grad(lambda v: torch.func.vmap(total)(v).sum())(x), loop, **tiny)


def test_gradients_scale_as_the_cumulants_do() -> None:
    x = sample().requires_grad_()
    y = (x.detach() * 2.0**-150).requires_grad_()
    for order in range(1, 9):
        one = torch.autograd.grad(kstat(x, 8)[order - 1].sum(), x)[0]
        other = torch.autograd.grad(kstat(y, 8)[order - 1].sum(), y)[0]
        if order < 7:
            torch.testing.assert_close(other * 2.0 ** (75 * (order - 1)) * 2.0 ** (75 * (order - 1)), one)
