"""The guarded proxy, asked by the clients that connectors' libraries use, and by hand where those are too polite."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest
import requests
from cryptography import x509

from tests.certificates import server_context, trusting_context
from tests.pure.outbound_peers import LOOPBACK, Peer, answer_of, connects, peer, until
from tidings.errors import RefusedAddress, RequestFailed
from tidings.outbound import Outbound, told_by_proxy
from tidings.outbound import proxy as tuning

Get = Callable[[str, str, ssl.SSLContext | None], Awaitable[bytes]]


async def by_httpx(proxy: str, url: str, tls: ssl.SSLContext | None) -> bytes:
    async with httpx.AsyncClient(proxy=proxy, verify=tls or False, trust_env=False) as client:
        return (await client.get(url)).raise_for_status().content


async def by_aiohttp(proxy: str, url: str, tls: ssl.SSLContext | None) -> bytes:
    async with aiohttp.ClientSession(raise_for_status=True) as client, client.get(url, proxy=proxy, ssl=tls or False) as answer:
        return await answer.read()


class Trusting(requests.adapters.HTTPAdapter):
    def __init__(self, tls: ssl.SSLContext) -> None:
        self.tls = tls
        super().__init__()

    def proxy_manager_for(self, proxy: str, **options: object) -> object:
        return super().proxy_manager_for(proxy, ssl_context=self.tls, **options)


async def by_requests(proxy: str, url: str, tls: ssl.SSLContext | None) -> bytes:
    def get() -> bytes:
        with requests.Session() as session:
            session.trust_env = False
            session.proxies = {"http": proxy, "https": proxy}
            if tls is not None:
                session.mount("https://", Trusting(tls))
            answer = session.get(url, timeout=20)
            answer.raise_for_status()
            return answer.content

    return await asyncio.to_thread(get)


@pytest.fixture(params=[by_httpx, by_aiohttp, by_requests])
def get(request: pytest.FixtureRequest) -> Get:
    """Each client that a connector's library opens its connections with."""
    return request.param  # type: ignore[no-any-return]


def anywhere(_: str) -> list[str]:
    return ["127.0.0.1"]


@asynccontextmanager
async def proxy_url(outbound: Outbound) -> AsyncIterator[str]:
    try:
        yield (await outbound.proxy()).url
    finally:
        await outbound.aclose()


async def by_hand(proxy: str, request: bytes) -> bytes:
    """All that comes back; `%auth%` stands for the credential."""
    parts = urlsplit(proxy)
    credential = httpx.BasicAuth(parts.username or "", parts.password or "")._auth_header  # noqa: SLF001 - as any client writes it
    reader, writer = await asyncio.open_connection("127.0.0.1", parts.port)
    writer.write(request.replace(b"%auth%", b"Proxy-Authorization: " + credential.encode()))
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_client_reaches_by_name_what_the_guard_lets_through(get: Get, tmp_path: Path) -> None:
    body = b"x" * 300_000
    async with (
        proxy_url(Outbound(LOOPBACK, lookup=anywhere)) as proxy,
        peer(answer_of(body)) as plain,
        peer(answer_of(body), server_context(tmp_path, [x509.DNSName("some.example")])) as secure,
    ):
        for _ in range(2):
            assert await get(proxy, f"http://some.example:{plain.port}/a%20b?q=1", None) == body
            assert await get(proxy, f"https://some.example:{secure.port}/", trusting_context()) == body
        head = plain.requests[0]
        assert head.startswith(b"GET /a%20b?q=1 HTTP/1.1\r\n")
        assert f"\r\nhost: some.example:{plain.port}\r\n".encode() in head.lower()
        assert b"proxy" not in head.lower(), "the credential stays in the house"
        assert (plain.connections, b"\r\nconnection: close\r\n" in head.lower()) == (2, True)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_guard_refuses_and_the_client_can_say_why(get: Get, scheme: str) -> None:
    """Names that lead inwards, addresses, metadata and ports of other services; nothing is dialled but the proxy itself."""
    inwards = {"inside.example": "is a private address", "meta.example": "credentials"}
    outbound = Outbound(lookup=lambda host: {"inside.example": ["93.184.216.34", "10.0.0.8"], "meta.example": ["169.254.169.254"]}[host])
    async with proxy_url(outbound) as proxy, peer(answer_of(b"canary")) as canary:
        for place, said in [
            (f"127.0.0.1:{canary.port}", "127.0.0.1 is a loopback address. Ask the operator to add 127.0.0.0/8 to TIDINGS_ALLOWED_NETWORKS."),
            ("inside.example", "inside.example resolves to 10.0.0.8, a private address. Ask the operator to add 10.0.0.0/8 to TIDINGS_ALLOWED_NETWORKS."),
            ("meta.example", inwards["meta.example"]),
            ("93.184.216.34:25", "Port 25 is not for HTTP"),
            (urlsplit(proxy).netloc.rpartition("@")[2], "127.0.0.1 is a loopback address"),
        ]:
            with connects() as dialled, pytest.raises(Exception, match="403") as caught:
                await get(proxy, f"{scheme}://{place}/", None)
            told = told_by_proxy(caught.value)
            assert isinstance(told, RefusedAddress)
            assert said in str(told)
            assert str(told).endswith(".")
            assert set(dialled) == {"127.0.0.1"}
        assert canary.connections == 0


