"""The base: who the members are, what it refuses, and that Lightning's loop is the plain loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from renorm.checks import primitive
from renorm.training.losses import LOSSES, clt_map
from renorm.zoo import MLP

STEPS = 12


def batches(n: int = STEPS, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(n, 32, 2, generator=generator, dtype=torch.float64))


class Loader:
    """The least that Lightning takes for a loader: a list would be taken for several."""

    def __init__(self, n: int = STEPS, seed: int = 0) -> None:
        self.batches = batches(n, seed)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.batches)


def trainer(**arguments: Any) -> Trainer:
    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "precision": "64-true",
        "max_epochs": 1,
        "num_sanity_val_steps": 0,
        "logger": False,
        "log_every_n_steps": 1,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(**defaults | arguments)


# ---- who the members are ---------------------------------------------------------------------------------------------


def test_members_are_grid_points_times_replicas() -> None:
    model = MLP(activation="quadratic", alpha=[0.1, 0.7], replicas=3)
    assert [(m["member"], m["alpha"], m["replica"]) for m in model.member_table] == [
        (0, 0.1, 0), (1, 0.1, 1), (2, 0.1, 2), (3, 0.7, 0), (4, 0.7, 1), (5, 0.7, 2),
    ]  # fmt: skip
    assert model.num_members == 6
    assert model.grid_groups() == {"alpha=0.1": [0, 1, 2], "alpha=0.7": [3, 4, 5]}
    assert model.activations[0].alpha.tolist() == pytest.approx([0.1] * 3 + [0.7] * 3)


def test_chosen_members_keep_their_number_and_grid_value() -> None:
    model = MLP(negative_slope=[0.1, 0.7], replicas=3, members=[4, 0])
    assert [(m["member"], m["negative_slope"], m["replica"]) for m in model.member_table] == [(4, 0.7, 1), (0, 0.1, 0)]
    assert model.grid_groups() == {"negative_slope=0.7": [0], "negative_slope=0.1": [1]}
    assert MLP(replicas=2).grid_groups() == {"all": [0, 1]}


def test_a_number_is_no_grid_axis() -> None:
    model = MLP(negative_slope=0.3, replicas=2)
    assert model.grid_axes == []
    assert MLP(negative_slope=[0.3], replicas=2).grid_axes == ["negative_slope"]


# ---- hyperparameters -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(0.5), 0.5), (np.int64(3), 3), (np.bool_(True), True), (np.array([1.0, 2.0]), [1.0, 2.0]),
        (torch.tensor(3), 3), (torch.tensor([0.5, 1.0]), [0.5, 1.0]), ((1, 2), [1, 2]), ([np.float32(0.5)], [0.5]),
        ({"a": (np.int8(1), None)}, {"a": [1, None]}), ("text", "text"), (None, None), (True, True),
    ],
)  # fmt: skip
def test_values_become_primitives(value: Any, expected: Any) -> None:
    found = primitive("alpha", value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("value", [object(), {1, 2}, nn.ReLU(), {1: 2}, math.sin, [{"a": {3}}], 1j, b"bytes"])
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^alpha=.* is a \w+; allowed: numbers, strings, lists and dicts of them$"):
        primitive("alpha", value)


def only_primitives(value: Any) -> bool:
    if isinstance(value, dict):
        return all(type(key) is str and only_primitives(v) for key, v in value.items())
    if type(value) is list:
        return all(map(only_primitives, value))
    return value is None or type(value) in (bool, int, float, str)


def test_hyperparameters_are_primitives_and_build_the_same_model() -> None:
    model = MLP(
        activation="leaky_relu",
        negative_slope=np.array([0.1, 0.9]),
        symmetry=("input", "hidden"),
        depth=2,
        members=torch.tensor([1, 0]),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    )
    assert only_primitives(dict(model.hparams))
    assert not {"optimizer", "lr_scheduler", "lr_scheduler_interval"} & set(model.hparams)
    assert {"width", "depth", "symmetry", "bias", "block_size", "seed", "loss", "replicas"} <= set(model.hparams)
    x = torch.randn(9, 2)
    assert torch.equal(MLP(**model.hparams)(x), model(x))


plateau = torch.optim.lr_scheduler.ReduceLROnPlateau
BAD: list[tuple[dict[str, Any], str]] = [
    ({"block_size": 1}, r"block_size=1 is out of range; allowed: whole numbers >= 2"),
    ({"block_size": 2.0}, r"block_size=2.0 is out of range"),
    ({"block_size": True}, r"block_size=True is out of range"),
    ({"width": 0}, r"width=0 is out of range; allowed: whole numbers >= 1"),
    ({"depth": 0}, r"depth=0 is out of range"),
    ({"bias": "no"}, r"bias='no' is unknown; allowed: True, False"),
    ({"bias": None}, r"bias=None is unknown"),
    ({"depth": "2"}, r"depth='2' is out of range"),
    ({"replicas": 0}, r"replicas=0 is out of range"),
    ({"seed": -1}, r"seed=-1 is out of range; allowed: whole numbers >= 0"),
    ({"seed": None}, r"seed=None is out of range"),
    ({"loss": "mae"}, r"loss='mae' is unknown; allowed: mse, energy, cumulant"),
    ({"weights": "frozen"}, r"weights='frozen' is unknown; allowed: trained, fixed"),
    ({"weights": "fixed"}, r"weights='fixed' leaves nothing to train"),
    ({"lr_scheduler_interval": "batch"}, r"lr_scheduler_interval='batch' is unknown; allowed: step, epoch"),
    ({"activation": "relux"}, r"activation='relux' is unknown; allowed: .*did you mean 'relu'\?"),
    ({"symmetry": "even"}, r"symmetry='even' is unknown; allowed: free"),
    ({"members": [0, 0]}, r"members=\[0, 0\] is not a selection of members; allowed: distinct numbers from 0 to 0"),
    (
        {"members": [3], "replicas": 3},
        r"members=\[3\] is not a selection of members; allowed: distinct numbers from 0 to 2",
    ),
    ({"members": [-1]}, r"members=\[-1\] is not a selection of members"),
    ({"members": []}, r"members=\[\] is not a selection of members"),
    ({"negative_slope": "steep"}, r"negative_slope='steep' is not a grid"),
    ({"activation_args": {"slope": nn.ReLU()}}, r"activation_args=ReLU\(\) is a ReLU; allowed: numbers, strings"),
]


@pytest.mark.parametrize(("arguments", "says"), BAD)
def test_refuses_in_one_line(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        MLP(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("x", [[[1.0, 2.0]], torch.tensor([[1, 2]]), np.ones((1, 2)), torch.ones(2), torch.ones(4, 3)])
def test_blocks_that_are_none(x: Any) -> None:
    for function in (MLP(), MLP().trace):
        with pytest.raises(ValueError, match=r"^x .*; allowed: [^\n]*$"):
            function(x)


ODD_TYPES: list[tuple[dict[str, Any], str]] = [
    ({"loss": ["mse"]}, r"loss=\['mse'\] is unknown"),
    ({"members": 1, "replicas": 3}, r"members=1 is not a selection of members"),
    ({"members": [0.0], "replicas": 3}, r"members=\[0.0\] is not a selection of members"),
    ({"members": [True], "replicas": 3}, r"members=\[True\] is not a selection of members"),
    ({"members": [[0]], "replicas": 3}, r"members=\[\[0\]\] is not a selection of members"),
    ({"activation_args": ["negative_slope"]}, r"activation_args=.*; allowed: "),
    ({"negative_slope": 0.5, "activation_args": {"negative_slope": 0.9}}, r"negative_slope=.*; allowed: "),
    ({"activation_args": {"slope": nn.Sequential(nn.ReLU(), nn.ReLU())}}, r"activation_args=.*; allowed: "),
]


@pytest.mark.parametrize(("arguments", "says"), ODD_TYPES)
def test_refuses_odd_types_in_one_line(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        MLP(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["width", "depth", "block_size", "replicas", "seed"])
def test_whole_numbers_of_numpy_and_torch_are_whole_numbers(name: str) -> None:
    for value in (np.int64(2), torch.tensor(2)):
        model = MLP(**{name: value})
        assert type(model.hparams[name]) is int
        assert model(torch.zeros(3, 2)).shape == (2 if name == "replicas" else 1, 3)


def test_grid_points_that_differ_have_different_labels() -> None:
    assert len(MLP(negative_slope=[0.9999999, 1.0]).grid_groups()) == 2


def test_a_subclass_may_change_what_it_passes_on() -> None:
    class Doubled(MLP):
        def __init__(self, replicas: int = 1, **arguments: Any) -> None:
            super().__init__(replicas=2 * replicas, **arguments)

    model = Doubled(replicas=3)
    assert model.num_members == 6
    assert Doubled(**model.hparams).num_members == 6


# ---- training --------------------------------------------------------------------------------------------------------


def plain_loop(model: MLP, clip: Callable[[Any], None] = lambda parameters: None) -> None:
    optimizer = model.configure_optimizers()
    for x in batches():
        optimizer.zero_grad()
        model.loss(model(x), clt_map(x)).sum().backward()
        clip(model.parameters())
        optimizer.step()


CLIPS: dict[str, Callable[[Any], None]] = {
    "norm": lambda parameters: nn.utils.clip_grad_norm_(parameters, 0.05) and None,
    "value": lambda parameters: nn.utils.clip_grad_value_(parameters, 0.05),
    "": lambda parameters: None,
}


@pytest.mark.parametrize("algorithm", CLIPS)
def test_lightning_trains_each_member_as_a_plain_loop_does(algorithm: str) -> None:
    stack = MLP(negative_slope=[0.1, 0.9], replicas=2, symmetry="odd")
    clipping = {"gradient_clip_val": 0.05, "gradient_clip_algorithm": algorithm} if algorithm else {}
    trainer(**clipping).fit(stack, Loader(), Loader(1))
    for m in range(4):
        alone = MLP(negative_slope=[0.1, 0.9], replicas=2, symmetry="odd", members=[m]).double()
        plain_loop(alone, CLIPS[algorithm])
        for p, q in zip(stack.parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(p[m : m + 1].double(), q, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_are_the_sum_in_training_and_quantiles_over_members_in_the_log(loss: str) -> None:
    model = MLP(replicas=5, loss=loss, optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.0)).double()
    seen: list[float] = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
            seen.append(float(outputs["loss"]))

    run = trainer(callbacks=[Watch()])
    run.fit(model, Loader(), Loader(3, seed=1))
    each = torch.stack([LOSSES[loss](model(x), clt_map(x)) for x in batches()]).detach()
    assert seen == pytest.approx(each.sum(dim=1).tolist(), rel=1e-9, abs=1e-12)
    val = torch.stack([LOSSES[loss](model(x), clt_map(x)) for x in batches(3, seed=1)]).detach().mean(dim=0)
    logged = {name: float(value) for name, value in run.callback_metrics.items()}
    for name, level in (("loss/val", 0.5), ("loss/val_q10", 0.1), ("loss/val_q90", 0.9)):
        assert logged[name] == pytest.approx(float(val.quantile(level)), rel=1e-6)  # Lightning keeps float32
    assert logged["loss/train"] == pytest.approx(float(each[-1].median()), rel=1e-6)
    assert logged["members/diverged"] == 0


def test_diverged_members_are_counted_and_left_out_of_the_median() -> None:
    model = MLP(replicas=3).double()
    with torch.no_grad():
        model.readout.weight.theta[1] = torch.nan
    run = trainer()
    run.validate(model, Loader(2), verbose=False)
    assert float(run.callback_metrics["members/diverged"]) == 1
    assert float(run.callback_metrics["loss/val"]) == pytest.approx(
        float(torch.stack([model.loss(model(x), clt_map(x)) for x in batches(2)]).detach().mean(dim=0)[[0, 2]].mean()),
        rel=1e-6,
    )


def test_predictions_are_outputs() -> None:
    model = MLP(replicas=3).double()
    found = trainer().predict(model, Loader(2))
    assert found is not None
    for y, x in zip(found, batches(2), strict=True):
        assert torch.equal(y, model(x))


def test_plateau_schedules_are_refused_for_a_stack() -> None:
    stack = MLP(replicas=2, lr_scheduler=plateau)
    with pytest.raises(
        ValueError, match=r"lr_scheduler=ReduceLROnPlateau gives all members one .*or one member$"
    ) as error:
        stack.configure_optimizers()
    assert "\n" not in str(error.value)
    alone = MLP(lr_scheduler=plateau).configure_optimizers()
    assert alone["lr_scheduler"]["monitor"] == "loss/val"


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_schedules_step_when_asked(interval: Any) -> None:
    model = MLP(
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1.0),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5),
        lr_scheduler_interval=interval,
        width=2,
    )
    run = trainer(max_epochs=2)
    run.fit(model, Loader(3), Loader(1))
    assert run.optimizers[0].param_groups[0]["lr"] == 0.5 ** (6 if interval == "step" else 2)


def test_double_precision_training_keeps_exact_slopes() -> None:
    model = MLP(negative_slope=[0.9, 0.1])
    seen: list[list[float]] = []

    class Watch(Callback):
        def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            seen.append(model.activations[0].negative_slope.tolist())

    trainer(callbacks=[Watch()]).fit(model, Loader(1), Loader(1))
    assert seen == [[0.9, 0.1]]


def test_fixed_weights_are_not_given_to_the_optimiser() -> None:
    model = MLP(activation="spline", weights="fixed", depth=2)
    optimizer = model.configure_optimizers()
    given = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(given) == 2
    assert {id(p) for p in given} == {id(a.theta) for a in model.activations}
