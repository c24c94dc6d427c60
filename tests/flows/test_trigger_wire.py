"""Trigger URLs over a real connection: whatever bytes come, there is an answer, never a 500, and nothing before the commit."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.flows.webhook_house import House
from tidings.store import syncs
from tidings.web.serve import bind, serve_app
from tidings.web.trigger_urls import Receive, Scope, Send, TriggerUrls


@contextlib.asynccontextmanager
async def serving(house: House) -> AsyncIterator[int]:
    listener, stop, listening = bind("127.0.0.1", 0), asyncio.Event(), asyncio.Event()
    urls = TriggerUrls(house.db, house.box, 0, stop)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await urls(scope, receive, send)
            return
        for done in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{done}.complete"})

    task = asyncio.create_task(serve_app(app, listener, stop, listening.set))
    await listening.wait()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        await task
        listener.close()


async def ask(port: int, request: bytes) -> bytes:
    """The status of the answer, b"" where the connection was closed without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        async with asyncio.timeout(60):
            line = await reader.readline()
    finally:
        writer.close()
    return line.split(b" ")[1] if line else b""


async def test_odd_requests(house: House) -> None:
    hook = await house.trigger_hook()
    path = hook.trigger_path.encode()
    base = path.rpartition(b"/")[0]
    async with serving(house) as port:
        for odd in (
            path + b"%00",
            path + b"%FF%FE",
            path + b"\xff\xfe",
            path + b"%",
            path + b"%zz",
            base + b"/" + b"a" * 100_000,
            base + b"/" + b"%61" * 30_000,
            b"/api/public/hooks/" + b"/" * 5_000,
            b"/api/public/hooks/%2e%2e/%2e%2e",
            base + b"/\xc3\xbc" * 20,
        ):
            status = await ask(port, b"GET " + odd + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            assert status == (b"404" if odd.isascii() else b"400"), odd[:80]
        for query in (
            b"ref=%00&wait=%00",
            b"ref=%ff%fe",
            b"&&&=&=",
            b"ref=" + b"x" * 40_000,
            b"ref=" + b"x" * 100_000,
            b"ref=" + b"x" * 70_000 + b"&ref=last",
            b"wait=-1e400&ref=%F0%9F%98%80",
            b"%",
        ):
            status = await ask(port, b"GET " + path + b"?" + query + b" HTTP/1.1\r\nHost: x\r\nUser-Agent: \xff\xfe\r\n\r\n")
            assert status == b"200", query
        assert await ask(port, b"HEAD " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n") == b"405"
        assert await ask(port, b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000) == b"413"
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        assert await ask(port, b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 20 + b"0\r\n\r\n") == b"413"
        assert await ask(port, b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 2 + b"0\r\n\r\n") == b"200"
    (queued,) = await house.queued()
    refs = (await house.db.read(syncs.get, house.workspace_id, queued.id)).refs
    assert {"x" * 200, "last"} <= set(refs)


async def test_a_body_that_is_too_large_is_refused_before_it_comes(house: House) -> None:
    line = (await house.trigger_hook()).trigger_path.encode()
    head = b"POST " + line + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n"
    async with serving(house) as port:
        assert await ask(port, head + b"\r\nthe first bytes of it") == b"413"
        assert await ask(port, head + b"Expect: 100-continue\r\n\r\n") == b"413"  # curl asks so
        chunked = b"POST " + line + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert await ask(port, chunked + b"100001\r\n" + b"x" * 0x100001 + b"\r\n") == b"413"
    assert await house.queued() == []
