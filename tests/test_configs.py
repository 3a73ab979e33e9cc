"""Every config that comes with renorm is found by name, parsed, and runs a step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from renorm.cli import main
from renorm.report.claim import claim_ids
from renorm.runs.configs import BASE_CONFIG, CONFIGS, config_names, find_config
from renorm.sweep.config import sweep_names
from renorm.zoo import GNN, MLP

NAMES = sorted(config_names())
# the samples and the members, not the networks: 64 large ones take a minute for a validation and a flow
SMALL = ("--data.val_samples", "64", "--cumulants.samples", "64", "--rg_flow.samples", "64", "--model.replicas", "2")


def test_every_file_is_reached_by_its_name() -> None:
    claims = {CONFIGS / "claims" / f"{name}.yaml" for name in claim_ids()}
    assert {*config_names().values(), *sweep_names().values(), *claims, BASE_CONFIG} == {*CONFIGS.rglob("*.yaml")}
    for name, path in config_names().items():
        folder = path.parent.name
        assert find_config(name) == find_config(f"{folder}/{name}") == find_config(f"{folder}/{name}.yaml") == str(path)


@pytest.mark.parametrize("name", NAMES)
def test_config_runs(name: str, tmp_path: Path) -> None:
    words = ["fit", "--config", name, "--trainer.fast_dev_run", "true", "--trainer.default_root_dir", str(tmp_path)]
    assert main([*words, *SMALL, "--trainer.enable_progress_bar", "false"]) == 0


def test_two_configs_are_laid_over_each_other(tmp_path: Path) -> None:
    words = ["fit", "--config", "mlp_spline_shared", "--config", "heavy_tails", "--data.steps_per_epoch", "2"]
    options = ["--trainer.max_epochs", "1", *SMALL, "--trainer.default_root_dir", str(tmp_path)]
    assert main([*words, *options]) == 0
    saved = (tmp_path / "heavy_tails" / "version_0" / "config.yaml").read_text()
    assert "per_unit: false" in saved
    assert "student_t(df=3)" in saved


PAIRS = {2: ("gnn_blocks_2", "mlp_blocks_2"), 4: ("gnn_blocks_4", "mlp_blocks_4"), 8: ("gnn_vs_mlp", "mlp_vs_gnn")}
PAIRS |= {16: ("gnn_blocks_16", "mlp_blocks_16")}


@pytest.mark.parametrize("block_size", PAIRS)
def test_graph_networks_and_mlps_are_compared_at_equal_size(block_size: int) -> None:
    settings = [yaml.safe_load(Path(find_config(name)).read_text()) for name in PAIRS[block_size]]
    gnn, mlp = GNN(**settings[0]["model"]["init_args"]), MLP(**settings[1]["model"]["init_args"])
    assert gnn.block_size == mlp.block_size == block_size
    assert settings[0]["data"] == settings[1]["data"] == {"block_size": block_size}
    assert sum(p.numel() for p in gnn.parameters()) == sum(p.numel() for p in mlp.parameters())
    assert {key: gnn.hparams[key] for key in ("activation", "symmetry", "replicas", "seed", "loss")} == {
        key: mlp.hparams[key] for key in ("activation", "symmetry", "replicas", "seed", "loss")
    }
    rotated = torch.randn(5, block_size)
    assert torch.allclose(gnn(rotated), gnn(rotated.roll(1, dims=1)), atol=1e-6)
    assert not torch.allclose(mlp(rotated), mlp(rotated.roll(1, dims=1)), atol=1e-3)


@pytest.mark.parametrize(("task", "block_size"), [("maximum", 4), ("maximum", 8), ("maximum", 16), ("majority", 5)])
def test_the_largest_message_is_compared_with_an_mlp_and_deep_sets_of_equal_size(task: str, block_size: int) -> None:
    names = [f"{task}_{kind}_{block_size}" for kind in ("gnn", "mlp", "deep_sets")]
    settings = [yaml.safe_load(Path(find_config(name)).read_text()) for name in names]
    assert settings[0]["data"] == settings[1]["data"] == settings[2]["data"]
    assert settings[0]["data"]["map"] == f"{task}()"
    gnn, mlp, deep_sets = (cls(**own["model"]["init_args"]) for cls, own in zip((GNN, MLP, MLP), settings, strict=True))
    assert gnn.not_affine == "aggregation='max'"
    assert len({sum(p.numel() for p in model.parameters()) for model in (gnn, mlp, deep_sets)}) == 1
    x = torch.randn(5, block_size)
    for model in (gnn, deep_sets):
        assert torch.allclose(model(x), model(x[:, torch.randperm(block_size)]), atol=1e-5)
    assert not torch.allclose(mlp(x), mlp(x.roll(1, dims=1)), atol=1e-3)
