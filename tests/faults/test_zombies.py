"""Workers that stand still past their lease and wake up again, on PostgreSQL: what they still want to write is refused, and everything is done once."""

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import judge
from tests.faults.client import Client
from tests.faults.house import House, dice, furnished, server_over
from tests.faults.phases import Peek, await_phase, look, peeking, progress
from tests.faults.server import Server

FREEZES = 5
LEASE = 2.0
STILL_SECONDS = 0.2
FOUND_SECONDS = 120.0
TAKEN_OVER_SECONDS = 45.0

_HELD = "SELECT id FROM syncs WHERE state = 'running' AND owner LIKE ?"
_FREE = f"{_HELD} FOR UPDATE SKIP LOCKED"


@dataclass(frozen=True, slots=True)
class Frozen:
    """A worker that stands still, and the syncs that it ran."""

    worker: Server
    syncs: frozenset[str]


@contextlib.contextmanager
def freezing(workers: list[Server], peek: Peek, chance: random.Random, *, in_transaction: bool) -> Iterator[Frozen]:
    """A worker stands still for the length of the block: in the midst of its work on a sync, and of a transaction that writes to it, or between two of them."""
    before = progress(peek)
    until = time.monotonic() + FOUND_SECONDS
    while time.monotonic() < until:
        worker = chance.choice(workers)
        if not (_writes(peek, worker) if in_transaction else await_phase(peek, [worker.pid], before, "stage", 0.05)):
            continue
        worker.freeze()
        try:
            time.sleep(STILL_SECONDS)
            held = frozenset(row[0] for row in peek.rows(_HELD, f"%:{worker.pid}"))
            if held and _writes(peek, worker) is in_transaction:
                yield Frozen(worker, held)
                return
        finally:
            worker.thaw()
    raise AssertionError(f"No worker was to be had as wanted: {[look(peek, [worker.pid], before) for worker in workers]}")


def _writes(peek: Peek, worker: Server) -> bool:
    """Whether a transaction of the worker has locked one of its syncs."""
    return len(peek.rows(_HELD, f"%:{worker.pid}")) > len(peek.rows(_FREE, f"%:{worker.pid}"))


def await_takeover(peek: Peek, frozen: Frozen) -> None:
    """Waits until none of its syncs is the frozen worker's any more."""
    until = time.monotonic() + TAKEN_OVER_SECONDS
    while left := frozen.syncs & {row[0] for row in peek.rows(_HELD, f"%:{frozen.worker.pid}")}:
        assert time.monotonic() < until, f"Nobody takes over {left} from a worker that stands still"
        time.sleep(0.02)


@dataclass
class Fleet:
    """One web and two workers over one PostgreSQL, a house on them, and a client that keeps them busy."""

    web: Server
    workers: list[Server]
    house: House
    client: Client
    peek: Peek

    def judge_at_rest(self) -> None:
        """A last change to each folder, a call for each; then everything has to be as it was promised."""
        self.client.finish()
        for source in self.house.sources:
            source.folder.edit(50)
            assert self.client.call(source) is not None
        judge.await_rest(self.house.api, self.house.sources)
        self.house.judge(self.client)
        for server in (*self.workers, self.web):
            assert server.stop() == 0
        judge.judge_store(self.peek)
        for server in (*self.workers, self.web):
            assert server.survivors() == []


@pytest.fixture
def fleet(home: Path, database_url: str, tmp_path: Path) -> Iterator[Fleet]:
    roots = tmp_path / "roots"
    web = server_over(home, database_url, roots, role="web", LEASE_SECONDS=str(LEASE))
    workers = [server_over(home, database_url, roots, role="worker", LEASE_SECONDS=str(LEASE)) for _ in range(2)]
    try:
        key = web.set_up()
        for server in (web, *workers):
            server.start()
        web.await_ready()
        with furnished(web, key, roots, dice()) as house, house.client() as client, peeking(home, database_url) as peek:
            yield Fleet(web, workers, house, client, peek)
    finally:
        for server in (*workers, web):
            server.end()


only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.mark.timeout(900)
@only_postgresql
def test_a_worker_that_wakes_up_after_its_lease_writes_nothing_any_more(fleet: Fleet) -> None:
    slept: list[Frozen] = []
    for _ in range(FREEZES):
        with freezing(fleet.workers, fleet.peek, fleet.house.dice, in_transaction=False) as frozen:
            await_takeover(fleet.peek, frozen)
            time.sleep(fleet.house.dice.uniform(0, 1.5))  # it wakes up while another one is at it, or when that has ended it
        slept.append(frozen)
    fleet.judge_at_rest()
    said = {sync: frozen.worker.said(sync) for frozen in slept for sync in frozen.syncs}
    assert {sync: lines for sync, lines in said.items() if not any("sync let go" in line for line in lines)} == {}


@pytest.mark.timeout(600)
@only_postgresql
def test_a_worker_frozen_in_a_transaction_does_not_keep_others_from_taking_over(fleet: Fleet) -> None:
    with freezing(fleet.workers, fleet.peek, fleet.house.dice, in_transaction=True) as frozen:
        await_takeover(fleet.peek, frozen)
    fleet.judge_at_rest()
