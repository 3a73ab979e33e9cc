"""Hugging Face's own methods, on a local folder and without a network."""

from __future__ import annotations

import importlib
import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from renorm.pretrained.hub import load_pretrained

hub = pytest.importorskip("renorm.pretrained.huggingface")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("name", ["mlp_spline_free.uniform", "gnn_sage_leaky_relu_free.uniform"])
@pytest.mark.parametrize("members", ["best", "all"])
def test_round_trip(name: str, members: str, tmp_path: Path) -> None:
    model = hub.hub_model(name, members)
    model.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["activation"] == model.hparams["activation"]
    again = type(model).from_pretrained(tmp_path)
    original = load_pretrained(name, members)
    assert not again.training
    assert again.num_members == original.num_members
    assert again.member_table == original.member_table
    x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again(x), original(x))
    assert "license: mit" in (tmp_path / "README.md").read_text()


def test_an_epoch_of_a_trajectory() -> None:
    name = "mlp_quadratic_full.uniform"
    x = torch.randn(100, 2)
    assert torch.equal(hub.hub_model(name, epoch=3)(x), load_pretrained(name, epoch=3)(x))
    assert not torch.equal(hub.hub_model(name, epoch=3)(x), hub.hub_model(name)(x))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    hub.hub_model("mlp_relu_free.uniform").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"activation": "spline"}))
    with pytest.raises(RuntimeError, match="theta"):
        hub.HubMLP.from_pretrained(tmp_path)


def test_a_network_of_ones_own(tmp_path: Path) -> None:
    model = hub.HubMLP(width=4, activation="tanh", symmetry="odd", replicas=2)
    model.save_pretrained(tmp_path)
    x = torch.randn(10, 2)
    assert torch.equal(hub.HubMLP.from_pretrained(tmp_path)(x), model(x))


def test_without_the_extra_one_line_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.delitem(sys.modules, "renorm.pretrained.huggingface")
    with pytest.raises(ImportError, match=r"pip install 'renorm\[hub\]'"):
        importlib.import_module("renorm.pretrained.huggingface")
