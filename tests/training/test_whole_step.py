"""Whole steps are the other steps: the same weights, moments, checkpoints, logged values and diverged members, bit for bit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler, LambdaCallback
from torch import Tensor

from renorm.callbacks import LeanSteps
from renorm.datamodules import CLTDataModule
from renorm.training.compilation import CompiledLosses, columns
from renorm.training.flat_adam import FlatAdam
from renorm.training.one_call import NotOneCallError, OneCall
from renorm.training.whole_step import WholeStep
from renorm.zoo import GNN, MLP, clt_map

from .test_lean_loop import Witness, assert_same, fit, halving

SAID = "a step is taken in several calls"


class Uncompiled:
    """Losses and gradients as :class:`OneCall` gives them, without the seconds of compiling."""

    made = 0

    def __init__(self, model: Any, *_: Any) -> None:
        Uncompiled.made += 1
        self.losses = model.losses
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def __call__(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        losses = self.losses(x, target)
        gradients = torch.autograd.grad(losses.sum(), self.trained)
        return losses.detach(), torch.cat([gradient.flatten() for gradient in gradients])


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("renorm.training.compilation.OneCall", Uncompiled)
    monkeypatch.setattr(CompiledLosses, "__call__", lambda self, x, y: self._model.losses(columns(x), y))


class Counter:
    """How many steps were whole."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken = 0
        take = WholeStep.__call__

        def counted(step: WholeStep, batch: Any, logs: bool = False) -> Tensor | None:
            total = take(step, batch, logs)
            self.taken += total is not None
            return total

        monkeypatch.setattr(WholeStep, "__call__", counted)


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> Counter:
    return Counter(monkeypatch)


def checkpoints(folder: Path) -> dict[str, Any]:
    return {file.name: torch.load(file, weights_only=True) for file in sorted(folder.glob("*.ckpt"))}


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": lambda p: torch.optim.Adam(p, 0.01),
    "adamw": lambda p: torch.optim.AdamW(p, 0.01, (0.8, 0.99), weight_decay=0.1),
    "adam with decay": lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.1),
    "amsgrad": lambda p: torch.optim.Adam(p, 0.01, amsgrad=True),
    "two groups": lambda p: torch.optim.Adam([{"params": p[:1], "lr": 0.1}, {"params": p[1:]}]),
    "momentum": lambda p: torch.optim.SGD(p, 0.1, 0.9),
}


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("clip", [None, 0.01])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_whole_steps_are_lightnings(tmp_path: Path, whole: Counter, optimizer: Any, clip: float | None) -> None:
    def model() -> MLP:
        return MLP(replicas=3, compile=True, optimizer=optimizer, lr_scheduler=halving, lr_scheduler_interval="step")

    seen = {}
    for name, callbacks in {"watched": [Witness()], "whole": [], "full": [Witness(), LeanSteps(False)]}.items():
        before, Uncompiled.made = whole.taken, 0
        fit(tmp_path / name, *callbacks, model=model(), gradient_clip_val=clip)
        assert Uncompiled.made == (
            name != "full"
        )  # three epochs, of which two end with a validation, change no setting
        assert whole.taken - before == (0 if name == "full" else 25)
        seen[name] = [callback.seen for callback in callbacks if isinstance(callback, Witness)]
    assert seen["watched"] == seen["full"]
    tables = {(tmp_path / name / "metrics.csv").read_text() for name in seen if seen[name]}
    assert len(tables) == 1
    for name in ("watched", "whole"):
        for file, content in checkpoints(tmp_path / name).items():
            other = checkpoints(tmp_path / "full")[file]
            for key in ("state_dict", "optimizer_states", "lr_schedulers", "loops", "global_step"):
                assert_same(content[key], other[key], key)


