"""Connections of our own client: which are used again, which are not, and what an answer tells of its journey."""

import asyncio
import socket
from typing import Any

import pytest
import uvloop

from tests.pure.outbound_peers import LOOPBACK, Doors, Peer, answer_of, connects, peer, until
from tidings.errors import RefusedAddress, RequestFailed
from tidings.outbound import Outbound
from tidings.outbound.connection import Connection
from tidings.outbound.kept import IDLE_CONNECTIONS, Kept

LONG = 20.0


def anywhere(_: str) -> list[str]:
    return ["127.0.0.1"]


async def test_an_answer_tells_of_its_journey(doors: Doors, client: str) -> None:
    outbound = doors(LOOPBACK, lookup=anywhere)
    async with peer(answer_of(b"ok")) as endpoint:
        named = await outbound.post(f"http://some.example:{endpoint.port}/", {}, b"{}", LONG)
        assert set(named.phases) == {"lookup", "connect", "firstByte", "total"}
        assert all(milliseconds >= 0 for milliseconds in named.phases.values())
        assert sum(named.phases.values()) <= 2 * named.phases["total"]
        assert (named.address, named.tls, named.certificate_until) == ("127.0.0.1", None, None)
        assert named.duration_ms == round(named.phases["total"])
        again = await outbound.post(f"http://some.example:{endpoint.port}/", {}, b"{}", LONG)
        assert (set(again.phases), again.address) == ({"firstByte", "total"}, "127.0.0.1")
        assert set((await outbound.post(endpoint.url, {}, b"{}", LONG)).phases) == {"connect", "firstByte", "total"}


