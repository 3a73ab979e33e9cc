"""k-statistics against exact fractions and scipy, at large offsets, in every type, under every split."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from renorm.cumulants import (
    joint_kstat,
    joint_sums,
    kstat,
    kstat_bootstrap,
    kstat_stderr,
    merge,
    merge_joint,
    power_sums,
    summaries,
)

from . import exact

OFFSETS = [0.0, 1e6, 1e9, 1e12]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def skewed(n: int, seed: int = 0) -> Tensor:
    return -torch.rand(n, generator=generator(seed), dtype=torch.float64).log()


def orderings(x: Tensor) -> dict[str, Tensor]:
    jump = x.clone()
    jump[: len(x) // 10] -= 50
    return {"as drawn": x, "sorted": x.sort().values, "reversed": x.sort(descending=True).values, "jump": jump}


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("ordering", ["as drawn", "sorted", "reversed", "jump"])
def test_error_is_below_1e_12_at_any_offset(offset: float, ordering: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summaries, "BLOCK_CELLS", 128)  # many blocks, folded several times
    x = orderings(skewed(1000))[ordering] + offset
    sigma = float(x.std())
    k = kstat(x, 4)
    assert abs(float(k[0]) - exact.kstat(x.tolist(), 1)) <= 1e-15 * offset + 1e-14
    for order in (2, 3, 4):
        assert abs(float(k[order - 1]) - exact.kstat(x.tolist(), order)) <= 1e-12 * sigma**order


@pytest.mark.parametrize("offset", OFFSETS)
def test_large_samples_at_an_offset_lose_nothing(offset: float) -> None:
    x = torch.randint(-50, 50, (300_000, 3), generator=generator()).double() + offset  # exact sums in whole numbers
    k = kstat(x, 4)
    for feature in range(3):
        whole = [int(v) for v in (x[:, feature] - offset).tolist()]
        n = len(whole)
        s1, s2, s3, s4 = (sum(v**p for v in whole) for p in (1, 2, 3, 4))
        mean = Fraction(s1, n)
        central = [s2 - n * mean**2, s3 - 3 * mean * s2 + 2 * n * mean**3]
        central.append(s4 - 4 * mean * s3 + 6 * mean**2 * s2 - 3 * n * mean**4)
        k4 = n * (n + 1) * central[2] / ((n - 1) * (n - 2) * (n - 3)) - 3 * central[0] ** 2 / ((n - 2) * (n - 3))
        expected = [central[0] / (n - 1), n * central[1] / ((n - 1) * (n - 2)), k4]
        sigma = math.sqrt(expected[0])
        for order, value in enumerate(expected, start=2):
            assert abs(float(k[order - 1, feature]) - float(value)) <= 1e-12 * sigma**order


@pytest.mark.parametrize("order", range(1, 9))
def test_high_orders_equal_exact_fractions(order: int) -> None:
    x = skewed(300, seed=1)
    assert float(kstat(x, 8)[order - 1]) == pytest.approx(exact.kstat(x.tolist(), order), rel=1e-11)


def test_equals_scipy() -> None:
    x = skewed(500).numpy()
    ours = kstat(torch.from_numpy(x))
    for order in (1, 2, 3, 4):
        assert float(ours[order - 1]) == pytest.approx(scipy.stats.kstat(x, order), rel=1e-10)
    errors = kstat_stderr(torch.from_numpy(x), order=2)
    for order in (1, 2):
        assert float(errors[order - 1]) == pytest.approx(scipy.stats.kstatvar(x, order) ** 0.5, rel=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_squared_standard_errors_are_exactly_unbiased(order: int) -> None:
    n = 2 * order + 1
    atoms = {Fraction(0): Fraction(3, 4), Fraction(3): Fraction(1, 4)}
    every = list(exact.samples(atoms, n))
    x = torch.tensor([[float(v) for v in sample] for sample, _ in every], dtype=torch.float64).T
    p = torch.tensor([float(q) for _, q in every], dtype=torch.float64)
    k = kstat(x, order)[-1]
    variance = float((p * k * k).sum() - (p * k).sum() ** 2)
    unbiased = power_sums(x, 2 * order).kstat_variance(order)[-1]
    assert float((p * unbiased).sum()) == pytest.approx(variance, rel=1e-10)
    errors = kstat_stderr(x, order)[-1]
    kept = ~errors.isnan()
    torch.testing.assert_close(errors[kept] ** 2, unbiased[kept].clamp(min=0), rtol=1e-9, atol=1e-9)
    assert bool((unbiased[~kept] < 0).all())


def test_standard_errors_are_those_of_repeated_samples() -> None:
    x = -torch.rand(400, 4000, generator=generator(), dtype=torch.float64).log()
    spread = kstat(x, 4).std(dim=1)
    errors = kstat_stderr(x, 4).square().nanmean(dim=1).sqrt()
    torch.testing.assert_close(errors, spread, rtol=0.15, atol=0)


@pytest.mark.parametrize("value", [0.1, -1e12, 1e300, 5e-324, 3.0])
@pytest.mark.parametrize("n", [1, 2, 9, 3000])
def test_constant_data_gives_exactly_zero(value: float, n: int) -> None:
    k = kstat(torch.full((n, 2), value, dtype=torch.float64), 8)
    assert torch.equal(k[0], torch.full((2,), value, dtype=torch.float64))
    assert torch.equal(k[1 : min(n, 8)], torch.zeros(min(n, 8) - 1, 2, dtype=torch.float64))
    assert k[n:].isnan().all()


def test_constant_data_stays_exactly_zero_when_merged() -> None:
    parts = [power_sums(torch.full((n,), 0.1, dtype=torch.float64)) for n in (3, 0, 1000, 1)]
    assert torch.equal(merge(*parts).kstat(4)[1:], torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("n", range(9))
def test_too_few_values_give_nan_for_those_orders_only(n: int) -> None:
    k = kstat(skewed(n), 8)
    assert k.isnan().tolist() == [order > n for order in range(1, 9)]
    assert kstat_stderr(skewed(n), 4)[n // 2 :].isnan().all()


@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.uint8, torch.int64, torch.bool, torch.float16, torch.bfloat16, torch.float32]
)
def test_every_type_is_right(dtype: torch.dtype) -> None:
    x = (torch.rand(500, generator=generator()) * (2 if dtype == torch.bool else 120)).to(dtype)
    k = kstat(x, 4)
    assert k.dtype == torch.float64
    for order in (1, 2, 3, 4):
        assert float(k[order - 1]) == pytest.approx(exact.kstat(x.double().tolist(), order), rel=1e-10)


@pytest.mark.parametrize(
    ("shape", "dim"),
    [((40,), 0), ((40, 3), 0), ((3, 40), 1), ((3, 40), -1), ((2, 40, 5), 1), ((5, 2, 40), -1), ((40, 0), 0)],
)
def test_every_axis(shape: tuple[int, ...], dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summaries, "BLOCK_CELLS", 64)
    x = torch.randn(shape, generator=generator(), dtype=torch.float64)
    k = kstat(x, 4, dim=dim)
    last = x.movedim(dim, -1)
    assert k.shape == (4, *last.shape[:-1])
    expected = [scipy.stats.kstat(last.numpy(), order, axis=-1) for order in (1, 2, 3, 4)] if x.numel() else k.numpy()
    np.testing.assert_allclose(k.numpy(), np.stack(list(expected)), rtol=1e-10, atol=1e-13)


@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 60), max_size=5), offset=st.sampled_from(OFFSETS))
@settings(deadline=None, max_examples=40)
def test_merging_equals_one_pass(seed: int, cuts: list[int], offset: float) -> None:
    x = torch.randn(60, 2, generator=generator(seed), dtype=torch.float64) + offset
    edges = [0, *sorted(cuts), 60]
    parts = [power_sums(x[a:b], 8) for a, b in itertools.pairwise(edges)]
    whole, merged = power_sums(x, 8), merge(*parts)
    assert torch.equal(merged.n, whole.n)
    torch.testing.assert_close(merged.kstat(4), whole.kstat(4), rtol=1e-12, atol=1e-12)
    # high orders of 60 values are made of large terms that cancel
    torch.testing.assert_close(merged.kstat(8), whole.kstat(8), rtol=1e-10, atol=1e-9)


def test_a_summary_may_be_moved_anywhere() -> None:
    sums = power_sums(skewed(50))
    moved = sums.moved_to(sums.centre + 3)
    torch.testing.assert_close(moved.sums[0], sums.sums[0] - 150, rtol=1e-13, atol=0)
    torch.testing.assert_close(moved.kstat(4), sums.kstat(4), rtol=1e-9, atol=0)


def test_summaries_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="parts have shapes"):
        merge(power_sums(torch.zeros(3, 2)), power_sums(torch.zeros(3, 4)))
    with pytest.raises(ValueError, match="parts have shapes"):
        merge()


BAD = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("bad", BAD)
def test_missing_values(bad: float) -> None:
    x = torch.randn(200, 3, generator=generator(), dtype=torch.float64)
    holes = x.clone()
    holes[::7, 1] = bad
    spread = kstat(holes, 4)
    assert not spread[1:, 1].isfinite().any()
    torch.testing.assert_close(spread[:, [0, 2]], kstat(x, 4)[:, [0, 2]])
    omitted = kstat(holes, 4, nan_policy="omit")
    kept = x[torch.arange(200) % 7 != 0, 1]
    torch.testing.assert_close(omitted[:, 1], kstat(kept, 4))
    torch.testing.assert_close(omitted[:, [0, 2]], kstat(x, 4)[:, [0, 2]])
    with pytest.raises(ValueError, match="x has 29 values that are NaN or infinite; allowed: finite numbers"):
        kstat(holes, 4, nan_policy="raise")
    assert torch.equal(kstat(x, 4, nan_policy="raise"), kstat(x, 4))


def test_nothing_but_missing_values() -> None:
    x = torch.full((5, 2), torch.nan)
    assert kstat(x, nan_policy="omit").isnan().all()
    assert torch.equal(power_sums(x, nan_policy="omit").n, torch.zeros(2, dtype=torch.float64))


def test_gradients_equal_differences() -> None:
    x = torch.randn(12, 2, generator=generator(), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: kstat(v, 6), x)
    assert torch.autograd.gradgradcheck(lambda v: kstat(v, 4), x)
    assert torch.autograd.gradcheck(lambda v: kstat(v, 4, nan_policy="omit"), x)


def test_gradients_in_single_precision_reach_the_sample() -> None:
    x = torch.randn(5000, generator=generator(), requires_grad=True)
    kstat(x, 2)[1].backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, 2 * (x - x.mean()).detach() / 4999, rtol=1e-4, atol=1e-8)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's own, as it starts its compiler
def test_compiled_sums_equal_eager_ones() -> None:
    compiled = torch.compile(power_sums, fullgraph=True)
    for shape in [(5000, 3), (70, 2)]:
        x = torch.randn(shape, generator=generator(), dtype=torch.float64) + 1e9
        torch.testing.assert_close(compiled(x).kstat(4), kstat(x), rtol=1e-12, atol=1e-12)
        tiny = 1e-45 * (x - 1e9)
        torch.testing.assert_close(compiled(tiny).kstat(4), kstat(tiny), rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": 0}, "order=0 is out of range; allowed: whole numbers from 1 to 8"),
        ({"order": 9}, "order=9 is out of range"),
        ({"order": 2.0}, "order=2.0 is out of range"),
        ({"order": True}, "order=True is out of range"),
        ({"nan_policy": "drop"}, "nan_policy='drop' is unknown; allowed: propagate, omit, raise"),
    ],
)
def test_refuses_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kstat(torch.zeros(5), **arguments)


def test_samples_without_features_or_values() -> None:
    for shape in [(5, 0), (0, 2), (0, 0), (4, 0, 2), (1, 2)]:
        x = torch.zeros(shape)
        for policy in ("propagate", "omit", "raise"):
            for k in (kstat(x, 4, nan_policy=policy), kstat_stderr(x, 4, nan_policy=policy)):  # type: ignore[arg-type]
                assert k.shape == (4, *shape[1:])
                assert k[1:].isnan().all()
            if len(shape) == 2:
                for order in (1, 2, 3):
                    sums = joint_sums(x, 2 * order, policy)  # type: ignore[arg-type]
                    merged = merge_joint(sums, sums)
                    for tensor in (sums.kstat(order), sums.kstat_stderr(order), merged.kstat(order)):
                        assert tensor.shape == (shape[1],) * order


@pytest.mark.parametrize("x", [np.zeros((5, 2)), [1.0, 2.0], 3.0, None])
def test_what_is_not_a_tensor_is_refused_in_one_line(x: Any) -> None:
    functions: list[Any] = [kstat, kstat_stderr, power_sums, lambda v: joint_kstat(v, 2), kstat_bootstrap]
    for function in functions:
        with pytest.raises(ValueError, match=f"x is of type {type(x).__name__}; allowed: Tensor, as torch.as_tensor"):
            function(x)


def test_refuses_wrong_samples() -> None:
    with pytest.raises(ValueError, match="allowed: real numbers"):
        kstat(torch.zeros(5, dtype=torch.complex64))
    with pytest.raises(ValueError, match="allowed: tensors with an axis of samples"):
        kstat(torch.tensor(1.0))
    with pytest.raises(ValueError, match="order=5 is out of range; allowed: whole numbers from 1 to 4"):
        kstat_stderr(torch.zeros(5), order=5)
