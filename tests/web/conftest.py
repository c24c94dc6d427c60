"""The API over real databases."""

from collections.abc import AsyncIterator

import pytest

from tests.web.world import World, opened, settings_in
from tidings.settings import Settings


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[World]:
    """A house with two workspaces. The test runs once on each kind of database."""
    async with opened(settings_in(settings)) as made:
        yield made
