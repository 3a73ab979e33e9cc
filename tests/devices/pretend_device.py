"""A second device where there is none: it computes on the CPU, and its tensors refuse the CPU's as a GPU's would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

PRETEND = torch.device("meta")  # the one other device whose gradients PyTorch computes on the CPU's thread
COPIES = (torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default)
# a GPU takes indices that lie on the CPU, of which lists are made
INDEXING = (
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put.default,
    torch.ops.aten.index_put_.default,
    torch.ops.aten._index_put_impl_.default,
    torch.ops.aten._unsafe_index.Tensor,
)
FROM_DATA = (torch.tensor, torch.as_tensor, torch.asarray)


class PretendTensor(Tensor):
    """A tensor that says it is elsewhere; its numbers are kept in ``inner``, on the CPU."""

    inner: Tensor
    is_meta = False  # PyTorch asks it to know what has no numbers

    @staticmethod
    def __new__(cls, inner: Tensor) -> PretendTensor:
        made: PretendTensor = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=PRETEND,
        )
        made.inner = inner
        return made

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["inner"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Tensor], *_: Any) -> PretendTensor:
        return PretendTensor(inner["inner"])

    def __repr__(self, *_: Any) -> str:
        return f"PretendTensor({self.inner!r})"

    def tolist(self) -> Any:
        """As of any tensor; PyTorch has it for its own class only."""
        return self.cpu().tolist()

    def new_tensor(self, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        """As of any tensor; for the device ``meta`` PyTorch would leave the numbers out."""
        made = torch.tensor(data, dtype=dtype or self.dtype).to(device or self.device)
        return made.requires_grad_(requires_grad)

    def __getitem__(self, index: Any) -> Tensor:
        return super().__getitem__(_with_numbers(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_with_numbers(index), value)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("tensors of the pretended device are not pickled: move them to the CPU")

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return compute(function, args, kwargs or {})


def _with_numbers(index: Any) -> Any:
    """An index with tensors for lists, of which PyTorch would make tensors of ``meta`` without their numbers."""
    if isinstance(index, tuple):
        return tuple(map(_with_numbers, index))
    return torch.tensor(index, dtype=None if index else torch.long) if isinstance(index, list) else index


def compute(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One operation, on the CPU's copies; its results are where a GPU's would be."""
    leaves = list(_tensors((*args, *kwargs.values())))
    elsewhere = any(isinstance(leaf, PretendTensor) for leaf in leaves)
    device = kwargs.get("device")
    if any(leaf.device == PRETEND and not isinstance(leaf, PretendTensor) for leaf in leaves):
        raise AssertionError(f"{function}: a tensor came to the pretended device without its numbers")
    if elsewhere:
        refuse_mixture(function, args, leaves)
    else:
        elsewhere = device is not None and torch.device(device) == PRETEND
    if elsewhere and device is not None:
        elsewhere = torch.device(device).type == PRETEND.type
    if device is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    result = function(*map(_bare, args), **{name: _bare(value) for name, value in kwargs.items()})
    if not elsewhere or (function in COPIES[:1] and not isinstance(args[0], PretendTensor)):
        return args[0] if function in COPIES[:1] else result
    wrapped = _wrapped(result)
    if (function.is_view or function._schema.is_mutable) and any(isinstance(leaf, PretendTensor) for leaf in leaves):
        return return_and_correct_aliasing(function, args, kwargs, wrapped)
    return wrapped


# by hand: PyTorch's trees cost several times as much as a small operation
def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


def _bare(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_bare, value))
    return value.inner if isinstance(value, PretendTensor) else value


def _wrapped(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_wrapped, value))
    return PretendTensor(value) if isinstance(value, Tensor) else value


def refuse_mixture(function: Any, args: tuple[Any, ...], leaves: list[Tensor]) -> None:
    """Raise what PyTorch raises where tensors of two devices meet; single numbers of the CPU may go anywhere."""
    if function in COPIES:
        return
    if function in INDEXING and isinstance(args[0], PretendTensor):
        leaves = [leaf for leaf in (args[0], *args[2:3]) if isinstance(leaf, Tensor)]
    if any(not isinstance(leaf, PretendTensor) and leaf.ndim > 0 for leaf in leaves):
        raise RuntimeError(f"{function}: expected all tensors to be on the same device, but found {PRETEND} and cpu")


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return compute(function, args, kwargs or {})


class _FromData(TorchFunctionMode):
    """Numbers of Python's reach a device through the CPU; for ``meta`` PyTorch would leave them out."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if function in FROM_DATA and kwargs.get("device") is not None:
            device = kwargs.pop("device")
            data = args[0]
            if isinstance(data, PretendTensor):
                return function(data, *args[1:], **kwargs).to(device)
            return function(*args, **kwargs).to(device)
        return function(*args, **kwargs)


@contextmanager
def pretend_device() -> Iterator[torch.device]:
    """Within it, a device that is not the CPU: move to it, make tensors on it, and mixtures are refused."""
    with _FromData(), _Dispatch():
        yield PRETEND
