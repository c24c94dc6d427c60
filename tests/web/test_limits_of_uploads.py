"""Uploads that are too large: refused, and nothing of them is kept."""

from collections.abc import AsyncIterator

import pytest

from tests.web.world import World, a_bot, opened, settings_in
from tidings.settings import Settings

MEGABYTE = 1024 * 1024


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[World]:
    async with opened(settings_in(settings), max_file_mb=0.5) as made:
        yield made


async def test_too_large(world: World) -> None:
    source = await world.owner.made(f"/bots/{await a_bot(world.owner)}/data-sources", {"name": "F", "type": "files", "syncNow": False})
    path = f"/data-sources/{source['id']}/files"
    one = await world.owner("POST", path, 413, files={"f": ("big.md", b"x" * (MEGABYTE // 2 + 1))})
    assert "big.md" in one.json()["detail"]
    together = [("f", (f"{n}.md", b"x" * (MEGABYTE // 2))) for n in range(5)]
    assert "together" in (await world.owner("POST", path, 413, files=together)).json()["detail"]
    assert (await world.owner("GET", path, 200)).json()["items"] == []
    assert (await world.owner("GET", f"/data-sources/{source['id']}/syncs", 200)).json()["items"] == []
    await world.owner("POST", path, 201, files={"f": ("fits.md", b"x" * (MEGABYTE // 2))})
