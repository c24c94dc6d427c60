"""DNS rebinding, live: a name server that changes its mind between one question and the next, and a canary on loopback that must not hear of it.

"Public" is 127.0.0.2, which the operator allowed here; what must not be reached is everything else on loopback.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from tests.pure.name_server import name_server
from tests.pure.outbound_peers import Doors, Peer, answer_of, connects, peer
from tidings.errors import RefusedAddress, RequestFailed

PUBLIC, FORBIDDEN = "93.184.216.34", "127.0.0.1"
RECEIVER = "127.0.0.2"
HEADERS = {"Content-Type": "application/json"}
LONG = 20.0


@asynccontextmanager
async def canary_and_receiver() -> AsyncIterator[tuple[Peer, Peer]]:
    """Two peers on one port of two addresses: who wants the receiver and is led astray, meets the canary."""
    async with peer(answer_of(b"", "Connection: close")) as canary:
        receiver = Peer(canary.handler)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await receiver.read(reader)
            receiver.connections += 1
            writer.write(answer_of(b"", "Connection: close"))
            writer.close()

        try:
            server = await asyncio.start_server(serve, RECEIVER, canary.port)
        except OSError:
            pytest.skip(f"{RECEIVER} is no address of this machine (macOS gives loopback only one)")
        receiver.port = canary.port
        try:
            yield canary, receiver
        finally:
            server.close()
            await server.wait_closed()


def in_turn(*answers: Sequence[str]) -> Callable[[int], Sequence[str]]:
    """The first lookup gets the first answer, and so on; the last one stays."""
    return lambda number: answers[min(number, len(answers)) - 1]


async def test_a_name_that_was_public_when_it_was_checked_is_refused_when_it_is_dialled(doors: Doors) -> None:
    with name_server(in_turn([PUBLIC], [FORBIDDEN])) as names, connects() as dialled:
        async with peer(answer_of(b"")) as canary:
            outbound, url = doors(lookup=names.lookup), f"http://rebinding.example:{canary.port}/"
            assert (await outbound.explain(url)).allowed
            with pytest.raises(RefusedAddress, match=r"rebinding\.example resolves to 127\.0\.0\.1, a loopback address"):
                await outbound.post(url, HEADERS, b"{}", LONG)
            assert canary.connections == 0
    assert names.asked == ["rebinding.example"] * 2, "checked and dialled is what one and the same lookup said"
    assert set(dialled) <= {"127.0.0.1"}, "the name server"


@pytest.mark.parametrize(
    "records",
    [
        [PUBLIC, FORBIDDEN],
        [FORBIDDEN, PUBLIC],
        [*[f"93.184.216.{n}" for n in range(1, 20)], FORBIDDEN],
        [PUBLIC, "::1"],
        [PUBLIC, "2606:4700::1", "::ffff:127.0.0.1"],
        [PUBLIC, "64:ff9b::7f00:1"],
        [PUBLIC, "0.0.0.0"],  # noqa: S104 - answered, not bound
        ["localhost.localdomain", FORBIDDEN],
        ["one.example", "two.example", PUBLIC, FORBIDDEN],
        ["one.example", "169.254.169.254"],
        [PUBLIC, "169.254.169.254"],
        ["fe80::1", PUBLIC],
    ],
)
async def test_one_special_record_in_an_answer_refuses_the_name(doors: Doors, records: list[str]) -> None:
    with name_server(lambda _: records) as names:
        async with peer(answer_of(b"")) as canary:
            outbound = doors(lookup=names.lookup)
            with pytest.raises(RefusedAddress, match=r"hooks\.example resolves to "):
                await outbound.post(f"http://hooks.example:{canary.port}/", HEADERS, b"{}", LONG)
            assert canary.connections == 0


async def test_a_name_that_flips_with_each_question_never_leads_to_the_canary(doors: Doors) -> None:
    """In a thousand requests, many at a time, some meet the receiver, some are refused, and none goes astray."""
    answers = ([RECEIVER], [FORBIDDEN], [RECEIVER, FORBIDDEN], [RECEIVER, RECEIVER], ["::1"], ["other.example", RECEIVER])
    with name_server(lambda number: answers[number % len(answers)]) as names:
        async with canary_and_receiver() as (canary, receiver):
            outbound = doors((ip_network(f"{RECEIVER}/32"),), lookup=names.lookup)
            refused = 0

            async def post(number: int) -> None:
                nonlocal refused
                try:
                    answer = await outbound.post(f"http://host{number % 50}.example:{canary.port}/", HEADERS, b"{}", LONG)
                except RefusedAddress:
                    refused += 1
                else:
                    assert answer.address == RECEIVER

            for batch in range(20):
                await asyncio.gather(*(post(batch * 50 + number) for number in range(50)))
            assert canary.connections == 0
            assert receiver.connections + refused == 1000
            assert min(receiver.connections, refused) > 100


async def test_a_kept_connection_asks_nobody_and_stays_where_it_was_checked(doors: Doors) -> None:
    with name_server(in_turn([FORBIDDEN], [PUBLIC])) as names:
        async with peer(answer_of(b"")) as endpoint:
            outbound, url = doors((ip_network(f"{FORBIDDEN}/32"),), lookup=names.lookup), f"http://kept.example:{endpoint.port}/"
            for _ in range(3):
                assert (await outbound.post(url, HEADERS, b"{}", LONG)).address == FORBIDDEN
            assert (endpoint.connections, names.asked) == (1, ["kept.example"])


async def test_a_name_without_addresses_leads_nowhere(doors: Doors) -> None:
    with name_server(lambda _: ["other.example"]) as names:
        outbound = doors(lookup=names.lookup)
        with pytest.raises(RequestFailed, match=r"The name empty\.example has no address"):
            await outbound.post("http://empty.example/", HEADERS, b"{}", LONG)
