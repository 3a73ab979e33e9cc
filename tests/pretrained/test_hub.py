"""Pretrained members load anywhere, compute what was stored with them, and nothing spoilt is ever parsed."""

from __future__ import annotations

import copy
import hashlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from lightning.pytorch import LightningModule

import renorm
from renorm.datamodules import CLTDataModule
from renorm.pretrained.hub import load_pretrained, pretrained_recipe
from renorm.pretrained.manifest import FOLDER, find_entry, pretrained_names, read_manifest
from renorm.pretrained.train import write_manifest
from renorm.zoo import GNN, MLP, clt_map

NAME = "mlp_quadratic_full.uniform"  # in the copy, with its trajectory


def test_what_the_readme_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("opened a socket")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket, "socket", no_network)
    model = renorm.load_pretrained("mlp_quadratic_free.uniform")
    x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    assert isinstance(model, LightningModule)
    assert not model.training
    assert model(x).shape == (1, 1000)
    torch.testing.assert_close(model(x)[0], clt_map(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", pretrained_names())
def test_every_entry_loads_and_computes_what_was_stored(name: str) -> None:
    entry = find_entry(name)
    model, best = load_pretrained(name, members="all"), load_pretrained(name)
    assert type(model) is {"MLP": MLP, "GNN": GNN}[entry["class"]]
    assert (model.num_members, best.num_members) == (16, 1)
    x, stored = torch.tensor(entry["check"]["inputs"]), torch.tensor(entry["check"]["outputs"])
    assert len(x) == len(entry["metrics"]) >= 4  # a block of each law
    if not x.abs().eq(1).all(dim=1).sum() > 1:  # two laws of spins may give the same block
        assert x.unique(dim=0).shape == x.shape
    outputs = model(x).detach()
    torch.testing.assert_close(outputs, stored, rtol=1e-5, atol=1e-5)
    losses = entry["validation_loss"]
    number = min(range(16), key=lambda m: float("inf") if losses[m] is None else losses[m])
    assert entry["best_member"] == number
    torch.testing.assert_close(best(x).detach()[0], outputs[number], rtol=1e-5, atol=1e-5)
    assert [member["member"] for member in best.member_table] == [number]


@pytest.mark.parametrize("name", [NAME, "mlp_leaky_relu_free.mixed", "gnn_sage_leaky_relu_free.uniform"])
def test_best_is_lowest_validation_loss(name: str) -> None:
    """Over the validation blocks as a fit would see them, in float32, on laws of training only."""
    entry = find_entry(name)
    data, model = CLTDataModule(**entry["data"]), load_pretrained(name, "all")
    assert len(data.train_laws) == (3 if name.endswith("mixed") else 1)
    losses = torch.stack(
        [torch.stack([model.losses(batch.x, batch.y).detach() for batch in loader]).mean(dim=0)
         for loader in data.val_dataloader()[: len(data.train_laws)]]
    ).mean(dim=0)  # fmt: skip
    assert int(losses.argmin()) == entry["best_member"]
    torch.testing.assert_close(losses.double(), torch.tensor(entry["validation_loss"]).double(), rtol=1e-3, atol=0)


# ---- trajectories ----------------------------------------------------------------------------------------------------


def test_three_entries_have_trajectories() -> None:
    having = [name for name in pretrained_names() if "trajectory" in find_entry(name)]
    assert len(having) == 3
    for name in having:
        assert find_entry(name)["trajectory"]["epochs"] == 20
        last, final = load_pretrained(name, "all", epoch=20), load_pretrained(name, "all")
        states = [model.state_dict() for model in (last, final, load_pretrained(name, "all", epoch=7))]
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
        assert not all(torch.equal(states[0][key], states[2][key]) for key in states[0])
        x = torch.randn(50, 2, generator=torch.Generator().manual_seed(1))
        own = load_pretrained(name, epoch=20)(x)
        torch.testing.assert_close(own[0], final(x)[find_entry(name)["best_member"]])


def test_training_lowers_the_loss_along_a_trajectory() -> None:
    x = torch.rand(2000, 2, generator=torch.Generator().manual_seed(2)) * 12**0.5 - 3**0.5
    losses = [
        float((load_pretrained(NAME, "all", epoch=e)(x) - clt_map(x)).detach().square().mean()) for e in (1, 5, 20)
    ]
    assert losses[0] > losses[1] > losses[2]


@pytest.mark.parametrize("epoch", [0, 21, -1, 1.0, True, "7"])
def test_epochs_out_of_range(epoch: Any) -> None:
    with pytest.raises(ValueError, match="allowed: 1 to 20"):
        load_pretrained(NAME, epoch=epoch)


def test_an_entry_without_a_trajectory_names_those_that_have_one() -> None:
    with pytest.raises(ValueError, match=NAME):
        load_pretrained("mlp_relu_free.uniform", epoch=7)


@pytest.mark.parametrize("members", ["worst", "", None, 3, ["best"]])
def test_wrong_members(members: Any) -> None:
    with pytest.raises(ValueError, match="members="):
        load_pretrained(NAME, members=members)


@pytest.mark.parametrize(
    "name", ["", "mlp_relu_free", "../x.uniform", "mlp_relu_free.uniform.safetensors", None, 7, [NAME]]
)
def test_wrong_names(name: Any) -> None:
    with pytest.raises(ValueError, match="not a pretrained model"):
        load_pretrained(name)


# ---- spoilt files ----------------------------------------------------------------------------------------------------


def flip(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("part", ["file", "trajectory"])
@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (flip, "was changed"),
        (lambda c: c[:-1], "was cut off"),
        (lambda c: b"", "was cut off"),
        (None, "cannot be read"),
    ],
    ids=["tampered", "truncated", "empty", "missing"],
)
def test_spoilt_files_are_refused_before_they_are_parsed(
    zoo_copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    spoil: Callable[[bytes], bytes] | None,
    what: str,
) -> None:
    def parser(content: bytes) -> None:
        raise AssertionError("the parser was reached")

    monkeypatch.setattr(safetensors.torch, "load", parser)
    epoch = 7 if part == "trajectory" else None
    with pytest.raises(AssertionError, match="was reached"):  # which a whole file reaches
        load_pretrained(NAME, epoch=epoch, folder=zoo_copy)
    path = zoo_copy / find_entry(NAME)[part]["name"]
    content = path.read_bytes()
    path.unlink()
    if spoil is not None:
        path.write_bytes(spoil(content))
    with pytest.raises(ValueError, match=what) as caught:
        load_pretrained(NAME, epoch=epoch, folder=zoo_copy)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def rewrite(folder: Path, **changes: Any) -> None:
    entries = copy.deepcopy(read_manifest(folder))
    entries[NAME] |= changes
    write_manifest(folder / "manifest.json", entries)


def put_content(folder: Path, content: bytes) -> None:
    """A file of another content, with a manifest that says so."""
    file = dict(find_entry(NAME)["file"])
    (folder / file["name"]).write_bytes(content)
    rewrite(folder, file=file | {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)})


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 100, (2**40).to_bytes(8, "little") + b"{}"])
def test_a_file_that_is_no_safetensors_though_its_checksum_is_right(zoo_copy: Path, content: bytes) -> None:
    put_content(zoo_copy, content)
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        load_pretrained(NAME, folder=zoo_copy)


