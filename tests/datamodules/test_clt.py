"""The DataModule: its splits, its defaults, its cumulants, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from renorm.datamodules import CLTDataModule, laws


def test_defaults_hold_out_few_laws_each_with_its_mirror_image() -> None:
    data = CLTDataModule()
    assert [str(law) for law in data.train_laws] == ["uniform(low=-1.7320508075688772, high=1.7320508075688772)"]
    assert len(data.held_out_laws) == 10  # each costs time in each validation
    signs = (-1.0) ** torch.arange(1, 5, dtype=torch.float64)
    for laws_of_set in (data.interpolation_laws, data.extrapolation_laws):
        cumulants = [law.cumulants(4) for law in laws_of_set]
        for own in cumulants:
            assert any(torch.allclose(signs * own, other, atol=1e-12) for other in cumulants)
    assert len(data.interpolation_laws) == 3
    assert {law.support()[1] for law in data.interpolation_laws} == {1.0, 1.7}


def test_a_law_that_is_trained_on_leaves_the_default_held_out_ones() -> None:
    data = CLTDataModule(train_laws=["gaussian()", "rademacher()"])
    assert not {*data.train_laws} & {*data.held_out_laws}
    assert len(data.held_out_laws) == 9
    assert {"mirrored(exponential(rate=1))", "gaussian(mean=-1, std=3)"} <= {
        str(law) for law in data.extrapolation_laws
    }


def test_one_law_may_be_a_bare_string() -> None:
    data = CLTDataModule(train_laws="gamma(shape=2)", held_out_laws="beta(a=1, b=3)")
    assert [str(law) for law in data.laws] == ["gamma(shape=2, scale=1)", "beta(a=1, b=3)"]


def test_blocks_of_processes_join_to_the_batch_of_one() -> None:
    data = CLTDataModule(block_size=3, batch_size=31, train_laws=["gaussian()", "rademacher()"])
    whole = data.batch("train", epoch=1, step=5)
    parts = [data.batch("train", epoch=1, step=5, rank=rank, world_size=4) for rank in range(4)]
    assert torch.equal(torch.cat([part.x for part in parts]), whole.x)
    assert torch.equal(torch.cat([part.y for part in parts]), whole.y)
    assert whole.x.shape == (31, 3)
    assert whole.law == "gaussian(mean=0, std=1) | rademacher()"


def test_evaluation_has_exactly_the_samples_asked_for() -> None:
    data = CLTDataModule(val_samples=1000, eval_batch_size=300, test_samples=70)
    for loader, law in zip(data.val_dataloader(), data.laws, strict=True):
        x = torch.cat([batch.x for batch in loader])
        assert x.shape == (1000, 2)
        assert torch.equal(x[:300], data.batch("val", 0, 0, law=law).x)
    assert sum(len(batch.x) for batch in data.test_dataloader()[0]) == 70


def test_target_cumulants_are_those_of_the_targets() -> None:
    data = CLTDataModule(block_size=4, train_laws=["exponential()"], held_out_laws=["cauchy()"], test_samples=400_000)
    exact = data.target_cumulants(str(data.train_laws[0]))
    assert exact is not None
    assert exact.tolist() == pytest.approx([2.0, 1.0, 1.0, 1.5])
    y = torch.cat([batch.y for batch in data.test_dataloader()[0]]).double()
    centred = y - y.mean()
    measured = [float(y.mean()), float(centred.square().mean()), float(centred.pow(3).mean())]
    assert measured == pytest.approx(exact[:3].tolist(), abs=0.03)
    assert data.existing_cumulants("cauchy(loc=0, scale=1)").isnan().all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"block_size": 1}, ["block_size=1", ">= 2"]),
        ({"batch_size": 0}, ["batch_size=0", ">= 4"]),
        ({"seed": -1}, ["seed=-1", ">= 0"]),
        ({"steps_per_epoch": 2.5}, ["steps_per_epoch=2.5", "whole numbers"]),
        ({"train_laws": []}, ["train_laws=[]", "one or more"]),
        ({"train_laws": ["gausian()"]}, ["gausian", "gaussian"]),
        ({"train_laws": ["gaussian()", "gaussian(std=1)"]}, ["listed twice"]),
        ({"held_out_laws": ["uniform()"]}, ["held_out_laws=", "trained on"]),
    ],
)
def test_bad_input_is_one_line(arguments: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValueError, match="allowed") as caught:
        CLTDataModule(**arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words)


def test_batch_refuses_unknown_coordinates() -> None:
    data = CLTDataModule()
    with pytest.raises(ValueError, match="rank=2 is out of range; allowed: 0 to 1"):
        data.batch("train", 0, 0, rank=2, world_size=2)
    with pytest.raises(ValueError, match="split='dev' is unknown; allowed: train, val, test, predict"):
        data.batch("dev", 0, 0)  # type: ignore[arg-type]


def test_hyperparameters_are_canonical_primitives() -> None:
    data = CLTDataModule(train_laws="gaussian( std = 2 )")
    assert data.hparams["train_laws"] == ["gaussian(mean=0, std=2)"]
    again = CLTDataModule(**data.hparams)
    assert again.laws == data.laws
    assert laws.parse(data.hparams["train_laws"][0]) == data.train_laws[0]
