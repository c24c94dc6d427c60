"""Our own address is refused but for a POST to an inbox, spelled to the letter: not by another path, name or verb, nor on a kept connection."""

from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from tests.pure.outbound_peers import Doors, Peer, answer_of, connects, peer
from tidings.errors import RefusedAddress
from tidings.outbound import Outbound, inboxes_at
from tidings.outbound.guard import check_url
from tidings.outbound.own import is_inbox

EVERYTHING = ("0.0.0.0/0", "::/0")
HEADERS = {"Content-Type": "application/json"}
LONG = 20.0
SECRET = "kH3_x-Zq0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1w"  # 43 characters, as they are made


@pytest.fixture
async def ourselves() -> AsyncIterator[Peer]:
    """A peer on loopback that stands for our own server."""
    async with peer(answer_of(b"")) as one:
        yield one


def door(doors: Doors, port: int, *allowed: str) -> Outbound:
    """The door of a Tidings that listens on this port of loopback. Every name leads there."""
    networks = tuple(ip_network(each) for each in allowed)
    return doors(networks, own={("127.0.0.1", port)}, inboxes=inboxes_at(f"http://127.0.0.1:{port}"), lookup=lambda _: ["127.0.0.1"])


@pytest.mark.parametrize(
    ("base_url", "begins"),
    [
        (None, None),
        ("http://127.0.0.1:8700", "http://127.0.0.1:8700/api/public/inbox/"),
        ("https://Tidings.Example.com:443/sub", "https://tidings.example.com/sub/api/public/inbox/"),
        ("http://[2001:db8:0::7]:8700", "http://[2001:db8::7]:8700/api/public/inbox/"),
        ("http://ann:secret@tidings.example.com", None),
        ("http://tidings.example.com:25", None),
    ],
)
def test_inboxes_are_below_the_base_url(base_url: str | None, begins: str | None) -> None:
    assert inboxes_at(base_url) == begins


def test_the_secrets_of_inboxes_are_spelled_in_one_way() -> None:
    assert is_inbox(inboxes_at("http://127.0.0.1:8700"), check_url(f"HTTP://127.0.0.1:8700/api/public/inbox/{SECRET}#part"))
    assert not is_inbox(None, check_url(f"http://127.0.0.1:8700/api/public/inbox/{SECRET}"))


async def test_an_inbox_is_reached_although_no_network_is_allowed(doors: Doors, ourselves: Peer) -> None:
    outbound = door(doors, ourselves.port)
    url = f"http://127.0.0.1:{ourselves.port}/api/public/inbox/{SECRET}"
    assert (await outbound.post(url, HEADERS, b"{}", LONG)).status == 200
    explained = await outbound.explain(url)
    assert (explained.allowed, explained.addresses) == (True, ("127.0.0.1",))


PATHS = (
    "/",
    "/api/v1/bots",
    "/api/public/hooks/x/y",
    "/api/public/inbox",
    "/api/public/inbox/",
    f"/api/public/inbox/{SECRET}/",
    f"/api/public/inbox/{SECRET}x",
    f"/api/public/inbox/{SECRET[:-1]}",
    f"/api/public/inbox/{SECRET[:-1]}.",
    f"/api/public/inbox/{SECRET[:-1]}%0a",
    f"/api/public/inbox/{SECRET}?next=/api/v1/bots",
    f"/api/public/inbox/{SECRET}?",
    f"/api/public/inbox/{SECRET};x=y",
    f"/api/public/inbox/{SECRET}/../../hooks/x/y",
    f"/api/public/inbox/../hooks/x/{SECRET}",
    f"/api/public/inbox/..%2fhooks%2f{SECRET[:32]}",
    f"/api/public/inbox//{SECRET}",
    f"//api/public/inbox/{SECRET}",
    f"/api//public/inbox/{SECRET}",
    f"/api/./public/inbox/{SECRET}",
    f"/x/../api/public/inbox/{SECRET}",
    f"/api/public/%69nbox/{SECRET}",
    f"/API/public/inbox/{SECRET}",
    f"/api/public/inbox/{SECRET[:-1]}\u00e9",
    f"/api/public/inbox/{SECRET[:-1]}\uff11",
)


