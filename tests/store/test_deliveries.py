"""Claims of deliveries on both databases: under a fence, fair over hooks, given back, taken over."""

import asyncio
import random
import secrets
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, select

from tests.flows.webhook_house import House, open_house
from tidings import clock
from tidings.model.ids import new_id, new_random_id
from tidings.settings import Settings
from tidings.store import attempts, deliveries, outcomes
from tidings.store import webhooks as hooks
from tidings.store.attempts import VISITED, Claim, Claimed
from tidings.store.database import Database
from tidings.store.outcomes import Outcome
from tidings.store.tables import attempts as attempts_table
from tidings.store.tables import deliveries as table
from tidings.store.tables import webhooks
from tidings.store.transactions import Tx

LEASE = 30 * clock.SECOND


@pytest.fixture
async def house(database: Database, settings: Settings) -> AsyncIterator[House]:
    async with open_house(database, settings) as house:
        yield house


async def owe(house: House, endpoint: str, count: int, *, hooks: int = 1) -> list[str]:
    """So many due deliveries for each of so many hooks of one endpoint."""
    at = clock.now() - count  # a microsecond apart, the last one due now

    def write(tx: Tx) -> list[str]:
        ids = [new_random_id() for _ in range(hooks)]
        common = {"workspace_id": house.workspace_id, "bot_id": house.bot_id, "type": "sync_success", "envelope": "plain"}
        tx.execute(insert(webhooks), [{"id": id_, **common, "target_url": endpoint, "endpoint": endpoint, "created_at": at} for id_ in ids])
        rows: list[dict[str, Any]] = [
            {
                "id": new_id(),
                "workspace_id": house.workspace_id,
                "webhook_id": id_,
                "event_id": new_id(),
                "event": "sync.success",
                "sequence": number + 1,
                "state": "pending",
                "headers": {},
                "body": "{}",
                "next_attempt_at": at + number,
                "created_at": at,
            }
            for id_ in ids
            for number in range(count)
        ]
        tx.execute(insert(table), rows)
        return ids

    return await house.db.write(write)


class Rooms:
    """So much in all, and so much for each endpoint; nothing for those whose name has `closed` in it."""

    def __init__(self, left: int, per_endpoint: int, closed: str = "nobody") -> None:
        self.left, self._per_endpoint, self._closed = left, per_endpoint, closed
        self._taken: dict[str, int] = {}

    def of(self, _hook_id: str, endpoint: str, *, failing: bool) -> int:  # noqa: ARG002
        return 0 if self._closed in endpoint else max(0, min(self.left, self._per_endpoint - self._taken.get(endpoint, 0)))

    def take(self, _hook_id: str, endpoint: str, count: int, *, failing: bool) -> None:  # noqa: ARG002
        self.left -= count
        self._taken[endpoint] = self._taken.get(endpoint, 0) + count


async def claim(
    house: House, *, room: int = 512, per_endpoint: int = 512, cursor: str = "", lease: int = LEASE, owner: str = "me", closed: str = "nobody"
) -> Claim:
    return await house.db.write(attempts.claim, owner, lease, cursor=cursor, rooms=lambda: Rooms(room, per_endpoint, closed))


def made(claimed: Claimed, state: str = "delivered") -> Outcome:
    return Outcome(claimed, clock.now(), 200, 3, None, "127.0.0.1", {"total": 3.1}, None, None, {"a": "b"}, {"c": "d"}, "ok", state, None, None)


async def states(house: House) -> dict[str, tuple[str, int]]:
    found = await house.db.read(lambda tx: tx.execute(select(table.c.id, table.c.state, table.c.attempt_count)).all())
    return {row.id: (row.state, row.attempt_count) for row in found}


async def test_what_is_claimed_is_nobody_elses_until_its_lease_ends(house: House) -> None:
    await owe(house, "http://a:1", 5)
    first = await claim(house)
    assert [one.sequence for one in first.taken] == [1, 2, 3, 4, 5]
    assert set(first.targets) == {first.taken[0].webhook_id}
    assert (await claim(house, owner="other")).taken == []
    held = [(one.id, one.fence) for one in first.taken]
    await house.db.write(attempts.release, held[:2])
    again = await claim(house, owner="other", lease=-clock.SECOND)
    assert [one.id for one in again.taken] == [id_ for id_, _ in held[:2]]
    taken_over = await claim(house)
    assert [(one.id, one.fence) for one in taken_over.taken] == [(id_, fence + 2) for id_, fence in held[:2]]


