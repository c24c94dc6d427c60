"""Texts that are held back: those that many rows came to share, taken back before anybody sees them, and the approval of one row."""

from typing import Any

from sqlalchemy import Select, and_, func, null, select, update

from tidings import clock
from tidings.errors import Conflict, NotFound
from tidings.store.known import Staging, approved
from tidings.store.leases import lost
from tidings.store.tables import FOREVER, PARKED, changes, data_sources, rows, snapshots, syncs, versions
from tidings.store.transactions import Tx

BATCH = 50

_before, _after = versions.alias("before"), versions.alias("after")


def shared_texts(tx: Tx, staging: Staging, others: int) -> list[str]:
    """The texts, by hash, to which more than `others` rows changed that had different ones before; those from which the text is held back already count."""
    back = select(func.count()).where(rows.c.data_source_id == staging.held.data_source_id, rows.c.quarantined == _after.c.text_hash).correlate(_after)
    many = func.count(_before.c.text_hash.distinct()) + back.scalar_subquery() > others
    return list(tx.execute(_changed(staging, _after.c.text_hash).group_by(_after.c.text_hash).having(many)).scalars())


def hold_back(tx: Tx, staging: Staging, text_hash: str, reason: str) -> int:
    """Takes a batch of staged changes to this text back: the last good version stays, the row has failed. How many. LeaseLost."""
    wanted = (changes.c.n, rows.c.n, _before.c.n, _after.c.n, changes.c.tokens)
    sizes = ((_before.c.documents - _after.c.documents).label("documents"), (_before.c.tokens - _after.c.tokens).label("more_tokens"))
    found = tx.execute(_changed(staging, *wanted, *sizes).where(_after.c.text_hash == text_hash).limit(BATCH)).all()
    if not found:
        return 0
    lines, row_ns, before, after, charges, documents, tokens = ([row[n] for row in found] for n in range(7))
    mine = (syncs.c.id == staging.held.sync_id) & (syncs.c.fence == staging.held.fence) & (syncs.c.state == "running")
    totals = {
        "changed": syncs.c.changed - len(found),
        "failed": syncs.c.failed + len(found),
        "quarantined": syncs.c.quarantined + len(found),
        "charge": syncs.c.charge - sum(charges),
        "documents_delta": syncs.c.documents_delta + sum(documents),
        "tokens_delta": syncs.c.tokens_delta + sum(tokens),
    }
    if tx.execute(update(syncs).where(mine).values(totals)).rowcount != 1:
        raise lost()
    tx.execute(update(versions).where(versions.c.n.in_(after)).values(from_n=PARKED, to_n=FOREVER))
    tx.execute(update(versions).where(versions.c.n.in_(before)).values(to_n=FOREVER))
    tx.execute(update(changes).where(changes.c.n.in_(lines)).values(kind="failed", quarantined=True, tokens=0, reason=reason))
    if staging.held.dry_run:
        return len(found)
    failed = {"error": reason, "error_at": clock.now(), "error_validator": null(), "quarantined": text_hash}
    tx.execute(update(rows).where(rows.c.n.in_(row_ns)).values(failed))
    return len(found)


def held_back(tx: Tx, staging: Staging) -> tuple[int, int]:
    """Rows of the published snapshot, and rows whose new text this sync has held back."""
    mine = (snapshots.c.data_source_id == staging.held.data_source_id) & (snapshots.c.n == staging.base)
    rows_ = tx.execute(select(snapshots.c.rows).where(mine)).scalar_one_or_none() or 0
    return rows_, int(tx.execute(select(syncs.c.quarantined).where(syncs.c.id == staging.held.sync_id)).scalar_one())


def charge_of_shared(tx: Tx, staging: Staging, others: int) -> int:
    """Storage tokens of what this sync would charge for texts that are held back at its end."""
    texts = shared_texts(tx, staging, others)
    return int(tx.execute(_changed(staging, func.coalesce(func.sum(changes.c.tokens), 0)).where(_after.c.text_hash.in_(texts))).scalar_one())


def approve(tx: Tx, workspace_id: str, row_id: str) -> str:
    """Lets the text of a row that is held back through, whatever it is when the next sync comes by; the id of its data source. Conflict, NotFound."""
    query = select(rows.c.n, rows.c.quarantined, rows.c.data_source_id).join(data_sources, data_sources.c.id == rows.c.data_source_id)
    found = tx.execute(query.where(rows.c.id == row_id, data_sources.c.workspace_id == workspace_id, data_sources.c.deleted_at.is_(None))).one_or_none()
    if found is None:
        raise NotFound("There is no row with this id. It may have been removed at its source.")
    if found.quarantined is None:
        raise Conflict("No text of this row is held back, so there is nothing to approve.")
    tx.execute(update(rows).where(rows.c.n == found.n).values(approved_at=clock.now()))
    return str(found.data_source_id)


def _changed(staging: Staging, *wanted: Any) -> Select[Any]:
    """Rows that this sync has changed and nobody has approved to change as they like, with their version before and after."""
    return (
        select(*wanted)
        .select_from(changes)
        .join(rows, rows.c.n == changes.c.row_n)
        .join(_before, and_(_before.c.row_n == changes.c.row_n, _before.c.to_n == staging.target, _before.c.from_n < staging.target))
        .join(_after, and_(_after.c.row_n == changes.c.row_n, _after.c.from_n == staging.target))
        .where(changes.c.sync_id == staging.held.sync_id, changes.c.kind == "changed")
        .where(~approved(_before.c.created_at, staging.held.approves if staging.held.dry_run else None))
    )
