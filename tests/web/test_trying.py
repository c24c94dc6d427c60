"""Settings that are tried out before they are kept: what is found, what is said where nothing is, and that nothing is left; on both databases."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator

import pytest

from tests.web.world import World, a_bot, a_folder, fields_of, opened, settings_in
from tidings.bots import trying
from tidings.errors import TooMany
from tidings.settings import Settings


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[World]:
    """A house that may reach this machine."""
    async with opened(settings_in(settings), allowed_networks=(ipaddress.ip_network("127.0.0.0/8"),)) as made:
        yield made


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """The URL of a server that takes connections, and says nothing."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/feed.xml"
    server.close()


async def test_the_first_rows_are_found_and_nothing_is_kept(world: World) -> None:
    root = world.services.settings.local_roots[0]
    path = {"type": "folder", "config": {"path": str(root)}}
    found = (await world.owner("POST", "/data-sources/try", 200, json=path)).json()
    assert found == {"rows": [{"key": "a.md", "title": "a.md", "url": None, "size": 15, "error": None}], "more": False, "reason": None}
    for number in range(12):
        (root / f"b{number:02}.md").write_text("Text.")
    found = (await world.owner("POST", "/data-sources/try", 200, json=path)).json()
    assert ([row["key"] for row in found["rows"]], found["more"]) == (["a.md", *(f"b{n:02}.md" for n in range(9))], True)
    (root / "a.md").unlink()
    (root / "a.md").symlink_to("/etc/hostname")
    found = (await world.owner("POST", "/data-sources/try", 200, json=path)).json()
    assert "leads out" in found["rows"][0]["error"]
    assert (await world.owner("GET", f"/bots/{await a_bot(world.owner)}/data-sources", 200)).json()["items"] == []


async def test_what_is_wrong_is_said_at_its_field_or_in_a_sentence(world: World, silent: str) -> None:
    wrong = await world.owner("POST", "/data-sources/try", 422, json={"type": "folder", "config": {"path": "/nowhere"}})
    assert fields_of(wrong) == ["config.path"]
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        nobody = {"type": "feed", "config": {"url": f"http://127.0.0.1:{deaf.getsockname()[1]}/"}}
        assert "connect" in (await world.owner("POST", "/data-sources/try", 200, json=nobody)).json()["reason"]
    refused = await world.owner("POST", "/data-sources/try", 422, json={"type": "feed", "config": {"url": "http://169.254.169.254/"}})
    assert fields_of(refused) == ["config.url"]
    house = world.services
    found = await trying.try_out(
        house.db, house.settings, house.secretbox, house.outbound, workspace_id=world.owner.workspace_id, kind="feed", config={"url": silent}, seconds=0.2
    )
    assert found.rows == ()
    assert "longer than 0.2 seconds" in (found.reason or "")


async def test_only_a_few_are_tried_at_once_and_a_cancelled_one_makes_room(world: World, silent: str) -> None:
    house = world.services

    async def tried() -> trying.Trial:
        return await trying.try_out(
            house.db, house.settings, house.secretbox, house.outbound, workspace_id=world.owner.workspace_id, kind="feed", config={"url": silent}
        )

    waiting = [asyncio.create_task(tried()) for _ in range(trying.MOST_AT_ONCE)]
    await asyncio.sleep(0)  # each has begun, and has no answer
    with pytest.raises(TooMany):
        await tried()
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    folder = {"type": "folder", "config": {"path": str(house.settings.local_roots[0])}}
    await world.owner("POST", "/data-sources/try", 200, json=folder)


async def test_credentials_are_those_of_a_data_source_of_ones_own(world: World) -> None:
    folder = await a_folder(world, world.owner, await a_bot(world.owner), syncNow=False)
    again = {"type": "folder", "config": folder["config"], "dataSourceId": folder["id"]}
    await world.owner("POST", "/data-sources/try", 200, json=again)
    await world.stranger("POST", "/data-sources/try", 404, json=again)
    other = {**again, "type": "feed", "config": {"url": "https://8.8.8.8/"}}
    assert fields_of(await world.owner("POST", "/data-sources/try", 422, json=other)) == ["dataSourceId"]
