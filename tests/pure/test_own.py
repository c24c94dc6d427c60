"""Nothing is sent to ourselves: neither where this process listens, nor where the base URL leads, however either is spelt."""

import socket
import threading
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network

import psutil
import pytest

from tests.pure.outbound_peers import Doors, Peer, answer_of, connects, peer
from tidings.errors import RefusedAddress
from tidings.outbound import own_places
from tidings.outbound.own import check_own, is_of_this_machine

EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))
ALL = "0.0.0.0"  # noqa: S104 - compared and refused, never bound
HEADERS = {"Content-Type": "application/json"}
LONG = 20.0

OURS = "198.51.100.7"  # what the names of these tests lead to; never dialled


def names(host: str) -> list[str]:
    """Every name leads to us, but for those of somebody else."""
    if "nowhere" in host:
        raise socket.gaierror(socket.EAI_NONAME, f"no {host}")
    return ["198.51.100.99"] if "other" in host else [OURS, "2001:db8::7"]


# What is ours ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listener", "base_url", "places"),
    [
        (None, None, set()),
        (("127.0.0.1", 8700), None, {("127.0.0.1", 8700)}),
        (("127.0.0.1", 8700), "http://127.0.0.1:8700", {("127.0.0.1", 8700)}),
        ((ALL, 8700), "https://Tidings.Example.com/sub", {(ALL, 8700), ("tidings.example.com", 443)}),
        (None, "http://tidings.example.com", {("tidings.example.com", 80)}),
        (None, "http://tidings.example.com:8700", {("tidings.example.com", 8700), (OURS, 8700), ("2001:db8::7", 8700)}),
        (None, "http://[2001:db8:0::7]:8700", {("2001:db8::7", 8700)}),
        (None, "http://nowhere.example.com:8700", {("nowhere.example.com", 8700)}),
        (None, "http://tidings.example.com:25", set()),  # a port that nothing is sent to anyway
    ],
)
async def test_ours_is_where_we_listen_and_where_the_base_url_leads(
    listener: tuple[str, int] | None, base_url: str | None, places: set[tuple[str, int]]
) -> None:
    assert await own_places(listener, base_url, names) == places


async def test_a_name_server_that_is_silent_holds_the_start_up_for_seconds_only() -> None:
    going_on = threading.Event()

    def slow(_: str) -> list[str]:
        going_on.wait(LONG)
        return [OURS]

    assert await own_places(None, "http://tidings.example.com:8700", slow) == {("tidings.example.com", 8700)}
    going_on.set()


@pytest.mark.parametrize(
    ("ours", "host", "port"),
    [
        ("127.0.0.1", "127.0.0.1", 8700),
        ("127.0.0.1", "::ffff:127.0.0.1", 8700),
        ("127.0.0.1", ALL, 8700),
        ("127.0.0.1", "::", 8700),
        ("::1", "::1", 8700),
        ("::1", "0:0:0:0:0:0:0:1", 8700),
        (ALL, "127.0.0.1", 8700),
        (ALL, "127.9.9.9", 8700),
        ("::", "127.0.0.1", 8700),
        ("::", "::ffff:127.0.0.1", 8700),
        ("tidings.example.com", "tidings.example.com", 8700),
    ],
)
def test_what_reaches_us_is_refused(ours: str, host: str, port: int) -> None:
    with pytest.raises(RefusedAddress, match=r"this Tidings itself\. It sends nothing to itself but to its inboxes\."):
        check_own({(ours, port)}, host, port)
    check_own({(ours, port)}, host, port + 1)
    check_own(set(), host, port)


