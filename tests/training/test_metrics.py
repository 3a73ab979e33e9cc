"""Metrics: against scipy, for any split into batches, and in two real processes with uneven shards."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor
from torchmetrics import Metric

from renorm.training.metrics import (
    METRICS,
    CumulantErrors,
    Distances,
    MemberMean,
    SquaredErrors,
    generalization_metrics,
    ordered,
    quantiles,
)

from ..forked import run_together

Array = NDArray[np.float64]
EXACT = torch.tensor([0.0, 1.0, 0.5, -0.6], dtype=torch.float64)


def sample(n: int = 101, members: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Outputs that depend on their targets, of some skewness and far from them."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(n, generator=generator, dtype=torch.float64).exp()
    noise = torch.randn(members, n, generator=generator, dtype=torch.float64)
    return target + torch.linspace(0.1, 1, members, dtype=torch.float64)[:, None] * noise, target


def reference(x: Array, y: Array) -> dict[str, float]:
    """All metrics of one member, by scipy or by their definition."""
    mse = float(np.mean((x - y) ** 2))
    values = {
        "mse": mse,
        "relative_mse": mse / float(np.mean((y - y.mean()) ** 2)),
        "wasserstein1": float(stats.wasserstein_distance(x, y)),
        "energy_distance": float(stats.energy_distance(x, y)),
    }
    return values | {f"k{n}_error": abs(float(stats.kstat(x, n) - stats.kstat(y, n))) for n in (1, 2, 3, 4)}


@given(seed=st.integers(0, 50), n=st.integers(5, 80), cuts=st.lists(st.integers(0, 80), max_size=5))
@settings(deadline=None, max_examples=30)
def test_metrics_are_scipys_for_any_split_into_batches(seed: int, n: int, cuts: list[int]) -> None:
    prediction, target = sample(n, seed=seed)
    metrics = generalization_metrics(EXACT)
    edges = [0, *sorted(min(cut, n) for cut in cuts), n]
    for low, high in itertools.pairwise(edges):
        metrics.update(prediction[:, low:high], target[low:high])
    values = metrics.compute()
    assert set(values) == set(METRICS)
    for m in range(3):
        for name, expected in reference(prediction[m].numpy(), target.numpy()).items():
            assert values[name].shape == (3,)
            assert float(values[name][m]) == pytest.approx(expected, rel=1e-9, abs=1e-10), name


def test_shared_samples_give_what_single_metrics_give() -> None:
    prediction, target = sample()
    metrics = generalization_metrics(EXACT)
    singles: list[Metric] = [SquaredErrors(), Distances(), CumulantErrors(EXACT)]
    for part in (slice(0, 40), slice(40, 101)):
        metrics.update(prediction[:, part], target[part])
        for single in singles:
            single.update(prediction[:, part], target[part])
    expected = {name: value for single in singles for name, value in single.compute().items()}
    values = metrics.compute()
    assert {name: value.tolist() for name, value in values.items()} == {n: v.tolist() for n, v in expected.items()}


def test_samples_are_kept_once_and_forgotten_on_reset() -> None:
    metrics = generalization_metrics(EXACT)
    for _ in range(2):
        prediction, target = sample(seed=5)
        metrics.update(prediction[:, :50], target[:50])
        metrics.update(prediction[:, 50:], target[50:])
        kept = [m.predictions[0].data_ptr() for m in metrics.values(copy_state=False)]  # type: ignore[union-attr,index]
        assert len(kept) == 3
        assert len(set(kept)) == 1
        assert float(metrics.compute()["mse"][1]) == pytest.approx(
            reference(prediction[1].numpy(), target.numpy())["mse"], rel=1e-12
        )
        metrics.reset()


@pytest.mark.parametrize("name", METRICS)
def test_the_exact_map_has_no_error(name: str) -> None:
    _, target = sample()
    metrics = generalization_metrics(EXACT)
    metrics.update(target.expand(2, -1), target)
    assert metrics.compute()[name].tolist() == pytest.approx([0, 0], abs=1e-6)


def test_distances_of_distributions_do_not_see_the_pairs() -> None:
    _, target = sample()
    metrics = generalization_metrics(EXACT)
    metrics.update(target.flip(0)[None], target)
    values = metrics.compute()
    assert float(values["mse"]) > 0.1
    assert float(values["wasserstein1"]) == 0
    assert max(float(values[f"k{n}_error"]) for n in (1, 2, 3, 4)) < 1e-10


def test_a_cumulant_that_does_not_exist_has_no_error() -> None:
    metric = CumulantErrors(torch.tensor([0.0, 1.0, torch.nan, torch.inf]))
    metric.update(*sample())
    values = metric.compute()
    assert [bool(v.isnan().all()) for v in values.values()] == [False, False, True, True]
    assert not torch.cat([values["k1_error"], values["k2_error"]]).isnan().any()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_diverged_member_spoils_no_other(bad: float) -> None:
    prediction, target = sample()
    clean = generalization_metrics(EXACT)
    clean.update(prediction, target)
    prediction = prediction.clone()
    prediction[1, 3] = bad
    dirty = generalization_metrics(EXACT)
    dirty.update(prediction, target)
    for name, value in dirty.compute().items():
        assert not value[1].isfinite(), name
        assert torch.equal(value[[0, 2]], clean.compute()[name][[0, 2]]), name


def test_ordered_sorts_and_leaves_its_input() -> None:
    values = torch.tensor([[3.0, 1.0, 2.0], [0.0, -1.0, 5.0]])
    assert ordered(values).tolist() == [[1.0, 2.0, 3.0], [-1.0, 0.0, 5.0]]
    assert ordered(values.T).tolist() == [[0.0, 3.0], [-1.0, 1.0], [2.0, 5.0]]
    assert values[0].tolist() == [3.0, 1.0, 2.0]


@given(weights=st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any))
@settings(deadline=None)
def test_member_mean_weighs_its_batches(weights: list[int]) -> None:
    values = torch.randn(len(weights), 4, generator=torch.Generator().manual_seed(1))
    metric = MemberMean(4)
    for value, weight in zip(values, weights, strict=True):
        metric.update(torch.full((4,), torch.nan) if weight == 0 else value, weight)
    expected = np.average(values.double().numpy(), axis=0, weights=weights)
    np.testing.assert_allclose(metric.compute().numpy(), expected, rtol=1e-13, atol=1e-13)


def test_member_mean_keeps_a_diverged_member_diverged() -> None:
    metric = MemberMean(2)
    metric.update(torch.tensor([1.0, torch.nan]), 3)
    metric.update(torch.tensor([2.0, 1.0]), 1)
    assert metric.compute()[0] == 1.25
    assert metric.compute()[1].isnan()


@given(values=st.lists(st.floats(-5, 5) | st.sampled_from([math.nan, math.inf, -math.inf]), min_size=1, max_size=20))
@settings(deadline=None)
def test_quantiles_are_those_of_finite_members(values: list[float]) -> None:
    finite = [v for v in values if math.isfinite(v)]
    found = [float(q) for q in quantiles(torch.tensor(values, dtype=torch.float64), (0.1, 0.5, 0.9))]
    if finite:
        assert found == pytest.approx(np.quantile(finite, [0.1, 0.5, 0.9]).tolist(), rel=1e-12, abs=1e-12)
    else:
        assert all(math.isnan(q) for q in found)


def in_one_of_two_processes(rank: int, folder: Path) -> None:
    """What each process does: 30 rows against 71, in several batches, one of them empty in one process."""
    import torch.distributed as dist

    store = (folder / "store").as_uri()
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    assert dist.get_world_size() == 2
    prediction, target = sample()
    cuts = [(0, 10), (10, 10), (10, 30)] if rank == 0 else [(30, 90), (90, 95), (95, 101)]
    metrics, mean = generalization_metrics(EXACT), MemberMean(3)
    for low, high in cuts:
        metrics.update(prediction[:, low:high], target[low:high])
        mean.update((prediction[:, low:high] - target[low:high]).square().mean(dim=1), high - low)
    first = metrics.compute()
    values = {**first, "mean": mean.compute()}
    metrics.reset()  # and once more, as on the next validation
    metrics.update(prediction[:, rank::2], target[rank::2])
    torch.save(
        {"values": values, "again": metrics.compute(), "world_size": dist.get_world_size()}, folder / f"{rank}.pt"
    )
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    assert run_together(in_one_of_two_processes, [(rank, tmp_path) for rank in (0, 1)]) == [0, 0]
    prediction, target = sample()
    alone = generalization_metrics(EXACT)
    alone.update(prediction, target)
    expected = alone.compute()
    for rank in (0, 1):
        result = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert result["world_size"] == 2
        assert set(result["again"]) == set(METRICS)
        torch.testing.assert_close(result["values"]["mean"], expected["mse"], rtol=1e-12, atol=1e-12)
        for name in METRICS:
            torch.testing.assert_close(result["values"][name], expected[name], rtol=1e-12, atol=1e-12, msg=name)
            torch.testing.assert_close(result["again"][name], expected[name], rtol=1e-12, atol=1e-12, msg=name)
