"""Every metric of the package, in one collection with itself under each other value of its arguments; merged; restored."""

from __future__ import annotations

import copy
import importlib.util
import inspect
import itertools
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

import renorm
from renorm.cumulants import Cumulants, JointCumulants
from renorm.cumulants.mergeable import MergeableMetric
from renorm.training.metrics import (
    CharacteristicDistance,
    CumulantErrors,
    Distances,
    MemberMean,
    QuantileDistance,
    SquaredErrors,
)

EXACT = torch.tensor([0.0, 1.0, 0.5, -0.6], dtype=torch.float64)
POLICIES = ["propagate", "omit"]  # and "raise", which the bad data must not reach
VALUES: dict[type[Metric], dict[str, list[Any]]] = {  # each argument with several values
    Cumulants: {"num_features": [2], "order": [1, 2, 3, 4], "stderr": [True, False], "nan_policy": POLICIES},
    JointCumulants: {"num_features": [2], "order": [1, 2, 3], "stderr": [True, False], "nan_policy": POLICIES},
    MemberMean: {"members": [2]},  # another number takes other data
    SquaredErrors: {},
    Distances: {},
    QuantileDistance: {},
    CharacteristicDistance: {},
    CumulantErrors: {"exact": [EXACT, EXACT.where(EXACT > 0, torch.nan)]},
}


def metric_classes() -> set[type[Metric]]:
    """Every class of the package that can be made."""
    for module in pkgutil.walk_packages(renorm.__path__, "renorm."):
        spec = importlib.util.find_spec(module.name)
        if spec is not None and spec.origin and "Metric)" in Path(spec.origin).read_text():
            importlib.import_module(module.name)
    found, queue = set(), [Metric]
    while queue:
        for kind in queue.pop().__subclasses__():
            queue.append(kind)
            if kind.__module__.startswith("renorm.") and not inspect.isabstract(kind):
                found.add(kind)
    return found


def every(kind: type[Metric]) -> Iterator[Metric]:
    names = VALUES[kind]
    for values in itertools.product(*names.values()):
        yield kind(**dict(zip(names, values, strict=True)))


def batches(kind: type[Metric]) -> list[tuple[Any, ...]]:
    """Clean data first, on which the arguments make no difference; then data on which they do."""
    generator = torch.Generator().manual_seed(0)
    clean, bad = (torch.randn(30, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    bad[3, 0], bad[7, 1] = torch.nan, torch.inf
    if issubclass(kind, MemberMean):
        return [(clean[0], 2.0), (bad[3], 1.0)]
    if "target" in inspect.signature(kind.update).parameters:
        return [(x.T, clean.sum(dim=1)) for x in (clean, bad)]
    return [(clean,), (bad,)]


def seen(metric: Metric, data: list[tuple[Any, ...]]) -> Metric:
    for batch in data:
        metric.update(*batch)
    return metric


def tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    return list(result.values() if isinstance(result, dict) else result)


def same(one: Any, other: Any) -> bool:
    pairs = zip(tensors(one), tensors(other), strict=True)
    return all(torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0)) for a, b in pairs)


KINDS = sorted(metric_classes(), key=lambda kind: kind.__name__)


def test_every_metric_has_values_for_each_of_its_arguments() -> None:
    assert set(KINDS) == set(VALUES)
    for kind in KINDS:
        parameters = inspect.signature(kind).parameters.values()
        names = {p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD}
        assert set(VALUES.get(kind, ())) == names, f"{kind.__name__}: give this test values for each argument"
        assert issubclass(kind, MergeableMetric)


@pytest.mark.parametrize("kind", list(VALUES), ids=lambda kind: kind.__name__)
def test_metrics_in_a_collection_give_what_they_give_alone(kind: type[Metric]) -> None:
    collection = MetricCollection({str(i): metric for i, metric in enumerate(every(kind))})
    for batch in batches(kind):
        collection.update(*batch)
    alone = [seen(metric, batches(kind)).compute() for metric in every(kind)]
    for i, expected in enumerate(alone):
        assert same(collection[str(i)].compute(), expected), i


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", list(VALUES), ids=lambda kind: kind.__name__)
def test_no_conversion_changes_a_result(kind: type[Metric], dtype: torch.dtype) -> None:
    name = str(dtype).removeprefix("torch.")
    method = {"float16": "half", "float32": "float", "float64": "double"}.get(name, name)
    conversions: list[Callable[[Any], Any]] = [
        lambda module: module.to(dtype),
        lambda module: module.set_dtype(dtype),
        lambda module: module.type(dtype),
        lambda module: getattr(module, method)(),
        lambda module: torch.nn.ModuleList([module]).to(dtype)[0],  # as a model that has the metric
        lambda module: MetricCollection([module]).set_dtype(dtype)[kind.__name__],
    ]
    plain, (first, second) = next(every(kind)), batches(kind)
    expected = seen(copy.deepcopy(plain), [first, second]).compute()
    for convert in conversions:
        metric = seen(convert(seen(copy.deepcopy(plain), [first])), [second])
        assert same(metric.compute(), expected)
        metric = convert(metric)
        assert same(metric.compute(), expected)  # the result that was computed before, too
        metric.reset()
        assert same(seen(metric, [first, second]).compute(), expected)  # and the states that it starts from


