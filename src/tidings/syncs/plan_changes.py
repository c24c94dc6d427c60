"""What to do about a row, decided from what the source says of it and what is stored. Pure: no I/O, no clock."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from tidings.model.verdicts import Failed, KnownRow, KnownVersion, Seen, Stored, StoredDocument, Verdict


class Plan(Enum):
    """What a listed row needs."""

    SETTLED = "settled"  # by this sync already, before it was taken over
    UNCHANGED = "unchanged"  # for certain: nothing to read, nothing to write
    RECOVERED = "recovered"  # unchanged, and its recorded error does not hold any more
    STILL_UNREADABLE = "still unreadable"  # the same bytes that had no text last time
    FETCH = "fetch"


@dataclass(frozen=True, slots=True)
class Text:
    """What came out of a row's bytes."""

    title: str
    url: str | None
    text_hash: str
    documents: tuple[StoredDocument, ...]


def fingerprint_of(*parts: str) -> str:
    """What made text of the bytes: pipeline, connector, those of its settings that touch the text. Another fingerprint
    makes every row count as unseen."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def plan_row(validator: str | None, known: KnownRow | None, fingerprint: str, *, force: bool) -> Plan:
    """Decides by the row's validator, before anything is read. A validator of None means: look at the bytes."""
    if known is None:
        return Plan.FETCH
    if known.settled:
        return Plan.SETTLED
    if force or validator is None:
        return Plan.FETCH
    visible = known.visible
    if visible is not None and visible.validator == validator and visible.fingerprint == fingerprint:
        return Plan.UNCHANGED if known.error is None else Plan.RECOVERED
    if known.error is not None and known.error_validator == error_validator(validator, fingerprint):
        return Plan.STILL_UNREADABLE
    return Plan.FETCH


def error_validator(validator: str | None, fingerprint: str) -> str | None:
    """How unreadable bytes are known again; None where they must be read again to know."""
    return None if validator is None else f"{fingerprint}:{validator}"


def judge_bytes(
    key: str, known: KnownRow | None, content_hash: str, fingerprint: str, validator: str | None, *, force: bool
) -> Verdict | None:
    """Decides by the hash of the row's bytes, before any text is made of them; None where text must be made."""
    if known is None or force:
        return None
    visible = known.visible
    if visible is not None and visible.content_hash == content_hash and visible.fingerprint == fingerprint:
        return Seen(key, known, content_hash, fingerprint, validator)
    kept = _parked_with(known.parked, content_hash, fingerprint)
    if kept is None:
        return None
    if visible is not None and (visible.text_hash, visible.title) == (kept.text_hash, kept.title):
        return Seen(key, known, content_hash, fingerprint, validator)
    return Stored(key, known, content_hash, kept.text_hash, fingerprint, validator, kept.title, kept.url, kept.tokens, (), reuse=kept)


def judge_text(key: str, known: KnownRow | None, content_hash: str, fingerprint: str, validator: str | None, text: Text) -> Verdict:
    """Decides by the text: identical text and title are no modification, whatever the bytes look like."""
    if known is not None and known.visible is not None and (known.visible.text_hash, known.visible.title) == (text.text_hash, text.title):
        return Seen(key, known, content_hash, fingerprint, validator)
    tokens = sum(document.tokens for document in text.documents)
    return Stored(key, known, content_hash, text.text_hash, fingerprint, validator, text.title, text.url, tokens, text.documents)


def judge_failure(key: str, known: KnownRow | None, reason: str, *, unfetched: bool, validator: str | None, fingerprint: str) -> Failed:
    """The verdict on a row that is not to be had. What had no text is known again; what could not be fetched is tried again."""
    return Failed(key, known, reason, unfetched, None if unfetched else error_validator(validator, fingerprint))


def _parked_with(parked: Sequence[KnownVersion], content_hash: str, fingerprint: str) -> KnownVersion | None:
    return next((version for version in parked if version.content_hash == content_hash and version.fingerprint == fingerprint), None)
