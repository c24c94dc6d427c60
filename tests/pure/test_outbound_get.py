"""What connectors read through the door: whole bodies within bounds, redirects told and not followed, the guard on each request."""

import contextlib
import gzip
import itertools
import secrets
import zlib
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.outbound_peers import LOOPBACK, Doors, answer_of, connects, peer, reset, until
from tidings.errors import RefusedAddress, RequestFailed
from tidings.outbound.body import Body
from tidings.outbound.failures import Malformed

LONG, LIMIT = 20.0, 1 << 20


async def test_a_body_comes_back_whole_as_bytes_with_its_headers(doors: Doors) -> None:
    body = secrets.token_bytes(300_000)
    packed = gzip.compress(body)
    async with peer(answer_of(packed, "Content-Encoding: gzip", 'ETag: W/"a"', "Content-Type: text/html; charset=latin-1")) as endpoint:
        outbound = doors(LOOPBACK)
        got = await outbound.get(endpoint.url, {"User-Agent": "Tidings/test", "If-None-Match": '"x"'}, limit=LIMIT, timeout=LONG)
        assert (got.status, got.body) == (200, body)
        assert got.headers["etag"] == 'W/"a"'
        assert got.headers["content-type"] == "text/html; charset=latin-1"
        await outbound.get(endpoint.url, {}, limit=LIMIT, timeout=LONG)
        assert endpoint.connections == 1
        first = endpoint.requests[0].decode()
        assert first.startswith("GET /hook HTTP/1.1\r\n")
        assert {"Accept-Encoding: gzip, deflate", "User-Agent: Tidings/test", 'If-None-Match: "x"'} <= set(first.split("\r\n"))
        assert "Cookie" not in first


async def test_a_redirect_is_told_and_not_followed(doors: Doors) -> None:
    async with peer(answer_of(b"", "Location: http://169.254.169.254/", "Set-Cookie: a=b", status="302 Found")) as endpoint:
        outbound = doors(LOOPBACK)
        with connects() as dialled:
            got = await outbound.get(endpoint.url, {}, limit=LIMIT, timeout=LONG)
            assert (got.status, got.headers["location"]) == (302, "http://169.254.169.254/")
            with pytest.raises(RefusedAddress, match="metadata"):
                await outbound.get(got.headers["location"], {}, limit=LIMIT, timeout=LONG)
        assert dialled == ["127.0.0.1"]
        await outbound.get(endpoint.url, {}, limit=LIMIT, timeout=LONG)
        assert b"Cookie" not in endpoint.requests[-1]


async def test_the_guard_and_our_own_address_are_asked(doors: Doors) -> None:
    async with peer(answer_of(b"secret")) as endpoint:
        for outbound in (doors(), doors(LOOPBACK, own={("127.0.0.1", endpoint.port)}), doors((ip_network("10.0.0.0/8"),), lookup=lambda _: ["127.0.0.1"])):
            for url in (endpoint.url, f"http://rebinding.example:{endpoint.port}/"):
                with pytest.raises((RefusedAddress, RequestFailed)):
                    await outbound.get(url, {}, limit=LIMIT, timeout=LONG)
        assert endpoint.connections == 0


