"""What to do about a row, decided from what the source says of it and what is stored. Pure: no I/O, no clock."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from tidings.model.verdicts import Failed, KnownRow, KnownVersion, Seen, Stored, StoredDocument, Verdict


class Plan(Enum):
    """What a listed row needs."""

    SETTLED = "settled"  # by this sync already, before it was taken over
    UNCHANGED = "unchanged"  # for certain: nothing to read, nothing to write
    RECOVERED = "recovered"  # unchanged, and its recorded error does not hold any more
    STAGED = "staged"  # by an earlier sync that published nothing: its text serves again
    STILL_UNREADABLE = "still unreadable"  # the same bytes that had no text last time
    FETCH = "fetch"


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a row: their hash, what is to make text of them, and how they are known again without reading."""

    hash: str
    fingerprint: str
    validator: str | None


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
    if known is not None and known.settled:
        return Plan.SETTLED
    if known is None or force or validator is None:
        return Plan.FETCH
    visible = known.visible
    if visible is not None and visible.validator == validator and visible.fingerprint == fingerprint:
        return Plan.UNCHANGED if known.error is None else Plan.RECOVERED
    if staged_as(known, validator, fingerprint) is not None:
        return Plan.STAGED
    if known.error is not None and known.error_validator == error_validator(validator, fingerprint):
        return Plan.STILL_UNREADABLE
    return Plan.FETCH


def staged_as(known: KnownRow, validator: str, fingerprint: str) -> KnownVersion | None:
    """The parked version of a row that looks so from outside, if there is one."""
    return _best(one for one in known.parked if one.validator == validator and one.fingerprint == fingerprint)


def vouchable(known: KnownRow | None, fingerprint: str, *, force: bool) -> KnownVersion | None:
    """The version that the source is asked about, by its validator, before it sends any bytes: what was staged last, else the visible one. None where
    text is to be made anew."""
    if known is None or force:
        return None
    usable = [one for one in known.parked if one.validator is not None and one.fingerprint == fingerprint]
    if usable:
        return max(usable, key=lambda one: one.n)
    return known.visible if known.visible is not None and known.visible.fingerprint == fingerprint else None


def judge_vouched(key: str, known: KnownRow, version: KnownVersion) -> Verdict:
    """The verdict on a row whose bytes are for certain those of this version, visible or parked."""
    verdict = judge_bytes(key, known, Content(version.content_hash, version.fingerprint, version.validator), force=False)
    assert verdict is not None, "the version is one of the row's"
    return verdict


def error_validator(validator: str | None, fingerprint: str) -> str | None:
    """How unreadable bytes are known again; None where they must be read again to know."""
    return None if validator is None else f"{fingerprint}:{validator}"


def judge_bytes(key: str, known: KnownRow | None, content: Content, *, force: bool) -> Verdict | None:
    """Decides by the hash of the row's bytes, before any text is made of them; None where text must be made."""
    if known is None or force:
        return None
    visible = known.visible
    if visible is not None and visible.content_hash == content.hash and visible.fingerprint == content.fingerprint:
        return _seen(key, known, content)
    kept = _best(one for one in known.parked if one.content_hash == content.hash and one.fingerprint == content.fingerprint)
    if kept is None:
        return None
    if visible is not None and (visible.text_hash, visible.title) == (kept.text_hash, kept.title):
        return _seen(key, known, content)
    return _stored(key, known, content, Text(kept.title, kept.url, kept.text_hash, ()), kept)


def judge_text(key: str, known: KnownRow | None, content: Content, text: Text) -> Verdict:
    """Decides by the text: identical text and title are no modification, whatever the bytes look like."""
    if known is not None and known.visible is not None and (known.visible.text_hash, known.visible.title) == (text.text_hash, text.title):
        return _seen(key, known, content)
    # Parked text without a hash of its bytes is not whole.
    parked = known.parked if known is not None else ()
    kept = _best(one for one in parked if one.content_hash and (one.text_hash, one.title) == (text.text_hash, text.title))
    return _stored(key, known, content, text if kept is None else replace(text, documents=()), kept)


def _best(parked: Iterable[KnownVersion]) -> KnownVersion | None:
    """Of versions with the same text, one that is paid for."""
    return max(parked, key=lambda one: one.charged, default=None)


def judge_failure(key: str, known: KnownRow | None, reason: str, *, unfetched: bool, validator: str | None, fingerprint: str) -> Failed:
    """The verdict on a row that is not to be had. What had no text is known again; what could not be fetched is tried again."""
    return Failed(key, known, reason, unfetched, None if unfetched else error_validator(validator, fingerprint))


def _seen(key: str, known: KnownRow, content: Content) -> Seen:
    return Seen(key, known, content.hash, content.fingerprint, content.validator)


def _stored(key: str, known: KnownRow | None, content: Content, text: Text, reuse: KnownVersion | None) -> Stored:
    return Stored(
        key=key,
        row=known,
        content_hash=content.hash,
        text_hash=text.text_hash,
        fingerprint=content.fingerprint,
        validator=content.validator,
        title=text.title,
        url=text.url,
        tokens=reuse.tokens if reuse is not None else sum(document.tokens for document in text.documents),
        documents=text.documents,
        reuse=reuse,
    )
