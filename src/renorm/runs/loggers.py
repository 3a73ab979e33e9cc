"""Loggers other than TensorBoard's: where they write, under which name, and how to look at what they wrote."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from ..callbacks.csv_metrics import KeepingCSVLogger
from ..errors import InputError, in_one_line
from ..files.untrusted import read_yaml

SERVICES = ("mlflow", "wandb")  # whose loggers have services behind them


def keeping(loggers: Any, run: Path | None) -> list[Any]:
    """The loggers, with those of CSV files as ones that delete nothing, and that go on in the run that they would repeat.

    Lightning's own deletes the ``metrics.csv`` that a folder has.

    Args:
        loggers: of the trainer.
        run: folder of the run that goes on; None for a new one.

    Raises:
        ValueError: where another run's file would be written to.
    """
    given = loggers if isinstance(loggers, list) else [loggers]
    return [_keeping(one, run) if type(one) is CSVLogger else one for one in given]


def _keeping(logger: CSVLogger, run: Path | None) -> CSVLogger:
    settings: dict[str, Any] = {"prefix": logger._prefix, "flush_logs_every_n_steps": logger._flush_logs_every_n_steps}
    root, named = Path(logger.root_dir), logger._version is not None
    if run is not None and (Path(logger.log_dir) if named else root / run.name).resolve() == run.resolve():
        return KeepingCSVLogger(run, name="", version="", **settings)
    if named and (Path(logger.log_dir) / "metrics.csv").exists():
        raise InputError(
            f"trainer.logger.version={logger._version!r} has a metrics.csv already, in {str(logger.log_dir)!r}",
            "another version, or --ckpt_path of that run, which goes on with it",
        )
    return KeepingCSVLogger(logger.save_dir, name=logger.name, version=logger._version, **settings)


def loggers_of(run: Path) -> list[dict[str, Any]]:
    """Class path and arguments of the loggers that a run was last told of; empty where it was told of none.

    A part of a run that names no logger goes on with those of the part before it.
    """
    resumed = sorted(run.glob("config_resumed_*.yaml"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for config in (*resumed, run / "config.yaml"):
        try:
            given = read_yaml(config, f"config={str(config)!r}")["trainer"]["logger"]
        except (ValueError, OSError, TypeError, KeyError):  # of an older, a moved or a foreign run
            continue
        if given is not None:
            return [one for one in (given if isinstance(given, list) else [given]) if isinstance(one, dict)]
    return []


def csv_settings(run: Path) -> dict[str, Any] | None:
    """What the CSV logger that a run had was told of how to write, None where it had no such logger."""
    for one in loggers_of(run):
        if str(one.get("class_path")).rpartition(".")[2] == "CSVLogger":
            told = one.get("init_args")
            arguments = told if isinstance(told, dict) else {}
            kinds = {"prefix": str, "flush_logs_every_n_steps": int}
            return {key: arguments[key] for key, kind in kinds.items() if type(arguments.get(key)) is kind}
    return None


def other_loggers(run: Path) -> list[str]:
    """Names of the loggers that a run had, and that nobody but their own service can go on with."""
    names = [str(one.get("class_path"))[:200].rpartition(".")[2] for one in loggers_of(run)]
    return [name for name in names if name not in ("CSVLogger", "TensorBoardLogger")]


def check_named(name: str, logger: Any) -> None:
    """Refuse a name that no logger of the run would take.

    Args:
        name: of the run, as asked for.
        logger: the trainer's.

    Raises:
        ValueError: where the run would not bear that name.
    """
    loggers = logger if isinstance(logger, list) else [logger]
    named = [vars(one).get(key) for one in loggers for key in ("_name", "_run_name") if isinstance(one, Logger)]
    if name not in named:
        what = ", ".join(type(one).__name__ if isinstance(one, Logger) else str(one).lower() for one in loggers)
        raise InputError(f"name={name!r} is not the name of trainer.logger={what}", "the logger's own name, or none")


def service_refusal(error: BaseException | None) -> str | None:
    """What MLflow or Weights & Biases say against a logger's arguments, in one line; None where an error is not theirs.

    Args:
        error: as Lightning and its parser pass it on.
    """
    while error is not None:
        if type(error).__module__.partition(".")[0] in SERVICES:
            return in_one_line(error)
        error = error.__cause__
    return None


def where_to_look(trainer: Trainer) -> list[str]:
    """For each logger of a run, a line that says how to look at what it wrote."""
    lines = []
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            # beside a run are those that one compares it with, also for a resumed one, which logs into its own folder
            root = Path(trainer.default_root_dir)
            folder = root if root.resolve() in Path(logger.log_dir).resolve().parents else logger.save_dir
            lines.append(f"watch:  {shlex.join(['tensorboard', '--logdir', str(folder)])}")
        elif isinstance(logger, CSVLogger):
            lines.append(f"watch:  {Path(logger.log_dir) / 'metrics.csv'}")
        elif isinstance(logger, MLFlowLogger):
            uri = str(logger._tracking_uri)
            remote = uri.startswith(("http:", "https:"))
            command = shlex.join(["mlflow", "ui", "--backend-store-uri", uri])
            lines.append(f"watch:  {uri if remote else command}")
        elif isinstance(logger, WandbLogger):
            run: Any = logger.experiment
            offline = getattr(run, "offline", False) or not getattr(run, "url", None)
            command = shlex.join(["wandb", "sync", str(Path(run.dir).parent)])
            lines.append(f"watch:  {command if offline else run.url}")
    return lines
