"""PostgreSQL: any number of processes and machines. A pool of threads runs the transactions."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import InternalError, OperationalError

from tidings.errors import Unavailable
from tidings.store import migrations
from tidings.store.signals import Signal, Signals
from tidings.store.transactions import Tx

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 12
CHANNEL = "tidings"
# A transaction of ours never pauses. One whose process stands still (stopped, swapped out) must not keep its locks from whoever takes over.
SILENCE_SECONDS = 15
TRIES = 5  # of a transaction that lost against another one


class PostgresDatabase:
    """A PostgreSQL database, 14 or newer."""

    def __init__(self, url: str) -> None:
        self._conninfo = "postgresql://" + url.split("://", 1)[1]
        self.engine: Engine = create_engine(
            "postgresql+psycopg://" + url.split("://", 1)[1],
            pool_size=THREADS,
            max_overflow=2,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",
        )
        event.listen(self.engine, "connect", _prepare)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="postgres")
        self._signals = Signals()
        self._listener: threading.Thread | None = None
        self._closing = threading.Event()

    async def read(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `fn(tx, ...)` over one consistent state; changes are refused."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: self._read(lambda tx: fn(tx, *args, **kwargs)))

    async def write(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `fn(tx, ...)` in a transaction; returns its value once the commit is on disk."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: self._write(lambda tx: fn(tx, *args, **kwargs)))

    async def write_bulk(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same; here nobody stands in line behind anybody."""
        return await self.write(fn, *args, **kwargs)

    def listen(self, what: str) -> Signal:
        """A signal that is set whenever a committed transaction of any process woke `what`."""
        if self._listener is None:
            self._listener = threading.Thread(target=self._hear, name="postgres-listener", daemon=True)
            self._listener.start()
        return self._signals.listen(what)

    def migrate(self) -> None:
        """Brings the schema up to date; one process at a time, the others wait."""
        with _sentences(), self.engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('tidings migrations'))"))
            migrations.upgrade(connection)

    def pending_migrations(self) -> list[str]:
        """The migrations that are still to be applied."""
        with _sentences(), self.engine.connect() as connection:
            return migrations.pending(connection)

    def close(self) -> None:
        """Finishes what was accepted, then ends all connections."""
        self._closing.set()
        self._threads.shutdown()
        if self._listener is not None:
            self._listener.join()
        self.engine.dispose()

    def _read(self, run: Callable[[Tx], T]) -> T:
        with _sentences(), self.engine.connect() as connection:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            return run(Tx(connection))

    def _write(self, run: Callable[[Tx], T]) -> T:
        for tried in range(1, TRIES + 1):
            try:
                with _sentences(), self.engine.begin() as connection:
                    tx = Tx(connection)
                    value = run(tx)
                    _notify(connection, tx.woken)
            except _LostAgainstAnother:
                if tried == TRIES:
                    raise
            else:
                return value
        raise AssertionError("unreachable")

    def _hear(self) -> None:
        """The listener thread: hands notifications of all processes to the signals of this one."""
        while not self._closing.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._signals.wake(self._signals.names())  # whatever was said while nobody listened
                    while not self._closing.is_set():
                        for notice in connection.notifies(timeout=0.2):
                            self._signals.wake([notice.payload])
            except psycopg.OperationalError:
                self._closing.wait(1)  # the poll beside the signals goes on meanwhile


class _LostAgainstAnother(Unavailable):
    """A deadlock or a serialization failure: the same transaction, run again, can succeed."""


def _prepare(driver: psycopg.Connection[Any], _record: object) -> None:
    driver.execute(f"SET idle_in_transaction_session_timeout = '{SILENCE_SECONDS}s'")
    driver.commit()


def _notify(connection: Connection, woken: set[str]) -> None:
    for what in sorted(woken):
        connection.execute(text("SELECT pg_notify(:channel, :what)"), {"channel": CHANNEL, "what": what})


@contextlib.contextmanager
def _sentences() -> Any:
    """Turns what PostgreSQL says of itself (not of our data) into errors that say what to do."""
    try:
        yield
    except (OperationalError, InternalError, psycopg.OperationalError, psycopg.InternalError) as error:
        cause: BaseException = getattr(error, "orig", None) or error
        if getattr(cause, "sqlstate", None) in {"40001", "40P01"}:
            raise _LostAgainstAnother("Another request changed the same things at the same moment. Try again.") from error
        if getattr(cause, "sqlstate", None) == "53100":
            raise Unavailable("The disk that holds the database is full. Free some space on it; nothing else is needed.") from error
        first_line = str(cause).strip().split("\n", 1)[0]
        raise Unavailable(f"PostgreSQL does not answer: {first_line}. Check that it runs and that TIDINGS_DATABASE_URL names it.") from error
