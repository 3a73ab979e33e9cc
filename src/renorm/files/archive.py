"""The archive that a checkpoint is: checked against its own checksums before PyTorch reads it.

``torch.save`` writes a zip archive of uncompressed members with a checksum each, and ``torch.load`` does not look at the
checksums: a single flipped bit would become another weight.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from ..errors import InputError

DIRECTORY = 0x10  # MS-DOS attribute of a zip's member


def check_archive(path: Path) -> None:
    """Refuse an archive that is damaged, compressed, has folders or two members of one name.

    Members are uncompressed, so that what is read into memory is never more than the file's size.

    Raises:
        ValueError: saying what is wrong, without the file's name.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            names = {member.filename for member in members}
            if len(names) < len(members):
                raise InputError("two members have one name")
            if any(m.compress_type != zipfile.ZIP_STORED or m.compress_size != m.file_size for m in members):
                raise InputError("compressed members")
            # PyTorch's reader takes such a member for empty, and the tensor for whatever the memory holds
            if any(member.is_dir() or member.external_attr & DIRECTORY for member in members):
                raise InputError("a member that is a folder")
            size = path.stat().st_size
            if sum(member.file_size for member in members) > size:
                raise InputError("members that overlap")
            damaged = archive.testzip()
    except ValueError:
        raise
    except Exception as error:  # zipfile fails in many ways on a file that is none
        raise InputError(str(error).partition("\n")[0][:200] or type(error).__name__) from None
    if damaged is not None:
        raise InputError(f"damaged at {damaged[:80]!r}")


def check_paths(state: object) -> None:
    """Refuse file names that lead elsewhere in the remembered state of callbacks.

    Lightning deletes the file that a checkpoint names as its predecessor, and asks only of plain paths whether they lie in the
    run's own folder.

    Args:
        state: ``checkpoint["callbacks"]``.

    Raises:
        ValueError: for a URL, or a path that climbs out of a folder.

    Example:
        >>> check_paths({"LastCheckpoint": {"best_model_path": "runs/mlp/version_0/checkpoints/last.ckpt"}})
        >>> check_paths({"LastCheckpoint": {"best_model_path": "local:///home/someone"}})
        Traceback (most recent call last):
        ...
        renorm.errors.InputError: the path 'local:///home/someone' of a callback leads elsewhere
    """
    left, seen = [state], 0
    while left and seen < 10**6:
        value = left.pop()
        seen += 1
        if isinstance(value, dict):
            left += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple):
            left += value
        elif isinstance(value, str) and _leads_elsewhere(value):
            raise InputError(f"the path {value[:200]!r} of a callback leads elsewhere")
    if left:
        raise InputError("the state of its callbacks is too large")


def _leads_elsewhere(path: str) -> bool:
    parts = path.replace("\\", "/").split("/")
    climbs = [i for i, part in enumerate(parts) if part == ".."]
    # a relative folder of runs may start with '..'; behind a name it can only be meant to mislead
    return "://" in path or "::" in path or any(part not in ("", ".", "..") for i in climbs for part in parts[:i])
