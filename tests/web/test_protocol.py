"""Connections as clients, and those who are none, really use them: over sockets, through the server that `tidings serve` runs."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tidings.web.serve import bind, serve_app

UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: x\r\n" + UPGRADE
LAST = b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(b"<" + await request.body() + b">", headers={"x-upgrade": request.headers.get("upgrade", "none")})


async def slow(_request: Request) -> PlainTextResponse:
    await asyncio.sleep(2)
    return PlainTextResponse("slow")


@contextlib.asynccontextmanager
async def serving(patience: float = 60) -> AsyncIterator[socket.socket]:
    app = Starlette(routes=[Route("/echo", echo, methods=["GET", "POST"]), Route("/slow", slow)])
    listener, stop, listening = bind("127.0.0.1", 0), asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(serve_app(app, listener, stop, listening.set, patience))
    await listening.wait()
    try:
        yield listener
    finally:
        stop.set()
        await task
        listener.close()


async def said(listener: socket.socket, *pieces: bytes) -> bytes:
    """All that is answered to these pieces, one after the other, until the server closes."""
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    try:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.02)
        answer = bytearray()
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(60):
                while more := await reader.read(65_536):
                    answer += more
        return bytes(answer)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "pieces",
    [
        [POST + b"Content-Length: 5\r\n\r\nhello" + LAST],
        [POST + b"Content-Length: 5\r\n\r\n", b"hello", LAST],
        [POST + b"Content-Length: 5\r\n\r\nhe", b"llo" + LAST],
        [POST + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nhe\r\n", b"3\r\nllo\r\n0\r\n\r\n", LAST],
        [POST[:40], POST[40:] + b"Content-Length: 5\r\n\r\nhello", LAST],
    ],
)
async def test_a_wish_for_another_protocol_costs_no_body(pieces: list[bytes]) -> None:
    async with serving() as listener:
        answer = await said(listener, *pieces)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert b"<hello>" in answer
    assert b"<>" in answer  # the request behind it, on the same connection
    assert answer.count(b"x-upgrade: none") == 2


async def test_what_a_body_holds_is_never_a_request() -> None:
    inner = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving() as listener:
        answer = await said(listener, POST + b"Content-Length: %d\r\n\r\n" % len(inner), inner + LAST)
    assert b"<" + inner + b">" in answer
    assert b"\r\n\r\nslow" not in answer


async def test_many_wishes_in_one_piece_are_all_answered() -> None:
    async with serving() as listener:
        answer = await said(listener, (POST + b"Content-Length: 2\r\n\r\nhi") * 1_000 + LAST)
    assert answer.count(b"<hi>") == 1_000


async def test_no_tunnels() -> None:
    async with serving() as listener:
        assert (await said(listener, b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("before", [b"", b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"])
@pytest.mark.parametrize("piece", [b"a" * 65_536, b"X-Many: 1\r\n" * 6_000])
async def test_a_head_without_end_is_cut(before: bytes, piece: bytes) -> None:
    async with serving() as listener:
        taken = await _taken(listener, before + b"GET /echo HTTP/1.1\r\nHost: x\r\nX-One: ", piece, 256)
    assert taken < 256  # what fits in the buffers of the system is far less


async def test_a_large_head_within_the_bound_is_read() -> None:
    async with serving() as listener:
        pieces = [b"a" * 10_000 for _ in range(12)]
        answer = await said(listener, b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: ", *pieces, b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "owing",
    [
        b"",
        b"GET /echo HTTP/1.1\r\nHost: x\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe",
        b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\nGET /ec",
    ],
)
async def test_who_never_ends_a_request_is_not_waited_for(owing: bytes) -> None:
    async with serving(patience=0.5) as listener:
        answer = await said(listener, owing)  # returns because the server closes
    assert answer.count(b"HTTP/1.1") == owing.count(b"\r\n\r\nGET")


async def test_who_never_reads_an_answer_is_not_waited_for() -> None:
    async with serving(patience=1) as listener:
        with socket.create_connection(listener.getsockname()) as peer:
            peer.setblocking(False)
            loop = asyncio.get_running_loop()
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(60):
                    while True:  # until the server, which can't get rid of its answers, ends the connection
                        await loop.sock_sendall(peer, b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000)


async def test_who_drips_a_head_is_not_waited_for_either() -> None:
    async with serving(patience=0.5) as listener:
        assert await _taken(listener, b"GET ", b"a", 400, pause=0.05) < 400


async def test_who_waits_for_an_answer_or_sends_a_body_slowly_is_left_in_peace() -> None:
    async with serving(patience=1.5) as listener:
        answers = await asyncio.gather(
            said(listener, b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            _slowly(listener, b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"),
        )
    assert b"slow" in answers[0]
    assert b"<aaaaaa>" in answers[1]


async def _slowly(listener: socket.socket, head: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(head + b"Content-Length: 6\r\n\r\n")
    for _ in range(6):
        await asyncio.sleep(0.5)
        writer.write(b"a")
    answer = await reader.read()
    writer.close()
    return answer


async def _taken(listener: socket.socket, first: bytes, piece: bytes, most: int, pause: float = 0) -> int:
    """How many pieces can be sent before the server closes; at most so many are."""
    _reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(first)
    taken = 0
    with contextlib.suppress(ConnectionError):
        while taken < most:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
            taken += 1
    writer.close()
    return taken
