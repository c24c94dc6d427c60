"""Every way in which an endpoint can be bad, all at once and beside one that is well: each is told for what it is, and the good one waits for nobody."""

import asyncio
import contextlib
import gzip
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import psutil
from aiohttp import web

from tests.faults.certificates import expired_certificate
from tests.flows.webhook_house import House, Receiver, open_receiver
from tests.pure.outbound_peers import Peer, answer_of, peer, reset
from tidings.outbound import Outbound

EVENTS = 6
TIMEOUT = 1.0
HUGE = 100 * 2**20
BOMB = gzip.compress(b"0" * HUGE)
MEMORY = 64 * 2**20  # what all of them together may cost; each one's answer is larger
NAMES = {"expired.example": ["127.0.0.1"]}


@dataclass(frozen=True, slots=True)
class Bad:
    """An endpoint, and what is to be said of each delivery to it."""

    url: str
    state: str
    said: str


async def hang(found: Peer, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await found.read(reader)
    await asyncio.Event().wait()


async def drip(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await found.read(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(1)


async def flood(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await found.read(reader)
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {HUGE}\r\n\r\n".encode())
    for _ in range(HUGE >> 16):
        writer.write(b"x" * (1 << 16))
        await writer.drain()


async def break_off(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await found.read(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    await writer.drain()
    await asyncio.sleep(0.1)
    reset(writer)


async def not_tls(_found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


def look_up(name: str) -> list[str]:
    if name not in NAMES:
        raise socket.gaierror(socket.EAI_NONAME, "nobody knows it")
    return NAMES[name]


@contextlib.asynccontextmanager
async def all_bad(folder: Path, house: House) -> AsyncIterator[list[Bad]]:
    """Endpoints of every bad kind; the house's way out finds and trusts them."""
    server, client = expired_certificate("expired.example", folder)
    async with contextlib.AsyncExitStack() as peers:
        found = {each.__name__: await peers.enter_async_context(peer(each)) for each in (hang, drip, flood, break_off, not_tls)}
        expired = await peers.enter_async_context(peer(answer_of(b""), server))
        bomb = await peers.enter_async_context(peer(answer_of(BOMB, "Content-Encoding: gzip")))
        around = await open_circle(peers)
        former, house.outbound = house.outbound, Outbound((ip_network("127.0.0.0/8"),), lookup=look_up, tls=client)
        peers.push_async_callback(house.outbound.aclose)
        await former.aclose()
        yield [
            Bad(found["hang"].url, "exhausted", "gave no answer within 1 s."),
            Bad(found["drip"].url, "exhausted", "began an answer, but did not end it within 1 s."),
            Bad(found["flood"].url, "delivered", ""),
            Bad(found["break_off"].url, "exhausted", "in the middle of its answer."),
            Bad(found["not_tls"].url.replace("http:", "https:"), "exhausted", "it does not speak TLS at this port."),
            Bad(f"https://expired.example:{expired.port}/", "exhausted", f"The TLS certificate of expired.example:{expired.port} has expired."),
            Bad("http://gone.example/", "exhausted", "The name gone.example was not found."),
            Bad(around, "exhausted", "302"),
            Bad(bomb.url, "delivered", ""),
        ]


async def open_circle(peers: contextlib.AsyncExitStack) -> str:
    """An endpoint that sends whoever comes on to itself."""
    circle = await peers.enter_async_context(open_receiver())
    circle.answer = lambda _got: web.Response(status=302, headers={"Location": circle.url})
    return circle.url


async def test_bad_endpoints_of_all_kinds_are_told_apart_and_delay_nobody(house: House, receiver: Receiver, tmp_path: Path) -> None:
    async with all_bad(tmp_path, house) as bad:
        wanted = {(await house.hook(target_url=one.url)).id: one for one in bad}
        good = await house.hook(target_url=receiver.url)
        process = psutil.Process()
        before = process.memory_info().rss
        for _ in range(EVENTS):
            await house.end_sync()
        async with house.dispatching(delivery_timeout=TIMEOUT, retry_schedule=()):
            await receiver.until(EVENTS)
            unended = [one for one in await house.deliveries() if one.state == "pending"]
            assert {one.webhook_id for one in unended} & set(wanted), "The good one was served while others still hung"
            found = await house.until(lambda found: all(one.state != "pending" for one in found), 90)
            grown = process.memory_info().rss - before
        for one in found:
            if one.webhook_id != good.id:
                expected = wanted[one.webhook_id]
                assert (one.state, expected.said in (one.reason or "")) == (expected.state, True), f"{expected.url}: {one.state} {one.reason}"
        assert [one.state for one in found if one.webhook_id == good.id] == ["delivered"] * EVENTS
        assert len(found) == EVENTS * (len(bad) + 1)
        assert grown < MEMORY, f"Memory grew by {grown >> 20} MiB"
        print(f"{len(found)} deliveries; memory grew by {grown >> 20} MiB")  # noqa: T201
