"""The wheel that people install: built through an sdist, one import package, with its configs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FOLDERS = ("maps", "zoo", "datamodules", "callbacks", "cumulants", "configs")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(out), str(ROOT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_has_every_file_below_one_package(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    expected = {f"renorm/{name}" for name in tracked if name.partition("/")[0] in FOLDERS}
    links = {f"src/renorm/{folder}" for folder in FOLDERS}
    expected |= {name.removeprefix("src/") for name in tracked if name.startswith("src/renorm/") and name not in links}
    assert inside == expected
    assert sum(name.endswith(".safetensors") for name in inside) >= 43  # forty entries, three trajectories
    assert wheel.stat().st_size < 5_000_000


@pytest.mark.slow
def test_an_installed_wheel_works_elsewhere(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(target)
    code = (
        "import renorm, renorm.zoo, renorm.runs.configs as r; "
        f"assert renorm.__file__.startswith({str(target)!r}), renorm.__file__; "
        "assert r.find_config('slopes_free').startswith(renorm.__file__.rpartition('/')[0]); "
        "assert len(renorm.list_models(pretrained=True)) >= 40; "
        "assert renorm.load_pretrained('mlp_relu_free.uniform').num_members == 1; "
        "print(len(renorm.list_models()))"
    )
    environment = os.environ | {"PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 50
    for folder in FOLDERS[:-1]:
        assert not (target / folder).exists()


def test_types_are_seen_from_outside(tmp_path: Path) -> None:
    """Of the installed package; mypy would not look into it without ``py.typed``."""
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nfollow_imports = skip\nstrict = true\n"  # PyTorch takes a minute to be read
        "[mypy-renorm,renorm.zoo.registry]\nfollow_imports = normal\n"
    )
    (tmp_path / "outside.py").write_text("import renorm\n\nnumber: int = renorm.list_models()\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", os.devnull, "outside.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert '"list[str]", variable has type "int"' in done.stdout, done.stdout
    assert "Found 1 error in 1 file" in done.stdout


def test_the_version_is_the_same_everywhere() -> None:
    found = {
        re.search(pattern, (ROOT / name).read_text(), re.MULTILINE)[1]  # type: ignore[index]
        for name, pattern in (
            ("pyproject.toml", r'^version = "(.+)"$'),
            ("src/renorm/__init__.py", r'^__version__ = "(.+)"$'),
            ("CITATION.cff", r"^version: (.+)$"),
        )
    }
    assert len(found) == 1
    assert f"\n## {found.pop()}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_workflows_are_yaml_and_what_they_make_exists() -> None:
    makefile, asked = (ROOT / "Makefile").read_text(), set()
    for file in (ROOT / ".github").rglob("*.yml"):
        content = yaml.safe_load(file.read_text())
        assert content, file
        for job in content.get("jobs", {}).values():
            rows = job.get("strategy", {}).get("matrix", {}).get("include", ())
            asked |= {row["target"] for row in rows}
            asked |= set(re.findall(r"make ([\w-]+)", " ".join(step.get("run", "") for step in job["steps"])))
    assert asked == {"docs", "test-lowest", "test-newest"}
    for target in asked:
        assert re.search(rf"^[\w -]*\b{target}\b[\w -]*:", makefile, re.MULTILINE), target
