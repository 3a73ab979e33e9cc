"""Accuracy against time of cumulant propagation, and of plain sampling: at which sample size sampling catches up.

Run ``python benchmarks/bench_propagation.py``; ``--quick`` for a rough look. Errors are of the output's cumulants k1 to k4 in
units of sigma^n, medians over networks, against quadrature. Times are medians over calls after the first, of one thread, and
include the cumulants of all units of all layers. A method's sample size is where the standard error of a sample's estimate,
which falls with the root of the size, is as large as the method's error.
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
import time
from typing import Any

import torch
from torch import Tensor

from renorm.cumulants import power_sums, propagate
from renorm.datamodules import laws
from renorm.zoo import MLP, clt_map

ORDER = 4
CLOSURES: dict[str, dict[str, Any]] = {
    "gaussian, closed at every layer": {"method": "gaussian", "closed_at": "layers"},
    "edgeworth, closed at every layer": {"method": "edgeworth", "closed_at": "layers"},
    "gaussian, closed at the input": {"method": "gaussian", "closed_at": "input"},
    "edgeworth, closed at the input": {"method": "edgeworth", "closed_at": "input"},
    "quadrature": {"method": "quadrature"},
}
SAMPLE = 200_000


def random_relu(width: int, depth: int, seed: int) -> MLP:
    """Weights of variance 2/fan-in, no biases: what theories of wide networks are made for."""
    model = MLP(width=width, depth=depth, activation="relu", seed=seed).double().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for layer in model.affine_layers():
        weight = torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64)
        layer.weight.fill(weight * math.sqrt(2 / layer.weight.shape[1]))
        if layer.bias is not None:
            layer.bias.fill(torch.zeros(layer.bias.shape, dtype=torch.float64))
    return model


def trained(activation: str, width: int, depth: int, members: int, steps: int) -> MLP:
    """A stack trained on uniform blocks by a plain loop."""
    model = MLP(width=width, depth=depth, activation=activation, replicas=members, seed=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        x = (2 * torch.rand(256, 2, generator=generator) - 1) * 3**0.5
        optimizer.zero_grad()
        model.loss(model(x), clt_map(x)).sum().backward()
        optimizer.step()
    return model.requires_grad_(False)


def predicted(model: MLP, law: str, **arguments: Any) -> Tensor:
    """Cumulants of the output, after those of all layers were asked for; shape ``(4, M)``."""
    result = propagate(model, law, ORDER, **arguments)
    return {layer: result.marginals(layer) for layer in result}["out"][:, :, 0]


def seconds(model: MLP, law: str, repeats: int, **arguments: Any) -> float:
    """Median time of a call after the first."""
    predicted(model, law, **arguments)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        predicted(model, law, **arguments)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def relative(found: Tensor, exact: Tensor) -> Tensor:
    """Absolute errors in units of sigma^n, shape ``(4, M)``."""
    orders = torch.arange(1, ORDER + 1).view(-1, 1)
    return (found - exact).abs() / exact[1].sqrt() ** orders


def errors_of_random_networks(count: int) -> None:
    """Random ReLU networks with standard normal input: medians over networks."""
    print(f"\nrandom ReLU networks, standard normal input, median error over {count} networks\n")
    print("| network | method | k1 | k2 | k3 | k4 | ms |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for width, depth in ((8, 1), (32, 1), (8, 2)):
        networks = [random_relu(width, depth, seed) for seed in range(count)]
        exact = [predicted(model, "gaussian()", method="quadrature") for model in networks]
        for name, arguments in CLOSURES.items():
            if name == "quadrature":
                continue
            gaps = [
                relative(predicted(model, "gaussian()", **arguments), e)
                for model, e in zip(networks, exact, strict=True)
            ]
            middle = torch.cat(gaps, dim=1).median(dim=1).values
            spent = seconds(networks[0], "gaussian()", 5, **arguments)
            shape = "-".join(["2", *[str(width)] * depth, "1"])
            print(f"| {shape} | {name} | {' | '.join(f'{e:.0e}' for e in middle.tolist())} | {1e3 * spent:.0f} |")


def accuracy_against_time(activation: str, width: int, depth: int, law: str, members: int, steps: int) -> None:
    """Trained networks: every method's error and time for one member, and the sample that is as good."""
    model = trained(activation, width, depth, members, steps)
    exact = predicted(model, law, method="quadrature")
    x = laws.parse(law).sample((SAMPLE, 2), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    stderr = power_sums(model.double_copy()(x), 2 * ORDER, dim=1).kstat_stderr(ORDER)
    noise = (stderr / exact[1].sqrt() ** torch.arange(1, ORDER + 1).view(-1, 1)).median(dim=1).values
    single = MLP(**{**model.hparams, "members": [0]})
    single.load_state_dict({name: value[:1] for name, value in model.state_dict().items()})
    single.requires_grad_(False)
    shape = "-".join(["2", *[str(width)] * depth, "1"])
    print(
        f"\ntrained {activation} {shape} under {law}, median error over {members} networks; sample size that is as good\n"
    )
    print("| method | ms | k1 | k2 | k3 | k4 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, arguments in CLOSURES.items():
        spent = seconds(single, law, 5, **arguments)
        if name == "quadrature":
            print(f"| quadrature | {1e3 * spent:.0f} | reference | | | |")
            continue
        gap = relative(predicted(model, law, **arguments), exact).median(dim=1).values
        sizes = SAMPLE * (noise / gap) ** 2
        cells = [f"{e:.0e} (N = {n:.0e})" for e, n in zip(gap.tolist(), sizes.tolist(), strict=True)]
        print(f"| {name} | {1e3 * spent:.0f} | {' | '.join(cells)} |")
    for size in (10**4, 10**6):
        y = laws.parse(law).sample((size, 2), dtype=torch.float64)
        start = time.perf_counter()
        power_sums(single.double_copy()(y), ORDER, dim=1).kstat(ORDER)
        spent = time.perf_counter() - start
        expected = noise * math.sqrt(SAMPLE / size)
        print(f"| sampling, N = {size:.0e} | {1e3 * spent:.0f} | {' | '.join(f'{e:.0e}' for e in expected.tolist())} |")


def cost_of_stacks() -> None:
    """One member and 64 of a 2-32-1 network."""
    print("\ntime of a call, 2-32-1 leaky relu, order 4, closure 4, gamma(shape=4)\n")
    print("| method | 1 member, ms | 64 members, ms | ratio |")
    print("| --- | --- | --- | --- |")
    for method in ("gaussian", "edgeworth"):
        one, many = (
            seconds(MLP(width=32, replicas=m).requires_grad_(False), "gamma(shape=4)", 7, method=method)
            for m in (1, 64)
        )
        print(f"| {method} | {1e3 * one:.1f} | {1e3 * many:.0f} | {many / one:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer networks and shorter training")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"python {platform.python_version()}, torch {torch.__version__}, {platform.machine()}, 1 thread")
    errors_of_random_networks(3 if arguments.quick else 20)
    members, steps = (2, 50) if arguments.quick else (16, 1000)
    for activation, width, depth in (("leaky_relu", 8, 1), ("relu", 32, 1), ("leaky_relu", 8, 2), ("tanh", 8, 1)):
        accuracy_against_time(activation, width, depth, "standardised(gamma(shape=4))", members, steps)
    cost_of_stacks()


if __name__ == "__main__":
    main()
