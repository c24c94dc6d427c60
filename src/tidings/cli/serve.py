"""`tidings serve`."""

import asyncio
import gc
import logging
import os
import signal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tidings.cli.answers import Json, as_json, command_line, misuse

if TYPE_CHECKING:
    from tidings.cli.running import Running
    from tidings.settings import Settings

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8700


class Role(StrEnum):
    """Which parts a process runs."""

    ALL = "all"
    WEB = "web"
    WORKER = "worker"


def serve(
    host: Annotated[str | None, typer.Option(metavar="HOST", help=f"Address to listen on.  [default: {DEFAULT_HOST}]", show_default=False)] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="PORT", help=f"Port to listen on; 0 takes a free one.  [default: {DEFAULT_PORT}]", show_default=False),
    ] = None,
    role: Annotated[Role, typer.Option(help="Which parts run here; web and worker apart need PostgreSQL.")] = Role.ALL,
    dispatchers: Annotated[int, typer.Option(min=1, max=16, metavar="N", help="Processes that deliver webhooks; more than one need PostgreSQL.")] = 1,
    json: Json = False,  # noqa: FBT002
) -> None:
    """Run web and workers, until SIGTERM or Ctrl-C."""
    from tidings.errors import Conflict
    from tidings.logs import configure_logs
    from tidings.settings import load_settings, unknown_variables

    if role is Role.WORKER and (host is not None or port is not None):
        raise misuse("A worker listens on no port: leave out --host and --port.")
    if role is Role.WEB and dispatchers > 1:
        raise misuse("A web process delivers nothing: give --dispatchers to a worker.")
    gc.disable()  # nothing of what is loaded now ever goes: looking for garbage in it would only cost time
    configure_logs()
    logging.getLogger("alembic").setLevel(logging.WARNING)  # what was migrated is said by us
    settings = load_settings()
    for sentence in unknown_variables():
        typer.echo(sentence, err=True)
    if role is not Role.ALL and settings.database_url is None:
        raise Conflict("On SQLite one process does everything, so --role web and --role worker need PostgreSQL: set TIDINGS_DATABASE_URL, or leave out --role.")
    if dispatchers > 1 and settings.database_url is None:
        raise Conflict("On SQLite one process does everything, so --dispatchers needs PostgreSQL: set TIDINGS_DATABASE_URL, or leave out --dispatchers.")
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, role, host or DEFAULT_HOST, DEFAULT_PORT if port is None else port, dispatchers, json=json))


def base_url_of(settings: "Settings") -> str:
    """How others reach Tidings, as far as a command can know: by the setting, else where `serve` listens by itself."""
    return settings.base_url or f"http://{DEFAULT_HOST}:{DEFAULT_PORT}"


async def _serve(settings: "Settings", role: Role, host: str, port: int, dispatchers: int, *, json: bool) -> None:
    from tidings.cli.running import run_tidings

    stop = asyncio.Event()
    stop_on_signals(stop)

    def say(running: "Running") -> None:
        _say(settings, role, running, json=json)

    await run_tidings(settings, stop, say, role=role.value, host=host, port=port, dispatchers=dispatchers)


def stop_on_signals(stop: asyncio.Event, *, insistent: bool = True) -> None:
    """SIGTERM and Ctrl-C set `stop`; if `insistent`, a second Ctrl-C ends the process at once, which loses nothing that was promised."""

    def interrupted() -> None:
        if stop.is_set() and insistent:
            os._exit(130)
        stop.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupted)


def _say(settings: "Settings", role: Role, running: "Running", *, json: bool) -> None:
    """Called once it really listens."""
    gc.freeze()
    gc.enable()
    database = "SQLite" if settings.database_url is None else "PostgreSQL"
    if json:
        facts = {"url": running.url, "baseUrl": running.base_url, "role": role.value, "home": str(settings.home), "database": database, "setUp": running.set_up}
        lines = [as_json({**facts, "pid": os.getpid()})]
    else:
        where = f"serves {running.url}" if running.url else "works, without web"
        lines = [f"Tidings {where} (data in {settings.home}, {database}). Ctrl-C stops it."]
        if running.url and running.base_url != running.url:
            lines.append(f"Others reach it at {running.base_url}.")
        if not running.set_up:
            lines.append(
                "It is not set up yet. "
                + (f"Open {running.base_url} in a browser, or, in another terminal, in this folder:" if running.url else "In another terminal, in this folder:")
            )
            lines.append(f"  {command_line('setup', '--email', 'you@example.com', '--password', 'A-LONG-ONE', home=settings.home)}")
    typer.echo("\n".join(lines))