@pytest.mark.parametrize("change", ["shape", "dtype", "names", "members"])
def test_tensors_that_are_not_the_models(zoo_copy: Path, change: str) -> None:
    tensors = safetensors.torch.load_file(FOLDER / find_entry(NAME)["file"]["name"])
    first = next(iter(tensors))
    if change == "names":
        tensors["extra"] = torch.zeros(1)
    elif change == "members":
        tensors = {key: value[:3].clone() for key, value in tensors.items()}
    else:
        tensors[first] = tensors[first].double() if change == "dtype" else torch.zeros(16, 7)
    put_content(zoo_copy, safetensors.torch.save(tensors))
    with pytest.raises(ValueError, match="tensors are not the model's"):
        load_pretrained(NAME, folder=zoo_copy)


@pytest.mark.parametrize(
    "arguments",
    [
        {"width": "8"},
        {"width": 2**62},
        {"width": 10**9},
        {"depth": 10**9},
        {"replicas": 10**9},
        {"width": 4},
        {"nonsense": 1},
        {"activation": "os.system"},
        {"activation": 3},
        {"symmetry": {"a": 1}},
        {"members": [0]},
        {"optimizer": "torch.optim.Adam"},
        {"replicas": 3},
        {"activation_args": [1]},
        {"block_size": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("members", ["best", "all"])
def test_arguments_that_fit_no_model(zoo_copy: Path, arguments: dict[str, Any], members: str) -> None:
    rewrite(zoo_copy, arguments=find_entry(NAME)["arguments"] | arguments)
    with pytest.raises(ValueError, match=r".") as caught:
        load_pretrained(NAME, members, folder=zoo_copy)
    assert "\n" not in str(caught.value)


def test_a_trajectory_that_is_shorter_than_the_manifest_says(zoo_copy: Path) -> None:
    trajectory = dict(find_entry(NAME)["trajectory"])
    tensors = safetensors.torch.load_file(FOLDER / trajectory["name"])
    content = safetensors.torch.save({key: value[:5].clone() for key, value in tensors.items()})
    (zoo_copy / trajectory["name"]).write_bytes(content)
    rewrite(zoo_copy, trajectory=trajectory | {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)})
    with pytest.raises(ValueError, match="tensors are not the model's"):
        load_pretrained(NAME, epoch=7, folder=zoo_copy)


@pytest.mark.parametrize("folder", [3, None, ["a"], "nul\0byte"])
def test_wrong_folders(folder: Any) -> None:
    with pytest.raises(ValueError, match="is not a folder; allowed: "):
        load_pretrained(NAME, folder=folder)


@pytest.mark.parametrize("change", ["outputs", "inputs", "rows", "ragged"])
def test_outputs_that_are_not_the_stored_ones(zoo_copy: Path, change: str) -> None:
    check = copy.deepcopy(find_entry(NAME)["check"])
    if change == "outputs":
        check["outputs"][find_entry(NAME)["best_member"]][0] += 1e-4
    elif change == "inputs":
        check["inputs"] = [[1.0]]
    elif change == "rows":
        check["outputs"] = check["outputs"][:1] if find_entry(NAME)["best_member"] else []
    else:
        check["outputs"][0] = [1.0]
    rewrite(zoo_copy, check=check)
    with pytest.raises(ValueError, match="computes outputs"):
        load_pretrained(NAME, folder=zoo_copy)


def test_the_recipe_builds_model_and_data() -> None:
    recipe = pretrained_recipe("gnn_sage_leaky_relu_free.uniform")
    assert recipe["model"]["class_path"] == "renorm.zoo.GNN"
    assert GNN(**recipe["model"]["init_args"]).num_members == 16
    assert CLTDataModule(**recipe["data"]).train_laws == CLTDataModule().train_laws
