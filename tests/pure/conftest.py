"""The door to the network with each client there is."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from tests.pure.outbound_peers import Doors
from tidings.outbound import Outbound
from tidings.outbound.client import Client


@pytest.fixture(params=["own", "aiohttp"])
def client(request: pytest.FixtureRequest) -> Client:
    """Each client that `TIDINGS_HTTP_CLIENT` can name."""
    return cast("Client", request.param)


@pytest.fixture
async def doors(client: Client) -> AsyncIterator[Doors]:
    """Makes an Outbound with that client, and closes it when the test ends; what only the loop heard of fails the test."""
    made: list[Outbound] = []
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))

    def make(*args: Any, **options: Any) -> Outbound:
        made.append(Outbound(*args, client=client, **options))
        return made[-1]

    yield make
    for outbound in made:
        await outbound.aclose()
    assert unheard == []
