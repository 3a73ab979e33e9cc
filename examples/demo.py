"""What ``make demo`` runs: five commands of ``renorm``, of which the two trainings and their tests take a process each."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

FIT, TEST = "fit --config {name}", "test --config {name} --ckpt_path best"
CONFIGS = ("slopes_free", "slopes_full")
LAWS = '--laws "uniform()" "gaussian()" "exponential()" "gaussian(mean=1, std=3)"'


def run(command: str) -> None:
    """Print a command, then run it; end where it fails."""
    from renorm.cli import main  # seconds of imports, once a process

    print(f"$ renorm {command}", flush=True)
    if code := main(shlex.split(command)):
        sys.exit(code)


def started(commands: list[str], out: IO[str] | None = None) -> subprocess.Popen[str]:
    """A process that runs commands, one after another."""
    return subprocess.Popen([sys.executable, __file__, *commands], stdout=out, stderr=out, text=True)


def demo(root: str) -> None:
    """Train free and fully symmetric networks over 22 slopes, judge them, and draw error against slope."""
    where = f"--trainer.default_root_dir {shlex.quote(root)}"
    free, full = ([f"{command.format(name=name)} {where}" for command in (FIT, TEST)] for name in CONFIGS)
    with tempfile.TemporaryFile("w+") as said, started(free) as first, started(full, said) as second:
        if code := first.wait():
            second.terminate()
            sys.exit(code)
        code = second.wait()
        said.seek(0)
        print(said.read(), flush=True)
        if code:
            sys.exit(code)
    results = sorted(Path(root).glob("slopes_*/version_*/checkpoints/test_results.json"))
    run(f"plot {shlex.join(map(str, results))} {LAWS} --out {shlex.quote(f'{root}/error_against_slope.png')}")


if __name__ == "__main__":
    commands, sys.argv = sys.argv[1:], ["renorm"]  # as which checkpoints remember it: nothing of this file is in them
    for command in commands:
        run(command)
    if not commands:
        demo("demo")
