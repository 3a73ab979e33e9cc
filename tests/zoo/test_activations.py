"""Activations: closed forms agree with the function, flags are true, one class is all that a new one takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from renorm import create_model, list_models
from renorm.zoo import GNN, MLP, Activation, list_activations
from renorm.zoo.activations import REGISTRY, Piecewise, find
from renorm.zoo.symmetry.symmetry import list_symmetries

Array = NDArray[np.float64]
GRIDS: dict[str, dict[str, list[float]]] = {
    "quadratic": {"alpha": [-0.3, 0.0, 2.5]},
    "leaky_relu": {"negative_slope": [-0.4, 0.1, 0.9]},
}


def build(name: str, members: int = 3, units: int = 2) -> Activation:
    activation = find(name)(members, torch.arange(units), **GRIDS.get(name, {})).double()
    generator = torch.Generator().manual_seed(0)
    activation.reset_parameters(lambda shape: torch.rand(members, *shape, generator=generator, dtype=torch.float64))
    return activation


def grid(pieces: Piecewise | None) -> Tensor:
    """A dense grid, with every kink and both its sides."""
    kinks = torch.zeros(1) if pieces is None else pieces.breaks
    near = [kinks, kinks - 1e-9, kinks + 1e-9]
    return torch.cat([torch.linspace(-8, 8, 801, dtype=torch.float64), *(k.double() for k in near)])


def naive_piecewise(pieces: Piecewise, z: Tensor) -> Tensor:
    """Sum of powers, point by point: the definition in the docstring of Piecewise."""
    members, units = pieces.coefficients.shape[:2]
    value = torch.zeros(members, units, len(z), dtype=torch.float64)
    for i, point in enumerate(z.tolist()):
        cell = int((pieces.breaks <= point).sum())
        for power in range(pieces.coefficients.shape[-1]):
            value[:, :, i] += pieces.coefficients[:, :, cell, power] * (point - float(pieces.origins[cell])) ** power
    return value


def test_the_documented_activations_exist() -> None:
    assert set(list_activations()) == {"linear", "quadratic", "relu", "leaky_relu", "tanh", "gelu", "spline"}


@pytest.mark.parametrize("name", list_activations())
def test_piecewise_form_is_the_function(name: str) -> None:
    activation = build(name)
    pieces = activation.piecewise()
    if pieces is None:
        assert name in ("tanh", "gelu")
        return
    assert (pieces.breaks.diff() > 0).all()
    assert pieces.coefficients.shape[2] == len(pieces.origins) == len(pieces.breaks) + 1
    assert {t.dtype for t in pieces} == {torch.float64}
    z = grid(pieces)
    expected = activation(z.expand(3, 2, -1))
    actual = naive_piecewise(pieces, z).expand_as(expected)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", list_activations())
def test_polynomial_form_is_the_function(name: str) -> None:
    activation = build(name)
    coefficients = activation.polynomial()
    assert (coefficients is not None) == (name in ("linear", "quadratic"))
    if coefficients is not None:
        z = grid(None)
        expected = np.stack([np.polynomial.polynomial.polyval(z.numpy(), c) for c in coefficients.numpy()])
        np.testing.assert_allclose(activation(z.expand(3, 1, -1))[:, 0].numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", list_activations())
def test_parity_flag_is_true(name: str) -> None:
    activation = build(name)
    z = grid(None).expand(3, 2, -1)
    is_odd = torch.allclose(activation(-z), -activation(z), rtol=1e-14, atol=1e-14)
    assert is_odd == (find(name).parity == "odd")


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("linear", lambda z, m: z),
        ("quadratic", lambda z, m: z + GRIDS["quadratic"]["alpha"][m] * z**2),
        ("relu", lambda z, m: np.maximum(z, 0)),
        ("leaky_relu", lambda z, m: np.where(z < 0, GRIDS["leaky_relu"]["negative_slope"][m] * z, z)),
        ("tanh", lambda z, m: np.tanh(z)),
    ],
)
def test_value_of_each_member(name: str, formula: object) -> None:
    z = grid(None)
    for nodes in ((), (4,)):  # graphs have one more axis
        value = build(name)(z.expand(3, 2, *nodes, -1))
        assert value.shape == (3, 2, *nodes, len(z))
        for m in range(3):
            expected = formula(z.numpy(), m)  # type: ignore[operator]
            np.testing.assert_allclose(value[m, 1].reshape(-1, len(z))[0].numpy(), expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", list_activations())
def test_gradient_is_the_derivative(name: str) -> None:
    activation = build(name)
    z = torch.tensor([-4.1, -1.3, -0.2, 0.3, 1.1, 4.2], dtype=torch.float64).repeat(3, 2, 1).requires_grad_()
    assert torch.autograd.gradcheck(activation, (z,))


@pytest.mark.parametrize(
    ("name", "parameter", "value"), [("leaky_relu", "negative_slope", 0.9), ("quadratic", "alpha", 0.1)]
)
def test_grid_values_are_exact_in_double_precision(name: str, parameter: str, value: float) -> None:
    activation = find(name)(2, torch.arange(2), **{parameter: [value, -value]})
    assert getattr(activation, parameter).dtype == torch.float32
    for _ in range(2):  # also after a way back through float32 and half
        activation = activation.half().float().double()
        assert getattr(activation, parameter).tolist() == [value, -value]
    pieces = activation.float().piecewise()
    assert pieces is not None
    assert value in pieces.coefficients.flatten().tolist()


@pytest.fixture
def sine() -> Iterator[str]:
    class Sine(Activation):
        """sin(frequency * z)."""

        name, parity, grid = "sine_of_a_test", "odd", ("frequency",)

        def __init__(self, members: int, units: Tensor, frequency: float | list[float] = 1.0) -> None:
            super().__init__(members, units)
            self.member_parameter("frequency", frequency)
            self.frequency: Tensor

        def forward(self, z: Tensor) -> Tensor:
            return torch.sin(self.like(self.frequency, z) * z)

    yield Sine.name
    del REGISTRY[Sine.name]


def test_one_class_is_a_new_activation_everywhere(sine: str) -> None:
    assert sine in list_activations()
    assert list_models(f"mlp_{sine}_*") == [f"mlp_{sine}_{symmetry}" for symmetry in list_symmetries()]
    model = create_model(f"mlp_{sine}_odd", activation_args={"frequency": [0.5, 2.0]}, replicas=2)
    assert [m["frequency"] for m in model.member_table] == [0.5, 0.5, 2.0, 2.0]
    assert list(model.grid_groups()) == ["frequency=0.5", "frequency=2"]
    x = torch.randn(6, 2)
    values = model.trace(x)
    torch.testing.assert_close(values["act0"][3], torch.sin(2.0 * values["pre0"][3]))
    torch.testing.assert_close(model(-x), -model(x))
    assert MLP(activation=sine).num_members == 1
    with pytest.raises(ValueError, match=r"phase=1.0 is not a parameter of activation .* allowed: frequency"):
        MLP(activation=sine, activation_args={"phase": 1.0})


@pytest.mark.parametrize(
    "parameters",
    [
        {"activation": "leaky_relu", "negative_slope": [0.5, 0.9]},
        {"activation": "quadratic", "alpha": 0.0},
        {"activation": "spline", "degree": 2, "knots": 4, "extension": "zero", "per_unit": False, "spline": "fixed"},
    ],
)
def test_activation_args_and_keywords_are_the_same(parameters: dict[str, Any]) -> None:
    mapping = {name: value for name, value in parameters.items() if name != "activation"}
    by_keyword = MLP(width=3, replicas=2, **parameters)
    by_mapping = MLP(width=3, replicas=2, activation=parameters["activation"], activation_args=mapping)
    assert by_keyword.activation_parameters == by_mapping.activation_parameters
    assert by_keyword.activation_parameters.items() >= mapping.items()
    assert by_keyword.member_table == by_mapping.member_table
    x = torch.randn(6, 2)
    assert torch.equal(by_keyword(x), by_mapping(x))
    for model in (by_keyword, by_mapping):
        assert torch.equal(MLP(**model.hparams)(x), by_keyword(x))  # as a checkpoint builds it


def test_the_parameters_of_an_own_activation_are_keywords_too(sine: str) -> None:
    model = MLP(activation=sine, frequency=[0.5, 2.0])
    assert list(model.grid_groups()) == ["frequency=0.5", "frequency=2"]
    assert "frequency=[0.5, 2.0]" in str(model)


def test_a_keyword_of_no_activation_is_a_mistake() -> None:
    for base in (MLP, GNN):
        with pytest.raises(TypeError, match=r"^\w+.__init__\(\) got an unexpected keyword argument 'negative_slop'$"):
            base(negative_slop=0.5)


def test_hyperparameters_of_older_versions_are_read() -> None:
    # they named every activation's parameters, set or not
    unset = dict.fromkeys(("alpha", "degree", "knots", "extension", "per_unit", "spline", "activation_args"))
    model = MLP(activation="leaky_relu", negative_slope=0.3, **unset)
    assert str(model) == str(MLP(negative_slope=0.3))
    assert torch.equal(model(torch.ones(1, 2)), MLP(negative_slope=0.3)(torch.ones(1, 2)))


def test_an_activation_is_forgotten_when_it_is_taken_out() -> None:
    assert not list_models("*sine*")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"activation": "rleu"}, r"activation='rleu' is unknown; allowed: linear, .*did you mean 'relu'\?"),
        ({"activation": None}, r"activation=None is unknown; allowed: linear"),
        ({"activation": "relu", "alpha": 0.5}, r"alpha=0.5 is not a parameter of activation 'relu'; allowed: none"),
        ({"activation": "quadratic", "degree": 3}, r"degree=3 is not a parameter .* allowed: alpha"),
        ({"activation": "spline", "alpha": 3.0}, r"alpha=3.0 is not a parameter .* allowed: degree, knots, extension"),
        ({"activation": "quadratic", "alpha": []}, r"alpha=\[\] is not a grid; allowed: .*finite"),
        ({"activation": "quadratic", "alpha": [0.1, float("nan")]}, r"alpha=\[0.1, nan\] is not a grid"),
        ({"activation": "quadratic", "alpha": [[0.1]]}, r"alpha=\[\[0.1\]\] is not a grid"),
        ({"activation": "quadratic", "alpha": "much"}, r"alpha='much' is not a grid; allowed: a finite number"),
        ({"activation": "quadratic", "alpha": True}, r"alpha=True is not a grid"),
        ({"activation": "quadratic", "alpha": 10**400}, r"alpha=1000.* is not a grid"),
        ({"activation": "leaky_relu", "negative_slope": float("inf")}, r"negative_slope=inf is not.*allowed: a finite"),
        ({"activation_args": {"members": 3}}, r"members=3 is not a parameter of activation 'leaky_relu'"),
        ({"activation_args": {"units": 3}}, r"units=3 is not a parameter of activation 'leaky_relu'"),
    ],
)
def test_refuses_in_one_line(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        MLP(**arguments)
    assert "\n" not in str(error.value)


def test_member_parameter_is_finite() -> None:
    with pytest.raises(ValueError, match=r"alpha=\[0.1, nan\] is not finite; allowed: finite numbers"):
        find("quadratic")(2, torch.arange(1), alpha=[0.1, float("nan")])
