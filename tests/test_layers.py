"""Imports run one way, from the command line down to checks and files, and no modules import each other."""

from __future__ import annotations

import ast
import functools
from graphlib import TopologicalSorter
from pathlib import Path

import renorm

ROOT = Path(renorm.__file__).parent
# bottom up; a part may import those before it and those beside it
LEVELS = [
    [
        "errors",
        "exit_codes",
        "freed_memory",
        "checks",
        "versions",
        "own_code",
        "lazy",
        "seeds",
        "limits",
        "console",
        "progress",
        "files",
        "member_bootstrap",
        "expressions",
        "__init__",
    ],
    ["datamodules.laws", "datamodules.source", "datamodules.block_sources", "maps"],
    ["cumulants"],
    ["zoo", "training", "datamodules"],
    ["certificates", "pretrained"],
    ["callbacks", "runs", "testing"],
    ["sweep", "bench", "selftest", *(f"pretrained.{making}" for making in ("recipes", "train", "retrain", "verify"))],
    ["report"],
    ["cli", "__main__"],
]
# imports that go up all the same, each with its reason
UPWARDS = {
    ("training.stack", "callbacks"): "in configure_callbacks: callbacks are made for models, and import them",
    (
        "zoo.registry",
        "pretrained.manifest",
    ): "list_models(pretrained=True) names the entries; the manifest imports no PyTorch",
}
LEVEL = {part: level for level, parts in enumerate(LEVELS) for part in parts}


def modules() -> dict[str, Path]:
    """Every module by its name inside renorm."""
    paths = [
        path
        for folder in (ROOT, *(p for p in ROOT.iterdir() if p.is_dir()))
        for path in sorted(folder.glob("*.py") if folder == ROOT else folder.rglob("*.py"))
    ]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


MODULES = modules()


def level(name: str) -> int:
    parts = name.split(".")
    return LEVEL[next(".".join(parts[:n]) for n in (2, 1) if ".".join(parts[:n]) in LEVEL)]


@functools.cache
def imports(name: str) -> list[tuple[str, str]]:
    """What a module imports of renorm, and how: ``at once``, ``lazily`` in a function, or ``for types``."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    package = name.split(".") if MODULES[name].name == "__init__.py" and name != "__init__" else name.split(".")[:-1]
    found: list[tuple[str, str]] = []

    def visit(node: ast.AST, how: str) -> None:
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("renorm")):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = [*base, *(node.module or "").removeprefix("renorm").strip(".").split(".")]
            for alias in node.names:
                for target in (
                    ".".join(filter(None, [*module, alias.name])),
                    ".".join(filter(None, module)) or "__init__",
                ):
                    if target in MODULES:
                        found.append((target, how))
                        break
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                continue  # most of a module, and without imports
            inner = "lazily" if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else how
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                inner = "for types"
            visit(child, inner)

    visit(tree, "at once")
    return found


def test_every_module_has_its_level() -> None:
    assert all(level(name) >= 0 for name in MODULES)


def test_imports_go_down_or_stay_on_their_level() -> None:
    upwards = {
        (name, target)
        for name in MODULES
        for target, how in imports(name)
        if level(target) > level(name) and how != "for types"
    }
    assert upwards == set(UPWARDS)


def test_no_modules_import_each_other() -> None:
    graph = {name: {target for target, how in imports(name) if how == "at once"} - {name} for name in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_rule_sees_what_it_should() -> None:
    assert ("training.stack", "at once") in imports("zoo.mlp")
    assert ("callbacks", "lazily") in imports("training.stack")
    assert ("training.stack", "for types") in imports("zoo.symmetry.order_parameter")
    assert level("datamodules.laws.base") < level("cumulants.clt") < level("datamodules.blocks")