@pytest.mark.parametrize(("encoding", "body"), [("identity", bytes(2 * LIMIT)), ("gzip", gzip.compress(bytes(2 * LIMIT)))], ids=["plain", "packed"])
async def test_a_body_over_the_bound_is_dropped_on_the_way(doors: Doors, encoding: str, body: bytes) -> None:
    """The answer says 1 GB, or unpacks to much; the connection is gone long before its end."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {10**9}\r\nContent-Encoding: {encoding}\r\n\r\n".encode()
    async with peer(head + body) as endpoint:
        with pytest.raises(RequestFailed, match="larger than 1 MB") as caught:
            await doors(LOOPBACK).get(endpoint.url, {}, limit=LIMIT, timeout=LONG)
        assert caught.value.code == "too_large"
        await until(lambda: endpoint.open == 0)


async def test_one_deadline_ends_what_trickles(doors: Doors) -> None:
    async def trickle(_: object, reader: object, writer: object) -> None:
        await endpoint.read(reader)  # type: ignore[arg-type]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nab")  # type: ignore[attr-defined]
        await reader.read()  # type: ignore[attr-defined]

    async with peer(trickle) as endpoint:
        with pytest.raises(RequestFailed, match="did not end it within") as caught:
            await doors(LOOPBACK).get(endpoint.url, {}, limit=LIMIT, timeout=0.3)
        assert caught.value.code == "timeout"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nabc", "closed the connection in the middle of its answer"),
        (answer_of(gzip.compress(b"a" * 9000)[:-20], "Content-Encoding: gzip"), "was cut off"),
        (answer_of(gzip.compress(b"abc")[:-8] + bytes(8), "Content-Encoding: gzip"), "is damaged"),
        (answer_of(b"abc", "Content-Encoding: br"), "'br', which was not asked for"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
    ],
    ids=["cut", "cut inside", "damaged", "unasked", "no HTTP"],
)
async def test_half_an_answer_is_none(doors: Doors, answer: bytes, said: str) -> None:
    async with peer(answer) as endpoint:
        with pytest.raises(RequestFailed, match=said) as caught:
            await doors(LOOPBACK).get(endpoint.url, {}, limit=LIMIT, timeout=LONG)
        assert caught.value.code == "broken"


async def test_a_connection_that_is_reset_is_an_error_with_a_sentence(doors: Doors) -> None:
    async def hang_up(_: object, reader: object, writer: object) -> None:
        await endpoint.read(reader)  # type: ignore[arg-type]
        reset(writer)  # type: ignore[arg-type]

    async with peer(hang_up) as endpoint:
        with pytest.raises(RequestFailed, match="closed the connection without an answer"):
            await doors(LOOPBACK).get(endpoint.url, {}, limit=LIMIT, timeout=LONG)


def unpacked(encoding: str, packed: bytes, places: list[int], limit: int) -> bytes:
    """What a body comes to that arrives cut at these places."""
    body = Body(encoding, limit)
    marks = sorted({0, len(packed), *(place % (len(packed) + 1) for place in places)})
    for start, end in itertools.pairwise(marks):
        body.feed(packed[start:end])
    return body.whole()


@given(parts=st.lists(st.binary(max_size=5000), min_size=1, max_size=3), places=st.lists(st.integers(0, 2**20), max_size=8), spare=st.integers(0, 10))
def test_in_whatever_pieces_it_comes_a_body_is_the_same(parts: list[bytes], places: list[int], spare: int) -> None:
    content = b"".join(parts)
    limit = len(content) + spare
    assert unpacked("", content, places, limit) == content
    assert unpacked("gzip", b"".join(map(gzip.compress, parts)), places, limit) == content
    assert unpacked("deflate", zlib.compress(content), places, limit) == content
    assert unpacked("gzip", gzip.compress(content) + b"\0\0\0", places, limit) == content
    for encoding, packed in (("", content), ("gzip", gzip.compress(content))):
        if content:
            with pytest.raises(RequestFailed, match="larger"):
                unpacked(encoding, packed, places, len(content) - 1)


def test_a_careless_server_is_understood() -> None:
    bare = zlib.compressobj(wbits=-15)
    assert unpacked("deflate", bare.compress(b"hello") + bare.flush(), [], 100) == b"hello"
    assert unpacked("gzip", b"not compressed at all", [], 100) == b"not compressed at all"
    assert unpacked("gzip", b"", [], 100) == b""


@given(packed=st.binary(max_size=2000), places=st.lists(st.integers(0, 2**20), max_size=8))
def test_whatever_bytes_come_are_bounded(packed: bytes, places: list[int]) -> None:
    with contextlib.suppress(Malformed, RequestFailed):
        assert len(unpacked("gzip", packed, places, 1000)) <= 1000
