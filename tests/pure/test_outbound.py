"""The door to the network, against peers on loopback: what it refuses to dial, how it ends what does not end, what it keeps."""

import asyncio
import gzip
import secrets
import socket
import threading
import time
import zlib
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.pure.guard_urls import REFUSED
from tests.pure.outbound_peers import LOOPBACK, Doors, Peer, answer_of, connects, peer, reset, until
from tests.pure.test_guard import CLOTHED, SPECIAL
from tidings.errors import RefusedAddress, RequestFailed
from tidings.outbound import Outbound
from tidings.outbound.excerpt import KEPT_BYTES

HEADERS = {"Content-Type": "application/json", "User-Agent": "Tidings/test"}
SHORT, LONG = 0.4, 20.0


def nowhere(host: str) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, f"no {host}")


@pytest.fixture
async def door(doors: Doors) -> Outbound:
    return doors(LOOPBACK)


# What is refused ------------------------------------------------------------------------------------------------------------------------


async def test_no_hostile_url_leads_to_a_connection(doors: Doors) -> None:
    hosts = [*SPECIAL, *CLOTHED, "169.254.169.254", "fe80::1%eth0"]
    urls = REFUSED + [f"http://[{host}]/" if ":" in host else f"http://{host}/" for host in hosts]
    names = {f"name{number}.example": host for number, host in enumerate(hosts)}
    outbound = doors(lookup=lambda host: [names[host]])
    with connects() as dialled:
        for url in urls + [f"https://{name}/" for name in names]:
            with pytest.raises(RefusedAddress):
                await outbound.post(url, HEADERS, b"{}", LONG)
            explanation = await outbound.explain(url)
            assert (explanation.allowed, explanation.refused) == (False, True)
    assert dialled == []
    assert len(urls) + len(names) > 200


async def test_one_special_address_among_public_ones_refuses_the_name(doors: Doors) -> None:
    outbound = doors(lookup=lambda _: ["93.184.216.34", "2606:4700::1", "10.0.0.5"])
    with (
        connects() as dialled,
        pytest.raises(RefusedAddress, match=r"hooks\.example\.com resolves to 10\.0\.0\.5, a private address\. Ask the operator to add 10\.0\.0\.0/8"),
    ):
        await outbound.post("https://hooks.example.com/", HEADERS, b"{}", LONG)
    assert dialled == []


