"""What the model of random histories knows: of rows at the source, of rows in a snapshot, of the sync under way."""

from collections import Counter
from dataclasses import dataclass, field

from tidings.store.known import Staging
from tidings.store.leases import Held


@dataclass
class Item:
    """A row at the source."""

    words: tuple[str, ...]
    edition: int  # raised by every edit: the validator
    readable: bool = True


@dataclass(frozen=True)
class Shown:
    """A row as a snapshot shows it, and the snapshot that its version came with."""

    words: tuple[str, ...]
    since: int


@dataclass
class Run:
    """What the model knows of the sync that is under way."""

    held: Held
    staging: Staging
    settled: dict[str, tuple[str, ...] | None] = field(default_factory=dict)  # None: it failed
    repeated: Counter[tuple[str, tuple[str, ...]]] = field(default_factory=Counter)  # versions that a rollback undid, staged again

    def about(self, key: str) -> bool:
        """Whether the sync is about this row."""
        return self.staging.held.targets is None or key in self.staging.held.targets.keys
