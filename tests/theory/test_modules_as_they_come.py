"""What people bring: modules that are compiled, cast, parametrised or written in place, and input of all kinds."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch_geometric.nn as gnn
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from renorm.cumulants import GaussianInput, MixtureInput, law_of_data, propagate
from renorm.cumulants.propagation import Propagation
from renorm.errors import InputError


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(1)
    return make().eval().requires_grad_(False)


def propagated(net: nn.Module, law: object = "gaussian()", **how: object) -> Propagation:
    return propagate(net, law, order=2, method="gaussian", **how)


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 3))

    def forward(self, x: Tensor) -> Tensor:
        h = self.branch(x)
        h += x
        h.mul_(2)
        return h


class Plain(InPlace):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * (x + self.branch(x))


class Casts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4).half()

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.half()).float().relu()


class Einsum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bi,ij->bj", x, self.weight).tanh()


def same_weights(net: nn.Module) -> nn.Module:
    """A chain of plain layers that is the same function."""
    if isinstance(net, Casts):
        return nn.Sequential(copy.deepcopy(net.linear).double(), nn.ReLU())
    if isinstance(net, Einsum):
        linear = nn.Linear(3, 4, bias=False).double()
        linear.weight.data = net.weight.data.mT.double()
        return nn.Sequential(linear, nn.Tanh())
    linear = nn.Linear(3, 4).double()
    linear.weight.data, linear.bias.data = net[0].weight.data.double(), net[0].bias.data.double()
    return nn.Sequential(linear, *list(net)[1:]).double()


MODULES = {
    "casts": Casts,
    "einsum": Einsum,
    "half": lambda: nn.Sequential(nn.Linear(3, 4), nn.GELU()).half(),
    "bfloat16": lambda: nn.Sequential(nn.Linear(3, 4), nn.GELU()).bfloat16(),
    "weight_norm": lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 4).double()), nn.Tanh()),
    "spectral_norm": lambda: nn.Sequential(parametrizations.spectral_norm(nn.Linear(3, 4).double()), nn.Tanh()),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_of_any_precision_and_making_are_their_plain_layers(name: str) -> None:
    net = seeded(MODULES[name])
    expected = propagated(same_weights(net).requires_grad_(False), shape=(3,))
    found = propagated(net, shape=(3,))
    for n in (1, 2):
        assert torch.allclose(found["out"].cumulants(n), expected["out"].cumulants(n), rtol=1e-12, atol=1e-14)


def test_writing_in_place_is_the_same_as_not() -> None:
    found, expected = (propagated(seeded(make), shape=(3,))["out"] for make in (InPlace, Plain))
    assert torch.allclose(found.cumulants(2), expected.cumulants(2), rtol=1e-12)


def compiled_in_place() -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    net.compile(backend="eager")
    return net


def with_compiled_part() -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    net[1] = torch.compile(net[1], backend="eager")
    return net


@pytest.mark.parametrize("compiled", [compiled_in_place, with_compiled_part])
def test_compiled_modules_are_read_as_what_they_were_made_from(compiled: Callable[[], nn.Module]) -> None:
    expected = propagated(seeded(lambda: nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))))
    net = seeded(compiled)
    for given in (net, torch.compile(net, backend="eager")):
        found = propagated(given)
        assert list(found) == ["0", "1", "2", "out"]
        assert torch.equal(found.marginals("out"), expected.marginals("out"))
    assert isinstance(net[1], type(seeded(compiled)[1]))  # it is still compiled


def test_gradients_reach_the_weights_of_compiled_modules() -> None:
    net = nn.Sequential(torch.compile(nn.Linear(2, 1), backend="eager"))
    propagated(net).marginals("out")[1].sum().backward()
    assert net[0].weight.grad is not None
    assert bool(net[0].weight.grad.any())


def test_a_module_keeps_its_modes_hooks_and_buffers() -> None:
    net = nn.Sequential(nn.Linear(3, 4).double(), nn.BatchNorm1d(4).double(), nn.Linear(4, 2).double()).eval()
    net[0].train()
    net[0].weight.requires_grad_(False)
    net[2].register_forward_hook(lambda module, args, output: None)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    propagated(net)
    assert [module.training for module in net.modules()] == [False, True, False, False]
    assert [parameter.requires_grad for parameter in net.parameters()] == [False, True, True, True, True, True]
    assert len(net[2]._forward_hooks) == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


# ---- what is refused -------------------------------------------------------------------------------------------------


class CannotBeCopied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.numbers = nn.Linear(2, 2), (number for number in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


class Returns(nn.Module):
    def __init__(self, value: object) -> None:
        super().__init__()
        self.linear, self.value = nn.Linear(2, 2), value

    def forward(self, x: Tensor) -> object:
        h = self.linear(x)
        return (h, self.value) if self.value == "a word" else self.value


class Fails(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return next(x for _ in ())


class Attends(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x)[0]


EDGES = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
ITSELF = r"^the network itself, forward of"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: propagated(nn.Sequential(nn.LazyLinear(3))), r"^net\.0 \(LazyLinear\) has no weights yet; allowed: "),
        (
            lambda: propagated(torch.jit.script(nn.Linear(2, 1))),
            rf"{ITSELF} RecursiveScriptModule, is TorchScript; allo",
        ),
        (
            lambda: propagated(nn.Sequential(torch.jit.script(nn.Linear(2, 1)))),
            r"^net\.0 \(Recur.* is TorchScript; all",
        ),
        (lambda: propagated(CannotBeCopied()), rf"{ITSELF} CannotBeCopied, cannot be copied: TypeError: .*; allowed: "),
        (lambda: propagated(Returns(None)), rf"{ITSELF} Returns, returns None; allowed: a tensor, or several"),
        (lambda: propagated(Returns(())), rf"{ITSELF} Returns, returns \(\); allowed"),
        (lambda: propagated(Returns("a word")), rf"{ITSELF} Returns, returns a str that does not depend on its input"),
        (
            lambda: propagated(nn.Sequential(Fails()), shape=(2,)),
            r"^net\.0 \(Fails\) fails on shape \(1, 2\): StopIter",
        ),
        (
            lambda: propagated(nn.Linear(2, 2, dtype=torch.complex64)),
            rf"{ITSELF} Linear, has complex numbers in weight",
        ),
        (lambda: propagated(nn.ReLU()), "^shape=None: neither the law nor the network says it; allowed: "),
        (
            lambda: propagated(nn.Sequential(parametrizations.spectral_norm(nn.Linear(2, 2)))),
            r"^net\.0\.param.* \(_SpectralNorm\) is in training mode; allowed: ",
        ),
        (
            lambda: propagated(Attends().eval(), shape=(3, 4)),
            r"^net\.attention \(MultiheadAttention\) calls multi_head",
        ),
        (
            lambda: propagated(
                gnn.GCNConv(2, 3).eval(), shape=(4, 2), edge_index=EDGES, edge_weight=torch.tensor([-3.0, 1, -3, 1])
            ),
            rf"{ITSELF} GCNConv, gives numbers that are not finite; allowed: edges and weights",
        ),
        (
            lambda: MixtureInput(["gaussian()", "uniform()"], weights=0.5),
            r"^weights=0\.5 is not a list of numbers; allow",
        ),
        (
            lambda: MixtureInput(["gaussian()", "uniform()"], ["a", "b"]),
            r"^weights=\['a', 'b'\] is not a list of numbers",
        ),
        (
            lambda: MixtureInput([GaussianInput(torch.zeros(shape), torch.eye(4)) for shape in ((4,), (2, 2))]),
            r"^components have the shapes \[\(4,\), \(2, 2\)\]; allowed: one shape for all",
        ),
        (lambda: law_of_data(torch.tensor([[torch.nan]])), "^values has numbers that are not finite; allowed: "),
        (lambda: law_of_data([[1.0], [1.0, 2.0]]), "^values is a list that is not made of numbers; allowed: "),
        (lambda: law_of_data(torch.zeros(3)), r"^values=shape \(3,\) is not data; allowed: "),
        (lambda: law_of_data(torch.zeros(3, 2, dtype=torch.complex64)), "^values is complex; allowed: real numbers"),
        (lambda: GaussianInput.of_data(torch.zeros(3, 2).cfloat()), "^x is complex; allowed: real numbers"),
        (lambda: propagated(nn.Linear(2, 1), torch.zeros(3, 2).cfloat()), "^law is complex; allowed: real numbers"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert "; allowed: " in str(caught.value)


def test_arrays_and_lists_are_data_as_tensors_are() -> None:
    x = np.array([[0.0, 1.0], [2.0, 5.0], [4.0, 0.0]])
    for given in (x, x.tolist(), torch.from_numpy(x)):
        assert law_of_data(given).marginal(1).flatten().tolist() == pytest.approx([2.0, 2.0])
        assert GaussianInput.of_data(given).mean.tolist() == [2.0, 2.0]
        assert propagated(nn.Identity(), given).marginals("out")[0, 0].tolist() == pytest.approx([2.0, 2.0])
