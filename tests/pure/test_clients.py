"""The clients that libraries are handed: through the guard, within bounds, their errors ours."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509

from tests.certificates import DAY, NOW, server_context, trusting_context
from tests.pure.outbound_peers import LOOPBACK, Peer, answer_of, peer
from tidings.errors import RefusedAddress, RequestFailed
from tidings.outbound import Outbound
from tidings.outbound import clients as tuning
from tidings.outbound.clients import httpx_client, requests_session

Get = Callable[[Outbound, str], Awaitable[tuple[int, bytes]]]


async def by_httpx(outbound: Outbound, url: str) -> tuple[int, bytes]:
    client = await httpx_client(outbound)
    async with client:
        answer = await client.get(url)
        return answer.status_code, answer.content


async def by_requests(outbound: Outbound, url: str) -> tuple[int, bytes]:
    session = await requests_session(outbound)
    with session:
        answer = await asyncio.to_thread(session.get, url, allow_redirects=True)
        return answer.status_code, answer.content


@pytest.fixture(params=[by_httpx, by_requests])
def get(request: pytest.FixtureRequest) -> Get:
    return request.param  # type: ignore[no-any-return]


@asynccontextmanager
async def door(*allowed: object, tls: ssl.SSLContext | None = None) -> AsyncIterator[Outbound]:
    outbound = Outbound(LOOPBACK if not allowed else (), lookup=lambda _: ["127.0.0.1"], tls=tls)
    try:
        yield outbound
    finally:
        await outbound.aclose()


async def test_answers_come_whatever_their_status(get: Get, tmp_path: Path) -> None:
    async with (
        door(tls=trusting_context()) as outbound,
        peer(answer_of(b"yes")) as plain,
        peer(answer_of(b"no", status="403 Forbidden"), server_context(tmp_path, [x509.DNSName("some.example")])) as secure,
    ):
        assert await get(outbound, plain.url) == (200, b"yes")
        assert await get(outbound, f"https://some.example:{secure.port}/") == (403, b"no")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_refusals_of_the_guard_are_ours(get: Get, scheme: str) -> None:
    async with door("nothing") as outbound, peer(answer_of(b"canary")) as canary:
        with pytest.raises(RefusedAddress, match=r"some\.example resolves to 127\.0\.0\.1, a loopback address\. Ask the operator to add 127"):
            await get(outbound, f"{scheme}://some.example:{canary.port}/")
        assert canary.connections == 0


async def test_what_can_t_be_reached_is_told(get: Get) -> None:
    async with door() as outbound:
        async with peer(b"") as gone:
            port = gone.port
        for scheme in ("http", "https"):
            with pytest.raises(RequestFailed, match=rf"some\.example:{port} refused the connection: nothing listens there\.") as caught:
                await get(outbound, f"{scheme}://some.example:{port}/")
            assert caught.value.code == "connect"


async def test_certificates_are_checked(get: Get, tmp_path: Path) -> None:
    for number, (tls, name, since, said) in enumerate(
        (
            (trusting_context(), "some.example", NOW - 3 * DAY, "has expired"),
            (trusting_context(), "other.example", NOW - DAY, "is made out to another name"),
            (None, "some.example", NOW - DAY, "is signed by an authority that this machine does not know"),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with door(tls=tls) as outbound, peer(answer_of(b"ok"), server_context(folder, [x509.DNSName(name)], since)) as endpoint:
            with pytest.raises(RequestFailed, match=rf"The TLS certificate of some\.example:{endpoint.port} {said}") as caught:
                await get(outbound, f"https://some.example:{endpoint.port}/")
            assert (caught.value.code, endpoint.requests) == ("tls", [])


async def test_an_answer_has_a_bound(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "ANSWER_BYTES", 1 << 20)

    async def endless(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with door() as outbound, peer(endless) as endpoint, peer(answer_of(b"x" * (1 << 20))) as just:
        with pytest.raises(RequestFailed, match=r"answered with more than 1 MiB"):
            await get(outbound, endpoint.url)
        assert await get(outbound, just.url) == (200, b"x" * (1 << 20))


async def test_an_answer_has_a_bound_after_unpacking_too(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "ANSWER_BYTES", 1 << 20)
    bomb = gzip.compress(bytes(2 << 20))
    async with door() as outbound, peer(answer_of(bomb, "Content-Encoding: gzip")) as endpoint:
        with pytest.raises(RequestFailed, match=r"more than 1 MiB|packed its answer although it was asked not to"):
            await get(outbound, endpoint.url)


async def test_silence_and_an_end_in_the_midst_are_told(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "SECONDS", 0.3)

    async def mute(found: Peer, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await found.read(reader)
        await reader.read()

    async def half(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()

    async with door() as outbound, peer(mute) as silent, peer(half) as broken:
        with pytest.raises(RequestFailed, match=r"gave no answer within 0\.3 s") as caught:
            await get(outbound, silent.url)
        assert caught.value.code == "timeout"
        with pytest.raises(RequestFailed, match=r"closed the connection"):
            await get(outbound, broken.url)


async def test_redirects_pass_the_guard_too() -> None:
    async with door() as outbound, peer(answer_of(b"", "Location: http://169.254.169.254/latest", status="302 Found")) as endpoint:
        with pytest.raises(RefusedAddress, match="credentials"):
            await by_requests(outbound, endpoint.url)