def test_all_metrics_of_pairs_in_one_collection() -> None:
    kinds = [SquaredErrors, Distances, CumulantErrors]
    metrics = [metric for kind in kinds for metric in every(kind)]
    collection = MetricCollection({str(i): metric for i, metric in enumerate(metrics)})
    for batch in batches(SquaredErrors):
        collection.update(*batch)
    assert len(collection.compute_groups) == 1  # their updates are the same, and the samples are kept once
    for i, metric in enumerate(metric for kind in kinds for metric in every(kind)):
        assert same(collection[str(i)].compute(), seen(metric, batches(SquaredErrors)).compute())


def test_equal_arguments_share_their_state_and_others_never() -> None:
    metrics = {"a": Cumulants(2), "b": Cumulants(2), "c": Cumulants(2, nan_policy="omit"), "d": Cumulants(2, order=2)}
    collection = MetricCollection(metrics)
    collection.update(*batches(Cumulants)[0])
    assert sorted(map(sorted, collection.compute_groups.values())) == [["a", "b"], ["c"], ["d"]]
    shuffled = MetricCollection({k: copy.deepcopy(m) for k, m in metrics.items()})
    shuffled.reset()
    shuffled.update(*batches(Cumulants)[0])
    assert len(shuffled.compute_groups) == 3


def test_raise_shares_no_state_with_propagate() -> None:
    collection = MetricCollection({"a": Cumulants(2), "b": Cumulants(2, nan_policy="raise")})
    clean, bad = batches(Cumulants)
    collection.update(*clean)
    with pytest.raises(ValueError, match="NaN"):
        collection.update(*bad)


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric:UserWarning")
def test_saved_states_are_those_of_before_and_survive_pickling() -> None:
    metric = seen(Cumulants(2, nan_policy="omit"), batches(Cumulants))
    metric.persistent(True)
    assert set(metric.state_dict()) == {"summary"}
    restored = Cumulants(2, nan_policy="propagate")
    restored.load_state_dict(metric.state_dict())  # a state of another policy does not change one's own
    pair = MetricCollection({"a": restored, "b": pickle.loads(pickle.dumps(metric))})
    pair.update(*batches(Cumulants)[0])
    assert len(pair.compute_groups) == 2


@pytest.mark.parametrize("kind", list(VALUES), ids=lambda kind: kind.__name__)
def test_merging_after_compute_gives_the_result_of_both(kind: type[Metric]) -> None:
    first, _ = batches(kind)
    second = tuple(x * 2 + 1 for x in first)
    for make in (lambda metric: metric, lambda metric: metric.metric_state):
        for one, other, whole in zip(every(kind), every(kind), every(kind), strict=True):
            before = seen(one, [first]).compute()
            one.merge_state(make(seen(other, [second])))
            found, expected = one.compute(), seen(whole, [first, second]).compute()
            assert not same(found, before)
            for a, b in zip(tensors(found), tensors(expected), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("kind", list(VALUES), ids=lambda kind: kind.__name__)
def test_merging_into_an_empty_metric_counts_as_an_update(kind: type[Metric]) -> None:
    one, other = next(every(kind)), seen(next(every(kind)), batches(kind)[:1])
    one.merge_state(other)
    assert one.update_called  # no warning that compute came too early, which would be an error here
    for a, b in zip(tensors(one.compute()), tensors(other.compute()), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("kind", list(VALUES), ids=lambda kind: kind.__name__)
def test_loading_a_state_after_compute_gives_its_result(kind: type[Metric]) -> None:
    first, _ = batches(kind)
    one, other = next(every(kind)), seen(next(every(kind)), [tuple(x * 2 + 1 for x in first)])
    seen(one, [first]).compute()
    other.persistent(True)
    one.load_state_dict(other.state_dict())
    assert same(one.compute(), other.compute())


def test_merging_refuses_other_shapes_and_kinds() -> None:
    with pytest.raises(ValueError, match=r"incoming_state has total of shape \(1,\); allowed: \(3,\)"):
        MemberMean(3).merge_state(MemberMean(1))
    with pytest.raises(ValueError, match="incoming_state is a Distances; allowed: SquaredErrors"):
        SquaredErrors().merge_state(Distances())
