"""`serve --dispatchers N`: several dispatcher processes share the work, one that dies loses nothing and is replaced, and none outlives its parent."""

import asyncio
import os
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from aiohttp import web
from pydantic import SecretStr

from tests.faults.phases import Peek, peeking
from tests.faults.server import Server, dispatchers_of
from tests.flows.webhook_house import Got, House, Receiver, open_house, open_receiver
from tidings.secretbox import SecretBox, load_or_create_secret_key
from tidings.settings import Settings
from tidings.store.database import Database
from tidings.worker.dispatchers import run_dispatchers

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

DISPATCHERS = 3
HOOKS, EVENTS = 30, 100
LEASE = 3.0
SECONDS = 60.0
_HELD = "SELECT webhook_id, event_id FROM deliveries WHERE state = 'pending' AND owner LIKE ?"
_OWNERS = "SELECT DISTINCT owner FROM deliveries WHERE state = 'pending' AND owner IS NOT NULL"


async def until(fits: Callable[[], object]) -> None:
    """Waits for what other processes do."""
    async with asyncio.timeout(SECONDS):
        while not fits():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.fixture
async def house(database: Database, settings: Settings) -> AsyncIterator[House]:
    key = secrets.token_hex(32)
    changed = settings.model_copy(update={"secret_key": SecretStr(key), "lease_seconds": LEASE})
    async with open_house(database, changed) as house:
        house.box = SecretBox(load_or_create_secret_key(changed.home, key))
        yield house


async def answer_soon(_got: Got) -> web.Response:
    await asyncio.sleep(0.02)
    return web.Response()


async def kill_one_at_work(peek: Peek, receiver: Receiver) -> set[tuple[str, str]]:
    """`kill -9` of one dispatcher once all are at work: (hook, event) of what it held."""
    seen: set[str] = set()

    def all_work() -> bool:
        seen.update(row[0] for row in peek.rows(_OWNERS))
        return len(seen) == DISPATCHERS and len(receiver.got) > HOOKS

    await until(all_work)
    victim = random.choice(dispatchers_of(os.getpid()))
    await until(lambda: peek.rows(_HELD, f"%:{victim.pid}"))
    victim.kill()
    await until(lambda: victim not in dispatchers_of(os.getpid()))
    return set(peek.rows(_HELD, f"%:{victim.pid}"))


async def test_each_delivery_arrives_once_and_a_killed_dispatcher_loses_none(house: House, home: Path, database_url: str) -> None:
    async with open_receiver() as receiver:
        receiver.answer = answer_soon
        paths = {(await house.hook(target_url=f"{receiver.url}/{n}")).id: f"/hook/{n}" for n in range(HOOKS)}
        for _ in range(EVENTS):
            await house.end_sync()
        stop = asyncio.Event()
        running = asyncio.create_task(run_dispatchers((house.settings, frozenset(), None), DISPATCHERS, stop))
        with peeking(home, database_url) as peek:
            try:
                held = await kill_one_at_work(peek, receiver)
                await until(lambda: peek.one("SELECT count(*) FROM deliveries WHERE state <> 'delivered'") == 0)
                await until(lambda: len(dispatchers_of(os.getpid())) == DISPATCHERS)
            finally:
                stop.set()
                await asyncio.wait_for(running, 30)
        assert dispatchers_of(os.getpid()) == []
    arrived = Counter((got.path, got.headers["webhook-id"]) for got in receiver.got)
    repeated = {one for one, times in arrived.items() if times > 1}
    print(f"{len(receiver.got)} POSTs; the killed one held {len(held)} deliveries, {len(repeated)} came twice")  # noqa: T201
    assert len(arrived) == HOOKS * EVENTS
    assert repeated <= {(paths[hook_id], event_id) for hook_id, event_id in held}
    assert max(arrived.values()) <= 2


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_none_outlives_its_parent(home: Path, database_url: str, ending: str) -> None:
    worker = Server(home, database_url, role="worker", dispatchers=2)
    try:
        worker.start()
        asyncio.run(until(lambda: len(worker.dispatchers()) == 2))
        children = worker.dispatchers()
        if ending == "stop":
            assert worker.stop() == 0
        else:
            psutil.Process(worker.pid).kill()
        assert psutil.wait_procs(children, timeout=SECONDS)[1] == []
        assert "Traceback" not in worker.tail()
    finally:
        worker.end()
