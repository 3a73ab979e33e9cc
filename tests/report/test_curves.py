"""Loss curves: recorded as training goes, and their marks of frustration found where they were put."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from renorm.datamodules import CLTDataModule
from renorm.report.competition import gradient_alignment
from renorm.report.curves import count_plateaus, loss_curves, recorded_steps, rises, times_to
from renorm.zoo import MLP, clt_map

SETTINGS = {"symmetry": "full", "depth": 2, "width": 3, "negative_slope": [0.5, 0.9], "replicas": 2, "steps": 40}
SETTINGS |= {"records": 6, "samples": 256, "seed": 3}


def test_curves_are_the_losses_of_a_plain_loop() -> None:
    found = loss_curves(SETTINGS)
    assert found["steps"] == recorded_steps(40, 6)
    assert found["negative_slope"] == [0.5, 0.5, 0.9, 0.9]
    data = CLTDataModule(seed=3, val_samples=256, eval_batch_size=256)
    x = data.batch("val", 0, 0, law=data.train_laws[0]).x
    model = MLP(width=3, depth=2, symmetry="full", negative_slope=[0.5, 0.9], replicas=2, seed=3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(found["steps"][-1]):
        if step in found["steps"]:
            loss = (model(x) - clt_map(x)).square().mean(dim=1) / clt_map(x).var(unbiased=False)
            recorded = [curve[found["steps"].index(step)] for curve in found["loss"]]
            assert recorded == pytest.approx(loss.tolist(), rel=1e-3)
        batch = data.batch("train", 0, step).x
        optimizer.zero_grad()
        (model(batch) - clt_map(batch)).square().mean(dim=1).sum().backward()
        optimizer.step()
    inner = model.dense()[1][0]
    assert found["turned"] == (inner.detach()[:, 0, 0] < 0).tolist()
    assert len(inner.detach()[0].unique()) == 1  # one number, whose sign is that of the whole layer


def test_plateaus_are_counted_where_they_were_put() -> None:
    steps = recorded_steps(100_000, 200)

    def staircase(*levels: float) -> np.ndarray:
        edges = np.geomspace(20, 100_000, len(levels) + 1)[1:-1]
        return np.array([levels[int(np.searchsorted(edges, step))] for step in steps])

    power = 1 / np.array(steps)
    close = staircase(1.0, 0.6, 0.5, 1e-6)  # three rests, of which two are one level
    curves = np.array([staircase(1.0, 0.1, 0.01, 1e-6), staircase(0.5, 1e-6), power, close])
    assert count_plateaus(steps, curves, 1e-4).tolist() == [3, 1, 0, 1]
    assert count_plateaus(steps, curves, 0.05).tolist() == [2, 1, 0, 1]
    assert count_plateaus(steps, np.full((1, len(steps)), np.nan), 1e-4).tolist() == [0]


def test_noise_below_the_floor_is_no_rise() -> None:
    curve = np.array([[1.0, 0.1, 1e-6, 1e-4, 1e-7], [1.0, 0.2, 0.5, 0.01, 1e-5]])
    assert rises(curve, 1e-3) == pytest.approx([1.0, 2.5])
    assert rises(np.array([[1.0, np.nan]]), 1e-3) == pytest.approx([np.inf])
    assert times_to([1, 5, 9], np.array([[1.0, np.nan, 1e-4]]), 1e-3).tolist() == [9]


def test_alignment_over_training() -> None:
    own = {"width": 3, "negative_slope": 0.5, "replicas": 4, "steps": 30, "records": 4, "samples": 64, "seed": 0}
    found = gradient_alignment(own | {"symmetry": "free"})
    assert len(found["steps"]) == len(found["agreement"]) == len(found["frustration"]) == 3
    assert 1 <= found["solutions"] <= 4
    assert all(-1.000001 <= value <= 1.000001 for row in found["agreement"] for value in row)
    assert all(value is None or 0 <= value <= 1.000001 for row in found["frustration"] for value in row)
