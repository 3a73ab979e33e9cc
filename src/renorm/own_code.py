"""Classes of the user's own: modules imported by ``--import``, and scripts that call renorm."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from .errors import InputError

OPTION = "--import"
LIBRARIES = ("lightning", "torch", "renorm", "ray", "torchmetrics", "torch_geometric")
SCRIPT = "__main__"  # the module of the program that is run
VARIABLE = "RENORM_IMPORT"  # tells the processes that a command starts

T = TypeVar("T")


def import_own_code() -> None:
    """Import what the command was told to import, also in the processes that it starts.

    Raises:
        ValueError: for a module that is not there, or that fails.
    """
    for name in imported():
        try:
            _import(name)
        except (Exception, SystemExit) as error:  # whatever the user's own code raises
            if os.environ.get("RENORM_DEBUG"):
                raise
            if isinstance(error, InputError):  # of a class's name, say
                raise InputError(f"import={name!r}: {error}") from None
            allowed = "a module on Python's path or in this folder, or a file that ends in .py"
            raise InputError(f"import={name!r} failed ({type(error).__name__}: {error})", allowed) from None


def imported() -> list[str]:
    """The modules that ``--import`` named."""
    return [name for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]


def _import(name: str) -> None:
    path = Path(name)
    if path.suffix != ".py":
        if "" not in sys.path and str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        importlib.import_module(name)
        return
    if (loaded := sys.modules.get(path.stem)) is not None:
        if Path(getattr(loaded, "__file__", None) or "").resolve() != path.resolve():
            raise ImportError(f"there is a module of the name {path.stem!r} already")
        return
    if path.stem in sys.stdlib_module_names:
        raise ImportError(f"there is a module of the name {path.stem!r} already")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # before it runs, as classes are looked up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise


def class_path(cls: type[Any]) -> str:
    """Where a class is imported from."""
    return f"{cls.__module__}.{cls.__qualname__}"


def class_name(path: str) -> str:
    """What a class is compared by: a class can be imported from several modules, but renorm's is not another of that name.

    Example:
        >>> class_name("renorm.zoo.mlp.MLP"), class_name("MLP"), class_name("__main__.Net"), class_name("mine.MLP")
        ('MLP', 'MLP', 'own Net', 'own MLP')
    """
    package, _, name = path.rpartition(".")
    return name if package.partition(".")[0] in ("", "renorm") else f"own {name}"


def find_class(key: str, path: str, classes: Iterable[type[T]], any_module: bool) -> type[T] | None:
    """The class that a config, a checkpoint or a flag names; None where it is not among those that are defined.

    A class of the user's own is known by its name alone, or as a class of the program that is run, where no other has the
    name: a script that is run, and the same script that ``--import`` names, define one class in two modules.

    Args:
        key: of the setting, for messages.
        path: name of the class, or with the module that it was imported from or defined in.
        classes: those that are defined, in the order of definition.
        any_module: whether a class of this name in another module will do.

    Raises:
        ValueError: where several classes have the name, and none of them the path.

    Example:
        >>> from fractions import Fraction
        >>> find_class("number", "Fraction", [Fraction], any_module=False)
        <class 'fractions.Fraction'>
        >>> find_class("number", "elsewhere.Fraction", [Fraction], any_module=False)
    """
    classes = list(classes)
    exact = [cls for cls in classes if path == class_path(cls)]
    alike = exact
    if not alike and (any_module or path.startswith(f"{SCRIPT}.")):
        alike = [cls for cls in classes if class_name(path) == class_name(class_path(cls))]
    if not alike:
        alike = [cls for cls in classes if path == cls.__name__]
    if not exact and any(not is_same_definition(cls, alike[-1]) for cls in alike):
        raise InputError(
            f"{key}={path!r} is the name of several classes", ", ".join(dict.fromkeys(map(class_path, alike)))
        )
    return alike[-1] if alike else None


def is_same_definition(one: type, other: type) -> bool:
    """Whether two classes are one definition that was run twice.

    As a notebook's cell, ``dataclass(slots=True)``, or a file that is both the program and a module that ``--import`` names.

    Example:
        >>> is_same_definition(dict, dict), is_same_definition(dict, list)
        (True, False)
    """
    if one.__qualname__ != other.__qualname__:
        return False
    return one.__module__ == other.__module__ or (_file(one) is not None and _file(one) == _file(other))


def check_name(cls: Any, known: Any, allowed: str = "another name") -> None:
    """Refuse a class whose ``name`` another one has in a registry; one definition may run twice.

    Args:
        cls: about to be registered.
        known: what is registered under its name; None where nothing is.
        allowed: for the message.

    Raises:
        InputError: naming both.
    """
    if known is not None and not is_same_definition(cls, known):
        raise InputError(f"name={cls.name!r} of {cls.__qualname__} is taken by {known.__qualname__}", allowed)


def _file(cls: type) -> Path | None:
    path = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return None if path is None else Path(path).resolve()


def loaded_subclasses(*bases: type[Any]) -> list[type[Any]]:
    """Classes that the user's own program has defined or imported, of those that build on the given ones."""
    paths = {cls: class_path(cls) for cls in subclasses(*bases)}
    return [
        cls
        for cls, path in paths.items()
        if path.partition(".")[0] not in LIBRARIES and all(part.isidentifier() for part in path.split("."))
    ]


def subclasses(*bases: type[Any]) -> Iterator[type[Any]]:
    """Every class that builds on the given ones, the nearest first."""
    left = list(bases)
    while left:
        for cls in left.pop(0).__subclasses__():
            left.append(cls)
            yield cls


def script() -> str | None:
    """The user's own script that called renorm; None for the command ``renorm``."""
    program = Path(sys.argv[0])
    return str(program) if program.suffix == ".py" and program.name != "__main__.py" else None


def command_line(words: list[str]) -> str:
    """The words as one would type them, also for a script of one's own that calls renorm.

    Example:
        >>> command_line(["fit", "--name", "two words"]).endswith("fit --name 'two words'")
        True
    """
    own = script()
    imports = [word for name in imported() for word in (OPTION, name)]
    return f"{'renorm' if own is None else f'python {shlex.quote(own)}'} {shlex.join([*words, *imports])}"


def origin() -> list[str]:
    """The files or modules with own classes that this process runs with, for its checkpoints."""
    own = script()
    # a test runner is a program that calls renorm, but none that defines classes for it
    return [*([own] if own and "__main__" in sys.modules and _is_main(own) else []), *imported()]


def _is_main(path: str) -> bool:
    file = getattr(sys.modules["__main__"], "__file__", None)
    return file is not None and Path(file).resolve() == Path(path).resolve()


def where_from(known: object) -> str:
    """A hint at where the classes of a checkpoint are defined, empty where it came from ``renorm`` itself.

    Args:
        known: what :func:`origin` said when it was written.

    Example:
        >>> where_from(["examples/own_activation.py"])
        "; the checkpoint was written with 'examples/own_activation.py', which --import examples/own_activation.py makes known"
        >>> where_from([])
        ''
    """
    names = [str(name)[:200] for name in known] if isinstance(known, list) else []
    if not names:
        return ""
    options = " ".join(f"{OPTION} {shlex.quote(name)}" for name in names)
    return f"; the checkpoint was written with {', '.join(map(repr, names))}, which {options} makes known"
