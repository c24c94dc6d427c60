"""What the model of random histories knows: of rows at the source, of rows in a snapshot, of the sync under way."""

from collections import Counter
from dataclasses import dataclass, field

from tidings.model.verdicts import KnownRow, StoredDocument, Verdict
from tidings.store.known import Staging
from tidings.store.leases import Held
from tidings.syncs.plan_changes import Content, Text, judge_bytes, judge_failure, judge_text


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


def judge(key: str, row: KnownRow | None, item: Item, validator: str, *, force: bool) -> Verdict:
    """The product's verdict on a row that was fetched."""
    if not item.readable:
        return judge_failure(key, row, "It can't be read.", unfetched=False, validator=validator, fingerprint="print")
    words = " ".join(item.words)
    content = Content(words, "print", validator)
    found = judge_bytes(key, row, content, force=force)
    if found is not None:
        return found
    documents = tuple(StoredDocument("", word, len(word)) for word in item.words)
    return judge_text(key, row, content, Text("title", None, words, documents))
