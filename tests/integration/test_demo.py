"""``make demo`` in small: five commands train, judge and draw."""

from __future__ import annotations

from pathlib import Path

import pytest
from examples import demo

FEW = ["--model.replicas", "2"]
SMALL = [*FEW, "--data.steps_per_epoch", "4", "--trainer.max_epochs", "1", "--data.val_samples", "64"]
OFF = [word for name in ("cumulants", "symmetry_breaking", "rg_flow") for word in (f"--{name}.every_n_epochs", "0")]


@pytest.mark.draws
def test_commands_train_judge_and_draw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "FIT", " ".join([demo.FIT, *SMALL, *OFF]))
    monkeypatch.setattr(demo, "TEST", " ".join([demo.TEST, *FEW, "--data.test_samples", "64"]))
    demo.demo(str(tmp_path / "demo"))
    assert (tmp_path / "demo" / "error_against_slope.png").stat().st_size > 10_000
    assert len(list((tmp_path / "demo").glob("slopes_*/version_0/checkpoints/test_results.json"))) == 2
    commands = [line.split()[2:5] for line in capfd.readouterr().out.splitlines() if line.startswith("$ renorm ")]
    assert [words[-1] for words in commands[:4]] == ["slopes_free", "slopes_free", "slopes_full", "slopes_full"]
    assert [words[0] for words in commands] == ["fit", "test", "fit", "test", "plot"]


def test_a_training_that_fails_ends_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "FIT", "fit --config {name} --model.replicas 0")
    with pytest.raises(SystemExit) as ended:
        demo.demo(str(tmp_path / "demo"))
    assert ended.value.code == 2
    assert "replicas=0" in capfd.readouterr().err


def test_the_makefile_runs_it() -> None:
    makefile = Path(demo.__file__).parents[1] / "Makefile"
    assert "$(BIN)/python examples/demo.py" in makefile.read_text()


def test_a_command_that_fails_ends_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        demo.run("fit --config nonsense")
    assert ended.value.code == 2
    assert "$ renorm fit --config nonsense" in capsys.readouterr().out
