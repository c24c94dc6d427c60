"""The manifest of a sync: the rows that it added, changed and removed, and those that failed."""

from typing import Any, get_args

from sqlalchemy import Select, and_, or_, select

from tidings.errors import NotFound
from tidings.model.pages import Page
from tidings.model.syncs import Change, ChangeKind
from tidings.store.syncs import number_of
from tidings.store.tables import changes, rows, syncs
from tidings.store.transactions import AnyRow, Tx


def page(
    tx: Tx, sync_id: str, *, kind: ChangeKind | None = None, held_back: bool = False, q: str | None = None, limit: int, cursor: str | None
) -> Page[Change]:
    """The lines of a manifest, in the order in which rows were settled. `held_back`: failed because their new text is; `q`: part of the key or title."""
    query = _lines(sync_id)
    if held_back:
        query = query.where(changes.c.quarantined)
    if q:
        query = query.where(or_(changes.c.key.icontains(q, autoescape=True), changes.c.title.icontains(q, autoescape=True)))
    if cursor is not None:
        query = query.where(changes.c.n > number_of(cursor))
    kinds: tuple[ChangeKind, ...] = get_args(ChangeKind) if kind is None else (kind,)
    # Kind by kind, as they are indexed: no line is sorted that is not shown.
    found = [line for one in kinds for line in tx.execute(query.where(changes.c.kind == one).order_by(changes.c.n).limit(limit + 1))]
    found.sort(key=lambda line: line.n)
    return Page(tuple(map(_change, found[:limit])), str(found[limit - 1].n) if len(found) > limit else None)


def line(tx: Tx, sync_id: str, n: int) -> Change:
    """Line number `n` of a manifest. NotFound."""
    found = tx.execute(_lines(sync_id).where(changes.c.n == n)).one_or_none()
    if found is None:
        raise NotFound(f"There is no change {n} of this sync. Its changes are listed with their numbers.")
    return _change(found)


def _lines(sync_id: str) -> Select[Any]:
    # SQLite gives numbers of what was deleted out again, so the number alone does not say which row it is.
    same = and_(rows.c.n == changes.c.row_n, rows.c.key == changes.c.key, rows.c.data_source_id == syncs.c.data_source_id)
    joined = changes.join(syncs, syncs.c.id == changes.c.sync_id).outerjoin(rows, same)
    return select(changes, rows.c.id.label("row_id")).select_from(joined).where(changes.c.sync_id == sync_id)


def _change(found: AnyRow) -> Change:
    c = found
    return Change(c.n, c.row_id, c.key, c.title, c.kind, c.tokens, c.hash_before, c.hash_after, c.reason, c.quarantined)
