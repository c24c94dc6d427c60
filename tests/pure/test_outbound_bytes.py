"""Whatever bytes come, in whatever pieces: an answer or a failure, within bounds; and what is well-formed comes back exactly."""

import asyncio
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pure.outbound_peers import LOOPBACK, Peer, peer
from tidings.errors import RequestFailed
from tidings.outbound import Answer, Outbound
from tidings.outbound.answer import KEPT_HEADER_BYTES, LEFT_OUT, Journey
from tidings.outbound.connection import HEAD_BYTES, WIRE_BYTES, Connection
from tidings.outbound.excerpt import KEPT_BYTES
from tidings.outbound.failures import Malformed


class Wire(asyncio.Transport):
    """The other end of a connection, in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent.append(bytes(data))

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0


@dataclass
class Outcome:
    """What became of an exchange, and whether the connection goes on."""

    answer: Answer | None
    error: BaseException | None
    kept: bool


def received(pieces: Sequence[bytes], *, then: Exception | None = None) -> Outcome:
    """Feeds an answer; when there is no more, the connection is lost, by an error or without one."""
    loop = asyncio.new_event_loop()
    try:
        wire, connection = Wire(), Connection(loop, "http://peer:80", "192.0.2.1", lambda _: None)
        connection.connection_made(wire)
        under_way = connection.exchange(b"POST", Journey())
        assert wire.sent == [b"POST"]
        for piece in pieces:
            if not wire.closed:
                connection.data_received(piece)
        kept = connection.usable
        connection.connection_lost(then)
        assert under_way.done()
        error = under_way.exception()
        return Outcome(None if error else under_way.result(), error, kept)
    finally:
        loop.close()


def cut(whole: bytes, places: list[int]) -> list[bytes]:
    """The pieces between these places."""
    marks = sorted({0, len(whole), *(place % (len(whole) + 1) for place in places)})
    return [whole[start:end] for start, end in pairwise(marks)]


PLACES = st.lists(st.integers(0, 2**20), max_size=12)
FRAGMENTS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"HTTP/1.1 200 OK\r\n",
                b"HTTP/1.0 500 Oh\r\n",
                b"HTTP/1.1 204 No\r\n",
                b"HTTP/1.1 103 Early\r\n\r\n",
                b"HTTP/1.1 101 Switch\r\n",
                b"Content-Length: 5\r\n",
                b"Content-Length: 99999999999999999999\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Transfer-Encoding: gzip\r\n",
                b"Connection: close\r\n",
                b"Connection: upgrade\r\nUpgrade: h2c\r\n",
                b"X: " + b"y" * 500 + b"\r\n",
                b"\r\n",
                b"\n",
                b"5\r\nhello\r\n",
                b"5;a=b\r\nhello\r\n",
                b"0\r\n",
                b"0\r\nTrailer: x\r\n\r\n",
                b"hello",
            ]
        ),
        st.binary(max_size=20),
    ),
    max_size=14,
).map(b"".join)


@given(FRAGMENTS, PLACES, st.sampled_from([None, ConnectionResetError()]))
@settings(max_examples=600)
def test_any_bytes_come_to_an_end_however_they_are_cut(whole: bytes, places: list[int], then: Exception | None) -> None:
    outcome, at_once = received(cut(whole, places), then=then), received([whole] if whole else [], then=then)
    if outcome.answer is None:
        assert isinstance(outcome.error, OSError | Malformed)
        assert type(at_once.error) is type(outcome.error)
    else:
        assert at_once.answer is not None
        assert (outcome.answer.status, outcome.answer.headers, outcome.answer.body) == (at_once.answer.status, at_once.answer.headers, at_once.answer.body)
        assert set(outcome.answer.phases) == {"firstByte", "total"}
        assert outcome.answer.status >= 200


@given(st.sampled_from([b"", b"gzip", b"deflate"]), st.lists(st.binary(max_size=9000), max_size=12))
def test_any_body_stays_within_bounds(coding: bytes, pieces: list[bytes]) -> None:
    answer = received([b"HTTP/1.1 200 OK\r\nContent-Encoding: " + coding + b"\r\n\r\n", *pieces]).answer
    assert answer is not None
    assert len(answer.body) <= KEPT_BYTES


TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_!#$%&'*+.^`|~", min_size=1, max_size=12)
VALUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, Answer, bool]:
    """A well-formed answer as bytes, what has to come of it, and whether the connection goes on."""
    status = draw(st.integers(200, 599))
    names = draw(st.lists(TOKEN.filter(lambda name: name.lower() not in FRAMING), max_size=6, unique_by=str.lower))
    lines = [(name, draw(VALUE)) for name in names]
    body = draw(st.binary(max_size=300)) * draw(st.integers(1, 60)) if status not in {204, 304} else b""
    sent = body
    if draw(st.booleans()):
        sent = gzip.compress(body) if body else b""
        lines.append(("Content-Encoding", "gzip"))
    framing = draw(st.sampled_from(["length", "chunked", "trailers", "end"])) if status not in {204, 304} else "none"
    if framing == "length":
        lines.append(("Content-Length", str(len(sent))))
    elif framing in {"chunked", "trailers"}:
        lines.append(("Transfer-Encoding", "chunked"))
        chunks = cut(sent, draw(PLACES))
        sent = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), draw(st.sampled_from([b"", b";a=b"])), chunk) for chunk in chunks)
        sent += b"0\r\nA-Trailer: x\r\n\r\n" if framing == "trailers" else b"0\r\n\r\n"
    before = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * draw(st.integers(0, 3))
    head = f"HTTP/1.1 {status} {draw(VALUE)}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines) + "\r\n"
    expected = Answer(status, {name.lower(): value for name, value in lines}, body[:KEPT_BYTES], len(body) > KEPT_BYTES, 0, "192.0.2.1", {}, None, None)
    return before + head.encode() + sent, expected, framing in {"length", "chunked", "none"} and not expected.truncated


FRAMING = {"content-length", "transfer-encoding", "connection", "content-encoding", "upgrade", "proxy-connection"}


@given(answers(), PLACES)
@settings(max_examples=300)
def test_what_is_well_formed_comes_back_exactly(drawn: tuple[bytes, Answer, bool], places: list[int]) -> None:
    whole, expected, kept = drawn
    outcome = received(cut(whole, places))
    assert outcome.error is None
    assert outcome.answer is not None
    assert outcome.answer._replace(phases={}, duration_ms=0) == expected
    assert outcome.kept is kept


@given(FRAGMENTS, PLACES)
@settings(max_examples=30)
@pytest.mark.parametrize("client", ["own", "aiohttp"])
def test_whatever_a_peer_sends_it_is_an_answer_or_a_failure(client: Any, whole: bytes, places: list[int]) -> None:
    async def sends(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.read(reader)
        for piece in cut(whole, places):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    async def ask() -> None:
        unheard: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        outbound = Outbound(LOOPBACK, client=client)
        async with peer(sends) as endpoint:
            for _ in range(2):
                try:
                    answer = await outbound.post(endpoint.url, {}, b"{}", 20)
                except RequestFailed as error:
                    assert error.code == "broken"  # noqa: PT017 - either will do
                else:
                    assert len(answer.body) <= KEPT_BYTES
        await outbound.aclose()
        assert unheard == []

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"], "Transfer-Encoding can't be present"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"], "Content-Length can't be present"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"], "Duplicate Content-Length"),
        ([b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"], "nobody asked for a 101"),
        ([b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n"], "nobody asked for a 099"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_BYTES], "64 KiB are the most"),
        ([b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * HEAD_BYTES + b"\r\n"], "64 KiB are the most"),
        ([b"HTTP/1.1 103 Early Hints\r\n\r\n"] * 3000, "64 KiB are the most"),
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], "Expected HTTP/"),
    ],
    ids=["length and chunks", "chunks and length", "two lengths", "another protocol", "no status", "long header", "many headers", "many hints", "no HTTP"],
)
def test_what_is_no_answer_is_refused(pieces: list[bytes], said: str) -> None:
    outcome = received(pieces)
    assert isinstance(outcome.error, Malformed)
    assert said in str(outcome.error)
    assert not outcome.kept


def test_what_comes_behind_an_answer_ends_the_connection_and_not_the_answer() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    for behind in (b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"HT"):
        for pieces in ([whole + behind], [whole, behind]):
            outcome = received(pieces)
            assert outcome.answer is not None
            assert (outcome.answer.body, outcome.answer.headers, outcome.kept) == (b"ok", {"content-length": "2"}, False)
    assert received([whole]).kept


def test_an_answer_that_is_cut_off_is_none() -> None:
    for start in (
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ):
        assert isinstance(received([start] if start else []).error, ConnectionError)
    until_the_end = b"HTTP/1.1 200 OK\r\n\r\nabc"
    assert isinstance(received([until_the_end], then=ConnectionResetError()).error, ConnectionResetError)
    answer = received([until_the_end]).answer
    assert answer is not None
    assert answer.body == b"abc"


def test_a_large_answer_in_one_piece_is_read_on_behind_its_head() -> None:
    for size in (HEAD_BYTES - 100, HEAD_BYTES, HEAD_BYTES + 1, 4 * HEAD_BYTES):
        packed = gzip.compress(bytes(size), compresslevel=0)
        answer = received([b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(packed), packed)]).answer
        assert answer is not None
        assert (answer.body, answer.truncated) == (bytes(KEPT_BYTES), True)
    head = b"HTTP/1.1 200 OK\r\nX: " + b"x" * (HEAD_BYTES - 100) + b"\r\nContent-Length: 9000\r\n\r\n"
    outcome = received([head + b"y" * 9000])
    assert outcome.answer is not None
    assert (outcome.answer.body, outcome.kept) == (b"y" * 9000, True)


def test_what_frames_a_body_has_a_bound_too() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
    for endless in (b"1;" + b"x" * WIRE_BYTES, b"0\r\nTrailer: " + b"x" * WIRE_BYTES):
        answer = received([head, *(endless[start : start + 9000] for start in range(0, len(endless), 9000))]).answer
        assert answer is not None
        assert (answer.body, answer.truncated) == (b"ok", True)


def test_careless_servers_are_understood() -> None:
    answer = received([b"HTTP/1.1 200 OK\nX: a\0b\nY: c\r\n  d\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n"]).answer
    assert answer is not None
    assert (answer.body, answer.headers["x"], answer.headers["y"]) == (b"ok", "a\ufffdb", "c  d")
    many = received([b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 9000 + b"Content-Length: 0\r\n\r\n"]).answer
    assert many is not None
    assert sum(map(len, many.headers.values())) <= KEPT_HEADER_BYTES * 2
    assert list(many.headers) == ["a", LEFT_OUT]
    large = received([b"HTTP/1.1 200 OK\r\nA: b\r\nC: " + b"d" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n"]).answer
    assert large is not None
    assert large.headers == {"a": "b", LEFT_OUT: "more came; of headers the first 16 KiB are kept"}
