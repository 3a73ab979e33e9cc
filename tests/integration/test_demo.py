"""``make demo`` in small: five commands in one process leave the same bits as one process each, and the picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from examples import demo

from renorm.cli import main

FEW = ["--model.replicas", "2"]
SMALL = [*FEW, "--data.steps_per_epoch", "4", "--trainer.max_epochs", "2", "--data.val_samples", "64"]


@pytest.mark.draws
def test_commands_in_one_process_train_judge_and_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "FIT", " ".join([demo.FIT, *SMALL]))
    monkeypatch.setattr(demo, "TEST", " ".join([demo.TEST, *FEW, "--data.test_samples", "64"]))
    demo.demo(str(tmp_path / "demo"))
    assert (tmp_path / "demo" / "error_against_slope.png").stat().st_size > 10_000
    alone = ["fit", "--config", "slopes_full", *SMALL, "--trainer.default_root_dir", str(tmp_path / "alone")]
    assert main(alone) == 0
    own, other = (
        torch.load(tmp_path / root / "slopes_full" / "version_0" / "checkpoints" / "last.ckpt", weights_only=True)
        for root in ("demo", "alone")
    )
    assert all(torch.equal(value, other["state_dict"][name]) for name, value in own["state_dict"].items())


def test_the_makefile_runs_it() -> None:
    makefile = Path(demo.__file__).parents[1] / "Makefile"
    assert "$(BIN)/python examples/demo.py" in makefile.read_text()


def test_a_command_that_fails_ends_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        demo.run("fit --config nonsense")
    assert ended.value.code == 2
    assert "$ renorm fit --config nonsense" in capsys.readouterr().out
