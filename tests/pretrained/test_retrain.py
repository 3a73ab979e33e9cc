"""Training again arrives at the same numbers, keeps what is whole, and overwrites nothing unasked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from renorm.cli import main
from renorm.files.whole import one_writer
from renorm.pretrained import recipes, retrain
from renorm.pretrained.hub import load_pretrained
from renorm.pretrained.manifest import FOLDER, find_entry, pretrained_names, read_manifest
from renorm.pretrained.retrain import comparison
from renorm.pretrained.train import describe, run_recipe, versions_of
from renorm.pretrained.verify import verify

SMALL = ["mlp_quadratic_full.uniform", "gnn_graph_conv_linear_full.mixed"]


@pytest.fixture
def small(small_recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to train the small zoo in, of which no package has entries."""
    monkeypatch.setattr(retrain, "FOLDER", tmp_path / "no_package")
    return tmp_path / "out"


def test_every_recipe_names_a_variant_and_laws() -> None:
    content = recipes.read_recipes()
    assert len(set(content["models"])) == len(content["models"])
    for name in content["models"]:
        point = recipes.recipe_point(name)
        tag = content["tags"][name.partition(".")[2]]
        expected = content["settings"] | (tag if isinstance(tag, dict) else {"train_laws": tag})
        assert expected.items() <= point.settings.items()
        assert find_entry(name)["recipe"] == point.key
    assert set(content["trajectories"]) <= set(content["models"])
    assert len(content["trajectories"]) >= 3


