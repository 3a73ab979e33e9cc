"""``docs/zoo.md``: all model cards on one page, below what holds for all of them."""

from __future__ import annotations

from pathlib import Path

from .cards import card, either, overview, row
from .compare import RETRAINED, SAME_WEIGHTS
from .hub import LOAD_TOLERANCE
from .judge import RESAMPLES
from .manifest import FOLDER, find_entry, pretrained_names

INTRODUCTION = """# The pretrained zoo

<!-- Written by `renorm zoo cards > docs/zoo.md` from zoo/pretrained/manifest.json; not by hand. -->

Each of the {count} entries is {members} networks of eight hidden units, trained side by side for {steps} steps on blocks of
{sizes}, differing by their initial weights. A name is `arch.tag`: the variant, and a tag that says what it was trained on: laws,
and the [map](maps.md). The weights come with the package.

```python
import torch, renorm

model = renorm.load_pretrained("mlp_quadratic_free.uniform")  # the best member, by validation loss on the training laws
y = model(torch.randn(1000, 2))  # (members, samples) = (1, 1000)
everyone = renorm.load_pretrained("mlp_quadratic_free.uniform", members="all")
early = renorm.load_pretrained("{example}", epoch=7)  # of {epochs} epochs
```

Weights after every epoch: {trajectories}.

| command | what it does |
| --- | --- |
| `renorm zoo list --pretrained` | all entries; `--map`, `--law`, `--symmetry` and the like list fewer, `--wide` has all columns |
| `renorm zoo show NAME` | one card; `--wide` as Markdown with all columns, `--json` for all numbers |
| `renorm test --model NAME` | judges all members on the laws of the entry; `--data.held_out_laws` has it judged on others |
| `renorm zoo verify` | computes every number and checksum again; exit code 1 where one differs |
| `renorm zoo train NAME --out DIR` | trains the entry and compares it with the package's |
| `renorm zoo export NAME --format onnx --out FILE` | also `torch_export`, `safetensors`; compares what was written |

`--folder DIR` has `list`, `show`, `cards`, `verify` and `export` take the entries of another folder, and
`--model DIR/NAME.safetensors` takes one of them where a checkpoint is expected.

## Adding an entry

An entry is a line of [recipes.yaml](../zoo/pretrained/recipes.yaml). Its name is a variant of `renorm zoo list` and a tag.
A tag is a list of laws, or a mapping of settings, the same as in [a sweep](sweeps.md): a map, laws, the size of blocks,
anything that the variant does not fix. `settings` are those that all entries share.

```yaml
settings: {{replicas: 16, steps: 3000}}
tags:
  uniform: ["uniform()"]
  maximum: {{map: "maximum()", train_laws: ["gumbel()"], held_out_laws: ["gaussian()", "exponential()"]}}
models:
  - mlp_relu_free.uniform
  - mlp_relu_free.maximum
```

For a zoo of your own, put such a `recipes.yaml` into a folder and train all that it lists:

```
renorm zoo train --all --out my_zoo
renorm zoo verify --folder my_zoo
renorm zoo show mlp_relu_free.maximum --folder my_zoo
renorm test --model my_zoo/mlp_relu_free.maximum.safetensors
```

For the package's zoo, add lines to its `recipes.yaml`, run `renorm zoo train --all --in_place`, which trains only what is new,
and write this page again. Entries that are there keep their files and their lines of the manifest.

An entry has a spectrum only where its map has a basis to measure it in, such as Hermite polynomials at the Gaussian.

## From torch.hub, and to Hugging Face

From a clone, which need not be installed where its dependencies are:

```
model = torch.hub.load("path/of/the/clone", "renorm", "mlp_quadratic_free.uniform", source="local")
```

`load_pretrained` is the same by its own name, `list_models` the list of names. With the extra `hub`:

```
from renorm.pretrained.huggingface import HubMLP, hub_model

hub_model("mlp_quadratic_free.uniform").save_pretrained("folder")  # or .push_to_hub("you/name")
model = HubMLP.from_pretrained("folder")  # HubGNN for graph networks
```

## What is guaranteed

- **Loading.** The sha256 of a file is compared with the manifest's before anything in it is parsed, and the network must
  give the stored outputs on the stored blocks, to {load:g} of 1 + |output| (float32).
- **`renorm zoo verify`** computes metrics, validation losses, spectrum and certificate from the stored weights, in float64.
  They agree with the manifest to {relative:g} of each number, plus an absolute part: {cancels}. What is left between
  machines is the last digit of inputs, which are drawn in float32, and rounding where numbers cancel.
- **`renorm zoo train`** runs on one thread, without a compiler, from fixed seeds: the same versions on the same kind of
  processor give the same bits. Elsewhere rounding differs from the first step on, and training amplifies it: every median
  over members must then be within {retrained:g} of the manifest's, plus what float32 does not resolve, or in its interval.

Numbers are those of the best member, or medians over members with 95% intervals from {resamples} bootstrap resamples of
members. Metrics are those of [metrics.py](../src/renorm/training/metrics.py): mean squared error over the variance of the target,
Wasserstein-1 and energy distance of output and target, differences of cumulants; for maps whose laws may lack a variance also
distances of quantiles and of characteristic functions. They are measured in float64; `renorm test` measures in float32, and
differs where errors are as small as rounding.

## All entries

Relative mean squared errors; of several laws, the largest.

"""


def page(folder: Path = FOLDER) -> str:
    """All cards on one page, as ``docs/zoo.md`` has them."""
    names = pretrained_names(folder=folder)
    headings, rows = overview(names, folder)
    lines = [introduction(names, folder) + row(headings), row(["---"] * len(headings))]
    lines += [row([f"[{name}](#{anchor(name)})", *rest]) for name, *rest in rows]
    cards = [card(name, find_entry(name, folder), level=3) for name in names]
    return "\n".join([*lines, "", "## Cards", "", "\n\n".join(cards)]) + "\n"


def introduction(names: list[str], folder: Path = FOLDER) -> str:
    """The text above the cards: what all entries have in common, how to add one, and what is guaranteed."""
    entries = {name: find_entry(name, folder) for name in names}
    having = {name: entry["trajectory"]["epochs"] for name, entry in entries.items() if "trajectory" in entry}
    keys: dict[float, list[str]] = {}
    for key, value in SAME_WEIGHTS.absolute.items():
        keys.setdefault(value, []).append(key)
    return INTRODUCTION.format(
        count=len(names),
        members=either(len(entry["validation_loss"]) for entry in entries.values()),
        steps=either(entry["training"]["steps"] for entry in entries.values()),
        sizes=either(entry["data"]["block_size"] for entry in entries.values()),
        example=next(iter(having), ""),
        epochs=next(iter(having.values()), 0),
        trajectories=", ".join(f"`{name}`" for name in having) or "none",
        load=LOAD_TOLERANCE,
        relative=SAME_WEIGHTS.relative,
        cancels="; ".join(f"{value:g} for {', '.join(names)}" for value, names in keys.items()),
        retrained=RETRAINED.relative,
        resamples=RESAMPLES,
    )


def anchor(name: str) -> str:
    """The anchor that GitHub gives a heading.

    Example:
        >>> anchor("mlp_relu_free.uniform")
        'mlp_relu_freeuniform'
    """
    return name.replace(".", "")
