"""The torchmetrics: any split into batches and processes gives what all values at once give."""

from __future__ import annotations

import copy
import itertools
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from renorm.cumulants import Cumulants, JointCumulants, joint_kstat, joint_sums, kstat, kstat_stderr

from ..forked import run_together
from . import gloo_worker


def sample(n: int = 300, features: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return -torch.rand(n, features, generator=generator, dtype=torch.float64).log()


def updated(metric: Any, *batches: Tensor) -> Any:
    for batch in batches:
        metric.update(batch)
    return metric


def close(one: Tensor, other: Tensor, rtol: float = 1e-11, atol: float = 1e-12) -> None:
    torch.testing.assert_close(one, other, rtol=rtol, atol=atol, equal_nan=True)


@given(cuts=st.lists(st.integers(0, 300), max_size=6), offset=st.sampled_from([0.0, 1e6, 1e12]))
@settings(deadline=None, max_examples=30)
def test_any_split_into_batches(cuts: list[int], offset: float) -> None:
    x = sample() + offset
    edges = [0, *sorted(cuts), 300]
    result = updated(Cumulants(3), *(x[a:b] for a, b in itertools.pairwise(edges))).compute()
    close(result.k, kstat(x))
    close(result.stderr, kstat_stderr(x), rtol=1e-7)
    assert result.n.tolist() == [300] * 3


@pytest.mark.parametrize("order", [1, 2, 3])
def test_joint_under_any_split(order: int) -> None:
    x = sample() + 1e6
    result = updated(JointCumulants(3, order, stderr=True), x[:0], x[:7], x[7:200], x[200:]).compute()
    close(result.k, joint_kstat(x, order), rtol=1e-9)
    close(result.stderr, joint_sums(x, 2 * order).kstat_stderr(order), rtol=1e-7)
    assert result.k.shape == result.stderr.shape == result.dominated.shape == (3,) * order


def test_leading_axes_are_samples() -> None:
    x = sample()
    close(updated(Cumulants(3), x.view(10, 30, 3)).compute().k, kstat(x))


@pytest.mark.parametrize("order", range(1, 9))
def test_every_order(order: int) -> None:
    result = updated(Cumulants(3, order=order), sample()).compute()
    close(result.k, kstat(sample(), order))
    assert result.stderr[4:].isnan().all()
    assert result.dominated.shape == (order, 3)
    assert updated(Cumulants(3, order=order, stderr=False), sample()).compute().stderr.isnan().all()


BEFORE_UPDATE = pytest.mark.filterwarnings("ignore:The ``compute`` method of metric:UserWarning")


@BEFORE_UPDATE
def test_forward_gives_the_batch_and_remembers_all() -> None:
    metric, x = Cumulants(3), sample()
    close(metric(x[:100]).k, kstat(x[:100]))
    close(metric(x[100:]).k, kstat(x[100:]))
    close(metric.compute().k, kstat(x))
    metric.reset()
    assert metric.compute().n.tolist() == [0, 0, 0]
    assert metric.compute().k.isnan().all()


@pytest.mark.parametrize("make", [lambda: Cumulants(3), lambda: JointCumulants(3, 2)])
def test_merging_states(make: Any) -> None:
    x = sample()
    whole = updated(make(), x).compute()
    for other in (updated(make(), x[100:]), updated(make(), x[100:]).metric_state):
        metric = updated(make(), x[:100])
        metric.merge_state(other)
        close(metric.compute().k, whole.k)
        assert torch.equal(metric.compute().n, whole.n)


def test_merging_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="incoming_state is a JointCumulants; allowed: Cumulants"):
        Cumulants(3).merge_state(JointCumulants(3, 2))
    with pytest.raises(ValueError, match="incoming_state is a int; allowed: Cumulants"):
        Cumulants(3).merge_state(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"incoming_state has summary of shape \(12, 2\); allowed: \(12, 3\)"):
        Cumulants(3).merge_state(Cumulants(2))


@BEFORE_UPDATE
def test_copies_pickles_and_saved_states() -> None:
    metric = updated(Cumulants(3), sample())
    expected = metric.compute().k
    for same in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert torch.equal(same.compute().k, expected)
    metric.persistent(True)
    restored = Cumulants(3)
    restored.persistent(True)
    restored.load_state_dict(metric.state_dict())
    assert torch.equal(restored.compute().k, expected)


def test_in_a_collection() -> None:
    collection = MetricCollection({"joint": JointCumulants(3, 2), "single": Cumulants(3)})
    collection.update(sample())
    found = collection.compute()
    close(found["joint"].k.diagonal(), found["single"].k[1])


