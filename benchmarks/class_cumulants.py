"""A trained classifier as a map of cumulants: mean and covariance of each class, propagated through it and measured.

Run ``python benchmarks/class_cumulants.py --out docs/images`` for the figures and ``class_cumulants.json``; ``--quick`` for
smaller samples. Two tasks: an XOR-like mixture of four Gaussians in the plane, and the handwritten digits of scikit-learn. Inputs
of a class are the data themselves, or Gaussians with the mean and the covariance of the data.

Source: Fischer, René, Keup, Layer, Dahmen and Helias, Phys. Rev. Research 4 (2022) 043143.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import qmc
from torch import Tensor, nn

from renorm.cumulants import GaussianInput, MixtureInput, Propagation, propagate

CENTRES = {0: ((0.5, 0.5), (-0.5, -0.5)), 1: ((0.5, -0.5), (-0.5, 0.5))}  # of the XOR-like classes
VARIANCE = 0.05  # of each of its four Gaussians
OUTPUTS = 2**13  # points of the rule by which expectations over the output are taken
TINY = 1e-12  # added to the diagonal of a covariance before it is factorised, relative to its trace


class Task(NamedTuple):
    """A classification: inputs ``(N, d)``, labels ``(N,)`` from 0 on, and the network that has learned it."""

    x: Tensor
    labels: Tensor
    net: nn.Sequential

    def of_class(self, label: int) -> Tensor:
        """Inputs of a class, float64."""
        return self.x[self.labels == label].double()

    @property
    def classes(self) -> list[int]:
        """The labels."""
        return sorted(set(self.labels.tolist()))

    @property
    def shares(self) -> list[float]:
        """Their shares of the data."""
        return [float((self.labels == label).double().mean()) for label in self.classes]


# ---- tasks -----------------------------------------------------------------------------------------------------------


def xor_task(rows: int, steps: int, seed: int = 0) -> Task:
    """The XOR-like mixture; each class is two Gaussians, and both have the mean 0."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (rows,), generator=generator)
    which = torch.randint(2, (rows,), generator=generator)
    centres = torch.tensor([CENTRES[0], CENTRES[1]])
    x = centres[labels, which] + VARIANCE**0.5 * torch.randn(rows, 2, generator=generator)
    return Task(x, labels, trained(x, labels, [2, 10, 10, 2], steps, seed))


def digits_task(steps: int, seed: int = 0) -> Task:
    """Images of 8 x 8 pixels, standardised as a whole."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = torch.tensor((images - images.mean()) / images.std(), dtype=torch.float32)
    return Task(x, torch.tensor(labels), trained(x, torch.tensor(labels), [64, 30, 30, 10], steps, seed))


def trained(x: Tensor, labels: Tensor, widths: Sequence[int], steps: int, seed: int) -> nn.Sequential:
    """A ReLU perceptron, trained by Adam on the cross-entropy of batches of 64."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts: list[nn.Module] = []
        for inside, outside in itertools.pairwise(widths):
            parts += [nn.Linear(inside, outside), nn.ReLU()]
        net = nn.Sequential(*parts[:-1])
    optimizer = torch.optim.Adam(net.parameters(), lr=0.003)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randint(len(x), (64,), generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[rows]), labels[rows]).backward()
        optimizer.step()
    return net.double().requires_grad_(False)


# ---- from cumulants of the output to the loss ------------------------------------------------------------------------


def expected(mean: Tensor, covariance: Tensor, label: int) -> tuple[float, float]:
    r"""Cross-entropy and accuracy of a class whose output is Gaussian, over scrambled Sobol points.

    Args:
        mean: of the output, shape ``(Q,)``.
        covariance: shape ``(Q, Q)``.
        label: the right answer.
    """
    y = gaussian_points(mean, covariance, OUTPUTS)
    return scores(y, label)


def gaussian_points(mean: Tensor, covariance: Tensor, rows: int, seed: int = 0) -> Tensor:
    """Points of a Gaussian, more even than random ones, shape ``(rows, d)``."""
    values, vectors = torch.linalg.eigh(covariance)
    factor = vectors * values.clamp(min=0).sqrt()
    uniform = qmc.Sobol(len(mean), rng=seed).random(rows)
    normal = torch.special.ndtri(torch.from_numpy(uniform).clamp(TINY, 1 - TINY))
    return mean + normal @ factor.mT


def scores(y: Tensor, label: int) -> tuple[float, float]:
    """Cross-entropy and accuracy of outputs ``(N, Q)`` of one class."""
    entropy = -torch.log_softmax(y, dim=1)[:, label].mean()
    return float(entropy), float((y.argmax(dim=1) == label).double().mean())


