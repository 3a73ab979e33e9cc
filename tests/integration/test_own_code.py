"""Classes of the user's own: scripts that call renorm, and modules that --import names."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path

import pytest
import torch
from tests.conftest import NO_FIGURES, QUICK, Run

from renorm.cli import main
from renorm.runs.checkpoint import load_model
from renorm.zoo import activations, list_activations
from renorm.zoo.symmetry.symmetry import REGISTRY

SCRIPT = Path(__file__).parents[2] / "examples" / "own_activation.py"
SINE = ["--model.activation", "sine", "--model.frequency", "[0.5, 1.0]", "--trainer.max_epochs", "1"]


@pytest.fixture(scope="module")
def by_script(renorm: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of a script of one's own: its folder, and what it printed."""
    folder = tmp_path_factory.mktemp("by_script")
    done = renorm("fit", *SINE, *QUICK, "--name", "sine", cwd=folder, script=SCRIPT)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def printed_command(output: str, line: str) -> list[str]:
    return shlex.split(next(row for row in output.splitlines() if row.startswith(line)).partition(":")[2])


def test_the_command_that_a_script_prints_works(by_script: tuple[Path, str], renorm: Run) -> None:
    folder, output = by_script
    words = printed_command(output, "judge:")
    assert words[:2] == ["python", str(SCRIPT)]
    done = renorm(*words[2:], cwd=folder, script=Path(words[1]))
    assert done.returncode == 0, done.stderr
    assert "frequency=0.5" in done.stdout


def test_a_checkpoint_of_a_script_says_where_it_comes_from(by_script: tuple[Path, str], renorm: Run) -> None:
    folder, _ = by_script
    for words in (["test", "--ckpt_path", "last"], ["propagate", "--ckpt_path", "last", "--law", "uniform()"]):
        done = renorm(*words, cwd=folder)
        assert done.returncode == 2
        (line,) = done.stderr.strip().splitlines()
        assert "activation='sine' is unknown" in line
        assert f"--import {SCRIPT}" in line
        assert len(line) < 600


