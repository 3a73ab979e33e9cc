"""Registry: every name builds and works, and a model comes back from its checkpoint as it was."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from renorm import create_model, list_models
from renorm.zoo import GNN, StackedModel, list_activations
from renorm.zoo.registry import find_variant
from renorm.zoo.symmetry.graphs import GRAPH_SYMMETRIES, HOPS, symmetries_of
from renorm.zoo.symmetry.symmetry import describe, list_symmetries

CONVOLUTIONS = [(layer, symmetry) for layer in HOPS for symmetry in symmetries_of(layer)]


def test_every_combination_is_named_once() -> None:
    names = list_models()
    assert len(set(names)) == len(names)
    expected = {f"mlp_{a}_{s}" for a, s in itertools.product(list_activations(), list_symmetries())}
    expected |= {f"gnn_{layer}_{a}_{s}" for (layer, s), a in itertools.product(CONVOLUTIONS, list_activations())}
    expected |= {f"gnn_sage_max_{a}_free" for a in list_activations()}
    fixed = {f"{name}_fixed_{what}" for name in expected if "_spline_" in name for what in ("weights", "spline")}
    assert set(names) == expected | fixed
    assert {"mlp_quadratic_full", "mlp_leaky_relu_free", "mlp_spline_free_fixed_weights"} <= set(names)


@pytest.mark.parametrize("name", list_models())
def test_every_name_builds_a_network_that_trains(name: str) -> None:
    model = create_model(name, replicas=2)
    x = torch.randn(8, 2)
    y = model(x)
    assert y.shape == (2, 8)
    assert y.isfinite().all()
    family = f"gnn_{model.hparams['layer']}" if isinstance(model, GNN) else "mlp"
    family += "_max" if model.hparams.get("aggregation") == "max" else ""
    assert name.startswith(f"{family}_{model.hparams['activation']}_{model.hparams['symmetry']}")
    model.configure_optimizers()
    y.square().sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
    is_fixed = [not p.requires_grad for n, p in model.named_parameters() if not n.startswith("activations")]
    assert set(is_fixed) == {name.endswith("fixed_weights")}
    assert not any(p.requires_grad for p in model.activations.parameters()) or not name.endswith("fixed_spline")


@pytest.mark.parametrize("name", list_models())
def test_every_name_is_described_in_one_line(name: str) -> None:
    variant = find_variant(name)
    assert variant.name == name
    assert variant.description.strip()
    assert "\n" not in variant.description
    symmetry = variant.arguments["symmetry"]
    meaning = GRAPH_SYMMETRIES[symmetry].meaning if name.startswith("gnn") else describe(symmetry)
    assert meaning in variant.description
    assert variant.arguments.get("layer", "") in variant.description


@pytest.mark.parametrize(
    ("pattern", "count"),
    # 9 symmetries of an MLP; 34 of graph networks, since attention cannot be odd, and one free with the largest message;
    # 7 activations, and splines half fixed
    [
        ("*", 81 + 306 + 9),
        ("mlp_*", 81),
        ("mlp_tanh_*", 9),
        ("*_full", 49),
        ("mlp_relu_f*", 2),
        ("*fixed*", 88),
        ("gnn_*", 306 + 9),
        ("gnn_gat_*_odd*", 0),
    ],
)
def test_patterns(pattern: str, count: int) -> None:
    assert len(list_models(pattern)) == count
    assert set(list_models(pattern)) <= set(list_models())


def test_overrides_replace_the_variants_own_arguments() -> None:
    model = create_model(
        "mlp_quadratic_full", width=3, depth=2, replicas=4, alpha=[0.1, 0.2], block_size=5, symmetry="free"
    )
    assert model.num_members == 8
    assert model.hparams["symmetry"] == "free"
    assert model.hparams["activation"] == "quadratic"
    assert [tuple(w.shape) for w, _ in model.dense()] == [(8, 3, 5), (8, 3, 3), (8, 1, 3)]
    assert create_model("mlp_quadratic_full").hparams["symmetry"] == "full", "the variant itself is unchanged"


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("mlp_quadratc_full", {}, r"model='mlp_quadratc_full' is unknown; .*did you mean 'mlp_quadratic_full'"),
        (
            "resnet50_of_somebody",
            {},
            r"model='resnet50_of_somebody' is unknown; allowed: the names of 'renorm zoo list'$",
        ),
        ("mlp_relu_free", {"widht": 3}, r"model='mlp_relu_free' does not take these arguments: .*'widht'"),
        ("mlp_relu_free", {"width": "a"}, r"width='a' is out of range; allowed: whole numbers >= 1"),
        ("mlp_relu_free", {"width": 0}, r"width=0 is out of range"),
        ("mlp_relu_free", {"alpha": 0.5}, r"alpha=0.5 is not a parameter of activation 'relu'; allowed: none"),
        ("mlp_relu_odd", {"width": 5}, r"width=5 is odd"),
        ("mlp_quadratic_full", {"alpha": "abc"}, r"alpha='abc' is not a grid"),
        ("mlp_quadratic_full", {"symmetry": None}, r"symmetry=None is unknown"),
    ],
)
def test_refuses_in_one_line(name: str, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        create_model(name, **arguments)
    assert "\n" not in str(error.value)


def saved(model: StackedModel, path: Path) -> Path:
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.strategy.connect(model)
    model.trainer = trainer
    trainer.save_checkpoint(path)
    return path


# on blocks of two, cyclic, dihedral and permutation are one group
SYMMETRIES = [name for name in list_symmetries() if name not in ("cyclic", "dihedral")]
ROUND_TRIPS = [(f"mlp_{a}_{s}", {}) for a, s in itertools.product(list_activations(), SYMMETRIES)]
ROUND_TRIPS += [(f"gnn_{layer}_spline_{s}", {"depth": 2}) for layer, s in CONVOLUTIONS]
ROUND_TRIPS += [
    ("gnn_gin_relu_free", {"graph": [[0, 2], [1, 2]], "block_size": 3, "replicas": 2}),
    ("gnn_sage_max_relu_free", {"graph": "ring", "block_size": 4, "readout": "max", "depth": 2}),
    ("gnn_sage_relu_free", {"graph": "ring", "block_size": 4, "readout": "sum", "bias": False}),
    ("mlp_leaky_relu_free", {"negative_slope": [0.1, 0.9], "replicas": 2, "depth": 2, "members": [3, 0]}),
    ("mlp_gelu_dihedral", {"depth": 2, "block_size": 4}),
    ("mlp_tanh_free", {"depth": 2, "symmetry": ["cyclic", "free"], "block_size": 4}),
    ("mlp_quadratic_odd", {"alpha": 0.3, "depth": 2, "bias": False, "block_size": 4}),
    ("mlp_tanh_free", {"depth": 2, "symmetry": ["input", "hidden"], "seed": 2**40}),
    ("mlp_spline_full", {"degree": 5, "knots": [-1.0, 0.2, 3.0], "extension": "zero", "per_unit": False}),
    ("mlp_spline_free_fixed_weights", {"loss": "energy"}),
    ("mlp_spline_free_fixed_spline", {"loss": "cumulant"}),
]


@pytest.mark.parametrize(("name", "arguments"), ROUND_TRIPS)
def test_a_model_comes_back_from_its_checkpoint(name: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    model = create_model(name, **arguments)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    path = saved(model, tmp_path / "model.ckpt")
    content = torch.load(path, weights_only=True)
    assert content["renorm"]["recipe"]["model"]["init_args"] == dict(model.hparams)
    copied = type(model).load_from_checkpoint(path, weights_only=True)
    x = torch.randn(20, model.block_size)
    assert torch.equal(copied(x), model(x))
    assert dict(copied.hparams) == dict(model.hparams)
    assert copied.member_table == model.member_table
    assert [p.requires_grad for p in copied.parameters()] == [p.requires_grad for p in model.parameters()]


def test_a_copy_is_independent() -> None:
    model = create_model("mlp_spline_odd")
    twin = copy.deepcopy(model)
    with torch.no_grad():
        next(twin.parameters()).add_(1)
    x = torch.randn(5, 2)
    assert not torch.equal(twin(x), model(x))
