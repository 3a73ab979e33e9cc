"""The manifest is input like any other: what is none is refused in one line, and never parsed past its checksum."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from renorm import maps
from renorm.pretrained.manifest import (
    FOLDER,
    check_entry,
    find_entry,
    map_of,
    pretrained_names,
    read_file,
    read_manifest,
)
from renorm.pretrained.train import write_manifest
from renorm.zoo.registry import find_variant, list_models

NAME = "mlp_relu_free.uniform"


def one_line(caught: pytest.ExceptionInfo[ValueError]) -> str:
    message = str(caught.value)
    assert "\n" not in message
    assert "allowed" in message or "install renorm again" in message or "cannot be read" in message
    return message


def test_there_are_enough_entries_of_every_kind() -> None:
    names = pretrained_names()
    assert len(names) >= 40
    assert names == yaml.safe_load((FOLDER / "recipes.yaml").read_text())["models"]
    variants = [find_variant(name.partition(".")[0]).arguments for name in names]
    for kind in ("mlp_", "gnn_"):
        have = {name.partition(".")[0] for name in names if name.startswith(kind)}
        registered = [find_variant(name).arguments for name in list_models(f"{kind}*")]
        own = [find_variant(name).arguments for name in have]
        assert {v["activation"] for v in own} == {v["activation"] for v in registered}
        # those whose units move along with the block have no entries yet
        assert {v["symmetry"] for v in own} == {v["symmetry"] for v in registered} - {
            "cyclic",
            "dihedral",
        }
    assert {v.get("layer") for v in variants} >= {"graph_conv", "gcn", "sage", "gin", "edge_conv", "gat"}
    assert {name.partition(".")[2] for name in names} >= {"uniform", "gaussian", "exponential", "mixed"}


def test_names_by_pattern() -> None:
    assert list_models("mlp_relu_free.*", pretrained=True) == [
        f"mlp_relu_free.{tag}"
        for tag in ("uniform", "gaussian", "exponential", "mixed", "maximum", "stable", "majority", "decimation")
    ]
    assert list_models(pretrained=True) == pretrained_names()
    assert NAME not in list_models()


def test_every_map_has_entries() -> None:
    """Judged by the metrics of the map, beside its exact spectrum where it has a basis; one at least learns it."""
    entries = {name: find_entry(name) for name in pretrained_names()}
    for block_map in map(maps.parse, ("maximum()", "stable(alpha=1.5)", "majority()", "decimation()")):
        own = {name: entry for name, entry in entries.items() if map_of(entry) == str(block_map)}
        assert len(own) >= 5
        for entry in own.values():
            law = entry["data"]["train_laws"][0]
            assert set(block_map.metrics) <= entry["metrics"][law].keys()
            assert ("spectrum" in entry) == (block_map.basis is not None)
            if block_map.basis is not None:
                exact = block_map.spectrum(6, entry["data"]["block_size"])
                assert exact is not None
                count = len(entry["spectrum"]["exact"])
                assert entry["spectrum"]["exact"] == pytest.approx(exact[1 : 1 + count].tolist())
            assert entry["certificate"]["verdict"] in ("representable", "not representable", "undecided")
        best = [entry["metrics"][entry["data"]["train_laws"][0]]["relative_mse"]["best"] for entry in own.values()]
        assert min(best) < 1e-8


def test_an_unknown_name_is_answered_with_close_ones() -> None:
    with pytest.raises(ValueError, match=r"mlp_relu_fre\.uniform") as caught:
        find_entry("mlp_relu_fre.uniform")
    assert NAME in one_line(caught)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        '{"models": 3}',
        '{"models": []}',
        '{"models": {"../evil.x": {}}}',
        '{"models": {"no_tag": {}}}',
        "[" * 100_000,
        '{"models": ' + "9" * 10_000 + "}",
    ],
    ids=lambda text: text[:20] or "empty",
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match="manifest") as caught:
        read_manifest(tmp_path)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_a_missing_manifest_and_one_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read") as caught:
        read_manifest(tmp_path)
    one_line(caught)
    (tmp_path / "manifest.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not valid JSON"):
        read_manifest(tmp_path)


def test_a_changed_manifest_is_read_again(zoo_copy: Path) -> None:
    assert len(read_manifest(zoo_copy)) == 2
    write_manifest(zoo_copy / "manifest.json", {NAME: find_entry(NAME)})
    assert list(read_manifest(zoo_copy)) == [NAME]


ODD: list[tuple[str, Any]] = [
    ("class", 3),
    ("class", "os.system"),
    ("arguments", []),
    ("arguments", None),
    ("data", "uniform()"),
    ("seed", True),
    ("seed", "0"),
    ("best_member", 1.0),
    ("best_member", 16),
    ("best_member", -1),
    ("versions", {"torch": 2}),
    ("metrics", {"law": 5}),
    ("metrics", {"law": {"mse": {"best": "small", "median": 1.0, "interval": []}}}),
    ("metrics", {"law": {"mse": {"best": 1.0}}}),
    ("spectrum", {"eigenvalues": [1.0], "exact": []}),
    ("certificate", {}),
    ("check", {"inputs": [["a"]], "outputs": []}),
    ("check", {"inputs": 1, "outputs": []}),
    ("file", None),
    ("file", {"name": ["x"], "bytes": 1, "sha256": "0"}),
    ("validation_loss", [1.0, "x"]),
    ("trajectory", {"name": "x"}),
    ("trajectory", 4),
]


@pytest.mark.parametrize(("key", "value"), ODD, ids=[f"{key}={value!r}"[:40] for key, value in ODD])
def test_odd_types_are_refused_in_one_line(key: str, value: Any) -> None:
    entry = copy.deepcopy(find_entry(NAME))
    check_entry(NAME, entry)
    entry[key] = value
    with pytest.raises(ValueError, match=key) as caught:
        check_entry(NAME, entry)
    one_line(caught)


@pytest.mark.parametrize("key", sorted(find_entry(NAME)))
def test_a_missing_key_is_refused(key: str) -> None:
    entry = {k: v for k, v in find_entry(NAME).items() if k != key}
    with pytest.raises(ValueError, match=f"{key} is missing"):
        check_entry(NAME, entry)


@pytest.mark.parametrize("entry", [None, 3, [], "x"])
def test_an_entry_that_is_no_mapping(entry: Any) -> None:
    with pytest.raises(ValueError, match="not a mapping"):
        check_entry(NAME, entry)


def test_numbers_that_are_none(zoo_copy: Path) -> None:
    text = (zoo_copy / "manifest.json").read_text()
    loss = json.dumps(find_entry(NAME)["validation_loss"][0])
    (zoo_copy / "manifest.json").write_text(text.replace(loss, "NaN"))
    with pytest.raises(ValueError, match="not a finite number"):
        find_entry(NAME, zoo_copy)


# ---- files -----------------------------------------------------------------------------------------------------------


def test_checksums_are_those_of_the_files() -> None:
    for name in pretrained_names():
        entry = find_entry(name)
        for file in (entry["file"], entry.get("trajectory", entry["file"])):
            content = (FOLDER / file["name"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == file["sha256"]
            assert len(content) == file["bytes"]
            assert read_file(file) == content


@pytest.mark.parametrize(
    "name",
    ["../mlp_relu_free.uniform.safetensors", "/etc/passwd", "a/../b", "..", "", "manifest.json", "a\0b.safetensors"],
)
def test_files_elsewhere_are_not_opened(zoo_copy: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def opened(path: Path) -> bytes:
        raise AssertionError(f"opened {path}")

    monkeypatch.setattr(Path, "read_bytes", opened)
    with pytest.raises(ValueError, match="file beside the manifest") as caught:
        read_file({"name": name, "bytes": 1, "sha256": "0"}, zoo_copy)
    one_line(caught)


def test_size_of_the_folder() -> None:
    total = sum(path.stat().st_size for path in FOLDER.iterdir())
    assert total < 4_000_000
