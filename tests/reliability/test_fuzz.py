"""Hundreds of argument lists and configs, made from valid ones by mutation: done or refused in one line, nothing else touched.

The seed is fixed, so that a failure comes back; others: change ``SEED``; a thousand: ``--hypothesis-profile thorough``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from renorm.callbacks.results import SEAL, seal
from renorm.cli.main import COMMANDS, main

SEED = 20
FUZZ = settings(
    derandomize=False, database=None, deadline=None, suppress_health_check=list(HealthCheck), report_multiple_bugs=False
)
NASTY = [
    "", " ", "-", "--", "---", "=", "null", "~", "true", "nan", "inf", "-inf", "0", "-1", "1e999", "9" * 30, "0x10", "1_0",
    "[]", "[[]]", "{}", "[1,", "{a: b}", "[1, [2]]", "!!python/name:os.system", "&a [*a]", "*a", "%", "@", "`", "\\", "\"", "'",
    "../../..", "/", "/dev/null", "/nonexistent/x", ".", "~root", "file:///etc/passwd", "http://localhost:1/x", "a\nb", "\t",
    "é", "\u2028", "\ud7ff", "x" * 5000, "(" * 3000, "[" * 3000, "os.system", "builtins.eval", "renorm.zoo.MLP", "MLP", "GNN",
    "2001-99-99", "!!binary a", "? a", "a: b: c", "<<: 1", "mixture()", "empirical(path=.)", "standardised(cauchy())", "-h2",
    "--config", "--ckpt_path", "--seed", "--trainer", "--model", "--data", "--model.optimizer", "--trainer.callbacks", "--out",
]  # fmt: skip
# what stays cheap whatever the mutation: the guard comes last, where it wins
FITS: list[tuple[list[str], list[str]]] = [
    (["fit", "--config", "mlp_relu_free", "--model.width", "4"], ["--trainer.fast_dev_run", "true"]),
    (["fit", "--config", "config.yaml", "--seed", "3"], ["--trainer.fast_dev_run", "true"]),
    (["fit", "--model.negative_slope", "[0.1, 0.5]", "--model.replicas=2", "--data.train_laws", "laplace()"],
     ["--trainer.fast_dev_run", "true"]),
    (["fit", "--model", "GNN", "--model.layer", "gin", "--data.block_size", "2"], ["--trainer.fast_dev_run", "true"]),
    (["fit", "--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.1", "--name", "run"],
     ["--trainer.fast_dev_run", "true"]),
    (["test", "--allow_untrained", "true", "--model.activation", "tanh"], ["--trainer.fast_dev_run", "true"]),
    (["validate", "--ckpt_path", "own.ckpt"], ["--trainer.fast_dev_run", "true"]),
    (["predict", "--ckpt_path", "own.ckpt", "--out", "p.parquet"], ["--trainer.fast_dev_run", "true"]),
]  # fmt: skip
OTHERS: list[tuple[list[str], list[str]]] = [
    (["zoo", "list", "*_full"], []),
    (["zoo", "list", "--pretrained"], []),
    (["zoo", "show", "mlp_quadratic_free.uniform"], []),
    (["certify", "--config", "mlp_quadratic_free", "--model.width", "2"], []),
    (["certify", "--config", "config.yaml", "--json"], []),
    (["certify", "--ckpt_path", "own.ckpt"], []),
    (["propagate", "--ckpt_path", "own.ckpt", "--law", "uniform()", "--methods", "gaussian", "--json", "x.json"],
     ["--samples", "1000"]),
    (["sweep", "--config", "sweep.yaml", "--workers", "1", "--out", "sweep"], ["--dry_run"]),
    (["plot", "results.json", "--laws", "uniform()", "--metric", "relative_mse", "--out", "a.svg"], []),
    (["sweep", "plot", "nowhere", "--kind", "lines", "--out", "b.png"], []),
    (["bench", "--quick", "--out", "bench"], ["--threads", "0"]),
    (["selftest", "--device", "cpu"], ["--device", "abacus"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a config, a sweep, a checkpoint, results."""
    place = tmp_path_factory.mktemp("fuzz")
    (place / "own.ckpt").write_bytes((run_folder / "checkpoints" / "last.ckpt").read_bytes())
    content: dict[str, Any] = {
        "model": {"symmetry": "free"},
        "members": [{"member": 0, "negative_slope": 0.5}, {"member": 1, "negative_slope": 1.0}],
        "train_laws": ["uniform(low=-1.7320508075688772, high=1.7320508075688772)"],
        "held_out_laws": [],
        "results": {"uniform(low=-1.7320508075688772, high=1.7320508075688772)": {"relative_mse": [0.1, 0.2]}},
    }
    (place / "results.json").write_text(json.dumps(content | {SEAL: seal(content)}))
    return place


