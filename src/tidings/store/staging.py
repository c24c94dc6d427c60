"""What a running sync writes: verdicts, staged under the next number, with the running totals of the sync.

Nothing of it is visible to readers until `snapshots.publish`. Each batch is one transaction, and only the newest holder's.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Boolean, Integer, Text, bindparam, column, func, insert, select, table, update
from sqlalchemy.dialects.postgresql import insert as insert_unless_there

from tidings import clock
from tidings.model.ids import new_id
from tidings.model.verdicts import Failed, KnownRow, KnownVersion, Seen, Stored, StoredDocument, Verdict
from tidings.store.known import Staging, key_hash, visible_versions
from tidings.store.leases import confirm, lost
from tidings.store.tables import FOREVER, PARKED, changes, documents, rows, syncs, versions
from tidings.store.transactions import Hot, Tx

_ADD_ROW = Hot(
    insert_unless_there(rows)
    .values(
        id=bindparam("id", type_=Text),
        data_source_id=bindparam("source", type_=Text),
        key=bindparam("row_key", type_=Text),
        key_hash=bindparam("hash", type_=rows.c.key_hash.type),
    )
    .on_conflict_do_nothing()
    .returning(rows.c.n)
)
_FIND_ROW = Hot(
    select(rows.c.n).where(rows.c.data_source_id == bindparam("source", type_=Text), rows.c.key_hash == bindparam("hash", type_=rows.c.key_hash.type))
)
_SET_ERROR = Hot(
    update(rows)
    .where(rows.c.n == bindparam("row", type_=BigInteger))
    .values(error=bindparam("why", type_=Text), error_validator=bindparam("looked", type_=Text), error_at=bindparam("when", type_=BigInteger))
    .values(quarantined=bindparam("held_back", type_=Text))
)
_FORGET_APPROVAL = Hot(update(rows).where(rows.c.n == bindparam("row", type_=BigInteger)).values(approved_at=None))
_LEARN = Hot(
    update(versions)
    .where(versions.c.n == bindparam("version", type_=BigInteger))
    .values(content_hash=bindparam("content", type_=Text), fingerprint=bindparam("print", type_=Text), validator=bindparam("looks", type_=Text))
)
_END_VERSION = Hot(update(versions).where(versions.c.n == bindparam("version", type_=BigInteger)).values(to_n=bindparam("target", type_=BigInteger)))
# What a version says of its row, from a number on.
_VERSION: dict[str, Any] = {
    "from_n": bindparam("target", type_=BigInteger),
    "to_n": bindparam("forever", FOREVER, type_=BigInteger),
    "content_hash": bindparam("content", type_=Text),
    "text_hash": bindparam("hash", type_=Text),
    "fingerprint": bindparam("print", type_=Text),
    "validator": bindparam("looks", type_=Text),
    "title": bindparam("name", type_=Text),
    "url": bindparam("address", type_=Text),
}
_REUSE_VERSION = Hot(
    update(versions).where(versions.c.n == bindparam("version", type_=BigInteger)).values(**_VERSION, created_at=bindparam("at", type_=BigInteger))
)
_ADD_VERSION = Hot(
    insert_unless_there(versions)
    .values(
        row_n=bindparam("row", type_=BigInteger),
        data_source_id=bindparam("source", type_=Text),
        **_VERSION,
        tokens=bindparam("size", type_=BigInteger),
        documents=bindparam("count", type_=Integer),
        created_at=bindparam("at", type_=BigInteger),
    )
    .returning(versions.c.n)
)
_ADD_DOCUMENT = Hot(
    insert(documents)
    .inline()
    .values(
        id=bindparam("id", type_=Text),
        version_n=bindparam("version", type_=BigInteger),
        scope=bindparam("word", type_=Text),
        ord=bindparam("place", type_=Integer),
        heading=bindparam("path", type_=Text),
        text=bindparam("words", type_=Text),
        tokens=bindparam("size", type_=Integer),
    )
)
_NEWEST_DOCUMENT = Hot(select(func.coalesce(func.max(documents.c.n), 0)))
_documents_text = table("documents_text", column("rowid"), column("heading"), column("text"), column("scope"))
_ADD_TEXTS = Hot(
    insert(_documents_text)
    .inline()
    .from_select(
        ["rowid", "heading", "text", "scope"],
        select(documents.c.n, documents.c.heading, documents.c.text, documents.c.scope).where(documents.c.n > bindparam("newest", type_=BigInteger)),
    )
)
_ADD_CHANGE = Hot(
    insert(changes)
    .inline()
    .values(
        sync_id=bindparam("sync", type_=Text),
        row_n=bindparam("row", type_=BigInteger),
        key=bindparam("row_key", type_=Text),
        title=bindparam("name", type_=Text),
        kind=bindparam("what", type_=Text),
        tokens=bindparam("size", type_=BigInteger),
        hash_before=bindparam("before", type_=Text),
        hash_after=bindparam("after", type_=Text),
        version_before=bindparam("old", type_=BigInteger),
        version_after=bindparam("new", type_=BigInteger),
        reason=bindparam("why", type_=Text),
        unfetched=bindparam("missing", type_=Boolean),
        quarantined=bindparam("held_back", type_=Boolean),
    )
)
_ADD_TOTALS = Hot(
    update(syncs)
    .where(syncs.c.id == bindparam("sync", type_=Text), syncs.c.fence == bindparam("held", type_=BigInteger), syncs.c.state == "running")
    .values(
        {
            name: syncs.c[name] + bindparam(f"more_{name}", type_=BigInteger)
            for name in ("added", "changed", "removed", "failed", "unfetched", "quarantined", "charge")
        }
    )
    .values({name: syncs.c[name] + bindparam(f"more_{name}", type_=BigInteger) for name in ("documents_delta", "tokens_delta")})
    .returning(syncs.c.charge)
)


_Mark = tuple[str | None, int | None]  # of a version in the manifest: the hash of its bytes, its number


@dataclass(slots=True)
class _Totals:
    """What a batch adds to the counts of its sync."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    failed: int = 0
    unfetched: int = 0
    quarantined: int = 0
    charge: int = 0
    documents_delta: int = 0
    tokens_delta: int = 0


