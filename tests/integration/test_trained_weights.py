"""Trained weights on their way: a fit that starts from them, and an exported entry that is taken back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from renorm import load_pretrained
from renorm.cli import main
from renorm.cli.interrupt import how_to_go_on

NAME = "mlp_relu_free.uniform"
SIZES = {"steps_per_epoch": 2, "batch_size": 8, "val_samples": 32, "test_samples": 64}
FLAGS = [word for name, value in SIZES.items() for word in (f"--data.{name}", str(value))]
# a rate of 0 keeps the weights where they start
STILL = ["--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.0", "--trainer.logger", "false"]
STILL += ["--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false", "--cumulants.every_n_epochs", "0"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the best member of an entry."""
    folder = tmp_path_factory.mktemp("exported")
    assert main(["zoo", "export", NAME, "--format", "safetensors", "--out", str(folder / "model.safetensors")]) == 0
    return folder


def fit(root: Path, *words: str) -> dict[str, Any]:
    """The last checkpoint of a fit that changes no weight."""
    assert (
        main(
            ["fit", *words, "--data.train_laws", "gaussian()", "--trainer.default_root_dir", str(root), *STILL, *FLAGS]
        )
        == 0
    )
    checkpoint: dict[str, Any] = torch.load(next(root.rglob("last.ckpt")), weights_only=True)
    return checkpoint


def assert_same(weights: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> None:
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[key], others[key]) for key in weights)


def test_a_fit_starts_from_an_entry_a_checkpoint_and_an_exported_model(tmp_path: Path, exported: Path) -> None:
    from_entry = fit(tmp_path / "entry", "--init_from", NAME)
    assert_same(from_entry["state_dict"], load_pretrained(NAME, members="all").state_dict())
    assert from_entry["global_step"] == 2  # counters of its own
    assert from_entry["renorm"]["recipe"]["data"]["train_laws"] == ["gaussian(mean=0, std=1)"]
    source = next((tmp_path / "entry").rglob("last.ckpt"))
    from_checkpoint = fit(
        tmp_path / "checkpoint", "--init_from", str(source), "--seed", "7", "--config", "mlp_relu_free"
    )
    assert_same(from_checkpoint["state_dict"], from_entry["state_dict"])
    assert from_checkpoint["global_step"] == 2
    from_file = fit(tmp_path / "file", "--init_from", str(exported))
    assert_same(from_file["state_dict"], load_pretrained(NAME).state_dict())


def test_the_run_says_where_it_started_and_goes_on_without_it(tmp_path: Path, exported: Path) -> None:
    source = shutil.copytree(exported, tmp_path / "source")
    words = ["fit", "--init_from", str(source), "--trainer.default_root_dir", str(tmp_path / "runs"), *FLAGS]
    words += ["--trainer.enable_progress_bar", "false"]
    assert main([*words, "--trainer.max_epochs", "1"]) == 0
    run = next((tmp_path / "runs").rglob("config.yaml")).parent
    assert yaml.safe_load((run / "config.yaml").read_text())["init_from"] == str(source)
    shutil.rmtree(source)
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"init_from: {source}\n")
    last = run / "checkpoints" / "last.ckpt"
    assert main(["fit", "--config", str(mine), "--ckpt_path", str(last), "--trainer.max_epochs", "2"]) == 0
    assert torch.load(last, weights_only=True)["global_step"] == 4
    assert main(["fit", "--config", str(mine)]) == 2  # a new run needs it


def test_the_command_that_goes_on_starts_from_nothing_else(tmp_path: Path) -> None:
    words = ["fit", "--init_from", NAME, "--name", "x"]
    assert how_to_go_on(words, None).endswith(f"fit --init_from {NAME} --name x")
    (tmp_path / "last.ckpt").touch()
    assert how_to_go_on(words, tmp_path / "last.ckpt").endswith(f"fit --name x --ckpt_path {tmp_path / 'last.ckpt'}")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (
            ["--init_from", NAME, "--model.width", "9"],
            ["model.width=9 contradicts init_from='mlp_relu_free.uniform'", "8"],
        ),
        (["--init_from", NAME, "--model.members", "[3]"], ["model.members=[3] contradicts init_from="]),
        (["--init_from", NAME, "--model", "GNN"], ["class_path='GNN' contradicts init_from=", "'MLP'"]),
        (["--init_from", "mlp_rely_free.uniform"], ["mlp_rely_free.uniform", "did you mean"]),
        (["--init_from", "nowhere.ckpt"], ["init_from='nowhere.ckpt' is not there", "allowed"]),
        (
            ["--init_from", NAME, "--ckpt_path", "last"],
            ["init_from='mlp_relu_free.uniform' contradicts ckpt_path='last'"],
        ),
        (["--init_from", "."], ["has 0 files *.safetensors", "allowed"]),
    ],
)
def test_what_a_fit_cannot_start_from(
    words: list[str],
    named: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *words, *FLAGS]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert all(part in line for part in named), line
    assert not list(tmp_path.iterdir())