async def test_who_lost_the_lease_writes_nothing(house: House) -> None:
    await owe(house, "http://a:1", 1)
    (zombie,) = (await claim(house, lease=-1)).taken
    (holder,) = (await claim(house, owner="other")).taken
    await house.db.write(outcomes.record, [made(zombie)])
    assert await house.db.write(attempts.renew, [(zombie.id, zombie.fence)], LEASE) == set()
    await house.db.write(attempts.release, [(zombie.id, zombie.fence)])
    assert await states(house) == {zombie.id: ("pending", 0)}
    assert (await claim(house)).taken == []
    await house.db.write(outcomes.record, [made(holder)])
    await house.db.write(outcomes.record, [made(zombie, "exhausted")])
    assert await states(house) == {zombie.id: ("delivered", 1)}
    assert len(await house.db.read(lambda tx: tx.execute(select(attempts_table)).all())) == 1


async def test_a_lease_that_ended_is_not_extended_by_a_renewal_that_comes_late(house: House) -> None:
    await owe(house, "http://a:1", 3)
    held, settled, released = (await claim(house)).taken
    await house.db.write(outcomes.record, [replace(made(settled, "pending"), next_attempt_at=clock.now())])
    await house.db.write(attempts.release, [(released.id, released.fence)])
    asked = [(one.id, one.fence) for one in (released, settled, held)]
    assert await house.db.write(attempts.renew, asked, LEASE) == {held.id}
    assert {one.id for one in (await claim(house, owner="other")).taken} == {settled.id, released.id}


async def test_all_leases_end_when_the_one_process_starts_again(house: House) -> None:
    await owe(house, "http://a:1", 3)
    assert len((await claim(house)).taken) == 3
    await house.db.write(deliveries.void_leases)
    assert len((await claim(house, owner="new")).taken) == 3


async def test_a_long_backlog_hides_nobody(house: House) -> None:
    (busy,) = await owe(house, "http://dead:1", 3000)
    others = await owe(house, "http://well:1", 4, hooks=5)
    found = await claim(house, room=60, per_endpoint=8)
    by_hook = [one.webhook_id for one in found.taken]
    assert by_hook.count(busy) == 8
    assert sum(by_hook.count(hook) for hook in others) == 8
    full = await claim(house, room=60, closed="dead")
    assert sum(one.webhook_id in others for one in full.taken) == len(full.taken) == 12


async def test_every_hook_has_its_turn_however_many_there_are(house: House) -> None:
    count = 2 * VISITED + 44
    hooks = await owe(house, "http://well:1", 2, hooks=count)
    served: list[str] = []
    cursor = ""
    for _ in range(100):
        found = await claim(house, room=20, cursor=cursor)
        served += [one.webhook_id for one in found.taken]
        cursor = found.cursor or ""
        if len(served) == 2 * count:
            break
    assert sorted(served) == sorted(hooks * 2)
    assert set(served[: count + 40]) == set(hooks) or len(set(served[: count + 40])) > count * 0.8


async def test_what_came_last_makes_no_hook_lose_its_turn(house: House) -> None:
    dead = await owe(house, "http://dead:1", 1, hooks=VISITED * 3)
    fresh = await owe(house, "http://well:1", 1, hooks=VISITED // 2)
    visited = sorted(dead + fresh)[:VISITED]
    found = await claim(house, room=len(set(visited) & set(fresh)) + 3, closed="dead")
    assert len(set(fresh) - set(visited)) > 3
    assert found.cursor == visited[-1]


async def test_what_came_last_is_found_at_once_behind_many_hooks(house: House) -> None:
    await owe(house, "http://dead:1", 1, hooks=VISITED * 3)
    (fresh,) = await owe(house, f"http://{secrets.token_hex(4)}:1", 1)
    found = await claim(house, room=500, per_endpoint=8, closed="dead")
    assert [one.webhook_id for one in found.taken] == [fresh]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_what_is_due_at_a_hook_that_is_just_being_enabled_is_not_held_behind_its_back(house: House) -> None:
    (hook,) = await owe(house, "http://a:1", 1)
    await house.db.write(lambda tx: hooks.change(tx, hook, enabled=False))
    enabled, looked = threading.Event(), threading.Event()

    def enable(tx: Tx) -> None:
        hooks.enable(tx, hook)
        enabled.set()
        assert looked.wait(60)

    enabling = asyncio.create_task(house.db.write_bulk(enable))  # over a connection of its own
    assert await asyncio.to_thread(enabled.wait, 10)
    assert (await claim(house)).taken == []  # nobody but who enables it sees that yet
    looked.set()
    await enabling
    assert [one.webhook_id for one in (await claim(house)).taken] == [hook]


async def test_it_says_when_more_is_due(house: House) -> None:
    await owe(house, "http://a:1", 1)
    (one,) = (await claim(house)).taken
    later = clock.now() + random.randrange(10**9)
    await house.db.write(attempts.release, [(one.id, one.fence)], due=later, reason="later")
    found = await claim(house)
    assert (found.taken, found.next_at) == ([], later)
