"""SQLite: one writer thread that commits in groups, a few reader threads. One process at a time serves from a file."""

import asyncio
import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import NullPool

from tidings.errors import DiskFull, Unavailable
from tidings.store import migrations
from tidings.store.signals import Signal, Signals
from tidings.store.transactions import Tx
from tidings.store.writes import Write, answer, join, run

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")

READERS = 4
GROUP_SECONDS = 0.008  # a group is closed after this, so that nobody waits long behind many
BULK_SECONDS = 0.03  # the same of bulk work, which is closed for others anyway
GROUP_WRITES = 256
# The log is forced to the disk as a whole, in the order in which it was written: what a commit without it has left there goes with the next one that has it.
MOVED = (
    "The file of the database is not where it was: it was moved, deleted or replaced while Tidings runs, so nothing more is kept. "
    "Put it back, or start Tidings again to go on with what is there now."
)
SYNCED, SYNCED_LATER = "PRAGMA synchronous = FULL", "PRAGMA synchronous = NORMAL"


class SqliteDatabase:
    """The embedded database. Writes of all callers are queued and committed in groups: one fsync for all that wait."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine: Engine = create_engine(f"sqlite:///{path}", poolclass=NullPool, connect_args={"check_same_thread": False, "timeout": 10})
        event.listen(self.engine, "connect", _prepare)
        self._file: tuple[int, int] | None = None  # device and inode of what was opened first
        self._signals = Signals()
        self.full = False
        self._writes: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._reading = threading.local()
        self._reader_connections: list[Connection] = []

    async def read(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `fn(tx, ...)` in a reader thread over one consistent state; changes are refused."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, lambda: self._read(lambda tx: fn(tx, *args, **kwargs)))

    async def write(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `fn(tx, ...)` in the writer thread; returns its value once the commit is on disk."""
        value: T = await self._queue(Write(lambda tx: fn(tx, *args, **kwargs)))
        return value

    async def write_each(self, fn: Callable[[Tx, Sequence[Item]], Sequence[T]], item: Item) -> T:
        """The same with `fn(tx, [item])[0]`; the items of all that wait with the same `fn` are given to it at once."""
        value: T = await self._queue(Write(lambda tx: fn(tx, [item])[0], together=fn, item=item))
        return value

    async def write_bulk(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for work that is one of many and that nobody waits for: it lets the writes of others go first. It outlives this process at once, and
        the machine with the next write that is not bulk: what tells the world of it is one."""
        value: T = await self._queue(Write(lambda tx: fn(tx, *args, **kwargs), bulk=True))
        return value

    def _queue(self, write: Write) -> asyncio.Future[Any]:
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_groups, name="sqlite-writer", daemon=True)
            self._writer.start()
        self._writes.put(write)
        return write.future

    def listen(self, what: str) -> Signal:
        """A signal that is set whenever a committed transaction of this process woke `what`."""
        return self._signals.listen(what)

    def migrate(self) -> None:
        """Brings the schema up to date."""
        try:
            with self._connect() as connection:
                migrations.upgrade(connection)
        except DatabaseError as error:
            raise _told(error) from error

    def pending_migrations(self) -> list[str]:
        """The migrations that are still to be applied."""
        try:
            with self._connect() as connection:
                return migrations.pending(connection)
        except DatabaseError as error:
            raise _told(error) from error

    def close(self) -> None:
        """Finishes the writes that were accepted, then ends all connections."""
        if self._writer is not None:
            self._writes.put(None)
            self._writer.join()
            self._writer = None
        self._readers.shutdown()
        for connection in self._reader_connections:
            connection.close()
        self.engine.dispose()

    def _connect(self) -> Connection:
        """A new file can be read by nobody else; what SQLite puts beside it takes after it."""
        self._stay()
        with contextlib.suppress(OSError):  # where it is there, or can't be made, which SQLite says next
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))
        connection = self.engine.connect()
        self._file = self._file or _identity(self.path)
        return connection

    def _stay(self) -> None:
        """Unavailable where another file, or none, is in the place of the one that was opened: what is written to that one is lost with it."""
        if self._file is not None and self._file != _identity(self.path):
            raise Unavailable(MOVED)

    def _read(self, run: Callable[[Tx], T]) -> T:
        try:
            connection = self._reader()
            driver = _driver(connection)
            driver.execute("BEGIN")
            try:
                return run(Tx(connection))
            finally:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                    driver.execute("ROLLBACK")
        except DatabaseError as error:
            raise _told(error) from error
        except sqlite3.Error as error:
            raise _unavailable(error) from error

    def _reader(self) -> Connection:
        """The connection of this reader thread."""
        connection: Connection | None = getattr(self._reading, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.exec_driver_sql("PRAGMA query_only = ON")
            self._reading.connection = connection
            self._reader_connections.append(connection)
        return connection

    def _write_groups(self) -> None:
        """The writer thread: runs what is queued, group by group, until `close`. A group of bulk work is closed as soon as
        somebody else comes; when both wait, they take turns, so that neither starves."""
        connection: Connection | None = None
        waiting: dict[bool, list[Write]] = {False: [], True: []}  # by whether it is bulk work
        turn, open_ = False, True

        def enough(since: float) -> bool:
            nonlocal open_
            if not turn:
                return time.monotonic() - since > GROUP_SECONDS
            open_ = self._collect(waiting) and open_
            return bool(waiting[False]) or time.monotonic() - since > BULK_SECONDS

        while open_ or any(waiting.values()):
            open_ = self._collect(waiting) and open_
            turn = not turn if waiting[not turn] else turn
            try:
                connection = connection or self._connect()
                self._stay()
            except (Unavailable, DatabaseError, sqlite3.Error) as error:
                self._refuse(waiting, error if isinstance(error, Unavailable) else _unavailable(error))
            if not waiting[turn]:
                continue
            assert connection is not None
            done = _commit_group(connection, waiting[turn], enough, SYNCED_LATER if turn else SYNCED)
            del waiting[turn][: len(done)]
            self.full = self.full or any(isinstance(write.error, DiskFull) for write in done)
            self._signals.wake({what for write in done for what in write.woken})
            answer(done)
        if connection is not None:
            connection.close()

    def _refuse(self, waiting: dict[bool, list[Write]], told: Unavailable) -> None:
        """Tells all that waits why it can't be written; the next write tries again."""
        self.full = self.full or isinstance(told, DiskFull)
        for writes in waiting.values():
            for write in writes:
                write.error = told
            answer(writes)
            writes.clear()

    def _collect(self, waiting: dict[bool, list[Write]]) -> bool:
        """Adds what is queued to what waits, after a wait for the first where nothing does; False when `close` was called."""
        while True:
            try:
                write = self._writes.get(block=not any(waiting.values()))
            except queue.Empty:
                return True
            if write is None:
                return False
            waiting[write.bulk].append(write)


def _commit_group(connection: Connection, waiting: Sequence[Write], enough: Callable[[float], bool], synced: str) -> list[Write]:
    """Runs writes from the head of the queue in one transaction until it is `enough` since it began, each in a savepoint of its own so that one's
    failure is its own. A group that fails as a whole (disk full) is run again one by one, so that each gets its own error."""
    driver = _driver(connection)
    group: list[Write] = []
    try:
        driver.execute(synced)
        driver.execute("BEGIN IMMEDIATE")
        since = time.monotonic()
        for joined in join(waiting[:GROUP_WRITES]):
            group += joined
            if not _attempt(connection, joined) and len(joined) > 1:
                for write in joined:  # which of them it was
                    _attempt(connection, [write])
            if enough(since):
                break
        driver.execute("COMMIT")
    except sqlite3.Error:
        group = group or [waiting[0]]
        for write in group:
            _commit_alone(connection, write)
    return group


def _attempt(connection: Connection, joined: Sequence[Write]) -> bool:
    driver = _driver(connection)
    driver.execute("SAVEPOINT one")
    _run(connection, joined)
    done = joined[0].error is None
    if not done:
        driver.execute("ROLLBACK TO one")
    driver.execute("RELEASE one")
    return done


def _commit_alone(connection: Connection, write: Write) -> None:
    driver = _driver(connection)
    with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
        driver.execute("ROLLBACK")
    try:
        driver.execute("BEGIN IMMEDIATE")
        _run(connection, [write])
        driver.execute("COMMIT" if write.error is None else "ROLLBACK")
    except sqlite3.Error as error:
        write.error = _unavailable(error)
        with contextlib.suppress(sqlite3.Error):
            driver.execute("ROLLBACK")


def _run(connection: Connection, joined: Sequence[Write]) -> None:
    """Runs what was joined; what goes wrong is told to the first of them."""
    tx, write = Tx(connection), joined[0]
    write.value, write.error, write.woken = None, None, set()
    try:
        run(tx, joined)
        write.woken = tx.woken
    except DatabaseError as error:
        write.error = _told(error)
    except sqlite3.Error as error:
        write.error = _unavailable(error)
    except BaseException as error:  # noqa: BLE001 - handed to the caller, whose error it is
        write.error = error


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file, None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _prepare(driver: sqlite3.Connection, _record: object) -> None:
    """Settings of each connection. Transactions are begun and ended by our own statements only."""
    driver.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "temp_store = MEMORY", "cache_size = -16000"):
        driver.execute(f"PRAGMA {pragma}")
    driver.create_function("lower", 1, lambda text: text.lower() if isinstance(text, str) else text, deterministic=True)  # its own knows ASCII alone


