"""Accuracy against time of cumulant propagation, and of plain sampling: at which sample size sampling catches up.

Run ``python benchmarks/bench_propagation.py``; ``--quick`` for a rough look, ``--only_orders`` for the cost of the order that
is asked for: processor time, and the most that tensors hold at once. Errors are of the output's cumulants k1 to k4 in
units of sigma^n, medians over networks, against quadrature. Times are medians over calls after the first, of one thread, and
include the cumulants of all units of all layers. A method's sample size is where the standard error of a sample's estimate,
which falls with the root of the size, is as large as the method's error.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from renorm.bench.memory import step_memory
from renorm.cumulants import power_sums, propagate
from renorm.cumulants.propagation.inputs import IdenticalInput
from renorm.cumulants.propagation.memory import WORTH_SAYING, tensor_memory, tensors_kept
from renorm.cumulants.propagation.network import Network, Nonlinearity, read_network
from renorm.cumulants.propagation.propagate import layerwise
from renorm.datamodules import laws
from renorm.zoo import GNN, MLP, activations, clt_map

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


def random_network(sizes: list[int]) -> Network:
    """A ReLU network of any widths and number of outputs, weights of variance 2/fan-in."""
    generator = torch.Generator().manual_seed(0)
    affine = []
    for into, out in itertools.pairwise(sizes):
        weight = torch.randn(1, out, into, generator=generator, dtype=torch.float64) * math.sqrt(2 / into)
        affine.append((weight, torch.zeros(1, out, dtype=torch.float64)))
    relu = Nonlinearity(activations.find("relu")(1, torch.zeros(1, dtype=torch.long)))
    return Network(affine, [relu] * (len(sizes) - 2))


def all_layers(network: Network, order: int) -> None:
    """Cumulants of all units of all layers under the Gaussian closure."""
    for layer in layerwise(network, IdenticalInput(laws.parse("gaussian()")), 2, order=order).values():
        for n in range(1, order + 1):
            layer.marginal(n)


def processor_ms(work: Callable[[], None], repeats: int) -> float:
    """Median processor time of a call after the first, which other programs do not lengthen as they do the wall time."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1e3 * statistics.median(times)


def cost_of_orders(repeats: int) -> None:
    """What two orders of the Gaussian closure take, closed at every layer, beside what four do."""
    ring = GNN(graph="ring", block_size=50, width=4, depth=2).requires_grad_(False)
    networks = (
        ("2-30-30-10", random_network([2, 30, 30, 10]), 50),
        ("784-100-100-10", random_network([784, 100, 100, 10]), 500),
        ("ring of 50 nodes, 4 features, depth 2", read_network(ring), 1500),
    )
    print("\nGaussian closure at every layer, cumulants of all units of all layers to an order\n")
    print("| network | order 2, ms | goal | MiB | order 4, ms | times order 2's | MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, network, goal in networks:
        low, high = (functools.partial(all_layers, network, order) for order in (2, 4))
        two = processor_ms(low, repeats)
        cells = [f"{two:.0f}", f"{goal}", f"{step_memory(low) / 2**20:.0f}"]
        least = tensor_memory(tensors_kept(network, 2, 4))
        if least < WORTH_SAYING:
            four = processor_ms(high, 3)
            cells += [f"{four:.0f}", f"{four / two:.0f}", f"{step_memory(high) / 2**20:.0f}"]
        else:
            cells += ["", "", f"at least {least / 2**20:.0f}"]
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer networks and shorter training")
    parser.add_argument("--only_orders", action="store_true", help="only the cost of the order that is asked for")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"python {platform.python_version()}, torch {torch.__version__}, {platform.machine()}, 1 thread")
    cost_of_orders(3 if arguments.quick else 9)
    if arguments.only_orders:
        return
    errors_of_random_networks(3 if arguments.quick else 20)
    members, steps = (2, 50) if arguments.quick else (16, 1000)
    for activation, width, depth in (("leaky_relu", 8, 1), ("relu", 32, 1), ("leaky_relu", 8, 2), ("tanh", 8, 1)):
        accuracy_against_time(activation, width, depth, "standardised(gamma(shape=4))", members, steps)
    cost_of_stacks()


if __name__ == "__main__":
    main()
