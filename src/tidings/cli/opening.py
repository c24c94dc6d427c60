"""What a command opens before it does its work: settings, the home folder, the database."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog

from tidings.cli.answers import command_line
from tidings.errors import FieldError, Invalid, NotFound, TidingsError, Unavailable
from tidings.logs import configure_logs
from tidings.secretbox import FILE_NAME, SETTING, SecretBox, load_or_create_secret_key
from tidings.settings import Settings, load_settings
from tidings.store.checkup import latest_secret
from tidings.store.database import PRIVATE_FOLDER, Database, open_database
from tidings.store.sqlite import SqliteDatabase

T = TypeVar("T")

_log = structlog.get_logger("tidings.serve")


def quiet_logs() -> None:
    """Warnings and worse go to standard error, nothing else is logged."""
    configure_logs()
    logging.getLogger().setLevel(logging.WARNING)


def read_settings() -> Settings:
    """The settings of this process, for a command that does one thing and ends. Invalid."""
    quiet_logs()
    return load_settings()


def make_home(settings: Settings) -> None:
    """Makes the home folder where it is not there yet. Invalid."""
    try:
        settings.home.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(
            FieldError("TIDINGS_HOME", f"The folder {settings.home} can't be made: {error.strerror}. Name another one, or make it yourself.")
        ) from None


async def open_secrets(db: Database, settings: Settings) -> SecretBox:
    """What opens the database's secrets. A key is made where there is none and nothing was ever sealed; one that opens nothing is told of in the log.
    Invalid, Unavailable."""
    given = settings.secret_key.get_secret_value() if settings.secret_key else None
    path = settings.home / FILE_NAME
    latest = await latest_secret(db)
    if latest is not None and given is None and not path.exists():
        raise Unavailable(
            f"The database holds secrets that were sealed with a key, and there is no key in {path}: put it back, or set {SETTING} to it. "
            "If it is lost for good, `tidings secrets replace` makes a new one, and tells what has to be entered anew."
        )
    box = SecretBox(load_or_create_secret_key(settings.home, given))
    if latest is not None:
        hook_id, sealed = latest
        try:
            box.open(sealed, "webhook_secrets", hook_id, "sealed")
        except TidingsError as error:
            _log.error("until the right secret key is back, trigger URLs answer 404 and no webhook is sent", reason=str(error))
    return box


@asynccontextmanager
async def opened(settings: Settings, *, migrate: bool = False) -> AsyncIterator[Database]:
    """The database for a command, beside a living server too. With `migrate` it is made and brought up to date where it is not;
    else that is an error, which says what to do. NotFound, Unavailable."""
    if migrate:
        make_home(settings)
    elif settings.database_url is None and not settings.home.is_dir():
        raise NotFound(f"There is no Tidings in {settings.home}. Set TIDINGS_HOME to its home folder, or begin with `{command_line('setup')}`.")
    db = open_database(settings)
    try:
        if isinstance(db, SqliteDatabase) and not db.path.exists() and not migrate:
            raise NotFound(f"There is no database in {settings.home}. Set TIDINGS_HOME to another home folder, or begin with `{command_line('setup')}`.")
        if await asyncio.to_thread(db.pending_migrations):
            if not migrate:
                raise Unavailable(f"The database is not up to date with this version of Tidings. Run `{command_line('migrate', home=settings.home)}` first.")
            await asyncio.to_thread(db.migrate)
        yield db
    finally:
        db.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs what a command does in an event loop of its own."""
    return asyncio.run(work)
