"""Entries of maps other than the central limit: trained, verified, shown and tested through the command line."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tests.pretrained.conftest import SIZES

import renorm
from renorm.cli import main
from renorm.datamodules import CLTDataModule
from renorm.maps import Maximum, Stable
from renorm.pretrained.hub import load_pretrained, pretrained_recipe
from renorm.pretrained.manifest import check_entry, find_entry, read_manifest
from renorm.pretrained.recipes import read_recipes, recipe_point
from renorm.pretrained.train import write_manifest
from renorm.training.metrics import law_metrics

MAXIMUM, TRIPLES, STABLE = NAMES = [
    "mlp_relu_free.maximum",
    "gnn_graph_conv_relu_free.triples",
    "mlp_linear_free.stable",
]
RECIPES: dict[str, Any] = {
    "settings": SIZES | {"batch_size": 64},
    "tags": {
        "maximum": {"map": "maximum()", "train_laws": ["gumbel()"], "held_out_laws": ["gaussian()", "uniform()"]},
        "triples": {
            "map": "maximum(xi=0.5)",
            "block_size": 3,
            "graph": "ring",
            "train_laws": ["uniform()"],
            "held_out_laws": [],
        },
        # the central-limit map under another name, of which the spectrum is known as well
        "stable": {"map": "stable(alpha=2)", "train_laws": ["gaussian()"], "held_out_laws": ["uniform()"]},
    },
    "models": NAMES,
}


def write_recipes(folder: Path, recipes: dict[str, Any] = RECIPES) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "recipes.yaml").write_text(yaml.safe_dump(recipes))
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo with recipes of its own."""
    zoo = write_recipes(tmp_path_factory.mktemp("zoo"))
    assert main(["zoo", "train", "--all", "--out", str(zoo)]) == 0
    return zoo


def test_the_manifest_has_what_exists_for_the_map(trained: Path) -> None:
    assert list(read_manifest(trained)) == NAMES
    maximum, triples, stable = (find_entry(name, trained) for name in NAMES)
    assert maximum["data"]["map"] == "maximum(xi=0)"
    assert triples["data"]["block_size"] == triples["arguments"]["block_size"] == 3
    for entry, block_size in ((maximum, 2), (triples, 3)):
        assert entry["spectrum"]["exact"] == pytest.approx([block_size ** (1.0 - n) for n in range(1, 7)])
        assert np.array(entry["spectrum"]["eigenvalues"]).shape == (SIZES["replicas"], 6)
        assert {"quantile_distance", "characteristic_distance"} <= next(iter(entry["metrics"].values())).keys()
    assert maximum["certificate"]["verdict"] == "representable"
    assert triples["certificate"]["verdict"] == "undecided"
    assert stable["certificate"]["verdict"] == "representable"
    expected = Stable(alpha=2).spectrum(6, block_size=2)[1:]
    assert stable["spectrum"]["exact"] == pytest.approx(expected.tolist())


def test_metrics_are_about_the_maximum(trained: Path) -> None:
    """Against a plain computation with the largest of each block."""
    entry, model = find_entry(MAXIMUM, trained), load_pretrained(MAXIMUM, "all", folder=trained).double_copy()
    data = CLTDataModule(**entry["data"])
    x = torch.cat([data.batch("test", 0, step, law=data.laws[0]).x for step in range(1)]).double()
    target = x.max(dim=-1).values - torch.tensor(2.0, dtype=torch.float64).log()
    found = law_metrics(torch.zeros(4), [(model(x), target)])["mse"]
    stored = entry["metrics"]["gumbel(loc=0, scale=1)"]["mse"]
    assert stored["best"] == pytest.approx(float(found[entry["best_member"]]), rel=1e-6)
    assert stored["median"] == pytest.approx(float(found.quantile(0.5)), rel=1e-6)


