"""What is known of a row, and what a sync found out about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """A stored version of a row: the visible one, or a parked one whose text may serve again."""

    n: int
    content_hash: str
    text_hash: str
    fingerprint: str
    validator: str | None
    title: str
    url: str | None
    tokens: int
    documents: int
    charged: bool = False  # parked by a rollback: publishing it again is free


@dataclass(frozen=True, slots=True)
class KnownRow:
    """What is stored of a row that the source lists. `settled`: this very sync has dealt with it, before it was taken over. `quarantined`: the hash of the
    text that was held back from it. `approved`: somebody has said that its text may change as much as it likes."""

    n: int
    settled: bool
    error: str | None
    error_validator: str | None
    visible: KnownVersion | None
    parked: tuple[KnownVersion, ...] = ()
    quarantined: str | None = None
    approved: bool = False


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as it is stored: a chunk of about 400 tokens with the path of headings above it."""

    heading: str
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Seen:
    """Verdict: the text is what it was. Where the row looks different from outside, the visible version learns it."""

    key: str
    row: KnownRow
    content_hash: str
    fingerprint: str
    validator: str | None


@dataclass(frozen=True, slots=True)
class Stored:
    """Verdict: the row is new, or its text or title is. Without `documents` a parked version with this text is used."""

    key: str
    row: KnownRow | None
    content_hash: str
    text_hash: str
    fingerprint: str
    validator: str | None
    title: str
    url: str | None
    tokens: int
    documents: tuple[StoredDocument, ...]
    reuse: KnownVersion | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Verdict: the row could not be brought up to date; its last good version stays."""

    key: str
    row: KnownRow | None
    reason: str
    unfetched: bool  # its bytes were not to be had, as against: no text in them
    error_validator: str | None
    quarantined: str | None = None  # the hash of a text that is held back until somebody approves it


Verdict = Seen | Stored | Failed
