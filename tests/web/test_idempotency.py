"""Idempotency-Key: once is once, whatever happens between."""

import asyncio
import secrets

import pytest
from sqlalchemy import select

from tests.web.world import World, a_bot, a_folder, fields_of
from tidings import clock
from tidings.clock import DAY
from tidings.errors import Conflict
from tidings.store import bots, idempotency, tables
from tidings.store.idempotency import RUNNING, Claim
from tidings.web.idempotency import ClaimedDatabase


@pytest.fixture
def key() -> str:
    return secrets.token_urlsafe(12)


async def names(world: World) -> list[str]:
    return [bot["name"] for bot in (await world.owner("GET", "/bots", 200)).json()["items"]]


async def test_a_repeat_is_answered_as_the_first_was(world: World, key: str) -> None:
    headers = {"Idempotency-Key": key}
    first = await world.owner("POST", "/bots", 201, json={"name": "B"}, headers=headers)
    again = await world.owner("POST", "/bots", 201, json={"name": "B"}, headers=headers)
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
    assert await names(world) == ["B"]


async def test_another_request_with_the_key_is_refused(world: World, key: str) -> None:
    headers = {"Idempotency-Key": key}
    await world.owner("POST", "/bots", 201, json={"name": "B"}, headers=headers)
    assert fields_of(await world.owner("POST", "/bots", 422, json={"name": "C"}, headers=headers)) == ["Idempotency-Key"]
    assert fields_of(await world.operator("POST", "/bots", 422, json={"name": "B"}, headers=headers)) == ["Idempotency-Key"]
    assert fields_of(await world.owner("POST", "/webhooks/explain-target", 422, json={"url": "x"}, headers=headers)) == ["Idempotency-Key"]
    await world.stranger("POST", "/bots", 201, json={"name": "B"}, headers=headers)
    assert await names(world) == ["B"]


async def test_refusals_are_kept_too(world: World, key: str) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner), syncNow=False)
    path, headers = f"/data-sources/{source['id']}", {"Idempotency-Key": key}
    await world.owner("PATCH", path, 200, json={"paused": True})
    first = await world.owner("POST", f"{path}/sync", 409, headers=headers)
    await world.owner("PATCH", path, 200, json={"paused": False})
    assert (await world.owner("POST", f"{path}/sync", 409, headers=headers)).content == first.content
    await world.owner("POST", f"{path}/sync", 202)


async def test_of_many_at_once_one_is_carried_out(world: World, key: str) -> None:
    async def post() -> int:
        return (await world.owner("POST", "/bots", json={"name": "B"}, headers={"Idempotency-Key": key})).status_code

    statuses = await asyncio.gather(*(post() for _ in range(12)))
    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    assert await names(world) == ["B"]


async def test_uploads(world: World, key: str) -> None:
    source = await world.owner.made(f"/bots/{await a_bot(world.owner)}/data-sources", {"name": "F", "type": "files", "syncNow": False})
    path, headers = f"/data-sources/{source['id']}/files", {"Idempotency-Key": key}
    first = await world.owner("POST", path, 201, files={"f": ("a.md", b"one")}, headers=headers)
    again = await world.owner("POST", path, 201, files={"f": ("a.md", b"one")}, headers=headers)  # another boundary, the same files
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert fields_of(await world.owner("POST", path, 422, files={"f": ("a.md", b"two")}, headers=headers)) == ["Idempotency-Key"]


async def test_secrets_in_kept_answers_are_sealed(world: World, key: str) -> None:
    body = {"type": "sync_success", "targetUrl": "https://8.8.8.8"}
    hook = (await world.owner("POST", f"/bots/{await a_bot(world.owner)}/webhooks", 201, json=body, headers={"Idempotency-Key": key})).json()
    kept = await world.services.db.read(lambda tx: bytes(tx.execute(select(tables.idempotency_keys.c.body)).scalar_one()))
    assert hook["secret"].encode() not in kept


async def test_a_key_is_forgotten_after_a_day(world: World, key: str) -> None:
    headers = {"Idempotency-Key": key}
    await world.owner("POST", "/bots", 201, json={"name": "B"}, headers=headers)
    later = clock.now() + DAY + 1
    clock.set_source(lambda: later)
    try:
        await world.owner("POST", "/bots", 201, json={"name": "C"}, headers=headers)
        assert await names(world) == ["B", "C"]
    finally:
        clock.set_source(None)


async def claimed(world: World, key: str, at: int) -> Claim:
    """A request that is under way since `at`, as one whose process has died leaves it."""
    clock.set_source(lambda: at)
    try:
        claim = await world.services.db.write(idempotency.claim, world.owner.workspace_id, key, b"hash")
    finally:
        clock.set_source(None)
    assert isinstance(claim, Claim)
    return claim


async def test_what_died_before_its_effect_is_run_again_and_can_not_come_back(world: World, key: str) -> None:
    db = world.services.db
    dead = await claimed(world, key, clock.now() - RUNNING - 1)
    second = await db.write(idempotency.claim, world.owner.workspace_id, key, b"hash")
    assert isinstance(second, Claim)
    with pytest.raises(Conflict):
        await ClaimedDatabase(db, dead).write(bots.create, world.owner.workspace_id, "of the dead")
    await ClaimedDatabase(db, second).write(bots.create, world.owner.workspace_id, "of the living")
    assert await names(world) == ["of the living"]


async def test_what_died_after_its_effect_is_not_run_again(world: World, key: str) -> None:
    db = world.services.db
    claim = await claimed(world, key, clock.now() - RUNNING - 1)
    await ClaimedDatabase(db, claim).write(bots.create, world.owner.workspace_id, "once")
    assert await db.write(idempotency.claim, world.owner.workspace_id, key, b"hash") == "lost"
    await db.write(idempotency.release, claim)
    assert await db.write(idempotency.claim, world.owner.workspace_id, key, b"hash") == "lost"


async def test_while_the_first_runs_repeats_are_told_so(world: World, key: str) -> None:
    await claimed(world, key, clock.now())
    assert await world.services.db.write(idempotency.claim, world.owner.workspace_id, key, b"hash") == "running"
    assert await world.services.db.write(idempotency.claim, world.owner.workspace_id, key, b"another") == "other"


@pytest.mark.parametrize("odd", ["", " ", "x" * 256, "ü", "a\tb"])
async def test_odd_keys(world: World, odd: str) -> None:
    answer = await world.owner("POST", "/bots", 422, json={"name": "B"}, headers={"Idempotency-Key": odd.encode()})
    assert fields_of(answer) == ["Idempotency-Key"]
    assert (await world.owner("GET", "/bots", 200, headers={"Idempotency-Key": odd.encode()})).json()["items"] == []
