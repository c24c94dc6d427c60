"""PostgreSQL: any number of processes and machines. Short writes of a process are committed in groups; a pool of threads runs all else."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text

from tidings.errors import DiskFull
from tidings.store import migrations
from tidings.store.postgres_errors import LostAgainstAnother, sentences
from tidings.store.postgres_writer import CHANNEL, Writer
from tidings.store.signals import Signal, Signals
from tidings.store.transactions import Tx
from tidings.store.writes import Write, answer

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")

THREADS = 12
BULK_THREADS = 4  # of these: syncs leave the others to whoever looks at a page
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
        self._threads = ThreadPoolExecutor(THREADS - BULK_THREADS, thread_name_prefix="postgres")
        self._bulk_threads = ThreadPoolExecutor(BULK_THREADS, thread_name_prefix="postgres-bulk")
        self._writer = Writer(self.engine, lambda write: self._threads.submit(self._write_aside, write))
        self._signals = Signals()
        self.full = False
        self._listener: threading.Thread | None = None
        self._closing = threading.Event()

    async def read(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `fn(tx, ...)` over one consistent state; changes are refused."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: self._read(lambda tx: fn(tx, *args, **kwargs)))

    async def write(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `fn(tx, ...)` in a transaction, with others that wait; returns its value once the commit is on disk."""
        value: T = await self._writer.add(Write(lambda tx: fn(tx, *args, **kwargs)))
        return value

    async def write_each(self, fn: Callable[[Tx, Sequence[Item]], Sequence[T]], item: Item) -> T:
        """The same with `fn(tx, [item])[0]`; the items of all that wait with the same `fn` are given to it at once."""
        value: T = await self._writer.add(Write(lambda tx: fn(tx, [item])[0], together=fn, item=item))
        return value

    async def write_bulk(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for work that takes longer: in a transaction of its own, so that nobody stands in line behind it."""
        return await asyncio.get_running_loop().run_in_executor(self._bulk_threads, lambda: self._write(lambda tx: fn(tx, *args, **kwargs)))

    def listen(self, what: str) -> Signal:
        """A signal that is set whenever a committed transaction of any process woke `what`."""
        signal = self._signals.listen(what)
        if self._listener is None:
            self._listener = threading.Thread(target=self._hear, name="postgres-listener", daemon=True)
            self._listener.start()
        return signal

    def migrate(self) -> None:
        """Brings the schema up to date; one process at a time, the others wait."""
        with sentences(), self.engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('tidings migrations'))"))
            migrations.upgrade(connection)

    def pending_migrations(self) -> list[str]:
        """The migrations that are still to be applied."""
        with sentences(), self.engine.connect() as connection:
            return migrations.pending(connection)

    def close(self) -> None:
        """Finishes what was accepted, then ends all connections."""
        self._closing.set()
        self._writer.close()
        self._threads.shutdown()
        self._bulk_threads.shutdown()
        if self._listener is not None:
            self._listener.join()
        self.engine.dispose()

    def _read(self, run: Callable[[Tx], T]) -> T:
        with sentences(), self.engine.connect() as connection:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            return run(Tx(connection))

    def _write(self, run: Callable[[Tx], T]) -> T:
        for tried in range(1, TRIES + 1):
            try:
                with sentences(), self.engine.begin() as connection:
                    tx = Tx(connection)
                    value = run(tx)
                    _notify(connection, tx.woken)
            except LostAgainstAnother:
                if tried == TRIES:
                    raise
            except DiskFull:
                self.full = True
                raise
            else:
                return value
        raise AssertionError("unreachable")

    def _write_aside(self, write: Write) -> None:
        """Runs a write that could not stay in its group."""
        write.value, write.error = None, None
        try:
            write.value = self._write(write.run)
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whose error it is
            write.error = error
        answer([write])

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


def _prepare(driver: psycopg.Connection[Any], _record: object) -> None:
    driver.execute(f"SET idle_in_transaction_session_timeout = '{SILENCE_SECONDS}s'")
    driver.commit()


def _notify(connection: Connection, woken: set[str]) -> None:
    for what in sorted(woken):
        connection.execute(text("SELECT pg_notify(:channel, :what)"), {"channel": CHANNEL, "what": what})