@pytest.mark.parametrize("world_size", [2, 4])
def test_several_processes(world_size: int, tmp_path: Path) -> None:
    x = sample(5000) + 1e6
    torch.save(x, tmp_path / "data.pt")
    places = [str(tmp_path / name) for name in ("rendezvous", "data.pt", "out")]
    ranks = [(rank, world_size, *places) for rank in range(world_size)]
    assert run_together(gloo_worker.main, ranks) == [0] * world_size
    found = [torch.load(tmp_path / f"out.{rank}") for rank in range(world_size)]
    assert [f["world_size"] for f in found] == [world_size] * world_size
    assert [f["rows"] for f in found] == ([7, 0, 2993, 2000] if world_size == 4 else [4000, 1000])
    metrics: list[Metric] = [Cumulants(3), JointCumulants(3, 2, stderr=True), JointCumulants(3, 3)]
    for i, metric in enumerate(metrics):
        expected = updated(metric, x).compute()
        for f in found:
            close(f["results"][i][0], expected.k, rtol=1e-10, atol=1e-11)
            close(f["results"][i][1], expected.stderr, rtol=1e-6)
            assert torch.equal(f["results"][i][2], expected.n)
            assert torch.equal(f["results"][i][3], expected.dominated)
        assert all(torch.equal(f["results"][i][0], found[0]["results"][i][0]) for f in found)


def test_few_values_that_decide_are_flagged() -> None:
    generator = torch.Generator().manual_seed(0)
    gaussian = torch.randn(100_000, 1, generator=generator, dtype=torch.float64)
    cauchy = torch.distributions.Cauchy(0.0, 1.0).icdf(torch.rand(100_000, 1, generator=generator).double())
    result = updated(Cumulants(2), torch.cat([gaussian, cauchy], dim=1)).compute()
    assert result.dominated.tolist() == [[False, True]] * 4
    joint = updated(JointCumulants(2, 2), torch.cat([gaussian, cauchy], dim=1)).compute()
    assert joint.dominated.tolist() == [[False, True], [True, True]]
    largest = gaussian.abs().max() ** 4 / (gaussian**4).sum()
    assert float(largest) < 0.05  # what the flag says of the Gaussian, from its definition


def test_missing_values() -> None:
    x = sample()
    holes = x.clone()
    holes[4, 1] = torch.nan
    omitted = updated(Cumulants(3, nan_policy="omit"), holes[:10], holes[10:]).compute()
    close(omitted.k, kstat(holes, nan_policy="omit"))
    assert omitted.n.tolist() == [300, 299, 300]
    clean = updated(Cumulants(3), x[[i for i in range(300) if i != 4]]).compute()
    assert torch.equal(omitted.dominated[:, 1], clean.dominated[:, 1])
    assert updated(Cumulants(3), holes).compute().k[:, 1].isnan().all()
    joint = updated(JointCumulants(3, 2, nan_policy="omit"), holes[:10], holes[10:]).compute()
    close(joint.k, joint_kstat(holes, 2, nan_policy="omit"))
    with pytest.raises(ValueError, match="NaN"):
        updated(Cumulants(3, nan_policy="raise"), holes)


@pytest.mark.parametrize("dtype", [torch.int8, torch.float16, torch.bfloat16])
def test_every_type(dtype: torch.dtype) -> None:
    x = (5 * sample()).to(dtype)
    metric = updated(Cumulants(3), x[:5], x[5:])
    close(metric.compute().k, kstat(x))
    assert metric.half().summary.dtype == torch.float64


@pytest.mark.parametrize("results", [1, 3])
def test_plots(results: int, tmp_path: Path) -> None:
    metric = Cumulants(2)
    values = [metric(sample(features=2, seed=seed)) for seed in range(results)]
    figure, ax = metric.plot(values if results > 1 else None)
    assert len(ax.containers) == (8 if results > 1 else 4)
    line = ax.containers[0].lines[0]
    drawn = torch.as_tensor(line.get_ydata())
    close(drawn, torch.stack([v.k[0, 0] for v in values]) if results > 1 else metric.compute().k[0])
    figure.savefig(tmp_path / "plot.png")
    own = Figure().add_subplot()
    assert metric.plot(ax=own) == (own.figure, own)


def test_plot_of_a_tensor() -> None:
    metric = updated(JointCumulants(2, 3), sample(features=2))
    _, ax = metric.plot()
    assert ax.images[0].get_array().shape == (4, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cumulants(0), "num_features=0 is out of range; allowed: whole numbers >= 1"),
        (lambda: Cumulants(2, order=9), "order=9 is out of range; allowed: whole numbers from 1 to 8"),
        (lambda: Cumulants(2, nan_policy="skip"), "nan_policy='skip' is unknown"),  # type: ignore[arg-type]
        (lambda: JointCumulants(2, 7), "order=7 is out of range; allowed: whole numbers from 1 to 6"),
        (lambda: JointCumulants(2, 4, stderr=True), "stderr=True with order=4 is not possible; allowed: orders to 3"),
        (lambda: JointCumulants(1000, 4), "entries; allowed: at most"),
        (lambda: Cumulants(2).update(torch.zeros(5, 3)), r"x has shape \(5, 3\); allowed: \(..., 2\)"),
        (lambda: Cumulants(2).update(torch.tensor(1.0)), r"x has shape \(\); allowed"),
    ],
)
def test_refuses_wrong_arguments(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
