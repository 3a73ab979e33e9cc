"""What a config may import: the classes that renorm registers and harmless ones of its libraries, unless all is allowed."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch import Callback

from renorm.cli import main
from renorm.cli.options import condense

from ..conftest import QUICK, Run
from ..integration.test_bad_input import one_line

SHORT = ["--trainer.max_steps", "2", "--trainer.limit_val_batches", "0", *QUICK]
PLANTED = """
from pathlib import Path
Path({place!r}).write_text("executed")
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger
from renorm.zoo import MLP
class Model(MLP): pass
class Mine(Callback): pass
class Log(CSVLogger): pass
class Adam(torch.optim.Adam): pass
def make(*args): return torch.optim.Adam(*args)
"""


@pytest.fixture(autouse=True)
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module whose import leaves a trace, in a package's folder as a stranger's would be."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "trace"
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "stranger.py").write_text(PLANTED.format(place=str(place)))
    monkeypatch.syspath_prepend(tmp_path / "library")
    monkeypatch.delitem(sys.modules, "stranger", raising=False)
    return place


CONFIGS = {
    "model": {"model": {"class_path": "stranger.Model"}},
    "model_text": {"model": "stranger.Model"},
    "callbacks": {"trainer": {"callbacks": [{"class_path": "stranger.Mine"}]}},
    "logger": {"trainer": {"logger": {"class_path": "stranger.Log"}}},
    "loggers": {"trainer": {"logger": [{"class_path": "stranger.Log"}]}},
    "strategy": {"trainer": {"strategy": {"class_path": "stranger.Mine"}}},
    "plugins": {"trainer": {"plugins": [{"class_path": "stranger.Mine"}]}},
    "profiler": {"trainer": {"profiler": {"class_path": "stranger.Mine"}}},
    "accelerator": {"trainer": {"accelerator": {"class_path": "stranger.Mine"}}},
    "optimizer": {"model": {"class_path": "renorm.zoo.MLP", "init_args": {"optimizer": "stranger.make"}}},
    "optimizer_class": {
        "model": {"class_path": "renorm.zoo.MLP", "init_args": {"optimizer": {"class_path": "stranger.Adam"}}}
    },
    "scheduler": {
        "model": {"class_path": "renorm.zoo.MLP", "init_args": {"lr_scheduler": {"class_path": "stranger.Adam"}}}
    },
    "callable": {
        "trainer": {
            "callbacks": [
                {
                    "class_path": "lightning.pytorch.callbacks.LambdaCallback",
                    "init_args": {"on_fit_start": "stranger.make"},
                }
            ]
        }
    },
    "within": {"model": {"class_path": "torch.optim.adam.torch.load"}},
    "system": {"trainer": {"callbacks": [{"class_path": "os.system"}]}},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_strangers_config_imports_nothing(name: str, planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.yaml").write_text(yaml.safe_dump(CONFIGS[name]))
    assert main(["fit", "--config", "config.yaml", *SHORT]) == 2
    one_line(capsys.readouterr().err)
    assert not planted.exists()
    assert "stranger" not in sys.modules
    assert not Path("runs").exists()


def test_a_config_behind_a_config_imports_nothing(planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("model.yaml").write_text("class_path: stranger.Model\n")
    Path("config.yaml").write_text("model: model.yaml\n")
    for words in (["--config", "config.yaml"], ["--model", "model.yaml"], ["--model", "stranger.Model"]):
        assert main(["fit", *words, *SHORT]) == 2
        one_line(capsys.readouterr().err)
    Path("config.yaml").write_text("allow_imports: true\nmodel: {class_path: stranger.Model}\n")
    assert main(["fit", "--config", "config.yaml", *SHORT]) == 2
    assert not planted.exists()


def test_a_checkpoints_recipe_imports_nothing(
    run_folder: Path, planted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(run_folder / "checkpoints" / "last.ckpt", weights_only=True)
    content["renorm"]["recipe"]["model"]["class_path"] = "stranger.Model"
    torch.save(content, "stranger.ckpt")
    for command in ("fit", "test", "validate", "predict", "certify"):
        assert main([command, "--ckpt_path", "stranger.ckpt"]) == 2
        one_line(capsys.readouterr().err)
    assert not planted.exists()


def test_allowed_on_request_and_for_that_command_only(planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fit", "--trainer.callbacks", "stranger.Mine", *SHORT]
    assert main([*words, "--allow_imports"]) == 0
    assert planted.exists()
    planted.unlink()
    del sys.modules["stranger"]
    capsys.readouterr()
    shutil.rmtree("runs")
    import gc

    gc.collect()
    assert main(["fit", "--config", "mlp_relu_free", "--allow_imports=maybe"]) == 2
    assert "allow_imports='maybe'" in one_line(capsys.readouterr().err)
    # what jsonargparse itself denies stays denied
    assert main(["fit", "--allow_imports", "true", "--trainer.callbacks", "os.system", *SHORT]) == 2
    assert not planted.exists()


class Mine(Callback):
    """What a user's own program has defined is loaded already."""

    started = 0

    def on_fit_start(self, trainer: object, pl_module: object) -> None:
        Mine.started += 1


