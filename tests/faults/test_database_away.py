"""PostgreSQL is away for some seconds, killed or cut off: calls are refused with a sentence, nobody spins, and all goes on by itself when it is back."""

import asyncio
import contextlib
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from aiohttp import web

from tests.faults import judge
from tests.faults.fleet import Fleet, fleet_over
from tests.faults.house import dice, furnished
from tests.faults.phases import held, peeking
from tests.flows.commands import answer, environment, serving
from tests.flows.webhook_house import Got, House, Receiver
from tests.postgres import create_database, postgres_server
from tidings import clock
from tidings.model.ids import new_id
from tidings.store.database import open_database
from tidings.worker.dispatch_loop import dispatch

AWAY_SECONDS = 5.0
BUSY = 0.2  # of one processor, at most, for each process, while there is nothing to be done
BACK_SECONDS = 60.0
LEASE = 2.0
CUT_SECONDS = 3 * LEASE
HOOKS, EVENTS = 5, 60
EMAIL, PASSWORD = "ann@example.com", "a-long-password"
ELSEWHERE = {"Origin": "https://evil.example"}


def spent(fleet: Fleet) -> dict[int, float]:
    """Seconds of processor time that each process has used."""
    times = {pid: psutil.Process(pid).cpu_times() for pid in (fleet.web.pid, *fleet.pids())}
    return {pid: each.user + each.system for pid, each in times.items()}


def test_a_database_that_is_killed_and_comes_back_costs_nothing_that_was_accepted(home: Path, tmp_path: Path) -> None:
    roots = tmp_path / "roots"
    with fleet_over("postgresql", home, roots) as fleet:
        key = fleet.web.set_up()
        fleet.start()
        fleet.web.await_ready()
        with furnished(fleet.web, key, roots, dice(), files=100, sources=2) as house, house.client(running=False) as client:
            for source in house.sources:
                accepted = client.call(source)
                assert accepted is not None
                house.receiver.await_sync(accepted.sync_id, BACK_SECONDS)  # all of them are up
                source.folder.edit(50)
                assert client.call(source) is not None
            assert fleet.keeper is not None
            fleet.keeper.kill()
            assert client.call(house.sources[0]) is None
            time.sleep(AWAY_SECONDS / 2)  # what was under way notices
            before, began = spent(fleet), time.monotonic()
            time.sleep(AWAY_SECONDS)
            seconds = time.monotonic() - began
            shares = {pid: (now - before[pid]) / seconds for pid, now in spent(fleet).items()}
            fleet.keeper.start_again()
            back, since = time.monotonic(), clock.now()
            while (accepted := client.call(house.sources[0])) is None:
                assert time.monotonic() - back < BACK_SECONDS, "Calls are refused for ever"
                time.sleep(0.05)
            called = time.monotonic() - back
            house.receiver.await_sync(accepted.sync_id, BACK_SECONDS)
            told = time.monotonic() - back
            with peeking(home, fleet.database_url) as peek:
                judge.await_rest(house.api, house.sources, meanwhile=lambda: judge.judge_overdue(peek, since))
                house.judge(client)
                assert set(fleet.stop()) == {0}
                judge.judge_store(peek)
        print(f"Away: at most {max(shares.values()):.1%} of a processor; back: first call after {called:.2f} s, its webhook after {told:.2f} s")  # noqa: T201
        assert max(shares.values()) < BUSY, shares


def token_of(page: httpx.Response) -> str:
    found: list[str] = re.findall(r'name="form_token" value="([0-9a-f]{64})"', page.text)
    return found[0]


def test_what_is_typed_while_the_database_is_away_is_kept_to_be_sent_again(home: Path) -> None:
    with postgres_server(durable=True) as keeper:
        env = environment(home, create_database(keeper.url()))
        answer("setup", "--email", EMAIL, "--password", PASSWORD, env=env)
        with (
            serving(env=env) as server,
            httpx.Client(base_url=server.url, trust_env=False, timeout=60) as ann,
            httpx.Client(base_url=server.url, trust_env=False, timeout=60, cookies={"tidings_session": "ended-long-ago"}) as late,
        ):
            ann.post("/login", data={"email": EMAIL, "password": PASSWORD, "form_token": token_of(ann.get("/login"))})
            asked = ann.get("/app/bots/new")
            sign_in = {"email": EMAIL, "password": PASSWORD, "form_token": token_of(late.get("/login"))}
            keeper.kill()
            assert late.post("/login", data=sign_in).status_code == 503
            typed = {"name": "A bot <of mine>", "form_token": token_of(asked)}
            refused = ann.post("/app/bots/new", data=typed)
            assert refused.status_code == 503
            assert "PostgreSQL does not answer" in refused.text
            assert 'name="name" value="A bot &lt;of mine&gt;"' in refused.text
            for foreign in (ann.post("/app/bots/new", data=typed | {"form_token": "0" * 64}), ann.post("/app/bots/new", data=typed, headers=ELSEWHERE)):
                assert foreign.status_code == 403
                assert "of mine" not in foreign.text, "What another site sends is not put before anybody to be sent again"
            keeper.start_again()
            again = ann.post("/app/bots/new", data=typed | {"form_token": token_of(refused)})
            assert again.status_code == 303
            assert "A bot &lt;of mine&gt;" in ann.get("/app/bots").text


