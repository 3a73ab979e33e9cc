"""TensorBoard itself, started on a real run: every chart of the layout has data, every figure is a picture."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from renorm.cli import main

Get = Callable[..., Any]


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("diagnosed")
    words = ["fit", "--config", "mlp_leaky_relu_free", "--model.negative_slope", "[0.1, 0.9]", "--model.replicas", "2"]
    small = ["--data.steps_per_epoch", "5", "--data.val_samples", "64", "--trainer.max_epochs", "2"]
    assert main([*words, *small, "--trainer.log_every_n_steps", "1", "--trainer.default_root_dir", str(root)]) == 0
    return root / "mlp_leaky_relu_free" / "version_0"


@pytest.fixture(scope="module")
def get(diagnosed: Path) -> Iterator[Get]:
    """Ask the server that a user would start."""
    log = diagnosed.parent / "server.log"
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(diagnosed),
        "--port",
        "0",
        "--load_fast",
        "false",
    ]
    with log.open("w") as out:
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 90
        while not (found := re.search(r"http://[^\s/]+:\d+/", log.read_text())):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        base = re.sub(r"//[^:/]+:", "//localhost:", found.group())

        def ask(path: str, **query: str) -> Any:
            with opener.open(f"{base}{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
                body: bytes = answer.read()
            return json.loads(body) if answer.headers["Content-Type"].startswith("application/json") else body

        while not ask("data/plugin/scalars/tags"):
            assert time.monotonic() < deadline, "no data after a long wait"
            time.sleep(0.2)
        yield ask
    finally:
        server.terminate()
        server.wait(timeout=20)


def layout_of(run: Path) -> layout_pb2.Layout:
    events = EventAccumulator(str(run), size_guidance={"tensors": 0}).Reload()
    layout = layout_pb2.Layout()
    layout.ParseFromString(events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    return layout


def test_every_chart_of_the_layout_has_data(diagnosed: Path, get: Get) -> None:
    (run,) = get("data/plugin/scalars/tags")
    scalars = set(get("data/plugin/scalars/tags")[run])
    layout = layout_of(diagnosed)
    titles = [category.title for category in layout.category]
    assert [title.split()[0] for title in titles] == ["1", "2", "3", "4", "5"]
    assert get("data/plugin/custom_scalars/layout")["category"][0]["title"] == "1 loss, log10"
    for category in layout.category:
        for chart in category.chart:
            patterns = list(chart.multiline.tag)
            exact = [name for s in chart.margin.series for name in (s.value, s.lower, s.upper)]
            assert patterns or exact
            # TensorBoard finds a curve's colour by the parentheses around the run's name: others make it invisible
            assert not [name for name in (*patterns, *exact) if "(" in name or ")" in name]
            for pattern in patterns:
                assert [tag for tag in scalars if re.search(pattern, tag)], (category.title, chart.title, pattern)
                assert get("data/plugin/custom_scalars/scalars", run=run, tag=pattern)["tag_to_events"]
            assert set(exact) <= scalars, (category.title, chart.title)
            # a band is drawn only where its three curves have the same steps
            steps = {
                tuple(step for _, step, _ in get("data/plugin/scalars/scalars", run=run, tag=name)) for name in exact
            }
            assert len(steps) <= 1, (category.title, chart.title, steps)


def test_every_scalar_has_its_values(get: Get) -> None:
    tags = get("data/plugin/scalars/tags")
    (run,) = tags
    groups = {tag.split("/")[0] for tag in tags[run]}
    assert {"loss", "generalization", "cumulants", "symmetry", "rg", "members", "overview"} <= groups
    for tag in tags[run]:
        values = get("data/plugin/scalars/scalars", run=run, tag=tag)
        assert values, tag
        assert all(torch.isfinite(torch.tensor(value)) for _, _, value in values), tag


def test_every_figure_is_a_picture(get: Get) -> None:
    tags = get("data/plugin/images/tags")
    (run,) = tags
    names = {tag.split("/")[0] for tag in tags[run]}
    assert names == {"generalization", "cumulant_flow", "cumulant_history", "symmetry", "rg_flow", "rg_spectrum"}
    for tag in tags[run]:
        for picture in get("data/plugin/images/images", run=run, tag=tag, sample="0"):
            body = get(f"data/plugin/images/individualImage?{picture['query']}&")
            assert body.startswith(b"\x89PNG")
            assert int.from_bytes(body[16:20], "big") >= 400  # its width, in the header


def test_hyperparameters_have_a_metric(get: Get) -> None:
    assert "custom_scalars" in get("data/plugins_listing")
    assert get("data/plugins_listing")["hparams"]["enabled"]


def test_a_single_network_has_numbers_and_no_quantiles_of_them(diagnosed: Path, tmp_path: Path) -> None:
    small = ["--data.steps_per_epoch", "2", "--data.val_samples", "64", "--trainer.max_epochs", "1"]
    words = ["fit", "--config", "mlp_leaky_relu_free", *small, "--trainer.log_every_n_steps", "1"]
    assert main([*words, "--trainer.default_root_dir", str(tmp_path)]) == 0
    run = tmp_path / "mlp_leaky_relu_free" / "version_0"
    scalars, of_several = (EventAccumulator(str(path)).Reload().Tags()["scalars"] for path in (run, diagnosed))
    # a layer still has several units
    assert {tag.split("/")[-2] for tag in scalars if tag.endswith(("_q10", "_q90"))} == {"pre0", "act0"}
    assert {tag for tag in of_several if not tag.endswith(("_q10", "_q90")) and "/variance/" not in tag} <= set(scalars)
    charts = [chart for category in layout_of(run).category for chart in category.chart]
    assert charts
    assert not [chart.title for chart in charts if chart.margin.series]
    for chart in charts:
        assert all([tag for tag in scalars if re.search(pattern, tag)] for pattern in chart.multiline.tag), chart.title
