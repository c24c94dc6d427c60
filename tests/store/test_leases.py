"""Requests and claims that come at once, from many sides."""

import asyncio
import random

from sqlalchemy import insert, select

from tidings import clock
from tidings.model.ids import new_id
from tidings.store import leases, syncs
from tidings.store import tables as t
from tidings.store.database import Database
from tidings.store.transactions import Tx

LEASE = 30 * clock.SECOND


async def make_sources(database: Database, count: int) -> list[str]:
    """So many data sources of one bot."""
    workspace, bot, sources = new_id(), new_id(), [new_id() for _ in range(count)]

    def make(tx: Tx) -> None:
        tx.execute(insert(t.workspaces).values(id=workspace, name="W", plan="p", created_at=1))
        tx.execute(insert(t.bots).values(id=bot, workspace_id=workspace, name="B", created_at=1))
        for source in sources:
            tx.execute(insert(t.data_sources).values(id=source, workspace_id=workspace, bot_id=bot, name="D", type="files", config={}, created_at=1))

    await database.write(make)
    return sources


async def test_requests_at_once_queue_one_sync(database: Database) -> None:
    (source,) = await make_sources(database, 1)
    calls = random.randrange(20, 60)
    answers = await asyncio.gather(*(database.write(syncs.request, source, "hook", refs=[f"r{n % 7}"]) for n in range(calls)))
    assert len({answer.sync_id for answer in answers}) == 1
    assert sorted(answer.state for answer in answers) == ["merged"] * (calls - 1) + ["queued"]
    (merged,) = await database.read(lambda tx: tx.execute(select(t.syncs.c.merged)).scalars().all())
    assert merged == calls - 1
    refs = await database.read(syncs.refs_of, [answers[0].sync_id])
    assert sorted(refs[answers[0].sync_id]) == [f"r{n}" for n in range(7)]


async def test_every_queued_sync_is_claimed_once(database: Database) -> None:
    sources = await make_sources(database, 12)
    for source in sources:
        await database.write(syncs.request, source, "api")
    claims = await asyncio.gather(*(database.write(leases.claim, f"worker {n}", LEASE) for n in range(30)))
    claimed = [held.data_source_id for held in claims if held is not None]
    while (held := await database.write(leases.claim, "last", LEASE)) is not None:  # who found only locked rows came away with nothing
        claimed.append(held.data_source_id)
    assert sorted(claimed) == sorted(sources)


async def test_a_request_that_meets_a_claim_is_never_lost(database: Database) -> None:
    """Whatever the order: the request joins a sync that has not begun, or queues the next one."""
    (source,) = await make_sources(database, 1)
    for _ in range(20):
        await database.write(syncs.request, source, "api")
        held, asked = await asyncio.gather(database.write(leases.claim, "worker", LEASE), database.write(syncs.request, source, "hook"))
        # A claim passes over a row that is locked at that moment; the worker asks again.
        held = held or await database.write(leases.claim, "worker", LEASE)
        assert held is not None
        if asked.state == "queued":
            assert asked.sync_id != held.sync_id
        await database.write(syncs.cancel_all, [source])


async def test_leases_run_out_and_fences_grow(database: Database) -> None:
    (source,) = await make_sources(database, 1)
    await database.write(syncs.request, source, "api")
    first = await database.write(leases.claim, "one", -1)
    second = await database.write(leases.claim, "two", LEASE)
    assert first is not None
    assert second is not None
    assert (second.sync_id, second.fence, second.takeovers) == (first.sync_id, first.fence + 1, 1)
    assert await database.write(leases.claim, "three", LEASE) is None
    await database.write(leases.hand_over, second)
    third = await database.write(leases.claim, "three", LEASE)
    assert third is not None
    assert (third.fence, third.takeovers) == (second.fence + 1, 1)  # a stop is no death
