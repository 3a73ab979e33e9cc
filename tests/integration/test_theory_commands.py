"""``renorm propagate`` and ``renorm certify`` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from renorm.cli import main
from renorm.cumulants import propagate
from renorm.zoo.registry import create_model

from ..conftest import NO_FIGURES, QUICK, Run


def test_predictions_beside_measurements(renorm: Run, tmp_path: Path) -> None:
    words = ["propagate", "--model", "mlp_quadratic_free", "--law", "gamma(shape=2)", "--law", "uniform()"]
    done = renorm(*words, "--samples", 20000, "--json", "numbers.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "weights mlp_quadratic_free, untrained, seed 0"
    assert done.stderr == ""
    for word in (
        "law gamma()",
        "gaussian 2",
        "edgeworth 4",
        "exact",
        "quadrature",
        "standard error",
        "act0",
        "k4",
    ):
        assert word in done.stdout
    gamma, uniform = json.loads((tmp_path / "numbers.json").read_text())
    assert uniform["law"].startswith("uniform")
    exact = (
        propagate(create_model("mlp_quadratic_free"), "gamma(shape=2)", method="exact").marginals("out")[:, 0].tolist()
    )
    for n in range(4):
        assert gamma["predicted"]["exact"]["layers"]["out"][n] == pytest.approx(exact[n])
        noise = gamma["measured"]["out"]["stderr"][n][0]
        assert abs(gamma["measured"]["out"]["k"][n][0] - exact[n][0]) < 6 * noise


def test_methods_that_cannot_do_a_law_are_left_out(renorm: Run, tmp_path: Path) -> None:
    law = "mixture(1*bernoulli(p=0.5) + 1*gaussian())"
    done = renorm("propagate", "--model", "mlp_relu_free", "--law", law, "--samples", 1000, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "edgeworth 4" in done.stdout
    assert "quadrature" not in done.stdout


def test_a_checkpoint_and_a_chosen_member(renorm: Run, tmp_path: Path) -> None:
    fit = ["fit", "--config", "mlp_relu_free", "--model.replicas", 3, "--trainer.max_epochs", 1]
    quick = [*QUICK, *NO_FIGURES, "--theory_gap.every_n_epochs", 1, "--theory_gap.samples", 64, "--name", "a"]
    done = renorm(*fit, *quick, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("runs/a/version_0/theory_gap/*.parquet"))
    options = ["--law", "laplace()", "--methods", "gaussian", "--closed_at", "input", "--member", 2, "--samples", 1000]
    done = renorm("propagate", "--ckpt_path", "last", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "quadrature" not in done.stdout
    assert done.stdout.splitlines()[0] == "weights runs/a/version_0/checkpoints/last.ckpt"
    done = renorm("propagate", "--ckpt_path", "last", *options[:-4], "--member", 3, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "renorm: error: member=3 is out of range; allowed: 0 to 2\n"
    done = renorm("certify", "--ckpt_path", "last", cwd=tmp_path)
    assert done.stdout.startswith("MLP 2-8-1, relu, free: representable")


BAD = [
    (["propagate", "--model", "mlp_relu_free", "--law", "gama()"], "law 'gama' is unknown"),
    (["propagate", "--model", "mlp_relu_fre", "--law", "gamma()"], "mlp_relu_fre"),
    (["propagate", "--ckpt_path", "nope.ckpt", "--law", "gamma()"], "ckpt_path='nope.ckpt' is not a file"),
    (["propagate", "--model", "mlp_relu_free", "--law", "gamma()", "--methods", "magic"], "methods='magic' is unknown"),
    (["propagate", "--model", "mlp_relu_free", "--law", "gamma()", "--closure", "9"], "closure=9 is out of range"),
    (["propagate", "--model", "mlp_relu_free", "--law", "gamma()", "--samples", "2"], "samples=2 is out of range"),
    (["propagate", "--model", "mlp_relu_free", "--law", "cauchy()"], "has no variance"),
    (["propagate", "--model", "mlp_relu_free", "--law", "stable(alpha=1.5)"], "has no variance"),
    (["propagate", "--model", "mlp_relu_free", "--law", "lognormal(std=10)"], "beyond the range of torch.float32"),
    (["propagate", "--model", "mlp_relu_free", "--law", "poisson(1e15)"], "cannot resolve"),
    (["propagate", "--model", "mlp_relu_free", "--law", "uniform(100000000, 100000001)"], "cannot resolve"),
    (
        ["propagate", "--model", "mlp_relu_free", "--law", "gamma()", "--methods", "exact"],
        "is for polynomial activations",
    ),
    (
        ["propagate", "--model", "mlp_relu_free", "--law", "gamma(1e10)", "--methods", "quadrature"],
        "is too narrow where it is",
    ),
    (["propagate", "--model", "gnn_gat_relu_tied", "--law", "gamma()"], "layer='gat' is not affine"),
    (
        ["propagate", "--model", "mlp_relu_free", "--law", "gamma()", "--json", "no/where.json"],
        "is in no folder that exists",
    ),
    (["propagate", "--model", "mlp_relu_free", "--law", "gamma()", "--samples", "many"], "invalid int value: 'many'"),
    (["propagate", "--law", "gamma()"], "one of the arguments --ckpt_path --model is required"),
    (["certify"], "one is needed"),
    (["certify", "--config", "heavy_tails"], "has no section 'model'"),
    (["zoo", "burn"], "invalid choice: 'burn'"),
    (["zoo", "show"], "the following arguments are required: NAME"),
    (["plot"], "the following arguments are required"),
    (["certify", "--config", "nope"], "config='nope' is neither a file nor a known name"),
    (["certify", "--config", "mlp_relu_free", "--model.width", "0"], "width=0 is out of range"),
    (["certify", "--config", "mlp_relu_free", "--model.wdth", "3"], "model.wdth is unknown; allowed"),
    (["certify", "--config", "mlp_relu_free", "--model.width", "x"], "model.width='x' is not allowed; allowed: int"),
    (
        ["certify", "--config", "mlp_relu_free", "--model.alpha", "1"],
        "alpha=1.0 is not a parameter of activation 'relu'",
    ),
    (["certify", "--config", "mlp_relu_free", "--model.width"], "argument --model: expected one argument"),
    (["certify", "--config", "mlp_relu_free", "--fast"], "--fast is unknown; allowed: the options of --help"),
    (["certify", "--ckpt_path", "best"], "finds no checkpoint"),
    (["certify", "--ckpt_path", "best", "--name", "a"], "finds no checkpoint below 'runs/a'"),
    (["certify", "--ckpt_path", "best", "--name", "../a"], "name='../a' is not the name of one folder"),
    (["certify", "--config", "mlp_relu_free", "--name", "a"], "name='a' does not say which model"),
    (["propagate", "--model", "mlp_relu_free", "--law", "gamma()", "--name", "a"], "name='a' does not say which model"),
]


@pytest.mark.parametrize(("words", "message"), BAD)
def test_bad_input_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2  # in this process: a new one for each would cost minutes
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_best_of_a_named_run(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("asked", "newer"):
        folder = tmp_path / "runs" / name / "version_0" / "checkpoints"
        folder.mkdir(parents=True)
        (folder / "best.ckpt").write_bytes((run_folder / "checkpoints" / "best.ckpt").read_bytes())
    monkeypatch.chdir(tmp_path)
    options = ["--law", "uniform()", "--methods", "gaussian", "--samples", "100"]
    for name, found in ((["--name", "asked"], "asked"), ([], "newer")):
        assert main(["propagate", "--ckpt_path", "best", *name, *options]) == 0
        assert capsys.readouterr().out.startswith(f"weights runs/{found}/version_0/checkpoints/best.ckpt\n")
    assert main(["certify", "--ckpt_path", "best", "--name", "asked"]) == 0


def test_certificates_on_the_command_line(renorm: Run, tmp_path: Path) -> None:
    done = renorm("certify", "--config", "mlp_quadratic_full", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "MLP 2-8-1, quadratic(alpha=0.5), full: not representable" in done.stdout
    assert "Gröbner basis {1}" in done.stdout
    done = renorm("certify", "-c", "slopes_full", "--model.negative_slope", "[0.5, 1]", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [c["verdict"] for c in found.values()] == ["not representable", "representable"]
    (tmp_path / "mine.yaml").write_text("model: {init_args: {width: 1}}")
    done = renorm("certify", "-c", "mlp_relu_free", "-c", "mine.yaml", cwd=tmp_path)
    assert "MLP 2-1-1, relu, free: not representable" in done.stdout
