"""Networks with ``save_pretrained``, ``from_pretrained`` and ``push_to_hub`` of Hugging Face; needs the extra ``hub``."""

from __future__ import annotations

from typing import Any

try:
    from huggingface_hub import PyTorchModelHubMixin
except ImportError:
    raise ImportError("renorm.pretrained.huggingface needs huggingface_hub: pip install 'renorm[hub]'") from None

from ..zoo import GNN, MLP
from .hub import load_pretrained
from .manifest import find_entry


class _Strict(PyTorchModelHubMixin):
    """The mixin, which refuses weights that are not the model's instead of leaving them at random."""

    @classmethod
    def _from_pretrained(cls, *, strict: bool = True, **kwargs: Any) -> Any:
        # not every version of the mixin calls eval()
        return super()._from_pretrained(strict=strict, **kwargs).eval()


class HubMLP(_Strict, MLP, library_name="renorm", license="mit"):
    """:class:`renorm.zoo.MLP` with the methods of Hugging Face.

    Example:
        >>> HubMLP(width=4, replicas=2)(torch.zeros(5, 2)).shape
        torch.Size([2, 5])
    """


class HubGNN(_Strict, GNN, library_name="renorm", license="mit"):
    """:class:`renorm.zoo.GNN` with the methods of Hugging Face.

    Example:
        >>> HubGNN(width=4, replicas=2)(torch.zeros(5, 2)).shape
        torch.Size([2, 5])
    """


def hub_model(name: str, members: str = "best", epoch: int | None = None) -> HubMLP | HubGNN:
    """A pretrained entry as a model for Hugging Face.

    Args:
        name: ``arch.tag``.
        members: ``best`` or ``all``.
        epoch: weights after this epoch of training, where the entry has its trajectory; the last by default.

    Raises:
        ValueError: see :func:`renorm.load_pretrained`.

    Example:
        >>> hub_model("mlp_quadratic_free.uniform")(torch.zeros(5, 2)).shape
        torch.Size([1, 5])
    """
    model = load_pretrained(name, members, epoch)
    cls: type[HubMLP] | type[HubGNN] = HubMLP if find_entry(name)["class"] == "MLP" else HubGNN
    # config.json is what was passed here
    twin = cls(**{key: value for key, value in model.hparams.items() if value is not None})
    twin.load_state_dict(model.state_dict())
    twin.learned_map = model.learned_map
    return twin.eval()
