"""`POST /webhooks/explain-target`: what would become of a webhook to a URL, and what to do about it, in a sentence for each kind of answer."""

import dataclasses
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from tests.pure.outbound_peers import connects
from tests.web.world import World
from tidings.outbound import Outbound
from tidings.web.server import create_app

NAMES = {
    "hooks.example.com": ["93.184.216.34", "2606:4700::1"],
    "intranet.example.com": ["192.168.1.9"],
    "mixed.example.com": ["93.184.216.34", "10.1.2.3"],
    "cloud.example.com": ["169.254.169.254"],
    "allowed.example.com": ["172.16.5.6"],
    "tidings.example.com": ["93.184.216.99"],
    "also-ours.example.com": ["127.0.0.1"],
    "nat.example.com": ["64:ff9b::808:808"],
    "empty.example.com": [],
}


def lookup(host: str) -> list[str]:
    """What the names of these tests lead to."""
    if host == "busy.example.com":
        raise socket.gaierror(socket.EAI_AGAIN, "the name servers are silent")
    if host not in NAMES:
        raise socket.gaierror(socket.EAI_NONAME, f"no {host}")
    return NAMES[host]


@pytest.fixture
async def owner(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client with an owner's key of a house that may reach 172.16.0.0/12 and 127.0.0.0/8 and listens on port 8700."""
    allowed = (ip_network("172.16.0.0/12"), ip_network("127.0.0.0/8"))
    outbound = Outbound(allowed, own={("127.0.0.1", 8700), ("tidings.example.com", 443)}, lookup=lookup)
    transport = httpx.ASGITransport(app=create_app(dataclasses.replace(world.services, outbound=outbound)))
    headers = {"Authorization": world.owner.client.headers["Authorization"]}
    async with httpx.AsyncClient(transport=transport, base_url="http://tidings.example", headers=headers, timeout=60) as client:
        yield client
    await outbound.aclose()


NEVER = "the address where a cloud keeps its machines' credentials (metadata). It is refused whatever the settings say."
SAID: dict[str, tuple[list[str], str | None]] = {
    # allowed
    "https://hooks.example.com/x": (["93.184.216.34", "2606:4700::1"], None),
    "http://allowed.example.com:8080/x": (["172.16.5.6"], None),
    "http://127.0.0.1:9000/": (["127.0.0.1"], None),
    "https://[2606:4700::1]/": (["2606:4700::1"], None),
    # private: what to set
    "http://intranet.example.com/": (
        ["192.168.1.9"],
        "intranet.example.com resolves to 192.168.1.9, a private address. Ask the operator to add 192.168.0.0/16 to TIDINGS_ALLOWED_NETWORKS.",
    ),
    "http://10.0.0.5/": (["10.0.0.5"], "10.0.0.5 is a private address. Ask the operator to add 10.0.0.0/8 to TIDINGS_ALLOWED_NETWORKS."),
    "https://mixed.example.com/": (
        ["93.184.216.34", "10.1.2.3"],
        "mixed.example.com resolves to 10.1.2.3, a private address. Ask the operator to add 10.0.0.0/8 to TIDINGS_ALLOWED_NETWORKS.",
    ),
    "http://[fd12::1]/": (["fd12::1"], "fd12::1 is a private address. Ask the operator to add fc00::/7 to TIDINGS_ALLOWED_NETWORKS."),
    "http://224.0.0.1/": (["224.0.0.1"], "224.0.0.1 is a multicast address. Ask the operator to add 224.0.0.0/4 to TIDINGS_ALLOWED_NETWORKS."),
    # never
    "http://169.254.169.254/": (
        ["169.254.169.254"],
        f"169.254.169.254 is {NEVER}",
    ),
    "http://cloud.example.com/": (
        ["169.254.169.254"],
        f"cloud.example.com resolves to 169.254.169.254, {NEVER}",
    ),
    "http://127.0.0.1:8700/x": (
        [],
        "127.0.0.1 at port 8700 is this Tidings itself. It sends nothing to itself but to its inboxes.",
    ),
    "https://Tidings.example.com/x": (
        [],
        "tidings.example.com at port 443 is this Tidings itself. It sends nothing to itself but to its inboxes.",
    ),
    "http://also-ours.example.com:8700/": (
        ["127.0.0.1"],
        "also-ours.example.com resolves to 127.0.0.1, which at port 8700 is this Tidings itself. It sends nothing to itself but to its inboxes.",
    ),
    # to be written otherwise
    "https://nat.example.com/": (
        ["64:ff9b::808:808"],
        "nat.example.com resolves to 64:ff9b::808:808, an IPv4 address behind NAT64, namely 8.8.8.8. Use the IPv4 address itself.",
    ),
    "https://hooks.example.com:25/": ([], "Port 25 is not for HTTP; browsers refuse it too. Serve the endpoint at another port."),
    "https://ann:secret@hooks.example.com/": (
        [],
        "The URL has a user name or a password in it. Leave them out; a webhook can send credentials in a custom header.",
    ),
    "ftp://hooks.example.com/": ([], "The URL has to begin with https:// or http://."),
    "http://0x7f.1/": ([], "'0x7f.1' ends in a number, so it has to be an IPv4 address: four decimal numbers like 192.0.2.1."),
    "http://[fe80::1%25eth0]/": ([], "'fe80::1%25eth0' is an address with a zone, which means something on one machine only. Use an address without one."),
    # leads nowhere at the moment
    "https://gone.example.com/": ([], "The name gone.example.com was not found."),
    "https://busy.example.com/": ([], "The name servers gave no answer for busy.example.com."),
    "https://empty.example.com/": ([], "The name empty.example.com has no address."),
}


async def test_each_kind_of_answer_has_its_sentence(owner: httpx.AsyncClient) -> None:
    said: dict[str, Any] = {}
    with connects() as dialled:
        for url in SAID:
            answer = await owner.post("/api/v1/webhooks/explain-target", json={"url": url})
            assert answer.status_code == 200, answer.text
            assert list(answer.json()) == ["allowed", "reason", "addresses"]
            assert answer.json()["allowed"] is (answer.json()["reason"] is None)
            said[url] = (answer.json()["addresses"], answer.json()["reason"])
    assert said == SAID
    assert dialled == [], "it resolves, and never connects"


async def test_a_hook_is_refused_with_the_same_sentence(world: World, owner: httpx.AsyncClient) -> None:
    """But for names that lead nowhere at the moment: they may lead somewhere later."""
    bot_id = (await world.owner.made("/bots", {"name": "Bot"}))["id"]
    for url, (_, reason) in SAID.items():
        answer = await owner.post(f"/api/v1/bots/{bot_id}/webhooks", json={"type": "sync_success", "targetUrl": url})
        later = url.partition("://")[2].partition(".")[0] in {"gone", "busy", "empty"}
        if reason is None or later:
            assert answer.status_code == 201, answer.text
        else:
            assert answer.json()["errors"] == [{"field": "targetUrl", "message": reason}]