@pytest.mark.parametrize(
    ("ours", "host"),
    [
        ("127.0.0.1", "127.0.0.2"),
        ("127.0.0.1", "::1"),
        ("127.0.0.1", OURS),
        (ALL, OURS),
        ("::", "2001:db8::7"),
        ("tidings.example.com", "hooks.example.com"),
        ("tidings.example.com", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1.example.com"),
    ],
)
def test_what_leads_elsewhere_passes(ours: str, host: str) -> None:
    check_own({(ours, 8700)}, host, 8700)


def test_who_listens_on_all_addresses_is_at_each_that_this_machine_has() -> None:
    families = {socket.AF_INET, socket.AF_INET6}
    addresses = [one.address for ones in psutil.net_if_addrs().values() for one in ones if one.family in families and "%" not in one.address]
    plain = [address for address in addresses if not ip_address(address).is_link_local]
    assert plain
    for address in plain:
        assert is_of_this_machine(address)
        with pytest.raises(RefusedAddress):
            check_own({(ALL, 8700)}, address, 8700)
    assert not is_of_this_machine(OURS)
    assert not is_of_this_machine("2001:db8::7")
    assert not is_of_this_machine("fe80::1%nothing")


# Through the door -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def ourselves() -> AsyncIterator[Peer]:
    """A peer on loopback that stands for our own server."""
    async with peer(answer_of(b"")) as one:
        yield one


async def test_no_spelling_reaches_ourselves_although_everything_is_allowed(doors: Doors, ourselves: Peer) -> None:
    port = ourselves.port
    outbound = doors(EVERYTHING, own={("127.0.0.1", port)}, lookup=lambda host: ["127.0.0.1"] if "other" not in host else ["198.51.100.99", "127.0.0.1"])
    hosts = [
        "127.0.0.1",
        "127.0.0.1.",
        "[::ffff:127.0.0.1]",
        "[::FFFF:7f00:1]",
        ALL,
        "[::]",
        "localhost",
        "LOCALHOST.",
        "hooks.example.com",
        "other.example",
    ]
    with connects() as dialled:
        for host in hosts:
            for scheme in ("http", "https"):
                url = f"{scheme}://{host}:{port}/api/public/hooks/x/y"
                with pytest.raises(RefusedAddress, match="this Tidings itself"):
                    await outbound.post(url, HEADERS, b"{}", LONG)
                explained = await outbound.explain(url)
                assert (explained.allowed, explained.refused) == (False, True)
                assert "this Tidings itself" in str(explained.reason)
    assert dialled == []
    assert ourselves.connections == 0


async def test_another_port_of_the_same_machine_is_not_ours(doors: Doors, ourselves: Peer) -> None:
    outbound = doors(EVERYTHING, own={(ALL, ourselves.port)})
    async with peer(answer_of(b"")) as receiver:
        assert (await outbound.post(receiver.url, HEADERS, b"{}", LONG)).status == 200
        with pytest.raises(RefusedAddress, match=rf"127\.0\.0\.1 at port {ourselves.port} is this Tidings itself"):
            await outbound.post(ourselves.url, HEADERS, b"{}", LONG)
    assert ourselves.connections == 0


async def test_the_own_address_is_named_before_any_network_that_could_be_allowed(doors: Doors, ourselves: Peer) -> None:
    """Nobody is sent to the operator for what would be refused afterwards all the same."""
    outbound = doors(own={("127.0.0.1", ourselves.port)}, lookup=lambda _: ["127.0.0.1"])
    port = ourselves.port
    explained = await outbound.explain(f"http://hooks.example.com:{port}/")
    said = f"hooks.example.com resolves to 127.0.0.1, which at port {port} is this Tidings itself. It sends nothing to itself but to its inboxes."
    assert explained.reason == said


async def test_the_name_of_the_base_url_is_ours_wherever_it_leads(doors: Doors) -> None:
    """At 443 stands a proxy, which serves other names at the same address."""
    outbound = doors(EVERYTHING, own={("tidings.example.com", 443)}, lookup=names)
    with connects() as dialled, pytest.raises(RefusedAddress, match=r"tidings\.example\.com at port 443 is this Tidings itself"):
        await outbound.post("https://TIDINGS.example.com./api/public/hooks/x/y", HEADERS, b"{}", LONG)
    assert dialled == []
    assert (await outbound.explain("https://hooks.example.com/")).allowed
    assert (await outbound.explain("https://tidings.example.com:8443/")).allowed
