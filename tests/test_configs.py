"""Every config that comes with renorm is found by name, parsed, and runs a step."""

from __future__ import annotations

from pathlib import Path

import pytest

from renorm.cli import main
from renorm.recipes import BASE_CONFIG, CONFIGS, config_names, find_config

NAMES = sorted(config_names())


def test_every_file_is_reached_by_its_name() -> None:
    assert {*config_names().values(), BASE_CONFIG} == {*CONFIGS.rglob("*.yaml")}
    for name, path in config_names().items():
        folder = path.parent.name
        assert find_config(name) == find_config(f"{folder}/{name}") == find_config(f"{folder}/{name}.yaml") == str(path)


@pytest.mark.parametrize("name", NAMES)
def test_config_runs(name: str, tmp_path: Path) -> None:
    words = ["fit", "--config", name, "--trainer.fast_dev_run", "true", "--trainer.default_root_dir", str(tmp_path)]
    assert main([*words, "--trainer.enable_progress_bar", "false"]) == 0


def test_two_configs_are_laid_over_each_other(tmp_path: Path) -> None:
    words = ["fit", "--config", "mlp_spline_shared", "--config", "heavy_tails", "--data.steps_per_epoch", "2"]
    options = ["--trainer.max_epochs", "1", "--data.val_samples", "64", "--trainer.default_root_dir", str(tmp_path)]
    assert main([*words, *options]) == 0
    saved = (tmp_path / "heavy_tails" / "version_0" / "config.yaml").read_text()
    assert "per_unit: false" in saved
    assert "student_t(df=3)" in saved
