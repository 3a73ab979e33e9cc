"""Damaged and hostile files: refused in one line or read right, never executed, never read as something else."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from renorm.callbacks.results import SEAL, seal
from renorm.cli import main
from renorm.cli.certify import read_model
from renorm.cli.plot import read_results
from renorm.datamodules.laws import parse
from renorm.datamodules.laws.empirical import Empirical
from renorm.runs.checkpoint import load_checkpoint, load_model
from renorm.sweep.config import Point, Sweep, read_sweep
from renorm.sweep.table import Folder, read_description, read_table

from ..integration.test_bad_input import one_line
from .mutations import all_mutations, check_loader, flipped, loaded_or_none, truncated


def equal(a: Any, b: Any) -> bool:
    """Whether two loaded values are the same, tensors and all."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b) or (a != a and b != b)


@pytest.fixture
def checkpoint(run_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(run_folder / "checkpoints" / "last.ckpt", tmp_path / "whole.ckpt"))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    members = [{"member": i, "negative_slope": 0.25 * (i // 2), "replica": i % 2} for i in range(4)]
    content = {
        "checkpoint": "last.ckpt",
        "model": {"class": "MLP", "symmetry": "free"},
        "members": members,
        "train_laws": ["uniform()"],
        "held_out_laws": ["laplace()"],
        "results": {law: {"relative_mse": [0.5, 0.25, None, 0.125]} for law in ("uniform()", "laplace()")},
    }
    path = tmp_path / "whole.json"
    path.write_text(json.dumps(content | {SEAL: seal(content)}, indent=1))
    return path


@pytest.fixture
def sweep_folder(tmp_path: Path) -> Folder:
    points = [Point("MLP", {"width": width}, {"width": width}) for width in (4, 8)]
    folder = Folder(tmp_path / "sweep", Sweep("sweep", ["width"], points))
    for point in points:
        folder.write(
            point, {"held_out/relative_mse": np.random.default_rng(0).random(50).tolist(), "replica": [0] * 50}
        )
    folder.collect()
    return folder


# ---- 2000 mutations and more ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_damaged_checkpoint_is_refused_or_loaded_as_it_was(checkpoint: Path) -> None:
    whole = checkpoint.read_bytes()
    refused = check_loader(checkpoint, load_checkpoint, all_mutations(whole, 2000), equal)
    assert refused > 1500  # the rest hits padding and dates, which mean nothing


def test_a_flipped_bit_in_a_weight_is_seen(checkpoint: Path) -> None:
    with zipfile.ZipFile(checkpoint) as archive:
        member = max((m for m in archive.infolist() if "/data/" in m.filename), key=lambda m: m.file_size)
        content = archive.read(member)
    whole = bytearray(checkpoint.read_bytes())
    place = whole.index(content)
    whole[place + 3] ^= 1  # the low bit of an exponent: a plausible weight
    checkpoint.write_bytes(whole)
    assert torch.load(checkpoint, weights_only=True) is not None, "PyTorch itself sees nothing"
    with pytest.raises(ValueError, match="damaged at"):
        load_checkpoint(checkpoint)


def test_a_member_that_is_called_a_folder_is_refused(checkpoint: Path) -> None:
    whole = bytearray(checkpoint.read_bytes())
    header = whole.rindex(b"PK\x01\x02", 0, whole.rindex(b"/data/"))
    whole[header + 38] |= 0x10  # external attributes: PyTorch reads no bytes, and returns what the memory holds
    checkpoint.write_bytes(whole)
    with pytest.raises(ValueError, match="a folder"):
        load_checkpoint(checkpoint)


def test_damaged_results(results: Path) -> None:
    check_loader(results, lambda path: read_results(str(path)), all_mutations(results.read_bytes(), 400), equal)


def test_damaged_tables_of_a_sweep(sweep_folder: Folder) -> None:
    path = sweep_folder.path / "results.parquet"

    check_loader(path, lambda path: read_table(path).to_pydict(), all_mutations(path.read_bytes(), 600), equal)
    description = sweep_folder.path / "sweep.json"

    for content in all_mutations(description.read_bytes(), 100):
        description.write_bytes(content)
        loaded_or_none(lambda: read_description(description.parent), "sweep.json")


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".parquet"])
def test_damaged_data(suffix: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=100)
    path = tmp_path / f"whole{suffix}"
    if suffix == ".csv":
        path.write_text("r,name\n" + "".join(f"{value!r},x\n" for value in values.tolist()))
    elif suffix == ".npy":
        np.save(path, values)
    else:
        pq.write_table(pa.table({"r": values}), path, write_page_checksum=True)
    column: Any = 0 if suffix == ".npy" else "r"

    def load(path: Path) -> Any:
        return Empirical(str(path), column).values.tolist()

    whole = path.read_bytes()
    assert check_loader(path, load, all_mutations(whole, 300), None) > 50
    if suffix == ".parquet":
        # its values have checksums, where the writer made them; what says where they are has none
        values_end = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
        damaged = (content + whole[values_end:] for content in flipped(whole[:values_end], 300))
        check_loader(path, load, damaged, equal)


def test_damaged_yaml(tmp_path: Path) -> None:
    fit = tmp_path / "fit.yaml"
    fit.write_text("model:\n  class_path: renorm.zoo.MLP\n  init_args: {width: 8, negative_slope: [0.5, 1.0]}\n")
    path = tmp_path / "mutated.yaml"
    for mutated in all_mutations(fit.read_bytes(), 300):
        path.write_bytes(mutated)
        loaded_or_none(lambda: read_model([str(path)], []))
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text("model: MLP\nsettings: {steps: 5, lr: 0.1}\naxes:\n  width: [4, 8]\n  symmetry: [free, full]\n")
    for mutated in all_mutations(sweep.read_bytes(), 300):
        path.write_bytes(mutated)
        loaded_or_none(lambda: read_sweep(str(path)))


# ---- written to harm ------------------------------------------------------------------------------------------------


class Harmful:
    """Pickled, it makes a file where it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def archive_of(pickled: bytes, **options: Any) -> bytes:
    """A checkpoint with this pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, content in (("data.pkl", pickled), ("byteorder", b"little"), ("version", b"3\n")):
            archive.writestr(f"archive/{name}", content)
    return buffer.getvalue()


def test_pickles_with_code_are_not_executed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted = tmp_path / "planted"
    pickled = pickle.dumps({"renorm": Harmful(planted)}, protocol=2)
    for number, content in enumerate((pickled, archive_of(pickled), pickle.dumps(Harmful(planted)))):
        path = tmp_path / f"harmful{number}.ckpt"
        path.write_bytes(content)
        for words in (["test", "--ckpt_path"], ["certify", "--ckpt_path"], ["fit", "--ckpt_path"]):
            assert main([*words, str(path)]) == 2
            assert path.name in one_line(capsys.readouterr().err)
    data = tmp_path / "data.npy"
    np.save(data, np.array([Harmful(planted)], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"data\.npy"):
        Empirical(str(data))
    assert not planted.exists()


BOMBS = {
    "aliases": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(12)),
    "merges": "a: &a {x: 1}\n"
    + "".join(f"{chr(98 + i)}: &{chr(98 + i)} {{<<: [{','.join([f'*{chr(97 + i)}'] * 9)}]}}\n" for i in range(12)),
    "depth": "model: " + "[" * 100_000,
    "deep_mapping": "".join(f"{' ' * i}a:\n" for i in range(1, 500)),
    "itself": "model: &a [*a]",
    "number": f"model: {'9' * 100_000}",
    "date": "model: !!timestamp 2001-99-99",
    "python": "model: !!python/object/apply:os.system ['touch planted']",
    "set": "model: !!set {a, b}",
    "keys": "1: 2",
    "large": "# " + "x" * 2**21,
    "null": "model: \x00",
}


@pytest.mark.parametrize("name", BOMBS)
def test_yaml_made_to_harm(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bomb.yaml").write_text(BOMBS[name])
    for words in (["fit", "--config"], ["sweep", "--config"], ["certify", "--config"]):
        assert main([*words, "bomb.yaml"]) == 2
        assert "bomb.yaml" in one_line(capsys.readouterr().err)
    assert os.listdir() == ["bomb.yaml"]


def test_json_made_to_harm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bomb.json"
    for text in ("[" * 100_000, '{"a":' * 100_000, "9" * 100_000, "null", "[]", '{"results": 1e999}'):
        path.write_text(text)
        assert main(["plot", str(path), "--out", str(tmp_path / "a.png")]) == 2
        assert "bomb.json" in one_line(capsys.readouterr().err)


def test_results_of_other_shapes_are_refused(results: Path) -> None:
    whole = json.loads(results.read_text())
    del whole[SEAL]
    wrong: list[dict[str, Any]] = [
        {"members": []},
        {"members": [1]},
        {"members": [{"member": 0, "a": []}]},
        {"results": {}},
        {"results": {"uniform()": {"relative_mse": [1]}}},
        {"results": {"uniform()": {}}},
        {"train_laws": [1]},
        {"train_laws": ["gaussian()"]},
        {"model": []},
        {SEAL: "0"},
    ]
    for change in wrong:
        results.write_text(json.dumps(whole | change))
        with pytest.raises(ValueError, match="is not a result of 'renorm test'"):
            read_results(str(results))


def test_laws_are_parsed_and_never_evaluated(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    attempts = [
        f"__import__('os').system('touch {planted}')",
        f"gaussian(mean=__import__('os').system('touch {planted}'))",
        "gaussian(mean=1+1)",
        "gaussian(mean=().__class__)",
        "gaussian.__class__()",
        "eval('1')",
        "lambda: 0",
        "gaussian(mean=1e999)",
        f"gaussian(mean={'9' * 100_000})",
        "standardised(" * 10_000,
        "mixture(" + "0.5*gaussian()+" * 50_000,
        "gaussian(mean=0x10)",
        "gaussian(mean=\u0661)",
        "\x00",
    ]
    for text in attempts:
        with pytest.raises(ValueError, match="allowed"):
            parse(text)
    assert not planted.exists()


def test_a_checkpoint_that_names_an_instantiator_imports_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil_instantiator.py").write_text(f"open({str(tmp_path / 'planted')!r}, 'w')\nmake = dict\n")
    monkeypatch.syspath_prepend(tmp_path)
    content = torch.load(checkpoint, weights_only=True)
    content["hyper_parameters"] |= {"_instantiator": "evil_instantiator.make"}
    torch.save(content, checkpoint)
    assert load_model(checkpoint).num_members  # built of the settings that it takes: the name is not looked at
    assert not (tmp_path / "planted").exists()


def changed(content: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """A checkpoint with one entry replaced, for ``a/b/c``; the value ``None`` takes it out."""
    *path, last = place.split("/")
    inner = content
    for key in path:
        inner[key] = dict(inner[key])
        inner = inner[key]
    inner.pop(last, None)
    if value is not None:
        inner[last] = value
    return content


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("renorm", {}),
        ("renorm", 1),
        ("renorm/recipe", {"model": 1, "data": {}}),
        ("renorm/recipe/model/class_path", "os.system"),
        ("renorm/recipe/model/class_path", 3),
        ("renorm/recipe/model/init_args", {"width": "x"}),
        ("renorm/recipe/model/init_args", [1]),
        ("renorm/recipe/data/train_laws", ["eval('1')"]),
        ("renorm/recipe/data/train_laws", ["empirical(path=/etc/passwd)"]),
        ("renorm/recipe/model/deep", "DEEP"),
        ("renorm/recipe/model/init_args/width", 10**9),
        ("renorm/recipe/model/init_args/replicas", 10**9),
        ("renorm/recipe/model/init_args/depth", 10**9),
        ("renorm/recipe/model/init_args/block_size", 10**9),
        ("state_dict", None),
        ("state_dict", {"a": 1}),
        ("state_dict", {"other.weight": torch.ones(2)}),
        ("optimizer_states", None),
        ("optimizer_states", [{"state": {}, "param_groups": []}]),
        ("loops", {"fit_loop": 3}),
        ("callbacks", {"LastCheckpoint": {"best_model_path": "local:///nowhere"}}),
        ("callbacks", {"LastCheckpoint": {"best_k_models": {"runs/../../other": 1.0}}}),
        ("pytorch-lightning_version", None),
        ("pytorch-lightning_version", "x"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_checkpoints_that_contradict_themselves(
    place: str, value: Any, checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkpoint.parent)
    if value == "DEEP":
        value = []
        for _ in range(60):  # small in the file, 2^60 in JSON
            value = [value, value]
    torch.save(changed(torch.load(checkpoint, weights_only=True), place, value), checkpoint)
    code = main(["fit", "--ckpt_path", "whole.ckpt", "--trainer.max_epochs", "3", "--trainer.limit_val_batches", "0"])
    assert code == 2
    one_line(capsys.readouterr().err)


@pytest.mark.parametrize("value", [10**9, 10**400, -(10**9), torch.ones(1), "x", None])
def test_hyperparameters_that_contradict_the_weights(value: Any, checkpoint: Path) -> None:
    torch.save(changed(torch.load(checkpoint, weights_only=True), "hyper_parameters/width", value or 7), checkpoint)
    with pytest.raises(ValueError, match=r"whole\.ckpt"):
        load_model(checkpoint)


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Bombs in a process that may take one GiB more than its imports: each is refused, and none by running out."""
    (tmp_path / "deflated.ckpt").write_bytes(archive_of(b"\x00" * 2**29, compression=zipfile.ZIP_DEFLATED))
    pickled = b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R."  # bytearray(2^31 - 1)
    (tmp_path / "bytearray.ckpt").write_bytes(archive_of(pickled))
    for name in ("aliases", "merges", "depth"):
        (tmp_path / f"{name}.yaml").write_text(BOMBS[name])
    with pq.ParquetWriter(tmp_path / "rows.parquet", pa.schema({"r": pa.float64()})) as writer:
        zeros = pa.table({"r": np.zeros(2**20)})
        for _ in range(64):
            writer.write_table(zeros, row_group_size=2**20)
    (tmp_path / "footer.parquet").write_bytes(b"PAR1" + b"\xff" * 64 + (2**31 - 1).to_bytes(4, "little") + b"PAR1")
    with (tmp_path / "sparse.json").open("wb") as file:
        file.truncate(2**33)
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1152921504606846976,), }"
    (tmp_path / "shape.npy").write_bytes(header.ljust(127) + b"\n" + b"\x00" * 64)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("bounded_memory.py")), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert set(outcome["refused"]) == {path.name for path in tmp_path.iterdir()}
    assert all(outcome["refused"].values()), outcome
    assert outcome["added"] < 2**20  # KiB


# ---- through the command line ---------------------------------------------------------------------------------------


def test_damaged_checkpoints_on_the_command_line(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(checkpoint.parent)
    whole = checkpoint.read_bytes()
    damaged = [*list(truncated(whole))[::100], *flipped(whole, 3, seed=5)]
    for content in damaged:
        checkpoint.write_bytes(content)
        assert main(["certify", "--ckpt_path", "whole.ckpt"]) in (0, 2)
        assert main(["test", "--ckpt_path", "whole.ckpt", "--data.test_samples", "512"]) in (0, 2)
        captured = capsys.readouterr().err
        assert "Traceback" not in captured
    assert sorted(os.listdir()) in (["whole.ckpt"], ["test_results.json", "whole.ckpt"])
