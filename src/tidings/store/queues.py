"""How much work waits, and for how long: for those who watch over us."""

from dataclasses import dataclass

from sqlalchemy import func, literal_column, select

from tidings import clock
from tidings.store.tables import data_sources, deliveries, syncs
from tidings.store.transactions import Tx


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits in one queue. `oldest`: seconds since the longest overdue was due, 0 where none is."""

    length: int
    oldest: float


def queues(tx: Tx) -> dict[str, Queue]:
    """By name: `syncs` that are queued (but for those of paused data sources, and those that wait for a window), `deliveries` that are pending, `held` ones."""
    now = clock.now()
    # written out, not bound: SQLite plans by a partial index only for a condition that it can read
    queued = (
        select(func.count(), func.min(func.coalesce(syncs.c.not_before, syncs.c.queued_at)))
        .join(data_sources, data_sources.c.id == syncs.c.data_source_id)
        .where(syncs.c.state == literal_column("'queued'"), data_sources.c.paused.is_(False), func.coalesce(syncs.c.not_before, 0) <= now)
    )
    pending = select(func.count(), func.min(deliveries.c.next_attempt_at)).where(deliveries.c.state == literal_column("'pending'"))
    held = select(func.count(), func.min(deliveries.c.created_at)).where(deliveries.c.state == literal_column("'held'"))
    found = {}
    for name, query in (("syncs", queued), ("deliveries", pending), ("held", held)):
        length, due = tx.execute(query).one()
        found[name] = Queue(length, 0.0 if due is None else max(now - due, 0) / clock.SECOND)
    return found