def test_ones_own_program_and_the_libraries_classes_need_no_leave(tmp_path: Path) -> None:
    Mine.__module__ = "own_program"
    sys.modules["own_program"] = sys.modules[__name__]
    try:
        words = ["fit", "--trainer.callbacks", "own_program.Mine", "--trainer.callbacks+", "EarlyStopping"]
        words += ["--trainer.callbacks.monitor", "loss/val", "--model.optimizer", "torch.optim.SGD"]
        words += ["--model.optimizer.lr", "0.01", "--model.lr_scheduler", "torch.optim.lr_scheduler.StepLR"]
        words += ["--model.lr_scheduler.step_size", "5", "--trainer.logger", "CSVLogger"]
        words += ["--trainer.logger.save_dir", "logs", "--trainer.profiler", "simple"]
        assert main([*words, *QUICK, "--trainer.max_epochs", "1"]) == 0
    finally:
        del sys.modules["own_program"]
    assert Mine.started == 1
    assert list(Path("logs").rglob("metrics.csv"))


def test_a_script_of_ones_own(renorm: Run, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom lightning.pytorch import Callback\nfrom renorm.cli import main\n"
        "class Mine(Callback):\n    def on_fit_start(self, trainer, pl_module):\n        print('mine was here')\n"
        "sys.exit(main())\n"
    )
    done = renorm("fit", "--trainer.callbacks", "__main__.Mine", *SHORT, cwd=tmp_path, script=script)
    assert done.returncode == 0, done.stderr
    assert "mine was here" in done.stdout


def test_the_line_names_what_was_not_imported() -> None:
    line = condense("Parser key \"model\":\n  Importing 'a.B' is not allowed, denied by the '*' entry")
    assert line.startswith("model: 'a.B' is not imported; allowed: ")
    assert "--allow_imports" in line


# ---- files that a checkpoint names ----------------------------------------------------------------------------------


def test_a_checkpoint_reads_no_file_that_the_user_does_not_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("data.csv").write_text("r\n" + "\n".join(str(i % 7) for i in range(50)) + "\n")
    laws = ["gaussian(mean=0, std=1)", "empirical(path=data.csv, column=r)"]
    own = ["--data.train_laws", json.dumps(laws)]
    assert main(["fit", *own, "--trainer.max_epochs", "1", *QUICK]) == 0
    checkpoint = next(Path("runs").rglob("last.ckpt"))
    capsys.readouterr()
    for command in ("test", "validate", "predict", "fit"):
        assert main([command, "--ckpt_path", str(checkpoint)]) == 2
        line = one_line(capsys.readouterr().err)
        assert "data.csv" in line
        assert f"--data.train_laws '{json.dumps(laws)}'" in line  # to be pasted
    assert main(["validate", "--ckpt_path", str(checkpoint), *own]) == 0
    Path("own.yaml").write_text(yaml.safe_dump({"data": {"train_laws": laws}}))
    assert main(["validate", "--ckpt_path", str(checkpoint), "--config", "own.yaml"]) == 0