async def test_what_can_t_be_reached_is_told(get: Get) -> None:
    async with proxy_url(Outbound(LOOPBACK, lookup=anywhere)) as proxy:
        async with peer(b"") as gone:
            port = gone.port
        for scheme in ("http", "https"):
            with pytest.raises(Exception, match="502") as caught:
                await get(proxy, f"{scheme}://some.example:{port}/", None)
            told = told_by_proxy(caught.value)
            assert isinstance(told, RequestFailed)
            assert str(told) == f"some.example:{port} refused the connection: nothing listens there."


async def test_an_error_of_the_other_side_is_not_the_proxy_s(get: Get) -> None:
    async with proxy_url(Outbound(LOOPBACK)) as proxy, peer(answer_of(b"no", status="403 Forbidden")) as endpoint:
        with pytest.raises(Exception, match="403") as caught:
            await get(proxy, endpoint.url, None)
        assert told_by_proxy(caught.value) is None


@pytest.mark.parametrize("credential", ["", "Proxy-Authorization: Basic dGlkaW5nczpndWVzcw==\r\n"])
async def test_who_does_not_know_the_secret_is_not_served(credential: str) -> None:
    async with proxy_url(Outbound(LOOPBACK)) as proxy, peer(answer_of(b"canary")) as canary:
        for request in (f"CONNECT 127.0.0.1:{canary.port}", f"GET http://127.0.0.1:{canary.port}/"):
            answer = await by_hand(proxy, f"{request} HTTP/1.1\r\nHost: 127.0.0.1\r\n{credential}\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 407 ")
            assert b"proxy-authenticate: basic" in answer.lower()
        assert canary.connections == 0


async def test_a_second_request_on_a_plain_connection_goes_nowhere() -> None:
    """It might be meant for another host, with that host's credentials in it."""
    async with proxy_url(Outbound(LOOPBACK)) as proxy, peer(answer_of(b"first")) as first, peer(answer_of(b"second")) as second:
        requests = b"".join(f"GET http://127.0.0.1:{one.port}/ HTTP/1.1\r\nHost: other\r\n%auth%\r\n\r\n".encode() for one in (first, second))
        answer = await by_hand(proxy, requests)
        assert (answer.count(b"HTTP/1.1 200"), answer.endswith(b"first")) == (1, True)
        assert (len(first.requests), second.connections) == (1, 0)
        assert f"host: 127.0.0.1:{first.port}\r\n".encode() in first.requests[0].lower()


