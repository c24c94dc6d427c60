"""Holding a sync while it runs: claimed under a lease with a fencing number, so that only the newest holder writes."""

from dataclasses import asdict, dataclass, replace

from sqlalchemy import BigInteger, ColumnElement, Text, bindparam, exists, false, func, or_, select, update

from tidings import clock
from tidings.clock import Micros
from tidings.errors import LeaseLost
from tidings.model.syncs import Progress
from tidings.model.targets import Targets
from tidings.store import windows
from tidings.store.tables import data_sources, syncs
from tidings.store.transactions import Hot, Tx


@dataclass(frozen=True, slots=True)
class Held:
    """A sync that this process runs. Every write of its work shows the fence; one that is not the newest is refused."""

    sync_id: str
    fence: int
    workspace_id: str
    bot_id: str
    data_source_id: str
    force: bool
    dry_run: bool
    approves: str | None
    targets: Targets | None  # the rows that it is about, None: the whole data source
    target_n: int | None  # the snapshot that an earlier holder began to stage, None where none did
    takeovers: int
    started_at: Micros


_RENEW = Hot(
    update(syncs)
    .where(syncs.c.id == bindparam("sync", type_=Text), syncs.c.fence == bindparam("held", type_=BigInteger), syncs.c.state == "running")
    .values(lease_until=bindparam("until", type_=BigInteger))
)


def lease_now(tx: Tx) -> Micros:
    """The instant that leases are measured by: the database server's on PostgreSQL, since clocks of machines differ."""
    if tx.dialect == "sqlite":
        return clock.now()
    return int(tx.execute(select(func.floor(func.extract("epoch", func.clock_timestamp()) * clock.SECOND))).scalar_one())


def claim(tx: Tx, owner: str, lease: Micros) -> Held | None:
    """Takes a running sync whose lease ran out, else the one that has been queued longest and may run; None without one."""
    at = lease_now(tx)
    left = tx.execute(
        select(syncs.c.id)
        .where(syncs.c.state == "running", syncs.c.lease_until < at)
        .order_by(syncs.c.lease_until)
        .limit(1)
        .with_for_update(skip_locked=True, of=syncs)
    ).scalar_one_or_none()
    if left is not None:
        return _take(tx, left, owner, at + lease, takeovers=syncs.c.takeovers + 1)
    while (queued := _first_queued(tx)) is not None:
        sync_id, data_source_id, ignores_window = queued
        # With the lock it is certain: a rollback or a change that pauses the source meanwhile goes first, or finds this sync running.
        if not _stays_unpaused(tx, data_source_id):
            return None
        if ignores_window or not windows.hold_back(tx, sync_id, data_source_id):
            return _take(tx, sync_id, owner, at + lease, takeovers=0)
    return None


def _first_queued(tx: Tx) -> tuple[str, str, bool] | None:
    """(sync, data source, whether it ignores the window) of the one that has been queued longest and may run, as far as is known without its window."""
    other = syncs.alias("other")
    found = tx.execute(
        select(syncs.c.id, syncs.c.data_source_id, syncs.c.ignores_window)
        .join(data_sources, data_sources.c.id == syncs.c.data_source_id)
        .where(
            syncs.c.state == "queued",
            data_sources.c.paused == false(),
            or_(syncs.c.not_before.is_(None), syncs.c.not_before <= clock.now()),
            ~exists().where(other.c.data_source_id == syncs.c.data_source_id, other.c.state == "running"),
        )
        .order_by(syncs.c.queued_at)
        .limit(1)
        .with_for_update(skip_locked=True, of=syncs)
    ).one_or_none()
    return None if found is None else tuple(found)


def _stays_unpaused(tx: Tx, data_source_id: str) -> bool:
    """Whether a data source is not paused, and stays so until the end of the transaction."""
    query = select(data_sources.c.id).where(data_sources.c.id == data_source_id, data_sources.c.paused == false()).with_for_update(read=True, skip_locked=True)
    return tx.execute(query).one_or_none() is not None


def _take(tx: Tx, sync_id: str, owner: str, until: Micros, **values: object) -> Held:
    taken = tx.execute(
        update(syncs)
        .where(syncs.c.id == sync_id)
        .values(state="running", owner=owner, fence=syncs.c.fence + 1, lease_until=until, started_at=func.coalesce(syncs.c.started_at, clock.now()), **values)
        .returning(
            syncs.c.id.label("sync_id"),
            syncs.c.fence,
            syncs.c.workspace_id,
            syncs.c.bot_id,
            syncs.c.data_source_id,
            syncs.c.force,
            syncs.c.dry_run,
            syncs.c.approves,
            syncs.c.targets,
            syncs.c.target_n,
            syncs.c.takeovers,
            syncs.c.started_at,
        )
    ).one()
    return Held(**{**taken._asdict(), "targets": Targets.unpacked(taken.targets)})


def renew(tx: Tx, held: Held, lease: Micros, progress: Progress | None = None) -> None:
    """Extends the lease, and says how far the work is where `progress` is given. LeaseLost."""
    if tx.hot_count(_RENEW, sync=held.sync_id, held=held.fence, until=lease_now(tx) + lease) != 1:
        raise lost()
    if progress is not None:
        tx.execute(update(syncs).where(syncs.c.id == held.sync_id).values(progress=asdict(progress)))


def widen(tx: Tx, held: Held) -> Held:
    """Makes a targeted sync one of the whole data source. LeaseLost."""
    mine = (syncs.c.id == held.sync_id) & (syncs.c.fence == held.fence) & (syncs.c.state == "running")
    if tx.execute(update(syncs).where(mine).values(targets=None)).rowcount != 1:
        raise lost()
    return replace(held, targets=None)


def confirm(tx: Tx, held: Held) -> None:
    """Makes sure that the lease is still this holder's, until the end of the transaction. LeaseLost."""
    if tx.execute(select(syncs.c.id).where(_held_by(held)).with_for_update()).one_or_none() is None:
        raise lost()


def look(tx: Tx, held: Held) -> None:
    """Whether the lease was still this holder's a moment ago. LeaseLost."""
    if tx.execute(select(syncs.c.id).where(_held_by(held))).one_or_none() is None:
        raise lost()


def give_back(tx: Tx, held: Held, delay: Micros) -> None:
    """Lets go of a sync that could not go on, so that it is taken over after `delay`."""
    tx.hot_count(_RENEW, sync=held.sync_id, held=held.fence, until=lease_now(tx) + delay)


def hand_over(tx: Tx, held: Held) -> None:
    """Lets go of a sync because this worker stops as it should: somebody else may go on at once, and it does not count as a death."""
    tx.execute(update(syncs).where(_held_by(held)).values(lease_until=0, takeovers=syncs.c.takeovers - 1))
    tx.wake("syncs")


def void(tx: Tx) -> None:
    """Ends every lease: for the start of the one process that owns a SQLite file, when no holder can be alive."""
    tx.execute(update(syncs).where(syncs.c.state == "running").values(lease_until=0))
    tx.wake("syncs")


def _held_by(held: Held) -> ColumnElement[bool]:
    return (syncs.c.id == held.sync_id) & (syncs.c.fence == held.fence) & (syncs.c.state == "running")


def lost() -> LeaseLost:
    """The error of a holder that is none any more."""
    return LeaseLost("This sync was cancelled, or another worker has taken it over. Nothing of it is lost.")