async def test_a_name_that_changes_its_mind_finds_no_window(doors: Doors) -> None:
    """Rebinding: each connection has its own lookup, and what was checked is what is dialled."""
    turns = [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1", "169.254.169.254"], ["127.0.0.1"]]
    asked: list[str] = []

    def lookup(host: str) -> list[str]:
        asked.append(host)
        return turns[len(asked) - 1]

    outbound = doors((ip_network("127.0.0.1/32"),), lookup=lookup)
    async with peer(answer_of(b"", "Connection: close")) as endpoint:
        url = f"http://rebinding.example:{endpoint.port}/"
        with connects() as dialled:
            assert (await outbound.post(url, HEADERS, b"{}", LONG)).address == "127.0.0.1"
            for _ in range(2):
                with pytest.raises(RefusedAddress):
                    await outbound.post(url, HEADERS, b"{}", LONG)
            assert (await outbound.post(url, HEADERS, b"{}", LONG)).status == 200
        assert dialled == ["127.0.0.1", "127.0.0.1"]
    assert len(asked) == 4


async def test_loopback_has_to_be_allowed(doors: Doors, door: Outbound) -> None:
    strict = doors()
    async with peer(answer_of(b"ok")) as endpoint:
        with pytest.raises(RefusedAddress, match=r"127\.0\.0\.1 is a loopback address\. Ask the operator to add 127\.0\.0\.0/8 to TIDINGS_ALLOWED_NETWORKS\."):
            await strict.post(endpoint.url, HEADERS, b"{}", LONG)
        assert endpoint.connections == 0
        assert (await door.post(endpoint.url, HEADERS, b"{}", LONG)).body == b"ok"
        assert (await door.post(f"http://localhost:{endpoint.port}/", HEADERS, b"{}", LONG)).status == 200


async def test_redirects_are_answers_and_are_not_followed(door: Outbound) -> None:
    async with peer(answer_of(b"")) as canary, peer(answer_of(b"", f"Location: {canary.url}", status="307 Temporary Redirect")) as endpoint:
        answer = await door.post(endpoint.url, HEADERS, b"{}", LONG)
        assert answer.status == 307
        assert answer.headers["location"] == canary.url
        assert (canary.connections, len(endpoint.requests)) == (0, 1)


async def test_nothing_from_the_surroundings_joins_a_request(door: Outbound, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with peer(answer_of(b"")) as canary, peer(answer_of(b"", "Set-Cookie: a=b; Path=/")) as endpoint:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, canary.url)
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\ndefault login a password b\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        body = secrets.token_bytes(20)
        for _ in range(2):
            assert (await door.post(f"{endpoint.url}?x=%20", HEADERS | {"X-Own": "yes"}, body, LONG)).headers["set-cookie"] == "a=b; Path=/"
        assert canary.connections == 0
        for request in endpoint.requests:
            head, _, sent = request.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            assert first == "POST /hook?x=%20 HTTP/1.1"
            assert sorted(line.partition(":")[0] for line in lines) == ["Content-Length", "Content-Type", "Host", "User-Agent", "X-Own"]
            assert sent == body


# What does not end ----------------------------------------------------------------------------------------------------------------------


async def _silence(found: Peer, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await found.read(reader)
    await reader.read()


def _drip(start: bytes, piece: bytes, pause: float = 0.05) -> Callable[[Peer, asyncio.StreamReader, asyncio.StreamWriter], "asyncio.Future[None]"]:
    async def drip(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.read(reader)
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return drip  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (_silence, "gave no answer within 0.4 s"),
        (_drip(b"HTTP/1.1 200 OK\r\n", b"X"), "gave no answer within 0.4 s"),
        (_drip(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"), "gave no answer within 0.4 s"),
        (_drip(b"", b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"), "gave no answer within 0.4 s"),
        (_drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"), "began an answer, but did not end it within 0.4 s"),
        (_drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), "began an answer, but did not end it within 0.4 s"),
        (_drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"), "began an answer, but did not end it within 0.4 s"),
    ],
    ids=["silent", "drips a header", "drips headers", "hints for ever", "drips the body", "drips chunks", "drips without a length"],
)
async def test_one_deadline_ends_every_wait(door: Outbound, handler: Callable[..., "asyncio.Future[None]"], said: str) -> None:
    async with peer(handler) as endpoint:
        started = time.perf_counter()
        with pytest.raises(RequestFailed, match=rf"127\.0\.0\.1:{endpoint.port} {said}\.") as caught:
            await door.post(endpoint.url, HEADERS, b"{}", SHORT)
        assert caught.value.code == "timeout"
        assert SHORT * 0.9 <= time.perf_counter() - started < 5
        assert len(endpoint.requests) == 1
        await until(lambda: endpoint.open == 0)


async def test_the_deadline_covers_the_name_and_the_tls_handshake(doors: Doors) -> None:
    going_on = threading.Event()

    def slow(_: str) -> list[str]:
        going_on.wait(LONG)
        return ["127.0.0.1"]

    outbound = doors(LOOPBACK, lookup=slow)
    with pytest.raises(RequestFailed, match=r"The name slow\.example could not be looked up within 0\.4 s\.") as caught:
        await outbound.post("http://slow.example/", HEADERS, b"{}", SHORT)
    assert caught.value.code == "timeout"
    going_on.set()

    async def mute(_: Peer, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await reader.read()

    async with peer(mute) as endpoint:
        with pytest.raises(RequestFailed, match=r"(did not accept a connection|accepted a connection, but did not finish the TLS handshake) within 0\.4 s\."):
            await outbound.post(f"https://127.0.0.1:{endpoint.port}/", HEADERS, b"{}", SHORT)
        await until(lambda: endpoint.open == 0)


async def test_an_endless_body_is_cut_and_its_connection_dropped(door: Outbound) -> None:
    async with peer(_drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n", pause=0)) as endpoint:
        answer = await door.post(endpoint.url, HEADERS, b"{}", LONG)
        assert (answer.status, answer.truncated, answer.body) == (200, True, b"x" * KEPT_BYTES)
        await until(lambda: endpoint.open == 0)


async def test_a_compressed_bomb_is_cut(door: Outbound) -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    async with peer(answer_of(bomb, "Content-Encoding: gzip")) as endpoint:
        answer = await door.post(endpoint.url, HEADERS, b"{}", LONG)
        assert (answer.truncated, answer.body) == (True, b"0" * KEPT_BYTES)


async def test_what_goes_on_for_long_and_comes_to_nothing_is_cut(door: Outbound) -> None:
    start = b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n" + zlib.compress(b"")[:2]
    async with peer(_drip(start, b"\x00\x00\x00\xff\xff" * 1000, pause=0)) as endpoint:
        answer = await door.post(endpoint.url, HEADERS, b"{}", LONG)
        assert (answer.truncated, answer.body) == (True, b"")


async def test_headers_without_end_are_no_answer(door: Outbound) -> None:
    for start, piece in ((b"HTTP/1.1 200 OK\r\nX: ", b"x" * 5000), (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 500)):
        async with peer(_drip(start, piece, pause=0)) as endpoint:
            with pytest.raises(RequestFailed, match="headers that are too large") as caught:
                await door.post(endpoint.url, HEADERS, b"{}", LONG)
            assert caught.value.code == "broken"


async def test_many_headers_are_kept_within_bounds(door: Outbound) -> None:
    async with peer(answer_of(b"", *(f"X-{number}: {'y' * 4000}" for number in range(12)), "Late: 1")) as endpoint:
        kept = (await door.post(endpoint.url, HEADERS, b"{}", LONG)).headers
        assert kept["x-0"] == "y" * 4000
        assert sum(map(len, kept.values())) <= 16 * 1024


# What breaks ----------------------------------------------------------------------------------------------------------------------------


async def test_what_breaks_is_said(door: Outbound) -> None:
    async def at_once(_: Peer, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reset(writer)

    async def after_reading(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.read(reader)
        reset(writer)

    async def in_the_middle(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        await writer.drain()
        await asyncio.sleep(0.1)
        reset(writer)

    for handler, said in ((at_once, "without an answer"), (after_reading, "without an answer"), (in_the_middle, "in the middle of its answer")):
        async with peer(handler) as endpoint:
            with pytest.raises(RequestFailed, match=said) as caught:
                await door.post(endpoint.url, HEADERS, b"{}", LONG)
            assert caught.value.code == "broken"
            assert endpoint.connections == 1, "one attempt is one request"
    async with peer(b"SSH-2.0-OpenSSH_9.2\r\n\r\n") as endpoint:
        with pytest.raises(RequestFailed, match="not HTTP"):
            await door.post(endpoint.url, HEADERS, b"{}", LONG)

    async def no_tls(_: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with peer(no_tls) as endpoint:
        with pytest.raises(RequestFailed, match="it does not speak TLS at this port") as caught:
            await door.post(endpoint.url.replace("http:", "https:"), HEADERS, b"{}", LONG)
        assert caught.value.code == "tls"
    with pytest.raises(RequestFailed, match="refused the connection") as caught:
        await door.post(endpoint.url, HEADERS, b"{}", LONG)
    assert caught.value.code == "connect"


async def test_names_that_lead_nowhere_are_said(doors: Doors) -> None:
    def empty(_: str) -> list[str]:
        return []

    def busy(_: str) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "busy")

    for lookup, said in (
        (nowhere, "The name gone.example was not found."),
        (busy, "The name servers gave no answer for gone.example."),
        (empty, "has no address"),
    ):
        outbound = doors(lookup=lookup)
        with pytest.raises(RequestFailed, match=said) as caught:
            await outbound.post("https://gone.example/", HEADERS, b"{}", LONG)
        assert caught.value.code == "dns"
        explanation = await outbound.explain("https://gone.example/")
        assert (explanation.allowed, explanation.refused, explanation.addresses) == (False, False, ())
        assert said in str(explanation.reason)
        await outbound.aclose()


async def test_a_header_that_can_t_be_sent_is_said(door: Outbound) -> None:
    async with peer(answer_of(b"")) as endpoint:
        with pytest.raises(RequestFailed, match="can't be sent") as caught:
            await door.post(endpoint.url, HEADERS | {"X-Own": "a\r\nb: c"}, b"{}", LONG)
        assert caught.value.code == "unsendable"
        assert endpoint.requests == []


async def test_a_cancelled_request_leaves_no_connection(door: Outbound) -> None:
    async with peer(_silence) as endpoint:
        task = asyncio.create_task(door.post(endpoint.url, HEADERS, b"{}", LONG))
        await until(lambda: len(endpoint.requests) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: endpoint.open == 0)


# What is kept ---------------------------------------------------------------------------------------------------------------------------


async def test_connections_are_used_again(door: Outbound) -> None:
    async with peer(answer_of(b"ok")) as endpoint:
        for _ in range(20):
            assert (await door.post(endpoint.url, HEADERS, b"{}", LONG)).address == "127.0.0.1"
        assert (endpoint.connections, len(endpoint.requests)) == (1, 20)


async def test_a_kept_connection_that_was_just_closing_costs_no_attempt(door: Outbound) -> None:
    async def closes_the_second(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.read(reader)
        writer.write(answer_of(b"ok"))
        await found.read(reader)
        reset(writer)

    async with peer(closes_the_second) as endpoint:
        for _ in range(3):
            assert (await door.post(endpoint.url, HEADERS, b"{}", LONG)).body == b"ok"
        assert endpoint.connections == 3


async def test_idle_connections_stay_within_bounds(doors: Doors) -> None:
    outbound = doors(LOOPBACK, lookup=lambda _: ["127.0.0.1"])
    async with peer(answer_of(b"")) as endpoint:
        for number in range(400):
            await outbound.post(f"http://host{number}.example:{endpoint.port}/", HEADERS, b"{}", LONG)
        await until(lambda: endpoint.open <= 256 + 64)
        assert endpoint.connections == 400
        await outbound.post(f"http://host0.example:{endpoint.port}/", HEADERS, b"{}", LONG)


async def test_explain_resolves_and_never_connects(doors: Doors) -> None:
    outbound = doors(
        LOOPBACK, lookup=lambda host: {"a.example": ["93.184.216.34", "2606:4700::1"], "b.example": ["192.168.1.9"], "localhost": ["::1", "127.0.0.1"]}[host]
    )
    with connects() as dialled:
        good = await outbound.explain("https://a.example/x")
        assert (good.allowed, good.reason, good.addresses) == (True, None, ("93.184.216.34", "2606:4700::1"))
        bad = await outbound.explain("https://b.example/x")
        assert (bad.allowed, bad.refused, bad.addresses) == (False, True, ("192.168.1.9",))
        assert bad.reason == "b.example resolves to 192.168.1.9, a private address. Ask the operator to add 192.168.0.0/16 to TIDINGS_ALLOWED_NETWORKS."
        assert (await outbound.explain("http://127.0.0.1:81/")).allowed
        assert (await outbound.explain("http://localhost:8080/")).addresses == ("::1", "127.0.0.1")
        assert (await outbound.explain("http://user@a.example/")).refused
    assert dialled == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "x-gzip"])
async def test_a_compressed_answer_is_read(door: Outbound, encoding: str) -> None:
    text = secrets.token_hex(400).encode()
    packed = zlib.compress(text) if encoding == "deflate" else gzip.compress(text)
    async with peer(answer_of(packed, f"Content-Encoding: {encoding}")) as endpoint:
        for _ in range(2):
            answer = await door.post(endpoint.url, HEADERS, b"{}", LONG)
            assert (answer.body, answer.truncated) == (text, False)
        assert endpoint.connections == 1