async def test_bodies_pass_both_ways_in_either_framing() -> None:
    async def echo(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"chunked" in head.lower():
            await reader.readuntil(b"0\r\n\r\n")
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nchunk\r\n0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.0 207 Multi-Status\r\n\r\n" + await reader.readexactly(10))
        await writer.drain()
        writer.close()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    async with proxy_url(Outbound(LOOPBACK)) as proxy, peer(echo) as endpoint, httpx.AsyncClient(proxy=proxy) as client:
        sized = await client.request("PROPFIND", endpoint.url, content=b"0123456789", headers={"Expect": "100-continue"})
        assert (sized.status_code, sized.content) == (207, b"0123456789")
        assert (await client.post(endpoint.url, content=pieces())).content == b"chunk"


@pytest.mark.parametrize("request_", [b"\x16\x03\x01 is TLS\r\n\r\n", b"GET /relative HTTP/1.1\r\nHost: x\r\n%auth%\r\n\r\n", b"A" * 70_000])
async def test_what_is_no_request_for_a_proxy_is_not_served(request_: bytes) -> None:
    async with proxy_url(Outbound(LOOPBACK)) as proxy:
        answer = await by_hand(proxy, request_)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 403 (Tidings) The URL has to begin with")


async def test_an_answer_that_breaks_off_is_not_a_whole_one(get: Get) -> None:
    async def half(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    async with proxy_url(Outbound(LOOPBACK)) as proxy, peer(half) as endpoint:
        with pytest.raises((httpx.TransportError, aiohttp.ClientError, requests.RequestException)):
            await get(proxy, endpoint.url, None)


async def test_idle_and_unfinished_connections_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "IDLE_SECONDS", 0.2)
    monkeypatch.setattr(tuning, "HEAD_SECONDS", 0.2)

    async def mute(found: Peer, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with proxy_url(Outbound(LOOPBACK)) as proxy, peer(mute) as endpoint:
        assert await by_hand(proxy, b"GET http://") == b""
        assert await by_hand(proxy, f"CONNECT 127.0.0.1:{endpoint.port} HTTP/1.1\r\nHost: x\r\n%auth%\r\n\r\n".encode()) == b"HTTP/1.1 200 Connected\r\n\r\n"
        await until(lambda: endpoint.open == 0)


async def test_a_tunnel_carries_what_comes_with_the_request_and_ends_with_either_side() -> None:
    async def upper(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readexactly(5)).upper())
        await writer.drain()
        writer.close()

    async with proxy_url(Outbound(LOOPBACK)) as proxy, peer(upper) as endpoint:
        answer = await by_hand(proxy, f"CONNECT 127.0.0.1:{endpoint.port} HTTP/1.1\r\nHost: x\r\n%auth%\r\n\r\nearly".encode())
        assert answer == b"HTTP/1.1 200 Connected\r\n\r\nEARLY"


async def test_connections_are_bounded_and_end_with_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "CONNECTIONS", 2)

    async def mute(found: Peer, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    outbound = Outbound(LOOPBACK)
    proxy = (await outbound.proxy()).url
    assert (await outbound.proxy()).url == proxy, "one for all"
    async with peer(mute) as endpoint:
        request = f"CONNECT 127.0.0.1:{endpoint.port} HTTP/1.1\r\nHost: x\r\n%auth%\r\n\r\n".encode()
        held = [asyncio.create_task(by_hand(proxy, request)) for _ in range(2)]
        await until(lambda: endpoint.open == 2)
        assert (await by_hand(proxy, request)).startswith(b"HTTP/1.1 503 (Tidings) There are 2 connections under way already.")
        await outbound.aclose()
        assert await asyncio.gather(*held) == [b"HTTP/1.1 200 Connected\r\n\r\n"] * 2
        await until(lambda: endpoint.open == 0)
    with pytest.raises(ConnectionRefusedError):
        await by_hand(proxy, request)