def test_compiled_losses_and_gradients_have_the_bits_of_two_calls(tmp_path: Path, whole: Counter) -> None:
    for name in ("whole", "full"):
        fit(tmp_path / name, LeanSteps(name == "whole"), model=MLP(replicas=3, compile=True))
    assert whole.taken == 25
    for file, content in checkpoints(tmp_path / "whole").items():
        assert_same(content["state_dict"], checkpoints(tmp_path / "full")[file]["state_dict"], file)
        assert_same(content["optimizer_states"], checkpoints(tmp_path / "full")[file]["optimizer_states"], file)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_validation_between_two_steps_takes_no_gradient_away(tmp_path: Path, whole: Counter, optimizer: Any) -> None:
    trained = []
    for lean in (True, False):
        model = MLP(replicas=3, compile=True, optimizer=optimizer)
        fit(tmp_path / str(lean), LeanSteps(lean), model=model, val_check_interval=3, log_every_n_steps=50)
        trained.append(model.state_dict())
    assert whole.taken == 25
    assert_same(*trained)


UNCOMPILED: dict[str, Callable[..., Any]] = {
    "mlp": MLP,
    "tied": lambda **options: MLP(symmetry="full", depth=2, activation="quadratic", **options),
    "splines": lambda **options: MLP(activation="spline", **options),
    "fixed weights": lambda **options: MLP(activation="spline", weights="fixed", **options),
    "penalty": lambda **options: MLP(symmetry_penalty=0.1, penalised_symmetry="input", **options),
    "energy": lambda **options: MLP(loss="energy", **options),
    "gnn": lambda **options: GNN(graph="pair", **options),
    "gnn with a maximum": lambda **options: GNN(graph="pair", aggregation="max", **options),
}


@pytest.mark.parametrize("make", UNCOMPILED.values(), ids=UNCOMPILED)
def test_uncompiled_steps_of_our_networks_are_whole(tmp_path: Path, whole: Counter, make: Any) -> None:
    for name in ("whole", "full"):
        fit(tmp_path / name, LeanSteps(name == "whole"), model=make(replicas=3, compile=False))
    assert whole.taken == 25
    for file, content in checkpoints(tmp_path / "whole").items():
        other = checkpoints(tmp_path / "full")[file]
        assert_same(content["state_dict"], other["state_dict"], file)
        assert_same(content["optimizer_states"], other["optimizer_states"], file)
    assert (tmp_path / "whole" / "metrics.csv").read_text() == (tmp_path / "full" / "metrics.csv").read_text()


class OwnNetwork(MLP):
    """An architecture that may do more than compute on its parameters."""


def test_uncompiled_steps_of_other_networks_are_lean_only(tmp_path: Path, whole: Counter, caplog: Any) -> None:
    caplog.set_level(logging.INFO, "renorm")
    trainer = fit(tmp_path, model=OwnNetwork(replicas=2, compile=False))
    assert trainer.global_step == 25
    assert whole.taken == 0
    assert not any(SAID in record.message for record in caplog.records)


def unstable() -> MLP:
    """Three members of which the second soon diverges, without logging it."""
    model = MLP(replicas=3, compile=True, optimizer=lambda p: torch.optim.SGD(p, 0.02))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter[1] *= 30
    return model


@pytest.mark.usefixtures("uncompiled")
def test_a_member_diverges_at_the_same_step(tmp_path: Path, whole: Counter) -> None:
    trained = []
    for lean in (True, False):
        model = unstable()
        fit(tmp_path / str(lean), LeanSteps(lean), model=model, log_every_n_steps=10)
        trained.append(model)
    assert 0 < whole.taken < 25
    (step,) = trained[0].divergence.steps.values()
    assert trained[0].divergence.steps == trained[1].divergence.steps == {1: step}
    assert 0 < step < 25
    assert_same(trained[0].state_dict(), trained[1].state_dict())


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_run_that_is_resumed_ends_with_the_same_bits(tmp_path: Path, whole: Counter) -> None:
    fit(tmp_path / "at_once", model=MLP(replicas=3, compile=True))
    before = whole.taken
    checkpoint = tmp_path / "at_once" / "step=14.ckpt"
    trainer = fit(tmp_path / "resumed", model=MLP(replicas=3, compile=True), ckpt_path=checkpoint)
    assert whole.taken - before == 10  # steps 15 to 25, less the first, with which Lightning restarts
    assert trainer.global_step == 25
    one, other = (checkpoints(tmp_path / name)["step=21.ckpt"] for name in ("at_once", "resumed"))
    for key in ("state_dict", "optimizer_states"):
        assert_same(one[key], other[key], key)


