"""`tidings sync`."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from tidings.cli.answers import Json, command_line, print_json

if TYPE_CHECKING:
    from tidings.model.syncs import Requested, Sync
    from tidings.settings import Settings
    from tidings.store.database import Database

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 10.0  # after this, who waits for a worker is told so


def sync(
    data_source_id: Annotated[str, typer.Argument(metavar="DATA_SOURCE_ID", help="Id of the data source, as the API shows it.")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end and show the results; does the work itself where no server runs (SQLite).")] = False,  # noqa: FBT002
    ignore_window: Annotated[bool, typer.Option("--ignore-window", help="Start although the window of its schedule is closed.")] = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002
) -> None:
    """Start a sync of a data source."""
    from tidings.cli.opening import read_settings, run

    settings = read_settings()
    if not wait:
        requested, served = run(_queue(settings, data_source_id, ignore_window=ignore_window))
        if json:
            print_json({"syncId": requested.sync_id, "state": requested.state})
        else:
            said = "is queued" if requested.state == "queued" else "was queued already; this request merged into it"
            later = "" if served else f" No server runs on this data: it starts with the next `{command_line('serve', home=settings.home)}`."
            typer.echo(f"The sync {requested.sync_id} {said}.{later}")
        return
    ended = run(_wait(settings, data_source_id, ignore_window=ignore_window))
    if json:
        from tidings.web.api.syncs import shape_of_sync

        print_json(shape_of_sync(ended).model_dump(mode="json", by_alias=True))
    if ended.state != "succeeded":
        typer.echo(ended.reason or "The sync was cancelled.", err=True)
        raise typer.Exit(1)
    if not json:
        typer.echo(results_table(ended))


def results_table(sync: "Sync") -> str:
    """What a sync that succeeded did, as aligned lines, and what is to be looked at."""
    results, counts = sync.results, sync.counts
    assert results is not None
    seconds = ((sync.finished_at or 0) - (sync.started_at or 0)) / 1_000_000
    figures = [
        ("Rows in the data source", results.total_data_source_rows, ""),
        ("Modified", results.modified_rows, f"{counts.added:,} added, {counts.changed:,} changed"),
        ("Unmodified", results.unmodified_rows, ""),
        ("Removed", counts.removed, ""),
        ("Failed", counts.failed, f"GET /api/v1/syncs/{sync.id}/changes?kind=failed says why" if counts.failed else ""),
        ("Documents", results.total_documents, ""),
        ("Storage tokens charged", results.total_tokens, ""),
    ]
    width = max(len(f"{figure:,}") for _, figure, _ in figures)
    lines = [f"Synced in {seconds:.1f} s."] + [f"  {name:<23} {figure:>{width},}  {more}".rstrip() for name, figure, more in figures]
    return "\n".join(lines + [f"Warning: {warning.message}" for warning in sync.warnings])


async def _queue(settings: "Settings", data_source_id: str, *, ignore_window: bool) -> "tuple[Requested, bool]":
    """The requested sync, and whether a server is there to run it, as far as can be known."""
    from tidings.cli.opening import opened
    from tidings.store.sqlite import own

    async with opened(settings) as db:
        requested = (await _request(db, data_source_id, ignore_window=ignore_window))[1]
        if settings.database_url is not None:
            return requested, True
        lock = own(settings.home)
        if lock is not None:
            os.close(lock)
        return requested, lock is None


async def _request(db: "Database", data_source_id: str, *, ignore_window: bool) -> "tuple[str, Requested]":
    """(workspace id, what was requested). NotFound, Conflict."""
    from tidings.bots.data_sources import request_sync
    from tidings.store import data_sources
    from tidings.store.transactions import Tx

    def request(tx: Tx) -> "tuple[str, Requested]":
        workspace_id = data_sources.workspace_of(tx, data_source_id.lower())
        return workspace_id, request_sync(tx, workspace_id, data_source_id.lower(), "cli", ignore_window=ignore_window)

    return await db.write(request)


async def _wait(settings: "Settings", data_source_id: str, *, ignore_window: bool) -> "Sync":
    from tidings.cli.opening import opened
    from tidings.cli.serve import stop_on_signals
    from tidings.store import syncs

    stop = asyncio.Event()
    stop_on_signals(stop)
    async with opened(settings) as db:
        workspace_id, requested = await _request(db, data_source_id, ignore_window=ignore_window)
        async with _worker(settings, db, stop) as working:
            ended = await _follow(db, workspace_id, requested.sync_id, stop, working)
            if working is not None:
                await _let_go_out(db, settings, ended)
        return await db.read(syncs.get, workspace_id, requested.sync_id)


async def _follow(db: "Database", workspace_id: str, sync_id: str, stop: asyncio.Event, working: "asyncio.Task[None] | None") -> "Sync":
    """The sync, once it has ended. TidingsError when somebody stops the wait, or the worker here dies."""
    from tidings.cli.progress import SyncBar
    from tidings.errors import TidingsError
    from tidings.store import syncs

    waited = 0.0
    with SyncBar() as bar:
        while True:
            sync = await db.read(syncs.get, workspace_id, sync_id)
            bar.show("waiting" if sync.state == "queued" else sync.progress.phase, sync.progress.rows_done, sync.progress.rows_total)
            if sync.ended:
                return sync
            if working is not None and working.done():
                await working
            if stop.is_set():
                raise TidingsError(f"The wait was stopped. The sync {sync_id} is not lost: a server goes on with it.")
            if waited < PATIENCE_SECONDS <= waited + POLL_SECONDS and sync.state == "queued":
                window = "It waits for the window of its schedule. Stop, and start it with --ignore-window, to have it start now."
                behind = "It is still queued: behind other syncs, or because no worker runs. `tidings serve` runs one."
                typer.echo(behind if sync.not_before is None else window, err=True)
            waited += POLL_SECONDS
            await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def _worker(settings: "Settings", db: "Database", stop: asyncio.Event) -> "AsyncIterator[asyncio.Task[None] | None]":
    """A worker in this process, where nobody else works on a SQLite home; else None."""
    from tidings.cli.opening import open_secrets
    from tidings.cli.serve import base_url_of
    from tidings.outbound import Outbound, inboxes_at, own_places
    from tidings.store.sqlite import own
    from tidings.worker.serve import run_worker

    lock = own(settings.home) if settings.database_url is None else None
    if lock is None:
        yield None
        return
    box = await open_secrets(db, settings)
    base_url = base_url_of(settings)
    places = await own_places(None, base_url)
    outbound = Outbound(settings.allowed_networks, own=places, inboxes=inboxes_at(base_url), client=settings.http_client)
    working = asyncio.create_task(run_worker(db, settings, box, outbound, stop, alone=True))
    try:
        yield working
    finally:
        stop.set()
        await asyncio.gather(working, return_exceptions=True)
        await outbound.aclose()
        os.close(lock)


async def _let_go_out(db: "Database", settings: "Settings", sync: "Sync") -> None:
    """Gives the webhooks of a sync their first attempt before the worker here ends; what fails is tried again by the next server."""
    from tidings.store import deliveries

    for _ in range(int(settings.delivery_timeout / POLL_SECONDS)):
        pending = await db.read(deliveries.page, sync.workspace_id, state="pending", limit=200, cursor=None)
        if not any(one.sync_id == sync.id and one.attempt_count == 0 for one in pending.items):
            return
        await asyncio.sleep(POLL_SECONDS)
