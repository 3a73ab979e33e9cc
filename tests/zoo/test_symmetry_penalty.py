"""A penalty on the distance to a symmetric subspace: by hand, by its effect, and without any where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from renorm.datamodules import CLTDataModule
from renorm.runs.quiet_trainer import quiet_trainer
from renorm.training.stack import StackedModel
from renorm.zoo import GNN, MLP
from renorm.zoo.symmetry.order_parameter import asymmetries

ODD = {"penalised_symmetry": "odd", "width": 4, "replicas": 2, "activation": "tanh", "seed": 3}


def trained(steps: int = 200, compile: str = "false", **arguments: Any) -> MLP:
    model = MLP(compile=compile, **arguments)
    data = CLTDataModule(batch_size=64, val_samples=64, test_samples=64, steps_per_epoch=steps, seed=1)
    quiet_trainer(steps).fit(model, data)
    return model


def penalties(model: StackedModel) -> torch.Tensor:
    assert model.symmetry_penalty is not None
    found: torch.Tensor = model.symmetry_penalty(model.tied_weights())
    return found


def test_the_distance_of_pairs_by_hand() -> None:
    """Rows w and v of a pair are nearest to ((w - v) / 2, (v - w) / 2): the squared distance is |w + v|^2 / 2."""
    model = MLP(**ODD | {"symmetry_penalty": [0.0, 0.3]}).double()
    (w, _), (a, _) = model.dense()
    expected = (w[:, ::2] + w[:, 1::2]).square().flatten(1).sum(1) / 2 + (a[..., ::2] + a[..., 1::2]).square().flatten(
        1
    ).sum(1) / 2
    strength = torch.tensor([0, 0, 0.3, 0.3], dtype=torch.float64)
    torch.testing.assert_close(penalties(model), strength * expected, rtol=1e-7, atol=0)


@pytest.mark.parametrize("symmetry", ["input", "hidden", "full", "odd", "odd_input", "cyclic"])
def test_distance_and_gradient_are_those_of_least_squares(symmetry: str) -> None:
    model = MLP(width=4, depth=2, symmetry_penalty=1.0, penalised_symmetry=symmetry).double()
    weights = model.tied_weights()
    assert model.symmetry_penalty is not None
    penalty = model.symmetry_penalty(weights)
    found = torch.autograd.grad(penalty.sum(), weights)
    distance = 0.0
    for w, orbits, gradient in zip(weights, model.symmetric_subspaces()[symmetry], found, strict=True):
        design = np.zeros((orbits.index.size, max(orbits.count, 1)))
        design[np.arange(orbits.index.size), orbits.index.ravel()] = orbits.sign.ravel()
        flat = w.detach().numpy().ravel()
        rest = flat - design @ np.linalg.lstsq(design, flat, rcond=None)[0]
        distance += float(rest @ rest)
        np.testing.assert_allclose(gradient.numpy().ravel(), 2 * rest, atol=1e-13)
    assert float(penalty.detach()[0]) == pytest.approx(distance, rel=1e-12)


def test_a_strong_penalty_restores_the_symmetry_and_none_leaves_members_alone() -> None:
    stack = trained(**ODD, symmetry_penalty=[0.0, 10.0])
    assert [member["symmetry_penalty"] for member in stack.member_table] == [0.0, 0.0, 10.0, 10.0]
    found = asymmetries(stack)
    assert all(float(layer["odd"][2:].max()) < 2e-2 for layer in found.values())
    assert all(float(layer["odd"][:2].min()) > 0.1 for layer in found.values())
    alone = trained(**ODD)
    assert alone.symmetry_penalty is None
    for name, weight in alone.state_dict().items():
        if weight.ndim:
            assert torch.equal(weight, stack.state_dict()[name][:2]), name


def test_no_penalty_adds_nothing_to_what_is_saved() -> None:
    assert MLP().state_dict().keys() == MLP(symmetry_penalty=0.1, penalised_symmetry="full").state_dict().keys()
    assert MLP(symmetry_penalty=[0.0, 0.0], penalised_symmetry="full").symmetry_penalty is None
    assert MLP(penalised_symmetry="full").symmetry_penalty is None


def test_graph_networks_have_penalties_too() -> None:
    model = GNN(width=4, symmetry_penalty=[0.1, 0.2], penalised_symmetry="odd_tied", negative_slope=[0.1, 0.5])
    assert model.num_members == 4
    assert list(model.grid_groups())[1] == "negative_slope=0.1, symmetry_penalty=0.2"
    assert penalties(model).shape == (4,)
    assert bool((penalties(model) > 0).all())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            {"symmetry_penalty": -1.0},
            r"symmetry_penalty=-1.0 is out of range; allowed: a finite number >= 0, or a list",
        ),
        ({"symmetry_penalty": float("nan")}, r"symmetry_penalty=nan is out of range"),
        ({"symmetry_penalty": float("inf")}, r"symmetry_penalty=inf is out of range"),
        ({"symmetry_penalty": []}, r"symmetry_penalty=\[\] is out of range"),
        ({"symmetry_penalty": "odd"}, r"symmetry_penalty='odd' is out of range"),
        ({"symmetry_penalty": True}, r"symmetry_penalty=True is out of range"),
        ({"symmetry_penalty": 0.1}, r"penalised_symmetry=None does not fit; allowed: input, hidden, full, odd"),
        (
            {"symmetry_penalty": 0.1, "penalised_symmetry": "free"},
            r"penalised_symmetry='free' does not fit; allowed: input",
        ),
        ({"symmetry_penalty": 0.1, "penalised_symmetry": "odd", "width": 3}, r"penalised_symmetry='odd' does not fit"),
        (
            {"symmetry_penalty": 0.1, "penalised_symmetry": "odd", "weights": "fixed", "activation": "spline"},
            r"weights='fixed' leaves no weights to penalise; allowed: symmetry_penalty=0",
        ),
    ],
)
def test_refuses_in_one_line(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        MLP(**arguments)
    assert "\n" not in str(error.value)