def settle(tx: Tx, staging: Staging, verdicts: Sequence[Verdict]) -> int:
    """Stages a batch of verdicts, at most one per row and sync, with their manifest lines and totals. What publishing would
    charge so far, in storage tokens. LeaseLost."""
    totals = _Totals()
    manifest: list[dict[str, Any]] = []
    with _searchable(tx):
        for verdict in verdicts:
            match verdict:
                case Seen():
                    _learn(tx, staging, verdict)
                case Stored():
                    _store(tx, staging, verdict, totals, manifest)
                case Failed():
                    _record_failure(tx, staging, verdict, totals, manifest)
    return _commit_totals(tx, staging, totals, manifest)


def open_version(tx: Tx, staging: Staging, verdict: Stored) -> int:
    """Begins a version whose documents come in pieces: parked, without the hashes by which parked text is found again,
    until its verdict is settled. Its number. LeaseLost."""
    confirm(tx, staging.held)
    row_n = _row_n(tx, staging, verdict.key, verdict.row)
    unfinished = {**_described(verdict), "content": "", "hash": "", "print": ""}
    return _add_version(tx, staging, row_n, verdict, PARKED, **unfinished)


def add_documents(tx: Tx, staging: Staging, version_n: int, start: int, pieces: Sequence[StoredDocument]) -> None:
    """Adds documents, the first being number `start`, to a version that was begun by `open_version`. LeaseLost."""
    confirm(tx, staging.held)
    with _searchable(tx):
        _add_documents(tx, staging, version_n, start, pieces)


