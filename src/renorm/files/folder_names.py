"""Names of folders that every system and every library takes as they are."""

from __future__ import annotations

import os
import re

from ..errors import InputError

# of devices on Windows, also before a dot
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])(\..*)?", re.IGNORECASE)
LONGEST = 255  # bytes, of most file systems


def check_folder_name(argument: str, name: str) -> None:
    r"""Refuse what is not the plain name of one folder, on any system.

    Args:
        argument: what it was given as, for the message.
        name: of the folder.

    Raises:
        ValueError: for an empty name, a path, a name with characters that shells or Windows read otherwise, or a longer one.

    Source:
        Microsoft, Naming Files, Paths, and Namespaces.

    Example:
        >>> check_folder_name("name", "slopes 0.1 [a]")
        >>> check_folder_name("name", "..")
        Traceback (most recent call last):
        ...
        renorm.errors.InputError: name='..' is not the name of one folder; allowed: no '.' at the end
    """
    bad = sorted({c for c in name if c in '/\\<>:"|?*$' or not c.isprintable()})
    if not name:
        reason = "one character or more"
    elif bad:
        reason = f"none of {' '.join(map(repr, bad))}"
    elif name[0] in "-~ ":
        reason = f"no {name[0]!r} at the beginning"
    elif name[-1] in ". ":
        reason = f"no {name[-1]!r} at the end"
    elif RESERVED.fullmatch(name):
        reason = "none that Windows reserves"
    elif len(os.fsencode(name)) > LONGEST:
        reason = f"up to {LONGEST} bytes"
    else:
        return
    raise InputError(f"{argument}={name!r} is not the name of one folder", reason)


def check_path(argument: str, path: str) -> None:
    """Refuse a path that a library would expand: a part of what is written would go elsewhere.

    Args:
        argument: what it was given as, for the message.
        path: of a file or a folder.

    Raises:
        ValueError: with the path that may have been meant.

    Example:
        >>> check_path("out", "runs/a")
        >>> check_path("out", "~nobody-of-this-name/a")
        Traceback (most recent call last):
        ...
        renorm.errors.InputError: out='~nobody-of-this-name/a' would be expanded; allowed: the path itself, without '~' or '$'
    """
    if "\0" in path:
        raise InputError(f"{argument}={path!r} has a null character", "paths without")
    meant = os.path.expandvars(os.path.expanduser(path))
    if path.startswith("~") or meant != path:
        hint = f", e.g. {meant!r}" if meant != path else ", without '~' or '$'"
        raise InputError(f"{argument}={path!r} would be expanded", f"the path itself{hint}")
