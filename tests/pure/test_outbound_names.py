"""Looking names up: requests share it, and do not hold each other up."""

import asyncio
import threading

from tests.pure.outbound_peers import LOOPBACK, Doors, answer_of, peer, until
from tidings.webhooks.lanes import SLOTS

HEADERS = {"Content-Type": "application/json"}
LONG = 20.0


async def test_requests_share_a_lookup_that_is_under_way(doors: Doors) -> None:
    asked: list[str] = []
    going_on = threading.Event()

    def lookup(host: str) -> list[str]:
        asked.append(host)
        going_on.wait(LONG)
        return ["127.0.0.1"]

    outbound = doors(LOOPBACK, lookup=lookup)
    async with peer(answer_of(b"ok")) as endpoint:
        posts = [asyncio.create_task(outbound.post(f"http://one.example:{endpoint.port}/", HEADERS, b"{}", LONG)) for _ in range(30)]
        await until(lambda: bool(asked))
        going_on.set()
        assert {answer.status for answer in await asyncio.gather(*posts)} == {200}
    assert len(asked) < 30


async def test_names_that_hang_do_not_hold_up_others(doors: Doors) -> None:
    """As many as a dispatcher asks for at once, each of which goes on after its request has given up."""
    hanging: set[str] = set()
    going_on = threading.Event()

    def lookup(host: str) -> list[str]:
        if host != "well.example":
            hanging.add(host)
            going_on.wait(LONG)
        return ["127.0.0.1"]

    outbound = doors(LOOPBACK, lookup=lookup)
    async with peer(answer_of(b"ok")) as endpoint:
        posts = [asyncio.create_task(outbound.post(f"http://h{number}.example:{endpoint.port}/", HEADERS, b"{}", LONG)) for number in range(SLOTS)]
        try:
            await until(lambda: len(hanging) == SLOTS)
            answer = await outbound.post(f"http://well.example:{endpoint.port}/", HEADERS, b"{}", LONG)
        finally:
            going_on.set()
            await asyncio.gather(*posts, return_exceptions=True)
    assert answer.status == 200