def mutated_words(words: list[str], dice: random.Random) -> list[str]:
    """One to three changes of the words behind the command."""
    command, rest = words[0], list(words[1:])
    for _ in range(dice.randint(1, 3)):
        i = dice.randrange(len(rest) + 1)
        kind = dice.randrange(7)
        if kind == 0 or i == len(rest):
            rest.insert(i, dice.choice(NASTY))
        elif kind == 1:
            del rest[i]
        elif kind == 2:
            rest[i] = dice.choice(NASTY)
        elif kind == 3:
            place = dice.randrange(len(rest[i]) + 1)
            rest[i] = rest[i][:place] + dice.choice("\u00e9x0-=.,[]{}():\"'\\ ") + rest[i][place + dice.randint(0, 2) :]
        elif kind == 4:
            j = dice.randrange(len(rest))
            rest[i], rest[j] = rest[j], rest[i]
        elif kind == 5:
            rest[i] = f"{rest[i]}={dice.choice(NASTY)}"
        else:
            rest.insert(i, rest[i])
    return [command, *rest]


FIT_CONFIG = {
    "model": {"class_path": "renorm.zoo.MLP", "init_args": {"width": 4, "activation": "relu", "replicas": 2}},
    "data": {"train_laws": ["uniform()", "gaussian()"], "batch_size": 16},
    "trainer": {"max_epochs": 1, "log_every_n_steps": 1},
}
SWEEP_CONFIG = {
    "model": "MLP",
    "settings": {"steps": 5, "lr": 0.01, "replicas": 2},
    "axes": {"width": [2, 4], "symmetry": ["free", "full"]},
}
ODD = [
    None,
    True,
    -1,
    0,
    2.5,
    10**30,
    float("nan"),
    "",
    "x",
    "é",
    [],
    [[]],
    {},
    {"a": 1},
    ["x", 1],
    {"class_path": "os.system"},
]


def mutated_config(config: dict[str, Any], dice: random.Random) -> str:
    """A config with one entry replaced, renamed, taken out or added, or its text damaged; half of the time as it is."""
    if dice.random() < 0.5:
        return str(yaml.safe_dump(config))
    content = json.loads(json.dumps(config))
    inner = content
    while True:
        key = dice.choice(list(inner))
        if not isinstance(inner[key], dict) or not inner[key] or dice.random() < 0.3:
            break
        inner = inner[key]
    kind = dice.randrange(5)
    if kind == 0:
        inner[key] = dice.choice(ODD)
    elif kind == 1:
        del inner[key]
    elif kind == 2:
        inner[dice.choice([key + "x", "", "class_path", "init_args"])] = inner.pop(key)
    elif kind == 3:
        inner[dice.choice([*"ab", "seed", "members", "loss"])] = dice.choice(ODD)
    text = str(yaml.safe_dump(content))
    if kind == 4:
        place = dice.randrange(len(text))
        text = text[:place] + dice.choice(NASTY[:40]) + text[place + dice.randint(0, 5) :]
    return text


def snapshot(place: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, and the folders."""
    return {str(p.relative_to(place)): p.read_bytes() if p.is_file() else b"" for p in sorted(place.rglob("*"))}


def check_case(words: list[str], guard: list[str], folder: Path, dice: random.Random) -> None:
    """Run one mutated command in the folder."""
    (folder / "config.yaml").write_text(mutated_config(FIT_CONFIG, dice), encoding="utf-8")
    (folder / "sweep.yaml").write_text(mutated_config(SWEEP_CONFIG, dice), encoding="utf-8")
    case = [*(words if dice.random() < 0.2 else mutated_words(words, dice)), *guard]
    before = snapshot(folder)
    out, err = io.StringIO(), io.StringIO()
    here = os.getcwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = main(case)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 3
    except BaseException as error:
        raise AssertionError(f"{case} escapes as {type(error).__name__}: {error}") from error
    finally:
        os.chdir(here)
    told = err.getvalue()
    assert code in (0, 2), (case, code, told)
    assert "Traceback" not in told, (case, told)
    if code == 2:
        lines = [line for line in told.splitlines() if line.startswith("renorm: error: ")]
        assert len(lines) == 1, (case, told)
        assert told.splitlines()[-1] == lines[0], (case, told)
        assert snapshot(folder) == before, case


@pytest.mark.slow
@settings(FUZZ, max_examples=2 * FUZZ.max_examples)
@seed(SEED)
@given(st.integers(0, 2**32))
def test_small_commands(folder: Path, number: int) -> None:
    dice = random.Random(number)
    words, guard = dice.choice(OTHERS)
    check_case(words, guard, folder, dice)


@pytest.mark.slow
@settings(FUZZ)
@seed(SEED)
@given(st.integers(0, 2**32))
def test_fits(folder: Path, number: int) -> None:
    dice = random.Random(number)
    words, guard = dice.choice(FITS)
    check_case(words, guard, folder, dice)


def test_every_command_is_among_them() -> None:
    tried = {words[0] for words, _ in [*FITS, *OTHERS]}
    assert tried >= set(COMMANDS) - {"report"}
