"""Looks up single files below a folder, as a walk over all of it would have listed them."""
# ruff: noqa: PTH116, PTH118 - these are calls on paths as the system knows them; pathlib would normalize them first

import os
import stat
from collections.abc import Sequence

from tidings import clock
from tidings.connectors.base import Found, Gone
from tidings.connectors.bounds import Bounds
from tidings.connectors.globs import Selection
from tidings.connectors.keys import path_of
from tidings.connectors.listing import replaced, row_of, state_of_root


def find_files(bounds: Bounds, selection: Selection, keys: Sequence[str]) -> list[Found] | None:
    """What a walk would say of each of these keys. None where only a walk can tell: a key that is no path, a folder, a path that goes through a link or
    that the system does not let us look at, or an empty folder at the top, as a drive that went away leaves it. SourceRejected, SourceUnreachable. Waits
    for the disk: for a thread."""
    first = state_of_root(bounds.root)
    found: list[Found] = []
    for key in keys:
        one = _find(bounds, selection, key)
        if one is None:
            return None
        found.append(one)
    if all(isinstance(one, Gone) for one in found) and not os.listdir(bounds.root):  # noqa: PTH208 - only whether there is something
        return None
    if state_of_root(bounds.root) != first:
        raise replaced(bounds.root)
    return found


def _find(bounds: Bounds, selection: Selection, key: str) -> Found | None:
    try:
        path = path_of(key)
    except ValueError:
        return None
    parts, seen_at = path.split("/"), clock.now()
    real = os.path.join(bounds.root, path)
    if not selection.takes_by_itself(parts) or not bounds.hold(real):
        return Gone(key)
    try:
        if os.path.realpath(real) != real:
            return None
        at = os.stat(real, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return Gone(key)
    except OSError:
        return None
    return None if stat.S_ISDIR(at.st_mode) else row_of(parts, at, seen_at)