def test_verify_list_and_show(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--folder", str(trained)]
    assert main(["zoo", "verify", *where]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 entries, 0 differences"
    assert main(["zoo", "list", *where, "--wide"]) == 0
    shown = capsys.readouterr().out
    (row,) = [line for line in shown.splitlines() if line.startswith(MAXIMUM)]
    assert row.split()[1:3] == ["maximum(xi=0)", "representable"]
    assert "3 entries of 3 members" in shown
    assert main(["zoo", "show", MAXIMUM, *where]) == 0
    card = capsys.readouterr().out
    assert "- map: `maximum(xi=0)`" in card
    assert "- certificate: representable" in card
    assert main(["zoo", "cards", *where]) == 0
    page = capsys.readouterr().out
    assert "block_size 3" in page
    assert "for 12 steps on blocks of\n2 or 3" in page
    assert all(f"### {name}\n" in page for name in NAMES)


def test_loaded_entries_know_their_map(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = load_pretrained(MAXIMUM, "all", folder=trained)
    assert model.learned_map == "maximum(xi=0)"
    by_default, asked = (renorm.evaluate(model, "gumbel()", samples=100, map=m) for m in (None, "maximum()"))
    torch.testing.assert_close(by_default.results, asked.results)
    assert "for maximum(xi=0)" in renorm.certify(load_pretrained(MAXIMUM, folder=trained)).architecture
    # exported, and from there
    out = tmp_path / "exported.safetensors"
    words = ["zoo", "export", MAXIMUM, "--folder", str(trained), "--format", "safetensors", "--out", str(out)]
    assert main(words) == 0
    for name in (out, trained / f"{MAXIMUM}.safetensors"):
        assert load_pretrained(name).learned_map == "maximum(xi=0)"  # type: ignore[arg-type]
        recipe = pretrained_recipe(name)  # type: ignore[arg-type]
        assert recipe["data"]["map"] == "maximum(xi=0)"
        assert recipe["data"]["train_laws"] == ["gumbel(loc=0, scale=1)"]


def test_test_takes_the_weights_beside_their_manifest(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = str(trained / f"{MAXIMUM}.safetensors")
    assert main(["test", "--model", weights, "--trainer.enable_progress_bar", "false"]) == 0
    shown = capsys.readouterr().out
    assert "gumbel" in shown
    assert "exact" not in shown
    assert main(["certify", "--ckpt_path", weights]) == 0
    assert "for maximum(xi=0): representable" in capsys.readouterr().out


def test_verify_finds_what_the_map_does_not_have(trained: Path, tmp_path: Path) -> None:
    """The central limit's spectrum in an entry of the maximum, and another map in the manifest."""
    folder = write_recipes(tmp_path / "zoo")
    for path in trained.glob("*.safetensors"):
        (folder / path.name).write_bytes(path.read_bytes())
    entries = copy.deepcopy(read_manifest(trained))
    package = find_entry("mlp_relu_free.uniform")
    entries[MAXIMUM]["spectrum"]["exact"] = package["spectrum"]["exact"]
    entries[MAXIMUM]["certificate"] = package["certificate"]
    entries[TRIPLES]["data"]["map"] = "maximum(xi=0.25)"
    write_manifest(folder / "manifest.json", entries)
    said = [line for line in _verify(folder) if "as the manifest says" not in line]
    assert any(line.startswith(f"{MAXIMUM}: spectrum.exact") for line in said)
    assert any(line.startswith(f"{MAXIMUM}: certificate.architecture") for line in said)
    assert said[-1:] == [
        f"{TRIPLES}: data.map is 'maximum(xi=0.5)', the manifest says 'maximum(xi=0.25)'",
    ]


def _verify(folder: Path) -> list[str]:
    from renorm.pretrained.verify import entry_differences

    return [f"{name}: {line}" for name in NAMES for line in entry_differences(name, folder)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda e: e.pop("certificate"), "certificate is missing"),
        (lambda e: e["spectrum"].pop("exact"), "exact is missing"),
        (lambda e: e["data"].update(map=3), "data.map is a int"),
        (lambda e: (e["data"].update(map="maximum()"), e["spectrum"].update(exact="no")), "spectrum.exact is a str"),
    ],
)
def test_the_form_of_an_entry(change: Any, expected: str) -> None:
    entry = copy.deepcopy(find_entry("mlp_relu_free.uniform"))
    change(entry)
    with pytest.raises(ValueError, match=expected):
        check_entry("mlp_relu_free.uniform", entry)


def test_a_zoo_of_ones_own_goes_on_where_it_was_stopped(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_recipes(tmp_path / "zoo", RECIPES | {"models": NAMES[:1]})
    assert main(["zoo", "train", "--all", "--out", str(folder)]) == 0
    assert "the package has no such entry to compare with" in capsys.readouterr().out
    (folder / f"{MAXIMUM}.safetensors").write_bytes(b"half")
    assert main(["zoo", "train", "--all", "--out", str(folder)]) == 0
    name = f"{MAXIMUM}.safetensors"
    assert (folder / name).read_bytes() == (trained / name).read_bytes()


BAD: list[tuple[Any, str]] = [
    ([], "is not a file of recipes"),
    ({"models": []}, "is not a file of recipes"),
    (RECIPES | {"model": []}, "is not a file of recipes"),
    (RECIPES | {"models": "mlp_relu_free.maximum"}, "is not a list"),
    (RECIPES | {"tags": []}, "tags=[] is not a mapping"),
    (RECIPES | {"models": ["../evil.maximum"]}, "models has '../evil.maximum'"),
    (RECIPES | {"tags": {}}, "tag='maximum' is unknown"),
    (RECIPES | {"tags": {"maximum": 3}}, "tags.maximum=3 is not a list or a mapping"),
    (RECIPES | {"tags": {"maximum": {"mapp": "maximum()"}}}, "setting='mapp' is unknown"),
    (RECIPES | {"tags": {"maximum": {"activation": "tanh"}}}, "activation='tanh' contradicts mlp_relu_free"),
    (RECIPES | {"tags": {"maximum": {"map": "maximun()"}}}, "map 'maximun' is unknown"),
    (RECIPES | {"tags": {"maximum": {"map": "maximum(xi=99)"}}}, "xi=99"),
]


@pytest.mark.parametrize(("recipes", "expected"), BAD, ids=[expected[:24] for _, expected in BAD])
def test_bad_recipes_are_one_line(
    recipes: Any, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_recipes(tmp_path / "zoo", recipes)
    assert main(["zoo", "train", MAXIMUM, "--out", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert [path.name for path in folder.iterdir()] == ["recipes.yaml"]


def test_a_folder_without_recipes_follows_the_packages(tmp_path: Path) -> None:
    assert read_recipes(tmp_path) == read_recipes()
    assert recipe_point("mlp_relu_free.uniform", tmp_path).key == find_entry("mlp_relu_free.uniform")["recipe"]
    assert Maximum()(torch.tensor([[0.0, 1.0]])) == 1 - torch.tensor(2.0).log()