def remove(tx: Tx, staging: Staging, gone: Sequence[tuple[int, str]]) -> None:
    """Stages the removal of rows, given by number and key, that the source does not list any more. LeaseLost."""
    totals = _Totals()
    manifest: list[dict[str, Any]] = []
    keys = dict(gone)
    for row_n, version in visible_versions(tx, staging, list(keys)):
        tx.hot(_END_VERSION, version=version.n, target=staging.target)
        totals.removed += 1
        totals.documents_delta -= version.documents
        totals.tokens_delta -= version.tokens
        manifest.append(_line(staging, row_n, keys[row_n], version.title, "removed", before=_mark(version)))
    _commit_totals(tx, staging, totals, manifest)


def list_removals(tx: Tx, staging: Staging, gone: Sequence[tuple[int, str]]) -> None:
    """Lists removals in the manifest without staging them: what a stopped sync would have removed. LeaseLost."""
    keys = dict(gone)
    manifest = [
        _line(staging, row_n, keys[row_n], version.title, "removed", before=_mark(version)) for row_n, version in visible_versions(tx, staging, list(keys))
    ]
    _commit_totals(tx, staging, _Totals(), manifest)


def forget_errors(tx: Tx, staging: Staging, row_ns: Sequence[int]) -> None:
    """Drops the errors of rows that the source does not list any more. LeaseLost."""
    confirm(tx, staging.held)
    if not staging.held.dry_run:
        tx.execute(update(rows).where(rows.c.n.in_(row_ns)).values(error=None, error_validator=None, error_at=None, quarantined=None))


def _learn(tx: Tx, staging: Staging, verdict: Seen) -> None:
    version = verdict.row.visible
    assert version is not None
    if (version.content_hash, version.fingerprint, version.validator) != (verdict.content_hash, verdict.fingerprint, verdict.validator):
        tx.hot(_LEARN, version=version.n, content=verdict.content_hash, print=verdict.fingerprint, looks=verdict.validator)
    _clear_error(tx, staging, verdict.row)
    if verdict.row.approved and not staging.held.dry_run:  # it was for a text that is not there any more
        tx.hot(_FORGET_APPROVAL, row=verdict.row.n)


def _clear_error(tx: Tx, staging: Staging, row: KnownRow | None) -> None:
    if row is not None and row.error is not None and not staging.held.dry_run:
        tx.hot(_SET_ERROR, row=row.n, why=None, looked=None, when=None, held_back=None)


def _row_n(tx: Tx, staging: Staging, key: str, row: KnownRow | None) -> int:
    if row is not None:
        return row.n
    source, hash_ = staging.held.data_source_id, key_hash(key)
    added = tx.hot(_ADD_ROW, id=new_id(), source=source, row_key=key, hash=hash_) or tx.hot(_FIND_ROW, source=source, hash=hash_)
    return int(added[0][0])


def _store(tx: Tx, staging: Staging, verdict: Stored, totals: _Totals, manifest: list[dict[str, Any]]) -> None:
    row_n = _row_n(tx, staging, verdict.key, verdict.row)
    _clear_error(tx, staging, verdict.row)
    old = verdict.row.visible if verdict.row is not None else None
    if old is not None:
        tx.hot(_END_VERSION, version=old.n, target=staging.target)
        totals.changed += 1
        totals.documents_delta -= old.documents
        totals.tokens_delta -= old.tokens
    else:
        totals.added += 1
    if verdict.reuse is not None:
        tx.hot(_REUSE_VERSION, version=verdict.reuse.n, target=staging.target, at=clock.now(), **_described(verdict))
        version_n, count = verdict.reuse.n, verdict.reuse.documents
    else:
        count = len(verdict.documents)
        version_n = _add_version(tx, staging, row_n, verdict, staging.target, **_described(verdict))
        _add_documents(tx, staging, version_n, 0, verdict.documents)
    totals.documents_delta += count
    totals.tokens_delta += verdict.tokens
    charge = 0 if verdict.reuse is not None and verdict.reuse.charged else verdict.tokens
    totals.charge += charge
    kind = "added" if old is None else "changed"
    after = (verdict.content_hash, version_n)
    manifest.append(_line(staging, row_n, verdict.key, verdict.title, kind, tokens=charge, before=_mark(old), after=after))


