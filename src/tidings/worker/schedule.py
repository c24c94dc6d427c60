"""Starts the syncs that are due by schedule, and says when a promise of freshness is broken."""

import asyncio

import structlog

from tidings import clock
from tidings.errors import TidingsError, Unavailable
from tidings.store import plans
from tidings.store.database import Database
from tidings.syncs.schedule import TellStale, attend

POLL_SECONDS = 1.0

_log = structlog.get_logger()


async def keep_schedules(db: Database, tell_stale: TellStale, stop: asyncio.Event) -> None:
    """Looks every second, until `stop`, for data sources whose plan has something to be done."""
    while not stop.is_set():
        try:
            while await attend_due(db, tell_stale) > 0 and not stop.is_set():
                pass
        except Unavailable as error:
            _log.warning("schedules put off", reason=str(error))
        except Exception as error:
            _log.exception("schedules interrupted; they are looked at again in a second", reason=repr(error))
        try:
            await asyncio.wait_for(stop.wait(), POLL_SECONDS)
        except TimeoutError:
            continue


async def attend_due(db: Database, tell_stale: TellStale) -> int:
    """Does once what is due by the plans of data sources, many at a time; for how many there was something. What is wrong with one does not
    hold up the others. Unavailable."""
    attended = 0
    for data_source_id in await db.read(lambda tx: plans.due(tx, clock.now())):
        try:
            attended += await db.write(attend, data_source_id, tell_stale)
        except Unavailable:
            raise
        except Exception as error:
            _log.exception("schedule not kept", data_source=data_source_id, reason=str(error) if isinstance(error, TidingsError) else repr(error))
    return attended
