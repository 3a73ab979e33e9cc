"""Read files that ``renorm zoo export --format safetensors`` wrote, without trusting them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import InputError
from ..files.untrusted import check_plain

SUFFIX = ".safetensors"
ALLOWED = "allowed: what 'renorm zoo export --format safetensors' wrote, or a folder with one such file"


def is_exported(word: object) -> bool:
    """Whether a word in a model's place is the path of an exported file, or of a folder.

    Example:
        >>> is_exported("mlp_relu_free.uniform")
        False
    """
    if not isinstance(word, str | Path) or not str(word):
        return False
    path = Path(word)
    return path.is_dir() or (path.suffix == SUFFIX and path.is_file())


def read_exported(word: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Class, arguments, data and best member of an exported entry, and its tensors.

    ``data`` and ``best_member`` are None for a file that was written without them, by renorm 0.1.0.

    Raises:
        ValueError: where there is no such file, or it is of another kind or damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = _file(Path(word))
    try:
        with safe_open(str(path), framework="pt") as file:
            told = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is not a mapping)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise InputError(f"name={str(path)!r} is not a whole safetensors file ({reason}); {ALLOWED}") from None
    texts = {key: told.get(key, "null") for key in ("arguments", "data", "best_member")}
    try:
        entry: dict[str, Any] = {key: json.loads(text) for key, text in texts.items()}
    except (ValueError, RecursionError) as error:
        raise InputError(f"name={str(path)!r} has metadata that is not JSON ({error}); {ALLOWED}") from None
    check_plain(f"name={str(path)!r}: its metadata", entry)
    fits = isinstance(entry["arguments"], dict) and isinstance(entry["data"], dict | None)
    fits = fits and isinstance((entry["data"] or {}).get("map", ""), str)
    if not fits or "class" not in told or type(entry["best_member"]) not in (int, type(None)):
        raise InputError(f"name={str(path)!r} does not say of which model its tensors are; {ALLOWED}")
    return entry | {"class": told["class"], "renorm": told.get("renorm")}, tensors


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    files = sorted(path.glob(f"*{SUFFIX}"))
    if len(files) != 1:
        raise InputError(f"name={str(path)!r} has {len(files)} files *{SUFFIX}; {ALLOWED}")
    return files[0]
