"""What the tests of the flows share: one bot with its hooks on each kind of database, and a receiver."""

from collections.abc import AsyncIterator

import pytest

from tests.flows.webhook_house import House, Receiver, open_house, open_receiver
from tidings.settings import Settings
from tidings.store.database import Database


@pytest.fixture
async def house(database: Database, settings: Settings) -> AsyncIterator[House]:
    async with open_house(database, settings) as house:
        yield house


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as receiver:
        yield receiver
