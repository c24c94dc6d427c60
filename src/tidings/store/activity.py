"""The activity of a workspace, written in the transaction that made it true."""

from dataclasses import asdict

from sqlalchemy import delete, insert, select

from tidings.clock import Micros
from tidings.model.activity import Activity
from tidings.model.pages import Page
from tidings.store.syncs import number_of
from tidings.store.tables import activity
from tidings.store.transactions import Tx


def add(tx: Tx, workspace_id: str, happened: Activity) -> None:
    """Writes down what happened."""
    tx.execute(insert(activity).values(workspace_id=workspace_id, **asdict(happened)))


def page(tx: Tx, workspace_id: str, *, limit: int, cursor: str | None) -> Page[Activity]:
    """What happened in a workspace, newest first."""
    query = select(activity).where(activity.c.workspace_id == workspace_id).order_by(activity.c.n.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(activity.c.n < number_of(cursor))
    found = tx.execute(query).all()
    happened = (Activity(row.at, row.kind, row.sentence, row.bot_id, row.data_source_id, row.sync_id, row.webhook_id) for row in found)
    return Page(tuple(happened)[:limit], str(found[limit - 1].n) if len(found) > limit else None)


def prune(tx: Tx, before: Micros, limit: int) -> int:
    """Forgets what happened before an instant; how many, at most `limit`."""
    old = select(activity.c.n).where(activity.c.at < before).limit(limit)
    return tx.execute(delete(activity).where(activity.c.n.in_(old))).rowcount