async def test_no_other_path_of_ours_is_reached_not_even_on_a_kept_connection(doors: Doors, ourselves: Peer) -> None:
    for outbound in (door(doors, ourselves.port), door(doors, ourselves.port, *EVERYTHING)):
        url = f"http://127.0.0.1:{ourselves.port}"
        assert (await outbound.post(f"{url}/api/public/inbox/{SECRET}", HEADERS, b"{}", LONG)).status == 200
        before = ourselves.connections
        with connects() as dialled:
            for path in PATHS:
                with pytest.raises(RefusedAddress, match="is this Tidings itself"):
                    await outbound.post(url + path, HEADERS, b"{}", LONG)
                explained = await outbound.explain(url + path)
                assert (explained.allowed, explained.refused) == (False, True), path
            with pytest.raises(RefusedAddress, match="is this Tidings itself"):
                await outbound.get(f"{url}/api/public/inbox/{SECRET}", HEADERS, limit=1000, timeout=LONG)  # connectors read nothing there
        assert (dialled, ourselves.connections) == ([], before)


async def test_only_the_base_url_leads_to_inboxes(doors: Doors, ourselves: Peer) -> None:
    """Other names and spellings of the same address are our own, and no inbox: a name of somebody else could lead anywhere at the next look."""
    port = ourselves.port
    outbound = door(doors, port, *EVERYTHING)
    hosts = ("localhost", "LOCALHOST.", "hooks.example.com", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "[::FFFF:7f00:1]")  # noqa: S104 - dialled nowhere
    with connects() as dialled:
        for url in (*(f"http://{host}:{port}" for host in hosts), f"https://127.0.0.1:{port}"):
            with pytest.raises(RefusedAddress, match="this Tidings itself"):
                await outbound.post(f"{url}/api/public/inbox/{SECRET}", HEADERS, b"{}", LONG)
    assert (dialled, ourselves.connections) == ([], 0)


async def test_a_base_url_that_comes_to_lead_elsewhere_opens_nothing_else(doors: Doors, ourselves: Peer) -> None:
    """What its name leads to is reached without being allowed only where it was ours at the start; metadata never is."""
    leads_to = ["127.0.0.1"]
    own = {("tidings.example.com", ourselves.port), ("127.0.0.1", ourselves.port), ("169.254.169.254", ourselves.port)}
    base = f"http://tidings.example.com:{ourselves.port}"
    outbound = doors(own=own, inboxes=inboxes_at(base), lookup=lambda _: list(leads_to))
    url = f"{base}/api/public/inbox/{SECRET}"
    explained = await outbound.explain(url)
    assert (explained.allowed, explained.addresses) == (True, ("127.0.0.1",))
    said = {
        "10.1.2.3": "tidings.example.com resolves to 10.1.2.3, a private address. Ask the operator to add 10.0.0.0/8 to TIDINGS_ALLOWED_NETWORKS.",
        "127.0.0.2": "tidings.example.com resolves to 127.0.0.2, a loopback address. Ask the operator to add 127.0.0.0/8 to TIDINGS_ALLOWED_NETWORKS.",
        "169.254.169.254": "tidings.example.com resolves to 169.254.169.254, the address where a cloud keeps its machines' credentials (metadata). "
        "It is refused whatever the settings say.",
    }
    with connects() as dialled:
        for address, sentence in said.items():
            leads_to[:] = ["127.0.0.1", address]
            with pytest.raises(RefusedAddress) as refused:
                await outbound.post(url, HEADERS, b"{}", LONG)
            assert str(refused.value) == sentence
    assert (dialled, ourselves.connections) == ([], 0)
    leads_to[:] = ["127.0.0.1"]
    assert (await outbound.post(url, HEADERS, b"{}", LONG)).status == 200


async def test_connectors_that_dial_by_themselves_reach_no_inbox(doors: Doors, ourselves: Peer) -> None:
    outbound = door(doors, ourselves.port, "127.0.0.0/8")
    with pytest.raises(RefusedAddress, match="is this Tidings itself"):
        await outbound.dial("127.0.0.1", ourselves.port, LONG)
    assert ourselves.connections == 0
