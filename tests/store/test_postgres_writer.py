"""Short writes share a transaction on PostgreSQL: each one's fate is its own, and nobody waits behind somebody who is stuck."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from tests.postgres import create_database, drop_database
from tidings.errors import Conflict, Unavailable
from tidings.store.postgres import PostgresDatabase
from tidings.store.transactions import Tx


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    """A database with ten counters, all at 0."""
    url = create_database(postgres_url)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL)")
        connection.execute("INSERT INTO counters SELECT id, 0 FROM generate_series(1, 10) id")
    yield url
    drop_database(postgres_url, url)


@pytest.fixture
async def db(url: str) -> AsyncIterator[PostgresDatabase]:
    with contextlib.closing(PostgresDatabase(url)) as db:
        yield db


def count(tx: Tx, *ids: int) -> int:
    """Raises these counters by one, in this order; the last one's value."""
    n = 0
    for id_ in ids:
        n = tx.execute(text("UPDATE counters SET n = n + 1 WHERE id = :id RETURNING n"), {"id": id_}).scalar_one()
    return n


def counted(url: str) -> dict[int, int]:
    with psycopg.connect(url) as connection:
        return {id_: n for id_, n in connection.execute("SELECT id, n FROM counters") if n}


async def held_up(db: PostgresDatabase) -> tuple[asyncio.Task[None], threading.Event]:
    """A write that stands in the writer until the event is set, so that whatever comes meanwhile is one group."""
    began, go_on = threading.Event(), threading.Event()

    def wait(_tx: Tx) -> None:
        began.set()
        assert go_on.wait(60)

    task = asyncio.create_task(db.write(wait))
    await asyncio.to_thread(began.wait, 60)
    return task, go_on


def transaction_of(tx: Tx) -> Any:
    return tx.execute(text("SELECT pg_current_xact_id()::text")).scalar_one()


async def test_what_waits_is_committed_together(db: PostgresDatabase) -> None:
    for _ in range(200):  # a group ends early where the machine is so busy that its time runs out
        first, go_on = await held_up(db)
        waiting = [asyncio.create_task(db.write(transaction_of)) for _ in range(5)]
        await asyncio.sleep(0)
        go_on.set()
        await first
        if len(set(await asyncio.gather(*waiting))) == 1:
            return
    raise AssertionError("What waited was never committed together.")


async def test_ones_failure_is_its_own(db: PostgresDatabase, url: str) -> None:
    def refuse(tx: Tx) -> None:
        count(tx, 2)
        raise Conflict("No.")

    def break_it(tx: Tx) -> None:
        count(tx, 3)
        tx.execute(text("INSERT INTO counters VALUES (3, 0)"))

    def swallow(tx: Tx) -> None:
        with contextlib.suppress(Exception):
            tx.execute(text("SELECT 1 / 0"))

    first, go_on = await held_up(db)
    steps: list[Callable[[Tx], int | None]] = [lambda tx: count(tx, 1), refuse, lambda tx: count(tx, 4), break_it, lambda tx: count(tx, 5), swallow]
    waiting = [asyncio.create_task(db.write(step)) for step in [*steps, lambda tx: count(tx, 6)]]
    await asyncio.sleep(0)
    go_on.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    await first
    assert [type(outcome).__name__ for outcome in outcomes] == ["int", "Conflict", "int", "IntegrityError", "int", "NoneType", "int"]
    assert counted(url) == {1: 1, 4: 1, 5: 1, 6: 1}


async def test_what_many_want_is_done_at_once_and_answered_to_each(db: PostgresDatabase, url: str) -> None:
    sizes: list[int] = []

    def count_each(tx: Tx, ids: Sequence[int]) -> list[int]:
        sizes.append(len(ids))
        if 13 in ids:
            raise Conflict("There is no thirteenth.")
        return [10 * count(tx, id_) + id_ for id_ in ids]

    first, go_on = await held_up(db)
    waiting = [asyncio.create_task(db.write_each(count_each, id_)) for id_ in (1, 2, 3)]
    apart = asyncio.create_task(db.write(count, 4))
    failing = [asyncio.create_task(db.write_each(count_each, id_)) for id_ in (5, 13, 6)]
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(*waiting, apart) == [11, 12, 13, 1]
    assert [str(outcome) for outcome in await asyncio.gather(*failing, return_exceptions=True)] == ["15", "There is no thirteenth.", "16"]
    await first
    assert sizes == [3, 3, 1, 1, 1]
    assert counted(url) == dict.fromkeys(range(1, 7), 1)