class Gate:
    """A TCP proxy before the database. While a direction is shut, what is on its way there waits, as on a network that has parted."""

    def __init__(self, host: str, port: int) -> None:
        self._there = (host, port)
        self._open = {"questions": asyncio.Event(), "answers": asyncio.Event()}
        self._pumps: set[asyncio.Task[None]] = set()
        self.heal()

    def cut(self, *directions: str) -> None:
        for direction in directions:
            self._open[direction].clear()

    def heal(self) -> None:
        for way in self._open.values():
            way.set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self._there)
        for way, source, target in (("questions", reader, there_writer), ("answers", there_reader, writer)):
            task = asyncio.create_task(self._pump(self._open[way], source, target))
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(self, way: asyncio.Event, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(1 << 16):
                await way.wait()
                target.write(data)
                await target.drain()
        except ConnectionError:
            pass  # one side has gone
        finally:
            target.transport.abort()

    async def close(self) -> None:
        for task in list(self._pumps):
            task.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        await asyncio.sleep(0)  # the connections are closed in the next round of the loop


async def until(fits: Callable[[], bool]) -> None:
    """Waits for what others write into the database."""
    async with asyncio.timeout(BACK_SECONDS):
        while not fits():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def behind_a_gate(url: str) -> AsyncIterator[tuple[Gate, str]]:
    """A gate before the database of this address, and the address of the gate."""
    parts = urlsplit(url)
    gate = Gate(str(parts.hostname), parts.port or 5432)
    server = await asyncio.start_server(gate.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield gate, parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}").geturl()
    finally:
        server.close()
        await gate.close()


async def answer_in_a_while(_got: Got) -> web.Response:
    await asyncio.sleep(random.uniform(0.05, 0.3))
    return web.Response()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("directions", [("questions", "answers"), ("answers",)], ids=["both ways", "answers only"])
async def test_a_dispatcher_cut_off_from_the_database_repeats_only_what_it_held(
    house: House, receiver: Receiver, home: Path, database_url: str, directions: tuple[str, ...]
) -> None:
    receiver.answer = answer_in_a_while
    hooks = [(await house.hook(target_url=f"{receiver.url}/{number}")).id for number in range(HOOKS)]
    for _ in range(EVENTS):
        await house.end_sync()
    stop, quick = asyncio.Event(), house.settings.model_copy(update={"lease_seconds": LEASE})
    async with behind_a_gate(database_url) as (gate, through):
        distant = open_database(quick.model_copy(update={"database_url": through}))
        with peeking(home, database_url) as peek:
            cut_off = asyncio.create_task(dispatch(distant, quick, house.box, house.outbound, f"{new_id()}:1", stop))
            async with house.dispatching(lease_seconds=LEASE):
                await until(lambda: bool(held(peek, [1])))
                gate.cut(*directions)
                await asyncio.sleep(0.05)
                in_flight = held(peek, [1])
                await asyncio.sleep(CUT_SECONDS)
                gate.heal()
                await until(lambda: peek.one("SELECT count(*) FROM deliveries WHERE state <> 'delivered'") == 0)
            stop.set()
            await asyncio.wait_for(cut_off, 30)
            await asyncio.to_thread(distant.close)  # its last words go through the gate, which is in this loop
            odd = peek.rows("SELECT id FROM deliveries d WHERE attempt_count <> (SELECT count(*) FROM attempts a WHERE a.delivery_id = d.id)")
    arrived = Counter((got.path, got.headers["webhook-id"]) for got in receiver.got)
    repeats = {one for one, times in arrived.items() if times > 1}
    print(f"{len(arrived)} deliveries; {len(in_flight)} held at the cut, {len(repeats)} came twice")  # noqa: T201
    assert len(arrived) == HOOKS * EVENTS
    assert repeats <= {(f"/hook/{hooks.index(hook)}", event) for hook, event in in_flight}
    assert max(arrived.values()) <= 2
    assert odd == []