def _described(verdict: Stored) -> dict[str, str | None]:
    return {
        "content": verdict.content_hash,
        "hash": verdict.text_hash,
        "print": verdict.fingerprint,
        "looks": verdict.validator,
        "name": verdict.title,
        "address": verdict.url,
    }


def _add_version(tx: Tx, staging: Staging, row_n: int, verdict: Stored, from_n: int, **described: str | None) -> int:
    source, size, count = staging.held.data_source_id, verdict.tokens, len(verdict.documents)
    added = tx.hot(_ADD_VERSION, row=row_n, source=source, target=from_n, size=size, count=count, at=clock.now(), **described)
    return int(added[0][0])


def _add_documents(tx: Tx, staging: Staging, version_n: int, start: int, pieces: Sequence[StoredDocument]) -> None:
    word = scope(staging.held.data_source_id)
    tx.hot_many(
        _ADD_DOCUMENT,
        [
            {"id": new_id(), "version": version_n, "word": word, "place": place, "path": each.heading, "words": each.text, "size": each.tokens}
            for place, each in enumerate(pieces, start)
        ],
    )


@contextmanager
def _searchable(tx: Tx) -> Iterator[None]:
    """Adds the full-text entries of the documents that are added within. PostgreSQL makes its own; on SQLite one statement adds all of
    them, since FTS5 writes its words out after every statement that runs in a trigger or reads a table."""
    if tx.dialect == "postgresql":
        yield
        return
    ((newest,),) = tx.hot(_NEWEST_DOCUMENT)
    yield
    tx.hot(_ADD_TEXTS, newest=newest)


def scope(data_source_id: str) -> str:
    """The word that marks the full-text entries of a data source."""
    return data_source_id.replace("-", "")


def _record_failure(tx: Tx, staging: Staging, verdict: Failed, totals: _Totals, manifest: list[dict[str, Any]]) -> None:
    row_n = _row_n(tx, staging, verdict.key, verdict.row)
    # What could not be fetched may still be what was held back: it is known again when it comes.
    held_back = verdict.row.quarantined if verdict.unfetched and verdict.row is not None else verdict.quarantined
    if not staging.held.dry_run:
        tx.hot(_SET_ERROR, row=row_n, why=verdict.reason, looked=verdict.error_validator, when=clock.now(), held_back=held_back)
    totals.failed += 1
    totals.unfetched += verdict.unfetched
    totals.quarantined += verdict.quarantined is not None
    title = verdict.row.visible.title if verdict.row is not None and verdict.row.visible is not None else None
    quarantined = verdict.quarantined is not None
    manifest.append(_line(staging, row_n, verdict.key, title, "failed", reason=verdict.reason, unfetched=verdict.unfetched, quarantined=quarantined))


def _mark(version: KnownVersion | None) -> _Mark:
    return (None, None) if version is None else (version.content_hash, version.n)


def _line(
    staging: Staging,
    row_n: int,
    key: str,
    title: str | None,
    kind: str,
    *,
    tokens: int = 0,
    before: _Mark = (None, None),
    after: _Mark = (None, None),
    reason: str | None = None,
    unfetched: bool = False,
    quarantined: bool = False,
) -> dict[str, Any]:
    return {
        "sync": staging.held.sync_id,
        "row": row_n,
        "row_key": key,
        "name": title,
        "what": kind,
        "size": tokens,
        "before": before[0],
        "after": after[0],
        "old": before[1],
        "new": after[1],
        "why": reason,
        "missing": unfetched,
        "held_back": quarantined,
    }


def _commit_totals(tx: Tx, staging: Staging, totals: _Totals, manifest: Sequence[dict[str, Any]]) -> int:
    more = {f"more_{name}": getattr(totals, name) for name in _Totals.__slots__}
    charge = tx.hot(_ADD_TOTALS, sync=staging.held.sync_id, held=staging.held.fence, **more)
    if not charge:
        raise lost()
    if manifest:  # after the fence: whoever took over may have listed the same rows
        tx.hot_many(_ADD_CHANGE, manifest)
    return int(charge[0][0])