def test_an_exported_entry_is_taken_back(tmp_path: Path, exported: Path) -> None:
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    best = load_pretrained(str(exported))
    assert torch.equal(best(x), load_pretrained(NAME)(x))
    assert best.hparams == load_pretrained(NAME).hparams
    whole = tmp_path / "whole.safetensors"
    assert main(["zoo", "export", NAME, "--format", "safetensors", "--members", "all", "--out", str(whole)]) == 0
    assert torch.equal(load_pretrained(str(whole), members="all")(x), load_pretrained(NAME, members="all")(x))
    assert torch.equal(load_pretrained(str(whole))(x), load_pretrained(NAME)(x))


def test_a_test_of_an_exported_entry_is_that_of_the_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["zoo", "export", NAME, "--format", "safetensors", "--members", "all", "--out", "all.safetensors"]) == 0
    capsys.readouterr()
    words = ["--data.test_samples", "64", "--data.eval_batch_size", "64", "--trainer.enable_progress_bar", "false"]
    tables = []
    for model in ("all.safetensors", NAME):
        assert main(["test", "--model", model, *words]) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1]
    assert "(trained)" in tables[0]
    # part of an entry's members was asked for, and ended in a traceback
    assert main(["test", "--model", NAME, "--model.members", "[3]", *words]) == 2
    assert "model.members=[3] contradicts" in capsys.readouterr().err
    assert main(["test", "--model", "nowhere.safetensors"]) == 2
    assert "'nowhere.safetensors' is not a pretrained model" in capsys.readouterr().err


def edited(folder: Path, exported: Path, **told: str | None) -> Path:
    """A copy with other metadata."""
    import safetensors

    with safetensors.safe_open(str(exported / "model.safetensors"), "pt") as file:
        metadata = dict(file.metadata()) | told
    path = folder / "edited.safetensors"
    save_file(
        load_file(exported / "model.safetensors"),
        path,
        {key: value for key, value in metadata.items() if value is not None},
    )
    return path


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({"arguments": None}, "does not say of which model"),
        ({"arguments": "{"}, "not JSON"),
        ({"arguments": "[" * 100_000}, "not JSON"),
        ({"arguments": '{"width": 1000000000}'}, "width=1000000000"),
        ({"arguments": '{"width": 3}'}, "tensors are not the model's"),
        ({"class": "Tree"}, "Tree"),
        ({"data": "[]"}, "does not say of which model"),
    ],
)
def test_a_strangers_file_is_refused(tmp_path: Path, exported: Path, told: dict[str, str | None], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        load_pretrained(str(edited(tmp_path, exported, **told)))


def test_a_damaged_file_is_refused(tmp_path: Path, exported: Path) -> None:
    content = (exported / "model.safetensors").read_bytes()
    for changed in (b"", content[:50], content[:-1], b"\xff" * 100):
        (tmp_path / "model.safetensors").write_bytes(changed)
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            load_pretrained(str(tmp_path))


def test_a_file_that_would_read_another_or_knows_no_data_is_not_judged(
    tmp_path: Path, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = edited(tmp_path, exported, data='{"train_laws": ["empirical(path=/etc/passwd, column=0)"]}')
    assert main(["test", "--model", str(hostile)]) == 2
    assert "would read a file" in capsys.readouterr().err
    older = edited(tmp_path, exported, data=None, best_member=None)
    assert load_pretrained(str(older)).num_members == 1
    assert main(["test", "--model", str(older)]) == 2
    assert "does not say on which laws it was trained" in capsys.readouterr().err
