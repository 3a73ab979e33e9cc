"""What a checkpoint does to a run that takes it up: the files that it would read, and state that does not fit."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from ..files.untrusted import read_yaml
from .configs import laws_of_files

CONNECTOR = "checkpoint_connector.py"  # Lightning's module that restores


def check_files(recipe: dict[str, Any], checkpoint: Path, configs: Iterable[str], flags: Iterable[str]) -> None:
    """Refuse laws of a checkpoint that read a file, unless the user names them too: the checkpoint may be a stranger's.

    Args:
        recipe: settings of model and data from the checkpoint.
        checkpoint: its file.
        configs: paths of the user's own configs.
        flags: the user's flags.

    Raises:
        ValueError: with the law, and the flag that allows it.
    """
    named = {word.partition("=")[0] for word in flags}
    of_configs: set[str] = set()
    for config in configs:
        content = {} if config.startswith("{") else read_yaml(Path(config), f"config={config!r}")
        of_configs |= {f"--data.{key}" for key in (content or {}).get("data") or {}}
    for key, laws in laws_of_files(recipe).items():
        if f"--data.{key}" not in named | of_configs:
            raise ValueError(
                f"ckpt_path={str(checkpoint)!r} would read a file: its data.{key} has {laws[0][:300]!r}; "
                f"allowed, if you trust it: --data.{key} {shlex.quote(json.dumps(recipe['data'][key]))}"
            )


def is_restoring(error: BaseException) -> bool:
    """Whether an error comes from taking up the state of a checkpoint."""
    seen: BaseException | None = error
    while seen is not None:
        trace: TracebackType | None = seen.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            # the same module of Lightning also writes checkpoints
            if code.co_filename.endswith(CONNECTOR) and code.co_name.lstrip("_").startswith(
                ("restore", "resume", "load")
            ):
                return True
            trace = trace.tb_next
        seen = seen.__cause__
    return False


def does_not_fit(error: BaseException, checkpoint: Path) -> ValueError:
    """The error of a checkpoint whose state does not fit the run."""
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return ValueError(
        f"ckpt_path={str(checkpoint)!r} does not fit the run that it describes ({type(error).__name__}: {reason}); "
        "allowed: checkpoints of 'renorm fit' that nobody has changed"
    )
