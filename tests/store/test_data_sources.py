"""Data sources, bots and queues as they are stored: what they look like, what deleting leaves."""

import secrets
from dataclasses import dataclass

import pytest

from tidings import clock
from tidings.errors import NotFound
from tidings.model import credentials
from tidings.model.bots import DataSource, state_of
from tidings.model.ids import new_id
from tidings.secretbox import SecretBox
from tidings.store import bots, data_sources, queues, syncs, workspaces
from tidings.store.database import Database
from tidings.store.transactions import Tx


@dataclass(frozen=True, slots=True)
class Made:
    """A workspace with a bot and a data source."""

    workspace_id: str
    bot_id: str
    source_id: str


def make(tx: Tx) -> Made:
    workspace_id = workspaces.create(tx, "W", "unlimited")
    bot_id = bots.create(tx, workspace_id, "B").id
    source = DataSource(new_id(), workspace_id, bot_id, "D", "folder", {"path": "/x"}, paused=False, created_at=clock.now())
    data_sources.create(tx, source)
    return Made(workspace_id, bot_id, source.id)


async def test_a_queue_counts_what_can_start(database: Database) -> None:
    made = await database.write(make)
    await database.write(syncs.request, made.source_id, "api")
    waiting = await database.read(queues.queues)
    assert {name: queue.length for name, queue in waiting.items()} == {"syncs": 1, "deliveries": 0, "held": 0}
    assert waiting["syncs"].oldest >= 0
    await database.write(data_sources.change, made.source_id, name="D", config={}, paused=True)
    assert (await database.read(queues.queues))["syncs"].length == 0


async def test_deleting_a_bot_names_its_living_data_sources(database: Database) -> None:
    made = await database.write(make)
    other = DataSource(new_id(), made.workspace_id, made.bot_id, "E", "files", {}, paused=False, created_at=clock.now())
    await database.write(data_sources.create, other)
    await database.write(data_sources.delete, made.source_id)
    assert await database.write(bots.delete, made.workspace_id, made.bot_id) == (other.id,)
    for gone in (made.source_id, other.id):
        with pytest.raises(NotFound):
            await database.read(data_sources.get, made.workspace_id, gone)
    with pytest.raises(NotFound):
        await database.write(bots.delete, made.workspace_id, made.bot_id)


async def test_nothing_is_seen_from_another_workspace(database: Database) -> None:
    made, other = await database.write(make), await database.write(make)
    for look in (data_sources.get, data_sources.view):
        with pytest.raises(NotFound):
            await database.read(look, other.workspace_id, made.source_id)
    with pytest.raises(NotFound):
        await database.read(bots.get, other.workspace_id, made.bot_id)


@pytest.mark.parametrize(
    ("paused", "outcome", "state"), [(True, "failed", "paused"), (False, None, "new"), (False, "succeeded", "ok"), (False, "failed", "failing")]
)
def test_the_state_that_people_see(paused: bool, outcome: str | None, state: str) -> None:  # noqa: FBT001 - a row of the table
    assert state_of(paused=paused, last_outcome=outcome) == state


def test_credentials_are_sealed_masked_and_kept() -> None:
    box, source_id, token = SecretBox([secrets.token_bytes(32)]), new_id(), secrets.token_hex(8)
    config = {"url": "https://x", "token": token, "other": None}
    fields = {"token", "other"}
    stored = credentials.sealed(box, source_id, config, fields)
    assert token not in str(stored)
    assert credentials.opened(box, source_id, stored, fields) == config
    shown = credentials.masked(stored, fields)
    assert shown == {"url": "https://x", "token": "********", "other": None}
    assert credentials.unmasked({**shown, "url": "https://y"}, config, fields) == {**config, "url": "https://y"}
    assert credentials.unmasked({"token": "new"}, config, fields) == {"token": "new"}
