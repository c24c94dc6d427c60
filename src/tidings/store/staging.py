"""What a running sync writes: verdicts, staged under the next number, with the running totals of the sync.

Nothing of it is visible to readers until `snapshots.publish`. Each batch is one transaction, and only the newest holder's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, column, func, insert, literal_column, select, table, update
from sqlalchemy.dialects.postgresql import insert as insert_unless_there

from tidings import clock
from tidings.model.ids import new_id
from tidings.model.verdicts import Failed, KnownRow, KnownVersion, Seen, Stored, StoredDocument, Verdict
from tidings.store.known import Staging, key_hash, visible_versions
from tidings.store.leases import confirm, lost
from tidings.store.tables import FOREVER, PARKED, changes, documents, rows, syncs, versions
from tidings.store.transactions import Hot, HotRows, Tx, insert_rows

_ROW = ("id", "data_source_id", "key", "key_hash")
_ADD_ROWS = HotRows(
    {name: rows.c[name].type for name in _ROW},
    lambda given: (
        insert_unless_there(rows)
        .from_select(_ROW, select(given).where(literal_column("true")))  # without a condition SQLite takes ON CONFLICT for that of a join
        .on_conflict_do_nothing()
        .returning(rows.c.n, rows.c.key_hash)
    ),
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
# What a version says of its row, and from when.
_SAID = ("from_n", "to_n", "content_hash", "text_hash", "fingerprint", "validator", "title", "url", "created_at")
_REUSE_VERSION = Hot(
    update(versions)
    .where(versions.c.n == bindparam("version", type_=BigInteger))
    .values({name: bindparam(name, type_=versions.c[name].type) for name in _SAID})
)
_ADD_VERSIONS = insert_rows(versions, versions.c.n, versions.c.row_n, without=("n", "charged"))
_ADD_DOCUMENTS = insert_rows(documents)
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
_ADD_CHANGES = insert_rows(changes)
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

    def count(self, old: KnownVersion | None, documents_: int, tokens: int, charge: int) -> None:
        """Counts a version that comes in the place of an old one, or of none."""
        self.added += old is None
        self.changed += old is not None
        self.documents_delta += documents_ - (0 if old is None else old.documents)
        self.tokens_delta += tokens - (0 if old is None else old.tokens)
        self.charge += charge


def settle(tx: Tx, staging: Staging, verdicts: Sequence[Verdict]) -> int:
    """Stages a batch of verdicts, at most one per row and sync, with their manifest lines and totals. What publishing would
    charge so far, in storage tokens. LeaseLost."""
    seen = [each for each in verdicts if isinstance(each, Seen)]
    stored = [each for each in verdicts if isinstance(each, Stored)]
    failed = [each for each in verdicts if isinstance(each, Failed)]
    totals = _Totals()
    numbers = _numbers(tx, staging, [*stored, *failed])
    _learn(tx, seen)
    if not staging.held.dry_run:
        _clear_errors(tx, [each.row for each in verdicts if not isinstance(each, Failed) and each.row is not None])
        _set_errors(tx, failed, numbers)
        # what was approved is a text that is not there any more
        tx.hot_many(_FORGET_APPROVAL, [{"row": each.row.n} for each in seen if each.row.approved])
    manifest = _store(tx, staging, stored, numbers, totals) + [_failure(staging, each, numbers[each.key], totals) for each in failed]
    return _commit_totals(tx, staging, totals, manifest)


def open_version(tx: Tx, staging: Staging, verdict: Stored) -> int:
    """Begins a version whose documents come in pieces: parked, without the hashes by which parked text is found again,
    until its verdict is settled. Its number. LeaseLost."""
    confirm(tx, staging.held)
    row_n = _numbers(tx, staging, [verdict])[verdict.key]
    unfinished = {**_said(verdict, PARKED), "content_hash": "", "text_hash": "", "fingerprint": ""}
    return _add_versions(tx, staging, {row_n: verdict}, [unfinished])[row_n]


def add_documents(tx: Tx, staging: Staging, version_n: int, start: int, pieces: Sequence[StoredDocument]) -> None:
    """Adds documents, the first being number `start`, to a version that was begun by `open_version`. LeaseLost."""
    confirm(tx, staging.held)
    _add_documents(tx, staging, ((version_n, place, piece) for place, piece in enumerate(pieces, start)))


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


def _learn(tx: Tx, seen: Sequence[Seen]) -> None:
    """Has visible versions learn how their rows look from outside now, where that has changed."""
    learnt = []
    for verdict in seen:
        version = verdict.row.visible
        assert version is not None
        if (version.content_hash, version.fingerprint, version.validator) != (verdict.content_hash, verdict.fingerprint, verdict.validator):
            learnt.append({"version": version.n, "content": verdict.content_hash, "print": verdict.fingerprint, "looks": verdict.validator})
    tx.hot_many(_LEARN, learnt)


def _clear_errors(tx: Tx, known_rows: Sequence[KnownRow]) -> None:
    nothing = {"why": None, "looked": None, "when": None, "held_back": None}
    tx.hot_many(_SET_ERROR, [{"row": row.n, **nothing} for row in known_rows if row.error is not None])


def _set_errors(tx: Tx, failed: Sequence[Failed], numbers: Mapping[str, int]) -> None:
    errors = []
    for verdict in failed:
        # What could not be fetched may still be what was held back: it is known again when it comes.
        held_back = verdict.row.quarantined if verdict.unfetched and verdict.row is not None else verdict.quarantined
        looked = {"looked": verdict.error_validator, "when": clock.now(), "held_back": held_back}
        errors.append({"row": numbers[verdict.key], "why": verdict.reason, **looked})
    tx.hot_many(_SET_ERROR, errors)


def _numbers(tx: Tx, staging: Staging, verdicts: Sequence[Stored | Failed]) -> dict[str, int]:
    """The numbers of rows by their keys; new rows are added."""
    source = staging.held.data_source_id
    new = {key_hash(each.key): each.key for each in verdicts if each.row is None}
    values = [{"id": new_id(), "data_source_id": source, "key": key, "key_hash": hash_} for hash_, key in new.items()]
    added = {new[hash_]: n for n, hash_ in tx.hot_rows(_ADD_ROWS, values)}
    there = {key: tx.hot(_FIND_ROW, source=source, hash=hash_)[0][0] for hash_, key in new.items() if key not in added}
    return {each.key: each.row.n for each in verdicts if each.row is not None} | added | there


def _store(tx: Tx, staging: Staging, stored: Sequence[Stored], numbers: Mapping[str, int], totals: _Totals) -> list[dict[str, Any]]:
    """Stages versions in the place of the visible ones. The lines of the manifest."""
    old = {each.key: None if each.row is None else each.row.visible for each in stored}
    tx.hot_many(_END_VERSION, [{"version": version.n, "target": staging.target} for version in old.values() if version is not None])
    reused = [(each.reuse, each) for each in stored if each.reuse is not None]
    tx.hot_many(_REUSE_VERSION, [{"version": version.n, **_said(each, staging.target)} for version, each in reused])
    fresh = {numbers[each.key]: each for each in stored if each.reuse is None}
    added = _add_versions(tx, staging, fresh, [_said(each, staging.target) for each in fresh.values()])
    _add_documents(tx, staging, ((added[row_n], place, piece) for row_n, each in fresh.items() for place, piece in enumerate(each.documents)))
    lines = []
    for each in stored:
        row_n, before, version = numbers[each.key], old[each.key], each.reuse
        charge = 0 if version is not None and version.charged else each.tokens
        totals.count(before, len(each.documents) if version is None else version.documents, each.tokens, charge)
        kind, after = "added" if before is None else "changed", (each.content_hash, added[row_n] if version is None else version.n)
        lines.append(_line(staging, row_n, each.key, each.title, kind, tokens=charge, before=_mark(before), after=after))
    return lines


def _said(verdict: Stored, from_n: int) -> dict[str, Any]:
    return {
        "from_n": from_n,
        "to_n": FOREVER,
        "content_hash": verdict.content_hash,
        "text_hash": verdict.text_hash,
        "fingerprint": verdict.fingerprint,
        "validator": verdict.validator,
        "title": verdict.title,
        "url": verdict.url,
        "created_at": clock.now(),
    }


def _add_versions(tx: Tx, staging: Staging, of: Mapping[int, Stored], said: Sequence[dict[str, Any]]) -> dict[int, int]:
    """Adds a version to each row; their numbers, by those of the rows."""
    source = staging.held.data_source_id
    values = [
        {"row_n": row_n, "data_source_id": source, "tokens": each.tokens, "documents": len(each.documents), **says}
        for (row_n, each), says in zip(of.items(), said, strict=True)
    ]
    return {row_n: n for n, row_n in tx.hot_rows(_ADD_VERSIONS, values)}


def _add_documents(tx: Tx, staging: Staging, pieces: Iterable[tuple[int, int, StoredDocument]]) -> None:
    """Adds documents: the number of the version, the place in it, what is there; with their full-text entries. PostgreSQL makes its own; on SQLite one
    statement adds all of them, since FTS5 writes its words out after every statement that runs in a trigger or reads a table."""
    word = scope(staging.held.data_source_id)
    values = [
        {"id": new_id(), "version_n": version_n, "scope": word, "ord": place, "heading": each.heading, "text": each.text, "tokens": each.tokens}
        for version_n, place, each in pieces
    ]
    if not values:
        return
    if tx.dialect == "postgresql":
        tx.hot_rows(_ADD_DOCUMENTS, values)
        return
    ((newest,),) = tx.hot(_NEWEST_DOCUMENT)
    tx.hot_rows(_ADD_DOCUMENTS, values)
    tx.hot(_ADD_TEXTS, newest=newest)


def scope(data_source_id: str) -> str:
    """The word that marks the full-text entries of a data source."""
    return data_source_id.replace("-", "")


def _failure(staging: Staging, verdict: Failed, row_n: int, totals: _Totals) -> dict[str, Any]:
    """The line of the manifest."""
    quarantined = verdict.quarantined is not None
    totals.failed += 1
    totals.unfetched += verdict.unfetched
    totals.quarantined += quarantined
    title = verdict.row.visible.title if verdict.row is not None and verdict.row.visible is not None else None
    return _line(staging, row_n, verdict.key, title, "failed", reason=verdict.reason, unfetched=verdict.unfetched, quarantined=quarantined)


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
        "sync_id": staging.held.sync_id,
        "row_n": row_n,
        "key": key,
        "title": title,
        "kind": kind,
        "tokens": tokens,
        "hash_before": before[0],
        "hash_after": after[0],
        "version_before": before[1],
        "version_after": after[1],
        "reason": reason,
        "unfetched": unfetched,
        "quarantined": quarantined,
    }


def _commit_totals(tx: Tx, staging: Staging, totals: _Totals, manifest: Sequence[dict[str, Any]]) -> int:
    more = {f"more_{name}": getattr(totals, name) for name in _Totals.__slots__}
    charge = tx.hot(_ADD_TOTALS, sync=staging.held.sync_id, held=staging.held.fence, **more)
    if not charge:
        raise lost()
    if manifest:  # after the fence: whoever took over may have listed the same rows
        tx.hot_rows(_ADD_CHANGES, manifest)
    return int(charge[0][0])