class Freezes(Callback):
    """Stop training a parameter in the middle of an epoch."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 13:
            pl_module.readout.bias.theta.requires_grad_(False)


@pytest.mark.usefixtures("uncompiled")
def test_a_parameter_that_is_frozen_on_the_way_stays(tmp_path: Path, whole: Counter) -> None:
    trained = []
    for lean in (True, False):
        model = MLP(replicas=3, compile=True)
        fit(tmp_path / str(lean), LeanSteps(lean), Freezes(), model=model)
        trained.append(model.state_dict())
    assert 0 < whole.taken < 20
    assert_same(*trained)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(
    ("options", "arguments", "what"),
    [
        ({"symmetry_penalty": 0.1, "penalised_symmetry": "input"}, {}, "a penalty is added to the compiled losses"),
        ({}, {"accumulate_grad_batches": 2}, "gradients of several batches"),
        ({}, {"profiler": "simple"}, "a profiler"),
        ({}, {"precision": "bf16-mixed"}, "another precision"),
    ],
)
def test_other_steps_are_named_once(
    tmp_path: Path, whole: Counter, caplog: Any, options: dict[str, Any], arguments: dict[str, Any], what: str
) -> None:
    caplog.set_level(logging.INFO, "renorm")
    fit(tmp_path, model=MLP(replicas=2, compile=True, **options), **arguments)
    assert whole.taken == 0
    assert [record.message for record in caplog.records if SAID in record.message] == [
        f"{SAID}, which is slower for small stacks: {what}"
    ]


@pytest.mark.usefixtures("uncompiled")
def test_a_model_that_counts_is_not_compiled_again_and_again() -> None:
    model, x = MLP(replicas=2), torch.ones(8, 2)
    losses, calls = CompiledLosses(model, torch.device("cpu"), may_fall_back=False), []
    for steps in (0, 0, 1, 2, 3, 4, 5, 6):
        model.steps = steps
        losses.notice_changes()
        calls.append(losses.one_call(x, clt_map(x)))
    assert calls[0] is calls[1]
    assert calls[1] is not calls[2]
    assert [call is None for call in calls] == [False] * 5 + [True] * 3


def test_adams_rows_are_released_after_a_fit(tmp_path: Path, uncompiled: None) -> None:
    model = MLP(replicas=3, compile=True)
    fit(tmp_path, model=model)
    storages = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    assert len(storages) == len(list(model.parameters()))


def test_flat_adam_is_for_plain_adam_after_its_first_step() -> None:
    model = MLP(replicas=2)
    optimizer, trained = model.configure_optimizers(), list(model.parameters())
    assert not FlatAdam.is_for(optimizer, trained)
    model.losses(x := torch.ones(4, 2), clt_map(x)).sum().backward()
    optimizer.step()
    assert FlatAdam.is_for(optimizer, trained)
    assert not FlatAdam.is_for(optimizer, trained[1:])


class Noisy(MLP):
    """A network that draws random numbers, whose order a graph of both passes would change."""

    def outputs(self, x: Tensor) -> Tensor:
        return super().outputs(x) + torch.rand(len(x))


def test_a_network_with_random_numbers_is_computed_in_two_calls() -> None:
    x = torch.ones(8, 2)
    with pytest.raises(NotOneCallError, match="rand"):
        OneCall(Noisy(replicas=2), x, clt_map(x), {})


def test_data_module_draws_what_it_drew(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from renorm.datamodules import sampling

    data = CLTDataModule(train_laws=["uniform()", "gaussian()"], batch_size=8)
    new = [data.batch("train", 3, step).x for step in (0, 255, 256, 1000)]

    def alone(*key: int) -> list[int]:
        seeds = [np.random.SeedSequence([*key[:4], key[4] * 256 + i]) for i in range(256)]
        return [int(seed.generate_state(1, np.uint64)[0]) for seed in seeds]

    monkeypatch.setattr(sampling, "_seeds", alone)
    assert all(map(torch.equal, new, [data.batch("train", 3, step).x for step in (0, 255, 256, 1000)]))


class Meddles(Callback):
    """Does something to the optimiser, the model or the run after some of the steps."""

    def __init__(self, act: Callable[[Trainer, Any, int], None]) -> None:
        self.act = act

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        self.act(trainer, pl_module, trainer.global_step)


def resets_moments(trainer: Trainer, model: Any, step: int) -> None:
    if step == 6:
        for state in trainer.optimizers[0].state.values():
            for value in state.values():
                value.zero_()


def forgets_moments(trainer: Trainer, model: Any, step: int) -> None:
    if step == 6:
        trainer.optimizers[0].state.clear()


def loads_another_rate(trainer: Trainer, model: Any, step: int) -> None:
    if step == 6:
        state = trainer.optimizers[0].state_dict()
        state["param_groups"][0]["lr"] *= 0.1
        trainer.optimizers[0].load_state_dict(state)


def climbs(trainer: Trainer, model: Any, step: int) -> None:
    if step == 6:
        trainer.optimizers[0].param_groups[0]["maximize"] = True


def makes_another_optimizer(trainer: Trainer, model: Any, step: int) -> None:
    if step == 6:
        trainer.strategy.setup_optimizers(trainer)


def freezes_for_a_while(trainer: Trainer, model: Any, step: int) -> None:
    next(model.parameters()).requires_grad_(not 6 < step < 9)


def lays_out_anew(trainer: Trainer, model: Any, step: int) -> None:
    if step == 6:
        weight = max(model.parameters(), key=torch.Tensor.numel)
        weight.data = weight.data.mT.contiguous().mT


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    "act",
    [
        resets_moments,
        forgets_moments,
        loads_another_rate,
        climbs,
        makes_another_optimizer,
        freezes_for_a_while,
        lays_out_anew,
    ],
)
def test_what_callbacks_meddle_with_counts_at_the_next_step(tmp_path: Path, act: Any, compiled: bool) -> None:
    trained = []
    for lean in (True, False):
        model = MLP(replicas=3, compile=compiled)
        fit(tmp_path / str(lean), LeanSteps(lean), Meddles(act), model=model)
        trained.append(model.state_dict())
    assert_same(*trained)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.filterwarnings("ignore:When using `Trainer\\(accumulate_grad_batches")
@pytest.mark.parametrize("compiled", [True, False])
def test_a_step_of_lightnings_in_between_is_counted(tmp_path: Path, whole: Counter, compiled: bool) -> None:
    trained = []
    for lean in (True, False):
        model = MLP(replicas=3, compile=compiled)
        schedule = GradientAccumulationScheduler({0: 1, 1: 2, 2: 1})
        fit(tmp_path / str(lean), LeanSteps(lean), schedule, model=model, max_steps=-1, max_epochs=3)
        trained.append(model.state_dict())
    assert whole.taken == 20
    assert_same(*trained)


def test_parameters_that_take_no_part_are_left_alone(tmp_path: Path) -> None:
    trained = []
    for lean in (True, False):
        model = MLP(replicas=3, compile=False)
        model.extra = torch.nn.Parameter(torch.ones(3, 1))
        fit(tmp_path / str(lean), LeanSteps(lean), model=model)
        trained.append(model.state_dict())
    assert_same(*trained)
    assert torch.equal(trained[0]["extra"], torch.ones(3, 1))


@pytest.mark.parametrize("lean", [True, False])
def test_callbacks_of_functions_are_called_at_each_step_and_keep_gradients(tmp_path: Path, lean: bool) -> None:
    kept: list[Tensor] = []

    def keep(trainer: Trainer, model: Any, *_: Any) -> None:
        kept.append(next(model.parameters()).grad)

    fit(tmp_path, LeanSteps(lean), LambdaCallback(on_train_batch_end=keep))
    assert len(kept) == 25
    assert len({float(gradient.sum()) for gradient in kept}) == 25


def test_hooks_inside_a_step_of_functions_are_called(tmp_path: Path) -> None:
    calls: list[int] = []
    fit(tmp_path, LambdaCallback(on_before_optimizer_step=lambda *_: calls.append(1)))
    assert len(calls) == 25
