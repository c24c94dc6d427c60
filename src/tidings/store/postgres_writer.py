"""The thread that commits the short writes of a process to PostgreSQL: several in one transaction, over a connection that it keeps."""

import asyncio
import itertools
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.sql import SQL
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from tidings.errors import Unavailable
from tidings.store.postgres_errors import sentences
from tidings.store.transactions import Tx
from tidings.store.writes import Write, answer, join, run

CHANNEL = "tidings"
GROUP_SECONDS = 0.008  # a group is closed after this, so that nobody waits long behind many
LARGEST_GROUP = 256  # writes
SAVEPOINTS = 50  # PostgreSQL keeps 64 savepoints of a transaction at hand; with more of them, everybody's reads get slower
LOCK_MS = 20  # so long a group waits for a lock: it holds locks itself, and whoever waits in line waits too

_KEEP = "RELEASE SAVEPOINT one"
_UNDO = "ROLLBACK TO SAVEPOINT one; RELEASE SAVEPOINT one"


class Writer:
    """Runs writes in the order in which they came. What can't stay in its group (a lock that somebody holds long, an error of
    the database) is handed to `set_aside`, to be run in a transaction of its own, where it can wait and gets its own error."""

    def __init__(self, engine: Engine, set_aside: Callable[[Write], object]) -> None:
        self._engine = engine
        self._set_aside = set_aside
        self._writes: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._kept: tuple[Connection, psycopg.Connection[Any]] | None = None

    def add(self, write: Write) -> asyncio.Future[Any]:
        """Puts a write in line; what comes of it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_groups, name="postgres-writer", daemon=True)
            self._thread.start()
        self._writes.put(write)
        return write.future

    def close(self) -> None:
        """Returns when all that is in line has been dealt with."""
        if self._thread is not None:
            self._writes.put(None)
            self._thread.join()

    def _write_groups(self) -> None:
        waiting: list[Write] = []
        open_ = True
        while open_ or waiting:
            open_ = self._collect(waiting) and open_
            group: list[Write] = []
            if waiting:
                self._commit_group(waiting, group)
            del waiting[: len(group)]
        self._disconnect()

    def _collect(self, waiting: list[Write]) -> bool:
        """Adds what is in line to what waits, after a wait for the first where nothing does; False when `close` was called."""
        while True:
            try:
                write = self._writes.get(block=not waiting)
            except queue.Empty:
                return True
            if write is None:
                return False
            waiting.append(write)

    def _commit_group(self, waiting: Sequence[Write], group: list[Write]) -> None:
        """Runs writes from the head of the line in one transaction, adds them to `group`, and tells those who wait for them."""
        unsure = False  # once the commit was asked for, only the server's answer says what became of the group
        try:
            with sentences():
                connection, driver = self._connected()
                tx = Tx(connection)
                aside, end = _run_some(tx, driver, waiting, group)
                last = f"{end}; {_notes(tx.woken)}COMMIT"
                try:
                    _tell(driver, last)
                except psycopg.Error as error:
                    unsure = error.diag.severity_nonlocalized != "ERROR"
                    raise
        except (Unavailable, psycopg.Error) as error:
            self._disconnect()
            group += () if group else waiting  # there is no connection to be had
            if unsure:
                for write in group:
                    write.error = error
                answer(group)
            else:
                for write in group:
                    self._set_aside(write)
            return
        answer(group[: len(group) - len(aside)])
        for write in aside:
            self._set_aside(write)

    def _connected(self) -> tuple[Connection, psycopg.Connection[Any]]:
        if self._kept is None:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")  # where a transaction begins we say ourselves
            driver = connection.connection.dbapi_connection
            assert isinstance(driver, psycopg.Connection)
            connection.detach()
            self._kept = connection, driver
            driver.execute(f"SET lock_timeout = {LOCK_MS}")
        return self._kept

    def _disconnect(self) -> None:
        if self._kept is not None:
            connection, driver = self._kept
            driver.close()
            connection.invalidate()
            connection.close()
            self._kept = None


def _run_some(tx: Tx, driver: psycopg.Connection[Any], waiting: Sequence[Write], group: list[Write]) -> tuple[Sequence[Write], str]:
    """Runs writes, under savepoints, so that one's failure is its own. Those to be set aside, the last of `group`; how to end the last savepoint."""
    deadline = time.monotonic() + GROUP_SECONDS
    before, end = "BEGIN", ""
    for joined in itertools.islice(join(waiting[:LARGEST_GROUP]), SAVEPOINTS):
        _tell(driver, f"{before}; SAVEPOINT one")
        group += joined
        try:
            run(tx, joined)
        except (psycopg.Error, DBAPIError):
            if driver.closed:
                raise
            return joined, _UNDO
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whose error it is
            if len(joined) > 1:  # but which one's?
                return joined, _UNDO
            joined[0].error = error
            before = end = _UNDO
        else:
            before = end = _KEEP
        if time.monotonic() > deadline:
            break
    return (), end


def _notes(woken: set[str]) -> str:
    """The statements that tell the listeners of all processes. Whoever notifies takes a lock that all do who notify: to be waited for."""
    if not woken:
        return ""
    calls = [SQL("SELECT pg_notify({}, {}); ").format(CHANNEL, what).as_string() for what in sorted(woken)]
    return f"SET LOCAL lock_timeout = 0; {''.join(calls)}"


def _tell(driver: psycopg.Connection[Any], commands: str) -> None:
    """Sends commands that have no parameters in one message; past the driver, which would forget its prepared statements at each rollback."""
    result = driver.pgconn.exec_(commands.encode())
    if result.status not in {ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK}:
        raise psycopg.OperationalError(driver.pgconn.get_error_message()) if driver.closed else error_from_result(result)
