"""Every command of the README and of the guides runs, in their order; trainings and the report are cut short.

The figures of all trainings but the first are left out, and so is what another test runs just so.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from ..conftest import NO_FIGURES
from ..forked import fork_workers, run_forked
from ..report.tiny import small_claims

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
OWN = [f"how_to/own_{part}" for part in ("activation", "law", "loss_and_metric", "map", "symmetry")]
GUIDES = [  # each goes on where the last one ended
    *("start/ten_minutes", "training", "pretrained", "inside", *OWN, "own_data", "own_networks", "maps"),
    *("graph_networks", "how_to/export", "how_to/several_devices"),
]
TEXT = "\n".join([README, *((ROOT / "docs" / f"{name}.md").read_text() for name in GUIDES)])
COMMANDS = list(
    dict.fromkeys(  # one that a guide repeats runs once
        line for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL) for line in block.strip().splitlines()
    )
)
SHORT = ["--data.steps_per_epoch", "3", "--data.val_samples", "64", "--data.test_samples", "64"]
SHORT += ["--rg_flow.samples", "64"]
ELSEWHERE = ("renorm selftest",)  # test_all_is_well_here
FIRST_FIT = next(command for command in COMMANDS if command.startswith("renorm fit"))
FIRST_SCRIPT = next(command for command in COMMANDS if command.startswith("python"))
CHECKS = {  # what the comments of a page say
    "README.md": "assert abs(model(torch.tensor([[1.0, 2.0]])).item() - 2.1213) < 1e-4",
    "python.md": "assert y.shape == (16, 1000) and list(layers) == ['pre0', 'act0', 'out'], (y.shape, list(layers))",
    "cumulants.md": "assert k.shape == error.shape == (4, 3) and torch.allclose(metric.compute().k, k)",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("readme")
    (root / "examples").symlink_to(ROOT / "examples")
    return root


def arguments(command: str) -> tuple[Path | None, list[str]]:
    """The script, None for renorm itself, and its arguments."""
    words = shlex.split(command)
    script = None if words[0] == "renorm" else ROOT / words.pop(1)
    words = words[1:]
    if words[0] == "fit":
        epochs = "3" if "--trainer.max_epochs" in words else "2"  # a run that goes on has one more than it had
        words += [*SHORT, *(NO_FIGURES if command != FIRST_FIT else ()), "--trainer.max_epochs", epochs]
    return script, words


def small_report(folder: Path) -> None:
    """A report of a small claim by workers that need not import anything."""
    small_claims(folder)
    fork_workers()


def test_the_readme_has_commands() -> None:
    assert len(COMMANDS) >= 9
    for word in ("fit", "test", "plot", "own_activation.py", "own_law.py", "--ckpt_path last", "ddp"):
        assert any(word in command for command in COMMANDS)


def test_all_commands_run_in_order(folder: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for command in COMMANDS:
        if command in ELSEWHERE:
            continue
        script, words = arguments(command)
        if command not in (FIRST_FIT, FIRST_SCRIPT) and "ddp" not in words:
            done = run_forked(words, folder, script, prepare=partial(small_report, folder / "claims"))
        else:  # the first training and the first script are programs of their own, and so is one that starts others
            program = ["-m", "renorm"] if script is None else [str(script)]
            command_line = [sys.executable, *program, *words]
            done = subprocess.run(
                command_line, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert (folder / "error_against_slope.png").stat().st_size > 10_000


def test_files_that_the_readme_links_to_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert file_of(target, ROOT).exists(), target


def file_of(link: str, folder: Path) -> Path:
    """The file that a link of a page in a folder leads to; of a badge, the workflow that it speaks of."""
    if workflow := re.match(r"(?:\.\./)+actions/workflows/(\w+\.yml)", link):  # of the place that hosts the repository
        return ROOT / ".github" / "workflows" / workflow.group(1)
    return folder / link


def test_make_targets_that_the_readme_names_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make (\w+)", README)) - {"the"}:
        assert f"\n{target}:" in makefile, target


PAGES = sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize(
    "page",
    [page for page in [ROOT / "README.md", *PAGES] if "```python\n" in page.read_text()],
    ids=lambda page: page.name,
)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
    (tmp_path / "page.py").write_text(f"{code}\n{CHECKS.get(page.name, '')}")
    done = run_forked([], tmp_path, tmp_path / "page.py")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_tests_and_pages_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    tests = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("*.py"))
    for name in re.findall(r"`(?:test_\w+\.py::)?(test_\w+)`", text):
        assert f"def {name}(" in tests, name
    for name in re.findall(r"`(test_\w+\.py)", text):
        assert list((ROOT / "tests").rglob(name)), name
    for link in re.findall(r"\]\(([\w/.-]+)\)", text):
        target = file_of(link, page.parent)
        generated = "reference/" in link or target.with_suffix(".py").exists()  # see tests/docs
        assert generated or target.exists(), link