def test_a_class_that_a_run_does_not_use_leaves_nothing_in_its_files(renorm: Run, tmp_path: Path) -> None:
    done = renorm("fit", "--trainer.max_steps", "2", *QUICK, "--name", "plain", cwd=tmp_path, script=SCRIPT)
    assert done.returncode == 0, done.stderr
    config = tmp_path / "runs" / "plain" / "version_0" / "config.yaml"
    assert "frequency" not in config.read_text()
    for words in (
        ["test", "--ckpt_path", "last", "--name", "plain"],
        ["fit", "--config", str(config), "--trainer.max_steps", "1"],
    ):
        done = renorm(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


def test_import_makes_own_classes_known(by_script: tuple[Path, str], renorm: Run) -> None:
    folder, _ = by_script
    done = renorm("test", "--ckpt_path", "last", "--import", SCRIPT, cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "own_module.py").write_text(SCRIPT.read_text())
    done = renorm("fit", *SINE, *QUICK, *NO_FIGURES, "--name", "again", "--import", "own_module", cwd=folder)
    assert done.returncode == 0, done.stderr
    words = printed_command(done.stdout, "judge:")
    assert words[0] == "renorm"
    assert words[-2:] == ["--import", "own_module"]
    assert renorm(*words[1:], cwd=folder).returncode == 0


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "No module named"),
        ("1 / 0", "ZeroDivisionError"),
        ("class", "SyntaxError"),
        ("raise SystemExit", "SystemExit"),
    ],
)
def test_a_module_that_cannot_be_imported(content: str | None, named: str, renorm: Run, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "own_broken.py").write_text(content)
    done = renorm("fit", "--import", "own_broken", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("renorm: error: import='own_broken' failed")
    assert named in line
    assert not (tmp_path / "runs").exists()


def test_workers_of_a_sweep_know_own_classes(renorm: Run, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(
        "model: MLP\nsettings: {activation: sine, steps: 4, val_samples: 64, test_samples: 64}\naxes: {seed: [0, 1]}\n"
    )
    done = renorm("sweep", "--config", "sweep.yaml", "--import", SCRIPT, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout


def test_what_is_no_data_or_no_module_is_said_in_a_line(renorm: Run, tmp_path: Path) -> None:
    done = renorm("fit", "--data", "my.Module", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "renorm: error: data='my.Module' is not imported; allowed: classes of modules that --import names (none here), "
        "or --allow_imports"
    )
    done = renorm("fit", "--model", "nowhere.Model", "--allow_imports", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "No module named 'nowhere'" in line
    assert len(line) < 200


TAKEN = {
    "own_activation": "class Taken(Activation):\n    name = {name!r}\n    def forward(self, z): return 2 * z\n",
    "own_law": "@dataclasses.dataclass(frozen=True)\nclass Taken(Law):\n    name = {name!r}\n",
    "own_model": "class {name}(StackedModel): pass\n",
}


@pytest.mark.parametrize(
    ("kind", "name", "owner"),
    [
        ("own_activation", "relu", "ReLU"),
        ("own_activation", "spline", "Spline"),
        ("own_law", "uniform", "Uniform"),
        ("own_model", "MLP", "renorm.zoo.MLP"),
        ("own_model", "GNN", "renorm.zoo.GNN"),
    ],
)
def test_an_own_class_takes_no_name_of_renorm(
    kind: str, name: str, owner: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"{kind}_{name}_of_a_test.py"
    imports = (
        "import dataclasses\nfrom renorm.zoo import Activation, StackedModel\nfrom renorm.datamodules.laws import Law\n"
    )
    file.write_text(imports + TAKEN[kind].format(name=name))
    before = list_activations()
    assert main(["fit", "--import", str(file), "--trainer.default_root_dir", str(tmp_path / "runs")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"name={name!r}" in line
    assert f"is taken by {owner}" in line
    assert line.endswith(("; allowed: another name", "; allowed: a new name"))
    assert list_activations() == before
    assert not (tmp_path / "runs").exists()


def test_the_same_file_may_define_its_names_again(tmp_path: Path) -> None:
    file = tmp_path / "twice_of_a_test.py"
    file.write_text(
        "from renorm.zoo import Activation\n"
        "class Twice(Activation):\n"
        "    name = 'twice_of_a_test'\n"
        "    def forward(self, z): return 2 * z\n"
    )
    try:
        for name in ("twice_of_a_test", "twice_of_a_test", "another_name_of_the_same_file"):
            spec = importlib.util.spec_from_file_location(name, file)
            assert spec is not None
            assert spec.loader is not None
            sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[name])
            assert activations.find("twice_of_a_test").__module__ == name
    finally:
        activations.REGISTRY.pop("twice_of_a_test", None)
        for name in ("twice_of_a_test", "another_name_of_the_same_file"):
            sys.modules.pop(name, None)


def test_a_checkpoint_of_an_own_model_is_not_judged_by_the_built_in_of_its_name(
    run_folder: Path, tmp_path: Path
) -> None:
    checkpoint = torch.load(run_folder / "checkpoints" / "last.ckpt", weights_only=True)
    checkpoint["renorm"]["recipe"]["model"]["class_path"] = "elsewhere.MLP"
    torch.save(checkpoint, tmp_path / "own.ckpt")
    with pytest.raises(ValueError, match=r"holds a elsewhere\.MLP; allowed: MLP, GNN"):
        load_model(tmp_path / "own.ckpt")


def test_only_an_unknown_name_is_answered_with_where_classes_are_defined(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = torch.load(run_folder / "checkpoints" / "last.ckpt", weights_only=True)
    checkpoint["renorm"]["origin"] = ["own_file.py"]
    path = tmp_path / "own.ckpt"
    torch.save(checkpoint, path)
    hint = "which --import own_file.py makes known"
    for words in (["--data.seed", "x"], ["--data.bloc", "3"], ["--trainer.max_epochs", "many"]):
        assert main(["test", "--ckpt_path", str(path), *words]) == 2
        assert hint not in capsys.readouterr().err
    checkpoint["renorm"]["recipe"]["model"]["init_args"]["activation"] = "of_own_file"
    torch.save(checkpoint, path)
    assert main(["test", "--ckpt_path", str(path)]) == 2
    assert hint in capsys.readouterr().err


SYMMETRY = SCRIPT.with_name("own_symmetry.py")


def test_a_symmetry_of_ones_own_is_trained_judged_and_certified(renorm: Run, tmp_path: Path) -> None:
    sizes = ["--model.symmetry", "halves", "--model.block_size", "4", "--data.block_size", "4"]
    done = renorm(
        "fit",
        *sizes,
        *QUICK,
        *NO_FIGURES,
        "--trainer.max_epochs",
        "1",
        "--name",
        "halves",
        cwd=tmp_path,
        script=SYMMETRY,
    )
    assert done.returncode == 0, done.stderr
    done = renorm("test", "--ckpt_path", "last", "--import", SYMMETRY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = renorm("certify", "--config", "mlp_relu_free", *sizes[:4], "--import", SYMMETRY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "MLP 4-8-1, relu, halves: representable" in done.stdout


@pytest.mark.parametrize(
    ("image", "words", "says"),
    [
        (
            "[0, 0]",
            ["--model.symmetry", "mine"],
            "symmetry='mine' takes axis 0 to image=[0, 0]; allowed: a permutation",
        ),
        ("[1, 0]", ["--model.symmetry", "[free, input]", "--model.depth", "2"], "symmetry[1]='input' ties the columns"),
        (
            "[1, 0]",
            ["--model.symmetry", "odd", "--model.width", "3"],
            "width=3 is odd, and symmetry='odd' pairs the units;",
        ),
    ],
)
def test_a_symmetry_that_does_not_act_is_refused(
    image: str,
    words: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = SYMMETRY.read_text().replace('"halves"', '"mine"').replace("Halves", "Mine")
    body = f"        return [{{0: SignedPermutation(np.array({image}))}}]\n\n\n"
    start, end = content.index("        if any("), content.index('if __name__ == "__main__"')
    (tmp_path / f"own_group_{abs(hash(says))}.py").write_text(content[:start] + body + content[end:])
    monkeypatch.chdir(tmp_path)
    try:
        assert main(["fit", *words, "--import", next(tmp_path.glob("own_group_*.py")).name]) == 2
    finally:
        REGISTRY.pop("mine", None)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert len(line) < 300
    assert not (tmp_path / "runs").exists()
