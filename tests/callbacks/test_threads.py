"""How many threads a run computes on, and who decides."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from renorm.callbacks import ChooseThreads
from renorm.callbacks.threads import CELLS_A_THREAD, CHOSEN_BY, is_chosen, threads_for
from renorm.datamodules import CLTDataModule
from renorm.runs.quiet_trainer import quiet_trainer, quieten
from renorm.zoo import GNN, MLP, StackedModel


class Seen(Callback):
    """The number of threads while a run is under way."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def on_train_batch_start(self, *_: Any) -> None:
        self.threads.add(torch.get_num_threads())

    on_test_batch_start = on_train_batch_start


@pytest.fixture(autouse=True)
def four_processors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process with four processors, of which PyTorch uses all, where nobody has said anything."""
    quieten()
    before = torch.get_num_threads()
    for name in CHOSEN_BY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def threads_of(model: StackedModel, stage: str = "fit", callbacks: tuple[Callback, ...] = (), **data: Any) -> set[int]:
    seen = Seen()
    trainer = quiet_trainer(2, accelerator="cpu", callbacks=[seen, *callbacks])
    settings = {"steps_per_epoch": 2, "test_samples": 64, "held_out_laws": []} | data
    run: Any = getattr(trainer, stage)
    run(model, CLTDataModule(**settings), **({} if stage == "fit" else {"verbose": False}))
    assert torch.get_num_threads() == 4
    return seen.threads


def test_small_steps_take_one_thread() -> None:
    assert threads_of(MLP(replicas=16)) == {1}
    assert threads_of(MLP(replicas=16), "test") == {1}


def test_larger_steps_take_as_many_as_they_can_use() -> None:
    assert MLP(replicas=400).work(1000) == 400 * 8 * 1000
    assert threads_of(MLP(replicas=400), batch_size=1000) == {3}
    assert threads_of(MLP(replicas=1000), batch_size=1000) == {4}


def test_work_is_what_hidden_units_compute() -> None:
    assert MLP(width=4, depth=3, replicas=5, activation="relu").work(7) == 5 * 4 * 3 * 7
    assert GNN(width=4, depth=2, replicas=5, block_size=3, graph="ring").work(7) == 5 * 4 * 2 * 3 * 7
    assert threads_for(0) == 1
    assert threads_for(2.5 * CELLS_A_THREAD) == 2


@pytest.mark.parametrize("name", CHOSEN_BY)
def test_who_chose_by_a_variable_is_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "4")
    assert threads_of(MLP()) == {4}


def test_who_chose_by_a_call_is_left_alone() -> None:
    torch.set_num_threads(3)
    assert is_chosen()
    trainer = quiet_trainer(1, accelerator="cpu", callbacks=[seen := Seen()])
    trainer.fit(MLP(), CLTDataModule(steps_per_epoch=1))
    assert seen.threads == {3}


def test_a_number_can_be_given() -> None:
    assert threads_of(MLP(), callbacks=(ChooseThreads(3),)) == {3}
    for bad in (0, -1, True, 1.5):
        with pytest.raises(ValueError, match="threads="):
            ChooseThreads(bad)  # type: ignore[arg-type]


def test_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="renorm"):
        threads_of(MLP())
    assert [record.getMessage() for record in caplog.records if "threads" in record.getMessage()] == [
        "threads: 1 of 4, as many as a step can use (OMP_NUM_THREADS decides otherwise)"
    ]


def test_threads_are_given_back_after_an_error() -> None:
    class Failing(Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            raise ZeroDivisionError

    trainer: Trainer = quiet_trainer(2, accelerator="cpu", callbacks=[Failing()])
    with pytest.raises(ZeroDivisionError):
        trainer.fit(MLP(), CLTDataModule(steps_per_epoch=2))
    assert torch.get_num_threads() == 4
