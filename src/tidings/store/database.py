"""One interface to both databases. `tx` as a parameter means "my caller commits", `db` means "I open my own"."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

from tidings.settings import Settings
from tidings.store.signals import Signal
from tidings.store.sqlite import SqliteDatabase
from tidings.store.transactions import Tx

if TYPE_CHECKING:
    from tidings.store.postgres import PostgresDatabase

# The threads of a database and the event loop take turns in the interpreter. Each statement ends with a wait for the next turn, so that Python's 5 ms
# make a group of writes take ten times as long as its work beside a busy loop, and a busy thread hold up a request as long.
SWITCH_SECONDS = 0.001
PRIVATE_FOLDER = 0o700  # what is in it is the knowledge of others, and a key
SQLITE_FILE = "tidings.sqlite"  # in the home folder

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")


class Database(Protocol):
    """A database that is open. All calls are made from a running event loop, but `migrate` and `close`. `full`: a write has failed for want of room,
    and none was tried since by whoever asks for it (`room`)."""

    full: bool

    async def read(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `fn(tx, ...)` over one consistent state; changes are refused."""

    async def write(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `fn(tx, ...)` in a transaction; returns its value after the commit is on disk. `fn` may be run more than once,
        each time on a clean state. Unavailable when the database can't take it now."""

    async def write_each(self, fn: Callable[[Tx, Sequence[Item]], Sequence[T]], item: Item) -> T:
        """Like `write`, for what many want at once: `fn(tx, items)` may be given the items of several callers, and returns a value for
        each, in their order. Callers are joined by their `fn` being the same object."""

    async def write_bulk(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for work that is one of many and that nobody waits for: it lets the writes of others go first."""

    def listen(self, what: str) -> Signal:
        """A signal that is set whenever a committed transaction woke `what`."""

    def migrate(self) -> None:
        """Brings the schema up to date."""

    def pending_migrations(self) -> list[str]:
        """The migrations that are still to be applied. Unavailable when the database does not answer."""

    def close(self) -> None:
        """Ends all connections; what was accepted before is finished first."""

    @property
    def engine(self) -> Any:
        """SQLAlchemy's engine, for what is no transaction of ours: migrations, checks, copies."""


def open_database(settings: Settings) -> "SqliteDatabase | PostgresDatabase":
    """The database that the settings name: PostgreSQL by its URL, else SQLite in the home folder, which is made."""
    sys.setswitchinterval(SWITCH_SECONDS)
    if settings.database_url is None:
        settings.home.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        return SqliteDatabase(settings.home / SQLITE_FILE)
    from tidings.store.postgres import PostgresDatabase  # noqa: PLC0415 - its driver is loaded only where it is needed

    return PostgresDatabase(settings.database_url)