def test_a_small_zoo_from_nothing(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "train", "--all", "--out", str(small)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if ": trained in" in line] == [lines[0], lines[2]]
    assert list(read_manifest(small)) == SMALL
    assert verify([], small) == 0
    model = load_pretrained(SMALL[0], "all", folder=small)
    assert model.num_members == 3
    assert torch.equal(model.readout.weight(), load_pretrained(SMALL[0], "all", epoch=3, folder=small).readout.weight())
    with pytest.raises(ValueError, match="allowed: 1 to 3"):
        load_pretrained(SMALL[0], epoch=4, folder=small)

    # what is whole is kept, what is not is made anew and comes out the same
    before = {path.name: path.read_bytes() for path in small.iterdir()}
    (small / f"{SMALL[1]}.safetensors").write_bytes(b"half")
    capsys.readouterr()
    assert main(["zoo", "train", "--all", "--out", str(small)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{SMALL[0]}: kept, {small} has it whole"
    assert lines[1].startswith(f"{SMALL[1]}: trained in")
    assert {path.name: path.read_bytes() for path in small.iterdir()} == before

    # a name asked for is not replaced unless asked, with one line that says so
    assert main(["zoo", "train", SMALL[0], "--out", str(small)]) == 2
    assert "has mlp_quadratic_full.uniform.safetensors already" in capsys.readouterr().err
    assert main(["zoo", "train", SMALL[0], "--out", str(small), "--overwrite"]) == 0
    assert {path.name: path.read_bytes() for path in small.iterdir()} == before


def test_two_writers_of_one_folder(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--all"], [SMALL[1]]):
        with one_writer(small):
            assert main(["zoo", "train", *words, "--out", str(small)]) == 2
            assert "is being written by another process" in capsys.readouterr().err
            assert [path.name for path in small.iterdir()] == [".lock"]
    assert main(["zoo", "train", "nothing.uniform", "--out", str(small / "none")]) == 2
    assert not (small / "none").exists()
    assert main(["zoo", "train", SMALL[1], "--out", str(small)]) == 0
    assert {path.name for path in small.iterdir()} == {f"{SMALL[1]}.safetensors", "manifest.json"}


def test_another_recipe_is_trained_again(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert retrain.retrain(SMALL[:1], small) == 0
    text = recipes.FILE.read_text()
    recipes.FILE.write_text(text.replace("lr: 0.01", "lr: 0.02"))
    assert "lr: 0.02" in recipes.FILE.read_text()
    assert retrain.retrain([], small) == 0
    assert "kept" not in capsys.readouterr().out
    assert read_manifest(small)[SMALL[0]]["training"]["lr"] == 0.02


def test_it_stops_before_training_where_a_file_of_that_name_is_not_ours(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small.mkdir()
    own = small / f"{SMALL[0]}.safetensors"
    own.write_text("somebody's")
    for words in ([SMALL[0]], ["--all"]):
        assert main(["zoo", "train", *words, "--out", str(small)]) == 2
        assert "allowed: another folder, or --overwrite" in capsys.readouterr().err
    assert own.read_text() == "somebody's"
    assert [path.name for path in small.iterdir()] == [own.name]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "neither names nor --all"),
        (["mlp_relu_free.uniform", "--all"], "beside --all"),
        (["mlp_relu_free"], "not a pretrained model"),
        (["mlp_relu_free.unifrm"], "did you mean 'mlp_relu_free.uniform'"),
        (["mlp_relu_free.uniform", "--in_place", "--out", "x"], "contradicts --in_place"),
        (["mlp_relu_free.uniform", "--out", "/proc/nowhere"], "out: cannot write"),
        (["mlp_relu_free.uniform", "nonsense.uniform", "--out", "fresh"], "not a pretrained model"),
        (["mlp_relu_free.uniform", "--in_place"], "already"),
    ],
)
def test_bad_input(
    words: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["zoo", "train", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_manifest_is_none(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small.mkdir()
    (small / "manifest.json").write_text("{}")
    assert main(["zoo", "train", SMALL[0], "--out", str(small)]) == 2
    assert "is not a manifest" in capsys.readouterr().err
    assert (small / "manifest.json").read_text() == "{}"


# ---- against the package's own ---------------------------------------------------------------------------------------

AGAIN = ["mlp_quadratic_full.uniform", "gnn_graph_conv_linear_full.uniform"]  # the first has a trajectory, too


@pytest.mark.slow
@pytest.mark.parametrize("name", AGAIN)
def test_the_packages_entries_come_out_again(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "train", name, "--out", str(tmp_path)]) == 0
    stored, found = find_entry(name), find_entry(name, tmp_path)
    said = capsys.readouterr().out
    same_machine = stored["versions"] == found["versions"]
    assert ("the same bits as the package's" if same_machine else "the same") in said
    for law, metrics in stored["metrics"].items():
        relative = 1e-5 if same_machine else 0.05
        medians = [found["metrics"][law]["relative_mse"]["median"], metrics["relative_mse"]["median"]]
        assert medians[0] == pytest.approx(medians[1], rel=relative, abs=1e-11)


def test_other_numbers_are_said_with_exit_code_1(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twelve steps are not what the package's own entry was trained for."""
    monkeypatch.setattr(retrain, "FOLDER", FOLDER)
    assert main(["zoo", "train", SMALL[0], "--out", str(small)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{SMALL[0]}: trained in")
    assert all(line.startswith(f"{SMALL[0]}: metrics.") and "the manifest says" in line for line in lines[1:])
    assert len(lines) > 8


def test_a_comparison_says_why_bits_may_differ() -> None:
    stored = find_entry(SMALL[0])
    entry = stored | {"file": stored["file"] | {"sha256": "0" * 64}}
    (line,), same = comparison(SMALL[0], entry, stored | {"versions": {"torch": "1.0"}})
    assert same
    assert f"torch {versions_of()['torch']} for 1.0" in line
    assert comparison(SMALL[0], stored, stored) == (["the same bits as the package's"], True)
    assert comparison(SMALL[0], stored, None)[1]


def test_an_entry_says_what_it_was_made_with(small: Path) -> None:
    entry = describe(SMALL[1], run_recipe(SMALL[1]))
    assert entry["versions"].keys() == {"renorm", "torch", "lightning", "numpy", "cpu"}
    assert entry["command"] == f"renorm zoo train {SMALL[1]}"
    assert len(entry["data"]["train_laws"]) == 3
    assert not {"optimizer", "members", "compile"} & entry["arguments"].keys()


def test_the_package_has_an_entry_for_every_recipe() -> None:
    assert pretrained_names() == recipes.read_recipes()["models"]
