"""Claims due syncs and runs them, several at once."""

import asyncio

import structlog

from tidings import clock, metrics
from tidings.errors import LeaseLost, TidingsError, Unavailable
from tidings.model.syncs import Sync
from tidings.store import leases
from tidings.store.leases import Held
from tidings.syncs.canary import look_up_changes
from tidings.syncs.run import Work, run_sync

AT_ONCE = 4
POLL_SECONDS = 1.0
RETRY_DELAY = 5 * clock.SECOND

_log = structlog.get_logger()


async def run_syncs(work: Work, owner: str, stop: asyncio.Event) -> None:
    """Runs due syncs until `stop`; then lets go of what still runs, so that whoever comes next goes on with it."""
    queued = work.db.listen("syncs")
    running: set[asyncio.Task[None]] = set()
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            held = await _claim(work, owner) if len(running) < AT_ONCE else None
            if held is not None:
                task = asyncio.create_task(_run(work, held))
                running.add(task)
                task.add_done_callback(running.discard)
                continue
            due = asyncio.create_task(queued.wait(POLL_SECONDS))
            await asyncio.wait({due, stopping, *running}, return_when=asyncio.FIRST_COMPLETED)
            due.cancel()
    finally:
        stopping.cancel()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _claim(work: Work, owner: str) -> Held | None:
    try:
        return await work.db.write(leases.claim, owner, work.lease)
    except Unavailable as error:
        _log.warning("no sync can be claimed", reason=str(error))
    except Exception as error:
        _log.exception("no sync can be claimed; it is tried again in a second", reason=repr(error))
    await asyncio.sleep(POLL_SECONDS)
    return None


async def _run(work: Work, held: Held) -> None:
    """One sync, whatever happens: it ends, or its lease is given back."""
    log = _log.bind(sync=held.sync_id, data_source=held.data_source_id)
    log.info("sync started", takeovers=held.takeovers)
    try:
        sync = await run_sync(work, held)
    except LeaseLost as error:
        log.info("sync let go", reason=str(error))
    except asyncio.CancelledError:
        await asyncio.shield(work.db.write(leases.hand_over, held))
        log.info("sync handed over, because this worker stops")
        raise
    except Exception as error:
        log.exception("sync interrupted; it is taken up again", reason=str(error) if isinstance(error, TidingsError) else repr(error))
        await _give_back(work, held)
    else:
        _count(sync)
        log.info("sync ended", state=sync.state, code=sync.code, reason=sync.reason)
        if sync.state == "succeeded" and not sync.dry_run and sync.counts.added + sync.counts.changed:
            await _look_up_changes(work, held, sync)


async def _look_up_changes(work: Work, held: Held, sync: Sync) -> None:
    try:
        await look_up_changes(work.db, work.search, held, sync)
    except Exception as error:
        _log.exception("the changed rows could not be looked up", sync=held.sync_id, reason=repr(error))


def _count(sync: Sync) -> None:
    if sync.dry_run:
        metrics.syncs.labels("dry_run").inc()
        return
    metrics.syncs.labels(sync.code or sync.state).inc()
    metrics.sync_seconds.observe(((sync.finished_at or 0) - (sync.started_at or 0)) / clock.SECOND)
    counts, unchanged = sync.counts, sync.results.unmodified_rows if sync.results else 0
    counted = {"added": counts.added, "changed": counts.changed, "removed": counts.removed, "failed": counts.failed, "unchanged": unchanged}
    for kind, rows in counted.items():  # those that are held back are among the failed
        metrics.rows.labels(kind).inc(rows)


async def _give_back(work: Work, held: Held) -> None:
    try:
        await work.db.write(leases.give_back, held, RETRY_DELAY)
    except Unavailable as error:
        _log.warning("the lease runs out by itself", sync=held.sync_id, reason=str(error))
