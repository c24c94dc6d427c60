"""What a running sync reads: the rows it knows, those that vanished, what an earlier sync left staged."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, and_, bindparam, case, delete, exists, func, or_, select, update

from tidings.model.verdicts import KnownRow, KnownVersion
from tidings.store.leases import Held, confirm, lost, widen
from tidings.store.tables import FOREVER, PARKED, changes, data_sources, rows, snapshots, syncs, versions
from tidings.store.transactions import Tx

PARK_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Staging:
    """Where a sync stages: on the published snapshot `base`, for the one after it."""

    held: Held
    base: int

    @property
    def target(self) -> int:
        """The number of the snapshot that is staged."""
        return self.base + 1


@dataclass(frozen=True, slots=True)
class Removals:
    """What the guard asks about removals: the rows of the published snapshot, how many removals this sync has staged before it was taken over and how many
    of those nobody has approved, and the keys whose removal was approved with the request for it."""

    rows: int
    staged: int
    unapproved: int
    approved: frozenset[str]


def key_hash(key: str) -> bytes:
    """What rows are found by: keys can be longer than an index entry may be."""
    return hashlib.sha256(key.encode()).digest()[:16]


def park(tx: Tx, held: Held) -> int:
    """Puts aside a batch of what an earlier sync staged and did not publish, or what was rolled back; how many versions that were. Changes nothing
    that readers see; run until it answers 0 before a new sync stages anything. LeaseLost."""
    confirm(tx, held)
    data_source_id = held.data_source_id
    base, undone_to = tx.execute(select(data_sources.c.published, data_sources.c.undone_to).where(data_sources.c.id == data_source_id)).one()
    mine = versions.c.data_source_id == data_source_id
    ended = select(versions.c.n).where(mine, versions.c.to_n > base, versions.c.to_n < FOREVER).limit(PARK_BATCH)
    begun = select(versions.c.n).where(mine, versions.c.from_n > base, versions.c.from_n < PARKED).limit(PARK_BATCH)
    reopened = tx.execute(update(versions).where(versions.c.n.in_(ended)).values(to_n=FOREVER)).rowcount
    charged = or_(versions.c.charged, versions.c.from_n <= undone_to)
    parked = tx.execute(update(versions).where(versions.c.n.in_(begun)).values(from_n=PARKED, to_n=FOREVER, charged=charged)).rowcount
    return int(reopened + parked)


def begin(tx: Tx, held: Held) -> Staging:
    """Says which snapshot the sync stages, and starts its totals at nothing; for a sync that was taken over: goes on. A targeted sync becomes one of
    the whole source where the one before it left something to do, or was undone. LeaseLost."""
    # The lock waits for a sweep that is removing parked text; one that comes later sees a sync running.
    mine = data_sources.c.id == held.data_source_id
    base = tx.execute(select(data_sources.c.published).where(mine).with_for_update(read=True)).scalar_one()
    if held.target_n is None:
        begun = tx.execute(update(syncs).where(syncs.c.id == held.sync_id, syncs.c.fence == held.fence, syncs.c.state == "running").values(target_n=base + 1))
        if begun.rowcount != 1:
            raise lost()
        undone = tx.execute(update(data_sources).where(mine, data_sources.c.undone_to > 0).values(undone_to=0)).rowcount > 0  # all of that is parked
        if held.targets is not None and (undone or not _left_nothing(tx, held.data_source_id)):
            held = widen(tx, held)
    else:
        _unlist_removals(tx, held, base + 1)
    return Staging(held, base)


def _unlist_removals(tx: Tx, held: Held, target: int) -> None:
    """Takes out of the manifest the removals that a guard had stopped when the holder before died: nothing of them is staged, and they are judged anew.
    LeaseLost."""
    confirm(tx, held)
    kept = exists().where(versions.c.n == changes.c.version_before, versions.c.to_n != target)
    tx.execute(delete(changes).where(changes.c.sync_id == held.sync_id, changes.c.kind == "removed", kept))


def _left_nothing(tx: Tx, data_source_id: str) -> bool:
    """Whether the latest sync that ended brought the data source up to date, but for rows that have no text."""
    ended = syncs.c.state.in_(("succeeded", "failed", "cancelled"))
    query = (
        select(syncs.c.state, syncs.c.unfetched, syncs.c.dry_run).where(syncs.c.data_source_id == data_source_id, ended).order_by(syncs.c.id.desc()).limit(1)
    )
    return [tuple(row) for row in tx.execute(query)] == [("succeeded", 0, False)]


def any_parked(tx: Tx, data_source_id: str) -> bool:
    """Whether there is any parked text that may serve again."""
    return bool(tx.execute(select(exists().where(versions.c.data_source_id == data_source_id, versions.c.from_n == PARKED))).scalar())


_KNOWN_VERSION = (
    versions.c.n,
    versions.c.content_hash,
    versions.c.text_hash,
    versions.c.fingerprint,
    versions.c.validator,
    versions.c.title,
    versions.c.url,
    versions.c.tokens,
    versions.c.documents,
    versions.c.charged,
)


_settled = and_(changes.c.sync_id == bindparam("sync"), changes.c.row_n == rows.c.n, changes.c.kind != "failed")
_snapshot = data_sources.c.published + case((changes.c.n.is_not(None), 1), else_=0)
_VALIDATORS = (
    select(rows.c.key_hash, versions.c.validator, versions.c.fingerprint, changes.c.n.label("settled"))
    .select_from(
        rows.join(data_sources, data_sources.c.id == rows.c.data_source_id)
        .outerjoin(changes, _settled)
        .join(versions, and_(versions.c.row_n == rows.c.n, versions.c.from_n <= _snapshot, versions.c.to_n > _snapshot))
    )
    .where(rows.c.data_source_id == bindparam("source"), rows.c.key_hash.in_(bindparam("hashes", expanding=True)), versions.c.validator.is_not(None))
)


def known_rows(tx: Tx, staging: Staging, keys: Sequence[str], *, parked: bool) -> dict[str, KnownRow]:
    """What is stored of the rows with these keys; `parked`: also the parked versions."""
    wanted = {key_hash(key): key for key in keys}
    held = staging.held
    given = {"source": held.data_source_id, "sync": held.sync_id, "approves": held.approves, "base": staging.base, "hashes": list(wanted)}
    found = tx.execute(_known_rows(dry_run=held.dry_run), given).all()
    aside = _parked_versions(tx, [row.n for row in found]) if parked else {}
    return {
        wanted[bytes(row.key_hash)]: KnownRow(
            n=row.n,
            settled=row.settled is not None,
            error=row.error,
            error_validator=row.error_validator,
            visible=None if row.v_n is None else KnownVersion(*row[-len(_KNOWN_VERSION) :]),
            parked=tuple(aside.get(row.n, ())),
            quarantined=row.quarantined,
            approved=bool(row.approved),
        )
        for row in found
    }


@cache  # to write a statement takes several times as long as to run it for a few rows
def _known_rows(*, dry_run: bool) -> Select[*tuple[Any, ...]]:
    base: BindParameter[int] = bindparam("base")
    visible = and_(versions.c.row_n == rows.c.n, versions.c.from_n <= base, versions.c.to_n > base)
    settled = and_(changes.c.sync_id == bindparam("sync"), changes.c.row_n == rows.c.n)
    of_row = (rows.c.n, rows.c.key_hash, rows.c.error, rows.c.error_validator, rows.c.quarantined)
    return (
        select(
            *of_row,
            approved(versions.c.created_at, bindparam("approves") if dry_run else None).label("approved"),
            changes.c.n.label("settled"),
            *(c.label(f"v_{c.name}") for c in _KNOWN_VERSION),
        )
        .select_from(rows.outerjoin(versions, visible).outerjoin(changes, settled))
        .where(rows.c.data_source_id == bindparam("source"), rows.c.key_hash.in_(bindparam("hashes", expanding=True)))
    )


def validators(tx: Tx, held: Held, keys: Sequence[str], fingerprint: str | None) -> dict[str, tuple[str, bool]]:
    """The validators of the rows with these keys, and whether this sync has settled the row: of what it staged, else of what is published with this
    fingerprint. Rows without one are left out."""
    wanted = {key_hash(key): key for key in keys}
    found = tx.execute(_VALIDATORS, {"source": held.data_source_id, "sync": held.sync_id, "hashes": list(wanted)}).all()
    return {wanted[bytes(row.key_hash)]: (row.validator, row.settled is not None) for row in found if row.settled is not None or row.fingerprint == fingerprint}


def approved(since: ColumnElement[int], stopped: BindParameter[str] | str | None) -> ColumnElement[bool]:
    """Whether the text of a row of `rows` may change as much as it likes: somebody approved it later than its version of `since`, or, for a dry run only,
    what the sync with the id `stopped` held back."""
    by_itself = func.coalesce(rows.c.approved_at, 0) > since
    if stopped is None:
        return by_itself
    listed = changes.alias("listed")
    return or_(by_itself, exists().where(listed.c.sync_id == stopped, listed.c.row_n == rows.c.n, listed.c.quarantined))


def _parked_versions(tx: Tx, row_ns: Sequence[int]) -> dict[int, list[KnownVersion]]:
    found: dict[int, list[KnownVersion]] = {}
    for row_n, *version in tx.execute(select(versions.c.row_n, *_KNOWN_VERSION).where(versions.c.row_n.in_(row_ns), versions.c.from_n == PARKED)):
        found.setdefault(row_n, []).append(KnownVersion(*version))
    return found


def visible_rows(tx: Tx, staging: Staging, after: int, limit: int) -> list[tuple[int, str]]:
    """(number, key) of the next rows of the published snapshot that this sync has not settled yet, in order of number.

    A row that it settled before it was taken over, and that has vanished since, is left for the next sync to remove.
    """
    query = (
        select(rows.c.n, rows.c.key)
        .join(versions, and_(versions.c.row_n == rows.c.n, versions.c.from_n <= staging.base, versions.c.to_n > staging.base))
        .where(rows.c.data_source_id == staging.held.data_source_id, rows.c.n > after)
        .where(~exists().where(changes.c.sync_id == staging.held.sync_id, changes.c.row_n == rows.c.n))
        .order_by(rows.c.n)
        .limit(limit)
    )
    return [(n, key) for n, key in tx.execute(query)]


def failing_rows(tx: Tx, staging: Staging, after: int, limit: int) -> list[int]:
    """The next rows with an error that this sync did not record, in order of number."""
    query = select(rows.c.n).where(rows.c.data_source_id == staging.held.data_source_id, rows.c.error.is_not(None), rows.c.n > after)
    mine = exists().where(changes.c.sync_id == staging.held.sync_id, changes.c.row_n == rows.c.n, changes.c.kind == "failed")
    return list(tx.execute(query.where(~mine).order_by(rows.c.n).limit(limit)).scalars())


def removal_facts(tx: Tx, staging: Staging) -> Removals:
    """What the guard asks."""
    held = staging.held
    rows_ = select(snapshots.c.rows).where(snapshots.c.data_source_id == held.data_source_id, snapshots.c.n == staging.base)
    mine, listed = changes.alias("mine"), changes.alias("listed")
    unapproved = ~exists().where(listed.c.sync_id == held.approves, listed.c.row_n == mine.c.row_n, listed.c.kind == "removed")
    staged = select(func.count(), func.count(case((unapproved, 1)))).where(mine.c.sync_id == held.sync_id, mine.c.kind == "removed")
    approved = select(changes.c.key).where(changes.c.sync_id == held.approves, changes.c.kind == "removed")
    keys = frozenset(tx.execute(approved).scalars()) if held.approves is not None else frozenset()
    staged_by_now, without_approval = tx.execute(staged).one()
    return Removals(tx.execute(rows_).scalar_one_or_none() or 0, staged_by_now, without_approval, keys)


def fetch_failures(tx: Tx, held: Held) -> tuple[int, str]:
    """How many rows this sync could not fetch, and the cause that most of them share."""
    unfetched = tx.execute(select(syncs.c.unfetched).where(syncs.c.id == held.sync_id)).scalar_one()
    query = select(changes.c.reason).where(changes.c.sync_id == held.sync_id, changes.c.unfetched).group_by(changes.c.reason)
    return unfetched, tx.execute(query.order_by(func.count().desc(), changes.c.reason).limit(1)).scalar_one_or_none() or ""


def visible_versions(tx: Tx, staging: Staging, row_ns: Sequence[int]) -> list[tuple[int, KnownVersion]]:
    """(row's number, its version in the published snapshot) of the rows with these numbers."""
    query = select(versions.c.row_n, *_KNOWN_VERSION).where(versions.c.row_n.in_(row_ns), versions.c.from_n <= staging.base, versions.c.to_n > staging.base)
    return [(row_n, KnownVersion(*version)) for row_n, *version in tx.execute(query)]