async def test_a_failure_tells_how_far_it_came(doors: Doors) -> None:
    async def mute(found: Peer, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await found.read(reader)
        await reader.read()

    outbound = doors(LOOPBACK, lookup=lambda host: {"here.example": ["127.0.0.1"], "private.example": ["10.0.0.1"]}[host])
    async with peer(mute) as endpoint:
        with pytest.raises(RequestFailed) as silent:
            await outbound.post(f"http://here.example:{endpoint.port}/", {}, b"{}", 0.3)
        assert (silent.value.address, set(silent.value.phases)) == ("127.0.0.1", {"lookup", "connect", "total"})
        assert silent.value.phases["total"] >= 250
    with pytest.raises(RequestFailed, match="refused the connection") as closed:
        await outbound.post(f"http://here.example:{endpoint.port}/", {}, b"{}", LONG)
    assert (closed.value.address, set(closed.value.phases)) == ("127.0.0.1", {"lookup", "total"})
    with pytest.raises(RefusedAddress) as refused:
        await outbound.post("http://private.example/", {}, b"{}", LONG)
    assert (refused.value.address, set(refused.value.phases), refused.value.tls) == (None, {"lookup", "total"}, None)


async def test_the_next_address_is_tried_where_one_refuses(doors: Doors) -> None:
    outbound = doors(LOOPBACK, lookup=lambda _: ["127.0.0.3", "127.0.0.2", "127.0.0.1"])
    async with peer(answer_of(b"ok")) as endpoint:
        with connects() as dialled:
            answer = await outbound.post(f"http://three.example:{endpoint.port}/", {}, b"{}", LONG)
        assert (answer.status, answer.address) == (200, "127.0.0.1")
        assert dialled == ["127.0.0.3", "127.0.0.2", "127.0.0.1"]


async def test_an_address_where_nobody_answers_leaves_time_for_the_next() -> None:
    """A listener whose queue is full takes no further connection, as a firewall that drops everything."""
    with socket.create_server(("127.0.0.2", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = []
        for _ in range(4):
            caller = socket.socket()
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.2", port))
            waiting.append(caller)
        outbound = Outbound(LOOPBACK, lookup=lambda _: ["127.0.0.2", "127.0.0.1"])
        async with peer(answer_of(b"ok"), port=port) as endpoint:
            answer = await outbound.post(f"http://two.example:{endpoint.port}/", {}, b"{}", 2.0)
        assert answer.address == "127.0.0.1"
        await outbound.aclose()
        for caller in waiting:
            caller.close()


async def test_an_answer_that_comes_before_the_request_was_read_counts() -> None:
    async def hasty(_: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer_of(b"", status="413 Content Too Large"))
        await asyncio.sleep(LONG)

    outbound = Outbound(LOOPBACK)
    async with peer(hasty) as endpoint:
        for number in range(2):
            assert (await outbound.post(endpoint.url, {}, bytes(30_000_000), LONG)).status == 413
            assert endpoint.connections == number + 1, "half a request is still under way on the first"
    await outbound.aclose()


async def test_the_connection_used_last_goes_first_and_the_oldest_is_closed_first() -> None:
    outbound = Outbound(LOOPBACK, lookup=anywhere)
    async with peer(answer_of(b"")) as endpoint:
        urls = [f"http://host{number}.example:{endpoint.port}/" for number in range(IDLE_CONNECTIONS + 10)]
        for url in urls:
            await outbound.post(url, {}, b"{}", LONG)
        await until(lambda: endpoint.open == IDLE_CONNECTIONS)
        for url in urls[10:]:
            await outbound.post(url, {}, b"{}", LONG)
        assert endpoint.connections == len(urls)
        await outbound.post(urls[0], {}, b"{}", LONG)
        assert endpoint.connections == len(urls) + 1
        await outbound.aclose()
        await until(lambda: endpoint.open == 0)


async def test_what_a_peer_says_unasked_ends_a_kept_connection() -> None:
    async def talks_on(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.read(reader)
        writer.write(answer_of(b"first"))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(answer_of(b"for the next request"))
        await reader.read()

    outbound = Outbound(LOOPBACK)
    async with peer(talks_on) as endpoint:
        for number in range(3):
            assert (await outbound.post(endpoint.url, {}, b"{}", LONG)).body == b"first"
            await until(lambda: endpoint.open == 0)
            assert endpoint.connections == number + 1
    await outbound.aclose()


async def test_who_speaks_before_being_asked_speaks_no_http() -> None:
    async def greets(_: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read()

    outbound = Outbound(LOOPBACK)
    async with peer(greets) as endpoint:
        for _ in range(5):
            with pytest.raises(RequestFailed, match="not HTTP"):
                await outbound.post(endpoint.url, {}, b"{}", LONG)
        await until(lambda: endpoint.open == 0)
    await outbound.aclose()


async def test_what_is_idle_for_long_is_closed() -> None:
    loop = asyncio.get_running_loop()
    lost: list[Connection] = []
    kept = Kept(loop, seconds=0.1, most=5)
    async with peer(answer_of(b"")) as endpoint:
        for _ in range(3):
            connection = Connection(loop, "http://peer:80", "127.0.0.1", lost.append)
            await loop.create_connection(lambda connection=connection: connection, "127.0.0.1", endpoint.port)  # type: ignore[misc]
            kept.put(connection)
        taken = kept.take("http://peer:80")
        assert taken is connection, "the one used last"
        await until(lambda: len(lost) == 2)
        assert taken.usable
        assert kept.take("http://peer:80") is None
        taken.close()
        await until(lambda: endpoint.open == 0)


async def test_a_header_of_the_transport_is_not_for_the_caller(doors: Doors) -> None:
    outbound = doors(LOOPBACK)
    for headers in ({"Host": "other.example"}, {"content-length": "1"}, {"Transfer-Encoding": "chunked"}, {"X y": "z"}, {"X": "a\0b"}, {"X\r\nY": "z"}):
        with pytest.raises(RequestFailed, match="can't be sent") as caught:
            await outbound.post("http://127.0.0.1:1234/", headers, b"{}", LONG)
        assert caught.value.code == "unsendable"


@pytest.mark.parametrize("client", ["own", "aiohttp"])
def test_the_loop_of_the_server_does_as_well(client: Any) -> None:
    async def resets(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")

    async def mute(_: Peer, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await reader.read()

    async def all_of_it() -> None:
        unheard: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        outbound = Outbound(LOOPBACK, client=client, lookup=anywhere)
        async with peer(answer_of(b"ok")) as good, peer(resets) as bad, peer(mute) as silent:
            posts = [outbound.post(good.url, {}, b"{}", LONG) for _ in range(50)]
            assert {answer.body for answer in await asyncio.gather(*posts)} == {b"ok"}
            connections = good.connections
            assert (await outbound.post(good.url, {}, b"{}", LONG)).body == b"ok"
            assert good.connections == connections
            with pytest.raises(RequestFailed, match="in the middle of its answer"):
                await outbound.post(bad.url, {}, b"{}", LONG)
            for scheme in ("http", "https"):
                with pytest.raises(RequestFailed, match=r"within 0\.2 s"):
                    await outbound.post(f"{scheme}://mute.example:{silent.port}/", {}, b"{}", 0.2)
            await until(lambda: silent.open == 0)
        await outbound.aclose()
        assert unheard == []

    uvloop.run(all_of_it())