def of_all(task: Task, by_class: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Cross-entropy and accuracy of all classes together."""
    entropy, accuracy = np.average(np.array(by_class), axis=0, weights=task.shares)
    return {"cross_entropy": float(entropy), "accuracy": float(accuracy)}


# ---- layer by layer --------------------------------------------------------------------------------------------------


def layers(net: nn.Sequential, x: Tensor) -> dict[str, Tensor]:
    """Values of every layer on inputs, by name."""
    found = {}
    for name, part in net.named_children():
        x = part(x)
        found[name] = x
    return found


def closed_at_layers(net: nn.Sequential, given: Any, closure: int = 2) -> Propagation:
    """Mean and covariance of every layer, pre-activations being Gaussian (closure 2) or having cumulants to order 3 or 4."""
    return propagate(net, given, order=2, method="edgeworth", closure=closure, closed_at="layers")


def gaussians(task: Task) -> list[tuple[GaussianInput, Propagation]]:
    """The Gaussian of each class, and its mean and covariance through the network."""
    inputs = [GaussianInput.of_data(task.of_class(label)) for label in task.classes]
    return [(given, closed_at_layers(task.net, given)) for given in inputs]


def layer_gaps(
    task: Task, propagated: Sequence[tuple[GaussianInput, Propagation]], samples: int
) -> dict[str, dict[str, dict[str, float]]]:
    """How far predicted means and covariances of every layer are from measured ones, over classes.

    Returns:
        Kind of inputs -> layer -> ``mean``: root mean square of the difference over the layer's root mean square standard
        deviation; ``covariance``: Frobenius norm of the difference over that of the measured one.
    """
    squares: dict[str, dict[str, list[tuple[float, float]]]] = {"Gaussian": {}, "data": {}}
    for label, (given, predicted) in zip(task.classes, propagated, strict=True):
        x = task.of_class(label)
        drawn = gaussian_points(given.mean, given.covariance, samples)
        for kind, inputs in (("Gaussian", drawn), ("data", x)):
            for name, values in layers(task.net, inputs).items():
                mean, covariance = values.mean(dim=0), torch.cov(values.mT)
                gap_mean = (predicted[name].cumulants(1)[0] - mean).square().mean() / covariance.diagonal().mean()
                gap = (predicted[name].cumulants(2)[0] - covariance).square().sum() / covariance.square().sum()
                squares[kind].setdefault(name, []).append((float(gap_mean), float(gap)))
    return {
        kind: {
            name: dict(zip(("mean", "covariance"), np.sqrt(np.mean(one, axis=0)).tolist(), strict=True))
            for name, one in found.items()
        }
        for kind, found in squares.items()
    }


def output_scores(task: Task, propagated: Sequence[tuple[GaussianInput, Propagation]], samples: int) -> dict[str, Any]:
    """Cross-entropy and accuracy: predicted from the propagated mean and covariance, and measured for both kinds of inputs."""
    predicted, gaussian, data = [], [], []
    for label, (given, layer_laws) in zip(task.classes, propagated, strict=True):
        x, out = task.of_class(label), layer_laws["out"]
        predicted.append(expected(out.cumulants(1)[0], out.cumulants(2)[0], label))
        gaussian.append(scores(task.net(gaussian_points(given.mean, given.covariance, samples)), label))
        data.append(scores(task.net(x), label))
    kinds = {"predicted": predicted, "Gaussian": gaussian, "data": data}
    return {name: of_all(task, found) for name, found in kinds.items()} | {
        "by_class": {name: np.array(found).T.tolist() for name, found in kinds.items()}
    }


def by_order(task: Task, highest: int) -> dict[str, dict[str, float]]:
    """Predictions from the cumulants of each class's inputs up to an order; order 1 is the mean alone."""
    found: dict[str, list[tuple[float, float]]] = {}
    for label in task.classes:
        x = task.of_class(label)
        inputs = [GaussianInput(x.mean(dim=0), torch.zeros(x.shape[1], x.shape[1])), GaussianInput.of_data(x), x, x]
        for order, given in enumerate(inputs[:highest], 1):
            out = closed_at_layers(task.net, given, max(order, 2))["out"]
            score = expected(out.cumulants(1)[0], out.cumulants(2)[0], label)
            found.setdefault(f"order {order}", []).append(score)
    return {name: of_all(task, one) for name, one in found.items()}


def by_component(task: Task) -> dict[str, float]:
    """The XOR-like task predicted from the two Gaussians that each class is made of, each propagated by itself."""
    found = []
    for label in task.classes:
        parts = [GaussianInput(centre, VARIANCE * torch.eye(2)) for centre in CENTRES[label]]
        outs = [part["out"] for part in closed_at_layers(task.net, MixtureInput(parts)).components]
        entropy, accuracy = np.mean([expected(o.cumulants(1)[0], o.cumulants(2)[0], label) for o in outs], axis=0)
        found.append((float(entropy), float(accuracy)))
    return of_all(task, found)


# ---- figures ---------------------------------------------------------------------------------------------------------

COLOURS = {"predicted": "black", "Gaussian": "tab:blue", "data": "tab:orange"}


def draw_layers(axes: Any, gaps: Mapping[str, Mapping[str, Mapping[str, float]]], title: str) -> None:
    """Gaps of mean and covariance, layer by layer."""
    for kind, found in gaps.items():
        for quantity, style in (("mean", "-o"), ("covariance", "--s")):
            values = [one[quantity] for one in found.values()]
            axes.plot(range(len(found)), values, style, color=COLOURS[kind], label=f"{quantity}, {kind} inputs")
    axes.set(yscale="log", ylim=(1e-7, None), title=title, ylabel="predicted against measured", xlabel="layer")
    axes.set_xticks(range(len(found)), [layer_name(n) for n in range(len(found))])
    axes.grid(alpha=0.3)


def layer_name(number: int) -> str:
    """The names of a perceptron's layers: affine maps and activations in turn."""
    return f"{'affine' if number % 2 == 0 else 'ReLU'} {number // 2 + 1}"


def draw_xor(task: Task, found: Mapping[str, Any]) -> Figure:
    """The plane, the layers, and what each order of the inputs' cumulants adds."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    plane, middle, right = figure.subplots(1, 3)
    side = torch.linspace(-1.4, 1.4, 200, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    y = torch.softmax(task.net(grid), dim=1)[:, 1].view(200, 200).mT
    plane.contourf(side, side, y, levels=20, cmap="coolwarm", alpha=0.6)
    for label in task.classes:
        x = task.of_class(label)[:300]
        plane.plot(x[:, 0], x[:, 1], ".", markersize=3, color=("tab:blue", "tab:red")[label])
    plane.set(title="classes and the network's decision", aspect="equal", xlabel="x1", ylabel="x2")
    draw_layers(middle, found["layers"], "mean and covariance through the network")
    middle.legend(fontsize="small")
    orders = found["orders"]
    right.bar(range(len(orders)), [one["cross_entropy"] for one in orders.values()], color="0.7")
    for kind in ("Gaussian", "data"):
        right.axhline(found["scores"][kind]["cross_entropy"], color=COLOURS[kind], label=f"measured, {kind} inputs")
    right.set_xticks(
        range(len(orders)),
        [name.replace("order", "to order").replace("its two ", "its two\n") for name in orders],
        fontsize="small",
    )
    right.set(ylabel="cross-entropy", title="predicted from the inputs' cumulants")
    right.legend(fontsize="small")
    return figure


def draw_digits(found: Mapping[str, Any]) -> Figure:
    """The layers, and every class's accuracy."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    draw_layers(left, found["layers"], "mean and covariance through the network")
    left.legend(fontsize="small")
    for axes, row, title in ((middle, 0, "cross-entropy"), (right, 1, "accuracy")):
        for kind, values in found["scores"]["by_class"].items():
            marker = {"predicted": "_", "Gaussian": "o", "data": "x"}[kind]
            axes.plot(range(10), values[row], marker, markersize=9, color=COLOURS[kind], label=label_of(kind))
        axes.set(xlabel="digit", title=f"{title} of each class")
        axes.set_xticks(range(10))
        axes.grid(alpha=0.3)
    middle.set_yscale("log")
    right.legend(fontsize="small")
    return figure


def label_of(kind: str) -> str:
    """How a kind of numbers is called in a legend."""
    return "predicted from mean and covariance" if kind == "predicted" else f"measured, {kind} inputs"


def measure(quick: bool = False) -> tuple[Task, dict[str, Any]]:
    """All numbers; the XOR-like task comes along for its picture."""
    samples, steps = (2**12, 1000) if quick else (2**16, 2000)
    xor, digits = xor_task(4000 if quick else 20000, steps), digits_task(steps)
    found: dict[str, Any] = {}
    for name, task in (("xor", xor), ("digits", digits)):
        propagated = gaussians(task)
        found[name] = {
            "layers": layer_gaps(task, propagated, samples),
            "scores": output_scores(task, propagated, samples),
        }
    found["xor"]["orders"] = by_order(xor, 4) | {"its two Gaussians": by_component(xor)}
    found["digits"]["orders"] = by_order(digits, 2)
    return xor, found


def main() -> None:
    """Print the scores, write the numbers and draw the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder of the figures and the numbers")
    parser.add_argument("--quick", action="store_true", help="smaller samples")
    arguments = parser.parse_args()
    xor, found = measure(arguments.quick)
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw_xor(xor, found["xor"]).savefig(arguments.out / "class_cumulants_xor.png", dpi=110)
    draw_digits(found["digits"]).savefig(arguments.out / "class_cumulants_digits.png", dpi=110)
    (arguments.out / "class_cumulants.json").write_text(json.dumps(found, indent=1) + "\n")
    for task, numbers in found.items():
        measured = {f"measured, {kind} inputs": numbers["scores"][kind] for kind in ("Gaussian", "data")}
        for name, score in (numbers["orders"] | measured).items():
            print(f"{task:<7} {name:<26} cross-entropy {score['cross_entropy']:.4f}  accuracy {score['accuracy']:.4f}")


if __name__ == "__main__":
    main()
