"""Which held-out laws lie within what training sees, against the laws' distribution functions; and the default of before."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from renorm.datamodules import CLTDataModule, laws
from renorm.datamodules.held_out import (
    DEFAULT_HELD_OUT_LAWS,
    FEW,
    HELD_OUT_LAWS,
    RARE,
    SEVEN_LAWS,
    are_the_seven,
)
from renorm.datamodules.laws import Gaussian, Law, Uniform
from renorm.datamodules.source import Source
from renorm.sweep.config import Point, digest

MIXED = ["uniform()", "gaussian()", "laplace(scale=0.7071067811865476)"]


def lies_within(data: CLTDataModule) -> bool:
    return bool(data.interpolation_laws) and not data.extrapolation_laws


@settings(max_examples=25, deadline=None)
@given(st.floats(-3, 3), st.floats(0.2, 3), st.booleans())
def test_the_weight_beyond_the_range_decides(mean: float, std: float, bounded: bool) -> None:
    trained: Law = Uniform(low=-2, high=2) if bounded else Gaussian(mean=0.5, std=2)
    normal = stats.norm(0.5, 2)
    low, high = (-2, 2) if bounded else (normal.ppf(RARE), normal.isf(RARE))
    judged = stats.norm(mean, std)
    beyond = max(judged.cdf(low), judged.sf(high))
    assume(not FEW / 2 < beyond < 2 * FEW)  # where chance may decide
    law = str(Gaussian(mean, std))
    assume(law != str(trained))
    assert lies_within(CLTDataModule(train_laws=str(trained), held_out_laws=law)) == (beyond < FEW)


@pytest.mark.parametrize(
    ("trained", "held_out", "within"),
    [
        (["uniform(low=0, high=1)"], "beta(a=0.5, b=0.5)", True),  # up to the ends of the support
        (["uniform(low=0, high=1)"], "uniform(low=0, high=1.01)", False),
        (["exponential()"], "uniform(low=0, high=5)", True),
        (["exponential()"], "uniform(low=-0.1, high=5)", False),  # an end of the support is one
        (["uniform(low=0, high=1)", "uniform(low=5, high=6)"], "uniform(low=2, high=3)", True),  # gaps do not count
        (["rademacher()"], "uniform(low=-1, high=1)", True),
        (["ising_chain(coupling=0.5)"], "rademacher()", True),
        (["gaussian()"], "ising_chain(coupling=0.5)", True),
        (["ising_chain(coupling=0.5)"], "ar1(rho=0.5)", False),
        (MIXED, "gaussian(mean=-1, std=3)", False),
    ],
)
@pytest.mark.parametrize("block_size", [2, 5])
def test_any_laws_and_sources_are_split(trained: list[str], held_out: str, within: bool, block_size: int) -> None:
    data = CLTDataModule(block_size, train_laws=trained, held_out_laws=held_out)
    assert lies_within(data) == within


def test_neither_the_seed_nor_large_blocks_change_the_split() -> None:
    expected = [str(law) for law in CLTDataModule().interpolation_laws]
    for data in (CLTDataModule(seed=5), CLTDataModule(block_size=10_000)):
        assert [str(law) for law in data.interpolation_laws] == expected


class Doubled(CLTDataModule):
    """Blocks that are twice as wide as those of their laws."""

    def draw(self, law: Source, rows: int, generator: torch.Generator) -> Tensor:
        found = law.blocks(rows, self.block_size, generator)
        assert isinstance(found, Tensor)
        return 2 * found


def test_blocks_that_are_drawn_otherwise_are_looked_at_as_they_come() -> None:
    data = Doubled(train_laws="uniform(low=-1, high=1)", held_out_laws="uniform(low=-0.9, high=0.9)")
    assert lies_within(data)  # within [-2, 2], not within the support [-1, 1] of the law


def test_rows_of_one_file_lie_within_each_other(tmp_path: Path) -> None:
    np.save(tmp_path / "pairs.npy", np.random.default_rng(0).standard_normal((20_000, 2)))
    source = f"blocks(path={tmp_path / 'pairs.npy'}, rows="
    assert lies_within(CLTDataModule(train_laws=f"{source}0:10000)", held_out_laws=f"{source}10000:)"))


def test_no_held_out_laws_are_split_into_none() -> None:
    data = CLTDataModule(held_out_laws=[])
    assert data.interpolation_laws == data.extrapolation_laws == []


def test_default_laws_are_some_of_the_claims() -> None:
    assert {*DEFAULT_HELD_OUT_LAWS} < {*HELD_OUT_LAWS}


@pytest.mark.parametrize("trained", [["uniform()"], ["gaussian()"], ["exponential()"], MIXED])
@pytest.mark.parametrize("canonical", [True, False])
def test_the_default_of_before_is_known(trained: list[str], canonical: bool) -> None:
    before = [law for law in SEVEN_LAWS if law not in trained]
    if canonical:
        trained, before = ([str(laws.parse(law)) for law in texts] for texts in (trained, before))
    assert are_the_seven(trained, before)
    assert not are_the_seven(trained, before[1:])
    assert not are_the_seven(trained, [str(law) for law in CLTDataModule(train_laws=trained).held_out_laws])
    assert not are_the_seven(trained, ["blocks(path=/of/a/stranger.npy)"])


def test_hashes_of_points_hold_and_differ_for_the_laws_of_today() -> None:
    settings_of_point = {"width": 4, "train_laws": ["gaussian()"]}
    before = digest({"model": "MLP", **settings_of_point})  # of version 0.1, which left the default out
    point = Point("MLP", settings_of_point, {})
    seven = [law for law in SEVEN_LAWS if law != "gaussian()"]
    assert dataclasses.replace(point, settings=settings_of_point | {"held_out_laws": seven}).key == before
    assert point.key != before
    named = settings_of_point | {"held_out_laws": ["rademacher()"]}
    assert dataclasses.replace(point, settings=named).key == digest({"model": "MLP", **named})