async def test_nobody_waits_behind_a_write_that_waits_for_a_lock(db: PostgresDatabase, url: str) -> None:
    with psycopg.connect(url) as other:
        other.execute("UPDATE counters SET n = 100 WHERE id = 1")
        stuck = asyncio.create_task(db.write(count, 1))
        await asyncio.gather(*(db.write(count, id_) for id_ in range(2, 11)))
        assert not stuck.done()
        assert counted(url) == dict.fromkeys(range(2, 11), 1)
    assert await stuck == 101


async def test_nobody_waits_behind_a_bulk_write(db: PostgresDatabase, url: str) -> None:
    enough = threading.Event()

    def stay(tx: Tx) -> None:
        count(tx, 1)
        assert enough.wait(60)

    bulk = asyncio.create_task(db.write_bulk(stay))
    await asyncio.gather(*(db.write(count, id_) for id_ in range(2, 11)))
    enough.set()
    await bulk
    assert counted(url) == dict.fromkeys(range(1, 11), 1)


async def test_groups_that_cross_each_other_all_come_through(url: str) -> None:
    """Two processes whose writes come in opposite orders: each alone could never lock out the other, their groups could."""
    with contextlib.closing(PostgresDatabase(url)) as one, contextlib.closing(PostgresDatabase(url)) as other:
        first, go_on = await held_up(one)
        second, go_on_too = await held_up(other)
        waiting = [asyncio.create_task(one.write(count, id_)) for _ in range(10) for id_ in range(1, 11)]
        waiting += [asyncio.create_task(other.write(count, id_)) for _ in range(10) for id_ in range(10, 0, -1)]
        await asyncio.sleep(0)
        go_on.set()
        go_on_too.set()
        await asyncio.gather(first, second, *waiting)
    assert counted(url) == dict.fromkeys(range(1, 11), 20)


async def test_a_write_whose_connection_breaks_before_the_commit_is_run_again(db: PostgresDatabase, url: str) -> None:
    runs = 0

    def die_once(tx: Tx) -> int:
        nonlocal runs
        runs += 1
        if runs == 1:
            count(tx, 1)
            with psycopg.connect(url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 10000)", [tx.execute(text("SELECT pg_backend_pid()")).scalar_one()])
        return count(tx, 1)

    first, go_on = await held_up(db)
    waiting = [asyncio.create_task(db.write(count, 2)), asyncio.create_task(db.write(die_once)), asyncio.create_task(db.write(count, 3))]
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(*waiting) == [1, 1, 1]
    await first
    assert counted(url) == {1: 1, 2: 1, 3: 1}
    assert await db.write(count, 1) == 2


class Cutting:
    """A way to the server that is cut as soon as a commit has gone over it, so that its answer never comes back."""

    def __init__(self, url: str) -> None:
        before, _, address = url.rpartition("@")
        address, _, name = address.partition("/")
        host, _, port = address.partition(":")
        self._server = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{before}@127.0.0.1:{self.listener.getsockname()[1]}/{name}"
        self.armed = False
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self.listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self.listener.accept()[0],), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server:
            back = threading.Thread(target=self._pass, args=(server, client))
            back.start()
            self._pass(client, server)
            back.join()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.armed and data.startswith(b"Q") and data.endswith(b"COMMIT\0"):
                    source.shutdown(socket.SHUT_RDWR)
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)


async def test_a_commit_whose_answer_is_lost_is_told_and_not_repeated(url: str) -> None:
    way = Cutting(url)
    runs: list[int] = []

    def note(tx: Tx, id_: int) -> None:
        runs.append(id_)
        count(tx, id_)

    with contextlib.closing(way), contextlib.closing(PostgresDatabase(way.url)) as db:
        await db.write(count, 10)
        way.armed = True
        with pytest.raises(Unavailable, match="PostgreSQL does not answer"):
            await db.write(note, 1)
        way.armed = False
        await db.write(note, 2)
    assert runs == [1, 2]
    assert set(counted(url)) >= {2, 10}


async def test_all_processes_hear_what_a_group_wakes(url: str) -> None:
    def wake(tx: Tx, what: str) -> None:
        tx.wake(what)

    with contextlib.closing(PostgresDatabase(url)) as one, contextlib.closing(PostgresDatabase(url)) as other:
        this = other.listen("this")
        await this.wait(60)  # set once, when the listener begins
        that = other.listen("it's that")
        await asyncio.gather(*(one.write(wake, what) for what in ("this", "it's that") for _ in range(5)))
        assert all(await asyncio.gather(this.wait(60), that.wait(60)))
