"""A running Tidings: the lock, the keys, the database, web and workers in one event loop, until it is told to stop."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from tidings.cli.answers import cause_of
from tidings.cli.opening import make_home, open_secrets
from tidings.errors import Conflict, TidingsError
from tidings.outbound import Outbound, inboxes_at, own_places
from tidings.secretbox import SecretBox
from tidings.settings import Settings
from tidings.store.database import Database, open_database
from tidings.store.sqlite import own
from tidings.web.serve import bind, serve_app, url_of
from tidings.web.server import create_app
from tidings.web.services import Services
from tidings.worker.serve import run_worker
from tidings.workspaces.setup import is_set_up

Role = Literal["all", "web", "worker"]

STOP_SECONDS = 25.0  # what has not stopped by then is cancelled, so that all of it takes less than 30
LOCK_SECONDS, LOCK_PAUSE = 2.0, 0.05  # for which the lock of another one is waited for

_log = structlog.get_logger("tidings.serve")


@dataclass(frozen=True, slots=True)
class Running:
    """What can be said of a Tidings that has come up. `url` is None where it has no web."""

    url: str | None
    base_url: str | None
    set_up: bool


async def run_tidings(
    settings: Settings, stop: asyncio.Event, on_ready: Callable[[Running], None], *, role: Role, host: str, port: int, dispatchers: int = 1
) -> None:
    """Runs until `stop`, then stops cleanly. TidingsError where it can't come up, or where a part of it died."""
    make_home(settings)
    lock = await _own(settings)
    try:
        listener = None if role == "worker" else bind(host, port)
        db = open_database(settings)
        try:
            await asyncio.to_thread(_migrate, db)
            box = await open_secrets(db, settings)
            url = None if listener is None else url_of(listener, host)
            await _run_parts(settings, db, box, stop, on_ready, role=role, listener=listener, url=url, dispatchers=dispatchers)
        finally:
            db.close()
            if listener is not None:
                listener.close()
    finally:
        if lock is not None:
            os.close(lock)


async def _run_parts(
    settings: Settings,
    db: Database,
    box: SecretBox,
    stop: asyncio.Event,
    on_ready: Callable[[Running], None],
    *,
    role: Role,
    listener: socket.socket | None,
    url: str | None,
    dispatchers: int,
) -> None:
    running = Running(url, settings.base_url or url, await is_set_up(db))
    own = await own_places(None if listener is None else listener.getsockname()[:2], running.base_url)
    outbound = Outbound(settings.allowed_networks, own=own, inboxes=inboxes_at(running.base_url), client=settings.http_client)
    parts: dict[str, Coroutine[Any, Any, None]] = {}
    if listener is not None:
        app = create_app(Services(db, settings, box, outbound, running.base_url or "", stop))
        parts["web"] = serve_app(app, listener, stop, lambda: on_ready(running))
    if role != "web":
        parts["worker"] = run_worker(db, settings, box, outbound, stop, alone=settings.database_url is None, dispatchers=dispatchers)
    try:
        tasks = [asyncio.create_task(part, name=name) for name, part in parts.items()]
        if listener is None:
            on_ready(running)
        await until_stopped(tasks, stop)
    finally:
        await outbound.aclose()


async def until_stopped(parts: Sequence[asyncio.Task[Any]], stop: asyncio.Event, seconds: float = STOP_SECONDS) -> None:
    """Waits for `stop`, or for a part to end before; then for all parts to put down what they have in hand. TidingsError where one died."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({stopping, *parts}, return_when=asyncio.FIRST_COMPLETED)
    died = [] if stop.is_set() else [part for part in parts if part.done()]
    stop.set()
    _, late = await asyncio.wait(parts, timeout=seconds)
    for part in late:
        _log.warning("does not stop in time and is cancelled", part=part.get_name())
        part.cancel()
    ends = await asyncio.gather(*parts, return_exceptions=True)
    for part, error in zip(parts, ends, strict=True):
        if isinstance(error, TidingsError):
            raise error
        if isinstance(error, Exception):
            _log.error("ended by a fault of ours", part=part.get_name(), exc_info=error)
            raise TidingsError(
                f"The {part.get_name()} part of Tidings ended by a fault of ours: {cause_of(error)}. The log has the details; start Tidings again."
            )
    if died:
        raise TidingsError(f"The {died[0].get_name()} part of Tidings ended by itself. Look into the log for why, and start Tidings again.")


def _migrate(db: Database) -> None:
    pending = db.pending_migrations()
    if pending:
        db.migrate()
        _log.info("schema brought up to date", migrations=pending)


async def _own(settings: Settings) -> int | None:
    """The lock on a SQLite home; None on PostgreSQL, where many may serve. Conflict. What one that was killed was just starting holds it for a moment."""
    if settings.database_url is not None:
        return None
    began = asyncio.get_running_loop().time()
    while (lock := own(settings.home)) is None:
        if asyncio.get_running_loop().time() - began > LOCK_SECONDS:
            raise Conflict(f"Another `tidings serve` runs on the data in {settings.home}. Stop that one first, or give this one a TIDINGS_HOME of its own.")
        await asyncio.sleep(LOCK_PAUSE)
    return lock
