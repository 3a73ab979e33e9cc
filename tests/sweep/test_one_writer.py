"""One folder, one writer: a second process is refused in words, and a lock ends with its process."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from renorm.cli import main
from renorm.files.whole import is_unused, one_writer

SWEEP = "model: MLP\naxes: {width: [2, 3]}\nsettings: {steps: 2}\n"


def hold(folder: Path) -> None:
    with one_writer(folder):
        (folder / "held").touch()
        time.sleep(60)


def test_a_second_writer_is_refused_until_the_first_has_died(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    process = multiprocessing.get_context("spawn").Process(target=hold, args=(folder,))
    process.start()
    while not (folder / "held").exists():
        time.sleep(0.01)
    with pytest.raises(ValueError, match="is being written by another process"), one_writer(folder):
        pass
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    (folder / "held").unlink()
    with one_writer(folder, wait=10):
        assert is_unused(folder)


def test_a_second_sweep_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SWEEP)
    with one_writer(tmp_path / "out"):
        assert main(["sweep", "--config", "s.yaml", "--out", "out"]) == 2
    assert "out='out' is being written by another process" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]


def test_a_run_that_is_being_written_is_not_resumed(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(run_folder, tmp_path / "run")
    words = ["fit", "--ckpt_path", str(copy / "checkpoints" / "last.ckpt"), "--trainer.max_epochs", "3"]
    with one_writer(copy):
        before = sorted(path.name for path in copy.rglob("*"))
        assert main(words) == 2
        assert sorted(path.name for path in copy.rglob("*")) == before
    assert "is being written by another process" in capsys.readouterr().err
    assert main(words) == 0
