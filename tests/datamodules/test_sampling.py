"""Streams: any batch can be drawn again, different coordinates are independent, processes share out a batch exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from renorm.datamodules import CLTDataModule, laws
from renorm.datamodules.drawn_ahead import DrawnAhead, is_ours
from renorm.datamodules.sampling import SPLITS, BlockLoader, draw_blocks, shard, stream

GAUSSIAN = laws.parse("gaussian()")
COORDINATES = {"seed": 1, "split": "train", "epoch": 2, "step": 3}


@given(rows=st.integers(0, 500), world_size=st.integers(1, 17))
def test_shards_cover_a_batch_without_overlap_or_padding(rows: int, world_size: int) -> None:
    parts = [np.arange(rows)[shard(rows, rank, world_size)] for rank in range(world_size)]
    assert np.concatenate(parts).tolist() == list(range(rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_batch_is_a_function_of_its_coordinates() -> None:
    first = draw_blocks([GAUSSIAN], 64, 2, **COORDINATES)
    torch.rand(1000)  # nothing global takes part
    assert torch.equal(first, draw_blocks([GAUSSIAN], 64, 2, **COORDINATES))


@pytest.mark.parametrize("change", [{"seed": 2}, {"split": "val"}, {"epoch": 3}, {"step": 4}, {"seed": 2, "epoch": 1}])
def test_every_coordinate_changes_the_batch(change: dict[str, int]) -> None:
    here, there = (draw_blocks([GAUSSIAN], 4096, 2, **c) for c in (COORDINATES, COORDINATES | change))
    correlation = np.corrcoef(here.flatten(), there.flatten())[0, 1]
    assert abs(correlation) < 5 / np.sqrt(8192)


def test_streams_of_neighbouring_coordinates_do_not_collide() -> None:
    seeds = {
        stream(seed, split, law, epoch, step).initial_seed()
        for seed in range(3)
        for split in SPLITS
        for law in ("gaussian(mean=0, std=1)", "rademacher()")
        for epoch in range(10)
        for step in range(20)
    }
    assert len(seeds) == 3 * len(SPLITS) * 2 * 10 * 20


def test_laws_are_mixed_in_equal_parts_and_adding_one_changes_no_other() -> None:
    gamma, rademacher = laws.parse("gamma(shape=2)"), laws.parse("rademacher()")
    two = draw_blocks([GAUSSIAN, rademacher], 10, 2, **COORDINATES)
    assert set(two[1::2].abs().flatten().tolist()) == {1.0}
    three = draw_blocks([GAUSSIAN, rademacher, gamma], 15, 2, **COORDINATES)
    assert torch.equal(three[0::3], two[0::2])
    assert torch.equal(three[1::3], two[1::2])
    assert (three[2::3] > 0).all()


def test_consecutive_batches_are_one_sample_of_the_law() -> None:
    batches = [
        draw_blocks([GAUSSIAN], 50, 2, seed=0, split="train", epoch=e, step=s) for e in range(4) for s in range(50)
    ]
    assert stats.kstest(torch.cat(batches).flatten().numpy(), "norm").pvalue > 1e-3


def test_loader_starts_where_it_is_told_to() -> None:
    loader = BlockLoader(lambda epoch, step: torch.tensor([epoch, step]), steps=5, position=lambda: (7, 3))
    assert len(loader) == 5
    assert [batch.tolist() for batch in loader] == [[7, 3], [7, 4]]
    assert loader.state_dict() == {}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"train_laws": ["uniform()", "gaussian()"], "batch_size": 64},
        {"train_laws": ["laplace()", "gamma(shape=2)", "stable(alpha=1.5)", "bernoulli(p=0.2)"], "block_size": 4},
        # whose parts of a batch end within a line of the cache
        {"train_laws": ["gaussian()", "uniform()", "laplace()"]},
        {"map": "maximum()", "train_laws": ["gumbel()"], "block_size": 5},
        {"map": "majority()", "train_laws": ["rademacher()"], "block_size": 3, "batch_size": 1024},
        {"map": "decimation()", "train_laws": ["mixture(1*gaussian(mean=-1) + 1*gaussian(mean=1))"]},
        {"map": "stable(alpha=1.5)", "train_laws": ["mirrored(exponential())"]},
    ],
    ids=str,
)
def test_batches_that_are_drawn_ahead_are_the_same(arguments: dict[str, Any]) -> None:
    data = CLTDataModule(steps_per_epoch=70, **arguments)
    ahead = DrawnAhead(data)
    for epoch, step in [*((0, step) for step in range(70)), (2, 66), (2, 67), (2, 3), (2, 3)]:
        one, other = ahead(epoch, step), data.batch("train", epoch, step)
        assert torch.equal(one.x, other.x)
        assert torch.equal(one.y, other.y)
        assert one.law == other.law


def test_what_may_change_from_step_to_step_is_not_drawn_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    @dataclass(frozen=True)
    class Own(type(GAUSSIAN)):  # type: ignore[misc]
        def draw(self, x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
            drawn.append(len(x))
            return super().draw(x, generator)

    assert not is_ours(Own())
    assert not is_ours(laws.parse("mirrored(exponential())").__class__(Own()))
    data = CLTDataModule()
    ahead = DrawnAhead(data)
    before = ahead(0, 0)
    data.train_laws = [Own()]  # as a callback may set them
    drawn.clear()
    assert not torch.equal(ahead(0, 1).x, before.x)
    assert drawn == [256]
    ahead(0, 2)
    assert drawn == [256, 256]


def test_data_that_changes_is_drawn_again() -> None:
    data = CLTDataModule()
    ahead = DrawnAhead(data)
    ahead(0, 0)
    data.train_laws = laws.parse("gaussian()"), laws.parse("laplace()")
    assert torch.equal(ahead(0, 1).x, data.batch("train", 0, 1).x)
    data.batch_size = 32
    assert len(ahead(0, 2).x) == 32
