"""What ``make demo`` runs: five commands of ``renorm``, one after another in one process, which imports PyTorch once."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from renorm.cli import main

FIT, TEST = "fit --config {name}", "test --config {name} --ckpt_path best"
CONFIGS = ("slopes_free", "slopes_full")
LAWS = '--laws "uniform()" "gaussian()" "exponential()" "gaussian(mean=1, std=3)"'


def run(command: str) -> None:
    """Print a command, then run it; end where it fails."""
    print(f"$ renorm {command}", flush=True)
    if code := main(shlex.split(command)):
        sys.exit(code)


def demo(root: str) -> None:
    """Train free and fully symmetric networks over 22 slopes, judge them, and draw error against slope."""
    for command in (FIT, TEST):
        for name in CONFIGS:
            run(f"{command.format(name=name)} --trainer.default_root_dir {shlex.quote(root)}")
    results = sorted(Path(root).glob("slopes_*/version_*/checkpoints/test_results.json"))
    run(f"plot {shlex.join(map(str, results))} {LAWS} --out {shlex.quote(f'{root}/error_against_slope.png')}")


if __name__ == "__main__":
    sys.argv[0] = "renorm"  # as which it goes on, and as which checkpoints remember it: nothing of this file is in them
    demo("demo")
