"""TLS: certificates are checked, and what is wrong with one is said."""

import asyncio
import datetime as dt
import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
import uvloop
from cryptography import x509

from tests.certificates import DAY, NOW, server_context, trusting_context
from tests.pure.outbound_peers import LOOPBACK, Doors, Peer, answer_of, peer
from tidings.errors import RequestFailed
from tidings.outbound import Outbound


@pytest.fixture
def trusting() -> ssl.SSLContext:
    return trusting_context()


@pytest.mark.parametrize(
    ("name", "since", "said"),
    [
        ("right.example", NOW - DAY, None),
        ("right.example", NOW - 3 * DAY, "has expired"),
        ("right.example", NOW + DAY, "is not valid yet"),
        ("wrong.example", NOW - DAY, "is made out to another name"),
    ],
)
async def test_certificates(  # noqa: PLR0917 - parameters and fixtures
    name: str, since: dt.datetime, said: str | None, doors: Doors, client: str, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    outbound = doors(LOOPBACK, lookup=lambda _: ["127.0.0.1"], tls=trusting)
    async with peer(answer_of(b"ok"), server_context(tmp_path, [x509.DNSName(name)], since)) as endpoint:
        url = f"https://right.example:{endpoint.port}/"
        if said is None:
            first, second = [await outbound.post(url, {}, b"{}", 20) for _ in range(2)]
            assert (first.body, second.body, endpoint.connections) == (b"ok", b"ok", 1)
            assert set(first.phases) - {"tls"} == {"lookup", "connect", "firstByte", "total"}
            assert ("tls" in first.phases) is (client == "own"), "aiohttp counts the handshake as connecting"
            assert set(second.phases) == {"firstByte", "total"}
            until = int((since + 2 * DAY).timestamp()) * 1_000_000
            assert (first.tls, first.certificate_until) == (second.tls, second.certificate_until) == ("TLSv1.3", until)
        else:
            with pytest.raises(RequestFailed, match=rf"The TLS certificate of right\.example:{endpoint.port} {said}\.") as caught:
                await outbound.post(url, {}, b"{}", 20)
            assert caught.value.code == "tls"
            assert (caught.value.address, endpoint.requests) == ("127.0.0.1", [])


async def test_an_authority_that_nobody_knows_is_not_trusted(doors: Doors, tmp_path: Path) -> None:
    outbound = doors(LOOPBACK)
    async with peer(answer_of(b"ok"), server_context(tmp_path, [x509.IPAddress(ip_address("127.0.0.1"))])) as endpoint:
        with pytest.raises(RequestFailed, match="signed by an authority that this machine does not"):
            await outbound.post(f"https://127.0.0.1:{endpoint.port}/", {}, b"{}", 20)
        assert endpoint.requests == []


async def test_a_peer_that_hangs_up_in_the_handshake_is_said(trusting: ssl.SSLContext) -> None:
    async def hangs_up(_: Peer, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await reader.read(1)

    outbound = Outbound(LOOPBACK, lookup=lambda _: ["127.0.0.1"], tls=trusting)
    async with peer(hangs_up) as endpoint:
        with pytest.raises(RequestFailed, match=r"No TLS connection with .* came about: it closed the connection in the middle of the handshake") as caught:
            await outbound.post(f"https://right.example:{endpoint.port}/", {}, b"{}", 20)
        assert (caught.value.code, set(caught.value.phases)) == ("tls", {"lookup", "connect", "total"})
    await outbound.aclose()


def test_tls_in_the_loop_of_the_server(trusting: ssl.SSLContext, tmp_path: Path) -> None:
    async def ask() -> None:
        outbound = Outbound(LOOPBACK, lookup=lambda _: ["127.0.0.1"], tls=trusting)
        async with peer(answer_of(b"ok"), server_context(tmp_path, [x509.DNSName("*.hooks.example")])) as endpoint:
            for host in ("a.hooks.example", "b.hooks.example", "a.hooks.example"):
                answer = await outbound.post(f"https://{host}:{endpoint.port}/", {}, b"{}", 20)
                assert (answer.body, answer.tls, answer.certificate_until is not None) == (b"ok", "TLSv1.3", True)
            assert endpoint.connections == 2
            with pytest.raises(RequestFailed, match="is made out to another name"):
                await outbound.post(f"https://other.test:{endpoint.port}/", {}, b"{}", 20)
        await outbound.aclose()

    uvloop.run(ask())