def _told(error: DatabaseError) -> Exception:
    """A sentence where the file or the disk is to blame; what our own statements did wrong stays what it is."""
    return _unavailable(error) if isinstance(error, OperationalError) or type(error) is DatabaseError else error


def _unavailable(error: Exception) -> Unavailable:
    """A sentence for what SQLite says."""
    told = getattr(error, "orig", None) or error
    cause = str(told)
    if "full" in cause or getattr(told, "sqlite_errorname", "") == "SQLITE_IOERR_WRITE":  # the second: over a quota, or a bound on the size of files
        return DiskFull()
    if "locked" in cause or "busy" in cause:
        return Unavailable("The database is locked by another program. Close what has it open and try again.")
    if "malformed" in cause or "not a database" in cause:
        return Unavailable(f"The file of the database is damaged: {cause}. Stop Tidings, set tidings.sqlite* of the home folder aside, and restore a backup.")
    return Unavailable(f"The database can't be used at this moment: {cause}. Run `tidings doctor` to see what is wrong.")


def own(home: Path) -> int | None:
    """Takes the lock that says which process serves from the database in `home`; its file descriptor, or None where
    another process holds it. The system lets go of it when the process ends, however it ends. Unavailable where it can't be made."""
    try:
        lock = os.open(home / "serve.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        told = f"Tidings can't write {home / 'serve.lock'}: {error.strerror}. Give the account that runs it the right to, or set another TIDINGS_HOME."
        raise Unavailable(told) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
