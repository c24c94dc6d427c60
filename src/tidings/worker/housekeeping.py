"""Removes what nobody needs any more, now and then, in short writes between those of others."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from tidings import clock
from tidings.errors import Unavailable
from tidings.settings import Settings
from tidings.store import activity, inboxes, sweep, trigger_log
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.workspaces import sign_in

EVERY_SECONDS = 60.0
SHARE = 100  # of the time of who sweeps, one part is spent on a batch: with so few, the p99 of what else is written hardly moves
CALLS_KEPT = 60 * clock.SECOND  # the rate of trigger hooks is measured over a minute
CALLS_LOGGED = 7 * clock.DAY  # the lists of trigger hooks' calls
ANSWERS_KEPT = clock.DAY  # a repeat with an Idempotency-Key is answered for a day
MESSAGES_KEPT = 7 * clock.DAY  # what was posted to inboxes

_log = structlog.get_logger()


async def keep_house(db: Database, settings: Settings, prune: Callable[[Tx, clock.Micros], int], stop: asyncio.Event) -> None:
    """Sweeps every minute until `stop`. `prune` removes a batch of old attempts and payloads."""
    while not stop.is_set():
        try:
            await _sweep(db, settings, prune, stop)
        except Unavailable as error:
            _log.warning("housekeeping put off", reason=str(error))
        except Exception as error:
            _log.exception("housekeeping interrupted; it is tried again in a minute", reason=repr(error))
        try:
            await asyncio.wait_for(stop.wait(), EVERY_SECONDS)
        except TimeoutError:
            continue


async def _sweep(db: Database, settings: Settings, prune: Callable[[Tx, clock.Micros], int], stop: asyncio.Event) -> None:
    now = clock.now()
    kept_since = now - int(settings.retention_days * clock.DAY)
    rounds: list[Callable[[Tx], int]] = [
        lambda tx: sweep.old_versions(tx, settings.keep_snapshots),
        sweep.parked_versions,
        sweep.empty_rows,
        lambda tx: sweep.old_manifests(tx, kept_since),
        lambda tx: sweep.old_calls(tx, now - CALLS_KEPT, now - ANSWERS_KEPT),
        lambda tx: trigger_log.prune(tx, max(kept_since, now - CALLS_LOGGED), sweep.BATCH),
        lambda tx: activity.prune(tx, kept_since, sweep.BATCH),
        lambda tx: inboxes.prune(tx, max(kept_since, now - MESSAGES_KEPT), sweep.BATCH),
        lambda tx: sign_in.prune(tx, sweep.BATCH),
        lambda tx: prune(tx, kept_since),
    ]
    while rounds and not stop.is_set():
        rounds = [one for one in rounds if await _removed_some(db, one, stop)]


async def _removed_some(db: Database, remove: Callable[[Tx], int], stop: asyncio.Event) -> bool:
    """Removes one batch, and rests; whether there was anything."""
    began = asyncio.get_running_loop().time()
    removed = await db.write_bulk(remove)
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), SHARE * (asyncio.get_running_loop().time() - began) if removed else 0)
    return removed > 0
