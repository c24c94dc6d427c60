"""The snapshots of a data source that are kept: listed, compared, gone back to."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import and_, case, delete, func, or_, select, update

from tidings import clock
from tidings.clock import Micros
from tidings.errors import Conflict, Gone, NotFound
from tidings.model.activity import Activity
from tidings.model.pages import Page
from tidings.store import activity
from tidings.store import data_sources as source_store
from tidings.store.syncs import number_of
from tidings.store.tables import data_sources, rows, snapshots, syncs, versions
from tidings.store.transactions import Tx

DifferenceKind = Literal["added", "changed", "removed"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A kept snapshot and what it holds; `current` is the one that readers see."""

    number: int
    sync_id: str
    published_at: Micros
    rows: int
    documents: int
    tokens: int
    current: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that two snapshots show differently. `title` and `tokens` are those of the later look, of a removed row those it had."""

    row_id: str
    key: str
    title: str
    kind: DifferenceKind
    tokens: int


def page(tx: Tx, data_source_id: str, *, limit: int, cursor: str | None) -> Page[Snapshot]:
    """The kept snapshots of a data source, the latest first."""
    query = (
        select(snapshots, data_sources.c.published)
        .join(data_sources, data_sources.c.id == snapshots.c.data_source_id)
        .where(snapshots.c.data_source_id == data_source_id)
        .order_by(snapshots.c.n.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        query = query.where(snapshots.c.n < number_of(cursor))
    found = tx.execute(query).all()
    items = tuple(Snapshot(one.n, one.sync_id, one.published_at, one.rows, one.documents, one.tokens, one.n == one.published) for one in found[:limit])
    return Page(items, str(found[limit - 1].n) if len(found) > limit else None)


def one(tx: Tx, data_source_id: str, number: int) -> Snapshot:
    """A kept snapshot. NotFound, Gone."""
    _check_kept(tx, data_source_id, number)
    return page(tx, data_source_id, limit=1, cursor=str(number + 1)).items[0]


def compare(
    tx: Tx, data_source_id: str, before: int | None, after: int | None, *, kind: DifferenceKind | None = None, limit: int, cursor: str | None
) -> Page[Difference]:
    """The rows whose text or title is another in snapshot `after` than in `before`, in the order in which they were first seen. `after`: the
    published one unless it is named; `before`: the one before that. NotFound, Gone."""
    mine = snapshots.c.data_source_id == data_source_id
    if before is None and after is None and tx.execute(select(func.count()).where(mine)).scalar_one() == 0:
        return Page((), None)
    if after is None:
        after = tx.execute(select(func.max(snapshots.c.n)).where(mine)).scalar_one() or 0
    if before is None:
        before = tx.execute(select(func.max(snapshots.c.n)).where(mine, snapshots.c.n < after)).scalar_one() or after
    for number in (before, after):
        _check_kept(tx, data_source_id, number)
    low, high = sorted((before, after))
    mine = versions.c.data_source_id == data_source_id
    began = select(versions.c.row_n).where(mine, versions.c.from_n > low, versions.c.from_n <= high)
    ended = select(versions.c.row_n).where(mine, versions.c.to_n > low, versions.c.to_n <= high)
    old, new = versions.alias("old"), versions.alias("new")
    kinds = case((old.c.n.is_(None), "added"), (new.c.n.is_(None), "removed"), else_="changed")
    query = (
        select(rows.c.n, rows.c.id, rows.c.key, func.coalesce(new.c.title, old.c.title), kinds, func.coalesce(new.c.tokens, old.c.tokens))
        .select_from(
            rows.outerjoin(old, and_(old.c.row_n == rows.c.n, old.c.from_n <= before, old.c.to_n > before)).outerjoin(
                new, and_(new.c.row_n == rows.c.n, new.c.from_n <= after, new.c.to_n > after)
            )
        )
        .where(rows.c.n.in_(began.union(ended)))
        # one that came and went in between is in neither
        .where(or_(old.c.n.is_(None) != new.c.n.is_(None), old.c.text_hash != new.c.text_hash, old.c.title != new.c.title))
        .order_by(rows.c.n)
        .limit(limit + 1)
    )
    if kind is not None:
        query = query.where(kinds == kind)
    if cursor is not None:
        query = query.where(rows.c.n > number_of(cursor))
    found = tx.execute(query).all()
    return Page(tuple(Difference(*one[1:]) for one in found[:limit]), str(found[limit - 1].n) if len(found) > limit else None)


def roll_back(tx: Tx, workspace_id: str, data_source_id: str, number: int) -> None:
    """Makes a kept snapshot the published one again and pauses the data source, whose next sync would undo that. Later snapshots go; the
    next sync parks their versions, and to publish one of these again costs nothing. Conflict while a sync runs, NotFound, Gone."""
    source = source_store.get(tx, workspace_id, data_source_id, lock=True)
    mine = data_sources.c.id == data_source_id
    published, undone_to = tx.execute(select(data_sources.c.published, data_sources.c.undone_to).where(mine)).one()
    _check_kept(tx, data_source_id, number)
    if number == published:
        raise Conflict(f"Snapshot {number} is the one that is published. Choose an earlier one to go back to.")
    if tx.execute(select(syncs.c.id).where(syncs.c.data_source_id == data_source_id, syncs.c.state == "running")).first() is not None:
        raise Conflict("A sync of this data source is running. Wait for its end or cancel it, then roll back.")
    tx.execute(update(data_sources).where(mine).values(published=number, undone_to=max(undone_to, published), paused=True))
    tx.execute(delete(snapshots).where(snapshots.c.data_source_id == data_source_id, snapshots.c.n > number))
    source_store.forget_cursor(tx, data_source_id)
    sentence = f"{source.name} was rolled back from snapshot {published} to snapshot {number}, and paused so that no sync undoes that. Resume it to sync again."
    activity.add(tx, workspace_id, Activity(clock.now(), "rolled_back", sentence, bot_id=source.bot_id, data_source_id=data_source_id))


def _check_kept(tx: Tx, data_source_id: str, number: int) -> None:
    query = select(func.count(), func.min(snapshots.c.n), func.max(snapshots.c.n)).where(snapshots.c.data_source_id == data_source_id)
    count, oldest, newest = tx.execute(query).one()
    if count == 0:
        raise NotFound("This data source has no snapshots yet. Its first sync that succeeds makes one.")
    if not 0 < number <= newest:
        raise NotFound(f"There is no snapshot {number} of this data source; its latest is {newest}.")
    if number < oldest:
        raise Gone(f"Snapshot {number} is not kept any more; the oldest is {oldest}. TIDINGS_KEEP_SNAPSHOTS says how many are kept.")
