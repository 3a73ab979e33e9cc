"""YAML 1.2 everywhere: numbers as they look, no key twice, and what is checked is what is used."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from renorm.certificates.certificate import read_model
from renorm.cli import main
from renorm.cli.fit import Parser
from renorm.files.untrusted import parse_yaml
from renorm.files.yaml_core import dump, load, load_flag
from renorm.runs.configs import CONFIGS

# PyYAML loses some line separators in keys
TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
LOOKING_LIKE_NUMBERS = st.from_regex(r"[-+]?[0-9._:oxeE]{1,6}|yes|no|On|off|y|n|null|~|true|=|<<", fullmatch=True)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(TEXT | LOOKING_LIKE_NUMBERS, PLAIN | LOOKING_LIKE_NUMBERS, max_size=4))
def test_what_is_saved_is_read_alike_by_both_versions_of_yaml(content: dict[str, Any]) -> None:
    text = dump(content)
    assert load(text) == content
    assert yaml.safe_load(text) == content


@settings(max_examples=100, deadline=None)
@given(st.from_regex(r"[-+]?[0-9]{1,9}(\.[0-9]{0,4})?([eE][-+]?[0-9]{1,2})?", fullmatch=True))
def test_decimal_numbers_are_what_python_reads(text: str) -> None:
    value = load(text)
    assert value == float(text)
    assert isinstance(value, int) == text.lstrip("+-").isdigit()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("0o10", 8),
        ("0x1F", 31),
        ("1e3", 1000.0),
        ("-.INF", -math.inf),
        ("2001-01-01", "2001-01-01"),
        ("yes", "yes"),
        ("off", "off"),
        ("True", True),
        ("~", None),
        ("", None),
    ],
)
def test_core_schema(text: str, value: Any) -> None:
    assert load(text) == parse_yaml(text, "x") == load_flag(text) == value
    assert type(load(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 1",
        "{a: 1, a: 2}",
        "model:\n  b: {c: 1, c: 2}",
        "- 1\n- a: 1\n  a: 2",
        '{"a": 1, a: 2}',
        "{1: 0, 01: 0, 1: 2}",
    ],
)
def test_equal_keys_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^file='x' is not valid YAML.*is there twice, line \d+"):
        parse_yaml(text, "file='x'")


def test_a_merge_may_be_written_over() -> None:
    assert load("a: &a {b: 1, c: 2}\nd: {<<: *a, c: 3}") == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_our_own_files_mean_the_same_in_both_versions(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert load(text) == yaml.safe_load(text)


def test_a_fit_uses_what_was_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("model:\n  init_args: {width: 010}\ndata: {steps_per_epoch: 02, val_samples: 064}\n")
    quick = ["--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false"]
    assert main(["fit", "--config", "mine.yaml", "--model.replicas", "02", "--name", "1e3", *quick]) == 0
    saved = yaml.safe_load(Path("runs/1e3/version_0/config.yaml").read_text())
    assert saved["model"]["init_args"]["width"] == 10
    assert saved["model"]["init_args"]["replicas"] == 2
    assert saved["data"]["val_samples"] == 64
    assert saved["name"] == "1e3"


class Settings(NamedTuple):
    """Of every kind that renorm's settings have."""

    whole: int
    maybe: int | None
    real: float
    switch: bool
    text: str
    rates: list[float] | None


@pytest.fixture
def parser() -> Parser:
    parser = Parser()
    parser.add_argument("--config", action="config")
    for name, kind in get_type_hints(Settings).items():
        parser.add_argument(f"--{name}", type=kind)
    return parser


@pytest.mark.parametrize("way", ["flag", "config", "quoted"])
@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("whole", "010", 10),
        ("whole", "1:30", None),
        ("whole", "1_0", None),
        ("maybe", "0b11", None),
        ("maybe", "1:30", None),
        ("maybe", "0o10", 8),
        ("real", "1:30", None),
        ("real", "1e3", 1000.0),
        ("real", "1_0.5", None),
        ("switch", "yes", None),
        ("switch", "off", None),
        ("switch", "true", True),
        ("rates", "[010, 1e-1]", [10, 0.1]),
        ("rates", "[1:30]", None),
        ("text", "yes", "yes"),
        ("text", "1:30", "1:30"),
    ],
)
def test_flags_and_configs_mean_the_same(
    name: str, text: str, value: Any, way: str, parser: Parser, tmp_path: Path
) -> None:
    words = [f"--{name}={text}"]
    if way != "flag":
        (tmp_path / "x.yaml").write_text(f"{name}: {text!r}\n" if way == "quoted" else f"{name}: {text}\n")
        words = ["--config", str(tmp_path / "x.yaml")]
    try:
        found = parser.parse_args(words)[name]
    except ValueError:
        found = None
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "config",
    [
        "model: {class_path: renorm.zoo.MLP}\nmodel: {class_path: renorm.zoo.GNN}\n",
        "data: {batch_size: 8, batch_size: 16}\n",
        "data: {batch_size: 1:30}\n",
    ],
)
def test_a_fit_refuses_what_would_change_its_meaning(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(config)
    assert main(["fit", "--config", "mine.yaml", "--trainer.fast_dev_run", "true"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_certificates_refuse_equal_keys(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("model: {init_args: {width: 2, width: 3}}")
    with pytest.raises(ValueError, match="is there twice"):
        read_model(tmp_path / "x.yaml")
