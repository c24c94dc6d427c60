"""What of the machine's files a data source may see: what lies in its own folder, wherever links lead."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Bounds:
    """A folder, and within it Tidings' own home, if that lies there, which no data source reads: it holds the secrets. Real paths, without links."""

    root: str
    home: str | None = None

    def hold(self, real: str) -> bool:
        """Whether a real path lies in the folder (or is it), and not in Tidings' home."""
        return lies_in(real, self.root) and not (self.home is not None and lies_in(real, self.home))


def lies_in(real: str, folder: str) -> bool:
    """Whether a real path is a folder or lies below it."""
    return real == folder or real.startswith(folder.rstrip("/") + "/")


def bounds_of(path: str, local_roots: Sequence[Path], home: Path) -> Bounds | None:
    """The bounds of the folder at `path`, if a local root allows it. A local root that contains Tidings' home does not open it; one within it does."""
    root, home_path = os.path.realpath(path), os.path.realpath(home)
    allowing = [real for real in map(os.path.realpath, local_roots) if lies_in(root, real)]
    if not allowing:
        return None
    if not lies_in(root, home_path):
        return Bounds(root, home_path if lies_in(home_path, root) else None)
    return Bounds(root) if any(real != home_path and lies_in(real, home_path) for real in allowing) else None
