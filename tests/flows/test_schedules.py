"""Syncs that a schedule starts, and windows that syncs wait for, on both databases; time is set by hand."""

import asyncio
import contextlib
from datetime import time

import pytest

from tests.flows.scheduled import asked, attended, changed, claimed, fail, look, plan_of, scheduled, succeed, syncs_of
from tests.flows.webhook_house import House, Travel
from tidings import clock
from tidings.clock import DAY, SECOND, parse_rfc3339
from tidings.model.schedules import Window
from tidings.store import queues, syncs
from tidings.store.database import open_database
from tidings.webhooks.announce import announce_stale
from tidings.worker.schedule import attend_due, keep_schedules

HOUR = 3600 * SECOND
NIGHT = Window(time(1), time(5))


class Clock:
    """The clock, standing still where it is set."""

    def __init__(self, at: str) -> None:
        self.at = parse_rfc3339(at)
        clock.set_source(lambda: self.at)


async def test_a_sync_starts_when_it_is_due(house: House) -> None:
    travel = Travel()
    plan = await scheduled(house, every=HOUR)
    assert plan.next_run_at is not None
    assert 0.9 * HOUR <= plan.next_run_at - plan.since <= HOUR
    stop = asyncio.Event()
    loop = asyncio.create_task(keep_schedules(house.db, announce_stale, stop))
    travel.forward(0.8 * 3600)
    await attended(house)
    assert await syncs_of(house) == []
    travel.forward(0.2 * 3600)
    sync_id = await house.until_queued()
    stop.set()
    await asyncio.wait_for(loop, 60)
    (sync,) = await syncs_of(house)
    assert (sync.id, sync.triggered_by) == (sync_id, "schedule")
    assert (await plan_of(house)).next_run_at == plan.next_run_at + HOUR, "Nothing drifts"


async def test_what_was_missed_runs_once(house: House) -> None:
    travel = Travel()
    plan = await scheduled(house, every=HOUR)
    travel.forward(3 * 86_400)
    for _ in range(3):
        await attended(house)
    assert [sync.triggered_by for sync in await syncs_of(house)] == ["schedule"]
    after = await plan_of(house)
    assert after.next_run_at is not None
    assert plan.next_run_at is not None
    assert clock.now() < after.next_run_at <= clock.now() + HOUR
    assert (after.next_run_at - plan.next_run_at) % HOUR == 0


async def test_several_workers_start_each_sync_once(house: House) -> None:
    travel = Travel()
    sources = [await house.add_source() for _ in range(12)]
    for source in sources:
        await scheduled(house, source, every=HOUR)
    travel.forward(2 * 3600)
    with contextlib.closing(open_database(house.settings)) as other:
        dbs = [house.db, house.db, *([other] * 2 if house.settings.database_url else [])]
        await asyncio.gather(*(attend_due(db, announce_stale) for db in dbs))
    for source in sources:
        (sync,) = await syncs_of(house, source)
        assert (sync.state, sync.triggered_by) == ("queued", "schedule")
        merged = await house.db.read(syncs.page, source.id, limit=5, cursor=None)
        assert len(merged.items) == 1
        assert ((await plan_of(house, source)).next_run_at or 0) > clock.now()


async def test_a_paused_data_source_starts_none_and_makes_up_for_it_once(house: House) -> None:
    travel = Travel()
    await scheduled(house, every=HOUR)
    await changed(house, paused=True)
    travel.forward(5 * 3600)
    await attended(house)
    assert await syncs_of(house) == []
    await changed(house, paused=False)
    for _ in range(2):
        await attended(house)
    assert len(await syncs_of(house)) == 1


async def test_a_deleted_data_source_or_schedule_starts_none(house: House) -> None:
    travel = Travel()
    await scheduled(house, every=HOUR)
    await changed(house, schedule=None)
    assert (await look(house)).data_source.plan is None
    travel.forward(5 * 3600)
    await attended(house)
    assert await syncs_of(house) == []


async def test_a_failed_sync_is_not_repeated_before_the_next_run(house: House) -> None:
    travel = Travel()
    await scheduled(house, every=HOUR)
    travel.forward(1.2 * 3600)
    await attended(house)
    await fail(house, "It did not answer.")
    travel.forward(0.3 * 3600)
    await attended(house)
    assert [sync.state for sync in await syncs_of(house)] == ["failed"]
    assert await claimed(house) is None
    travel.forward(3600)
    await attended(house)
    assert [sync.state for sync in await syncs_of(house)] == ["queued", "failed"]


@pytest.mark.parametrize("jump", [2 * 86_400, 3600, 900])
async def test_a_clock_that_is_set_back_stops_nothing(house: House, jump: int) -> None:
    travel = Travel()
    await scheduled(house, every=HOUR, fresh_within=2 * HOUR)
    travel.forward(jump)
    await attended(house)
    await scheduled(house, every=HOUR, fresh_within=3 * HOUR)
    travel.forward(-jump)
    await attended(house)
    plan = await plan_of(house)
    assert plan.next_run_at is not None
    assert plan.fresh_until is not None
    assert plan.next_run_at <= clock.now() + HOUR
    assert plan.fresh_until <= clock.now() + 3 * HOUR


async def test_a_sync_waits_for_the_window_and_says_so(house: House) -> None:
    at = Clock("2026-11-22T12:00:00Z")
    await scheduled(house, window=NIGHT, time_zone="Europe/Berlin")
    sync = await asked(house)
    assert sync.waits_until(clock.now()) == parse_rfc3339("2026-11-23T00:00:00Z")
    assert await claimed(house) is None
    assert (await house.db.read(queues.queues))["syncs"].length == 0, "It is not overdue"
    assert (await asked(house)).id == sync.id, "Later requests merge into it"
    at.at = parse_rfc3339("2026-11-23T00:00:00Z")
    assert (await house.db.read(queues.queues))["syncs"].length == 1
    held = await claimed(house)
    assert held is not None
    assert held.sync_id == sync.id


async def test_a_sync_that_did_not_start_before_the_window_closed_waits_for_the_next(house: House) -> None:
    at = Clock("2026-11-22T04:59:00Z")
    await scheduled(house, window=NIGHT)
    sync = await asked(house)
    assert sync.waits_until(clock.now()) is None
    at.at = parse_rfc3339("2026-11-22T05:00:00Z")
    assert await claimed(house) is None
    (sync,) = await syncs_of(house)
    assert sync.waits_until(clock.now()) == parse_rfc3339("2026-11-23T01:00:00Z")


async def test_others_do_not_wait_behind_one_that_waits_for_its_window(house: House) -> None:
    Clock("2026-11-22T12:00:00Z")
    await asked(house)
    await scheduled(house, window=NIGHT)
    other = await house.add_source()
    await house.db.write(syncs.request, other.id, "api")
    held = await claimed(house)
    assert held is not None
    assert held.data_source_id == other.id


async def test_a_person_need_not_wait_for_the_window(house: House) -> None:
    Clock("2026-11-22T12:00:00Z")
    await scheduled(house, window=NIGHT)
    waiting = await asked(house)
    assert await claimed(house) is None
    hurried = await asked(house, ignore_window=True)
    assert (hurried.id, hurried.waits_until(clock.now())) == (waiting.id, None)
    assert (await asked(house)).waits_until(clock.now()) is None, "Who merges into it does not hold it back again"
    held = await claimed(house)
    assert held is not None
    assert held.sync_id == waiting.id


async def test_a_running_sync_goes_on_when_the_window_closes(house: House) -> None:
    at = Clock("2026-11-22T04:00:00Z")
    await scheduled(house, window=NIGHT)
    await asked(house)
    first = await claimed(house, -SECOND)
    at.at = parse_rfc3339("2026-11-22T06:00:00Z")
    second = await claimed(house)
    assert first is not None
    assert second is not None
    assert (second.sync_id, second.fence) == (first.sync_id, first.fence + 1)


async def test_another_window_counts_for_what_is_queued(house: House) -> None:
    Clock("2026-11-22T12:00:00Z")
    await scheduled(house, window=NIGHT)
    sync = await asked(house)
    await scheduled(house, window=Window(time(14), time(15)))
    assert [one.waits_until(clock.now()) for one in await syncs_of(house)] == [parse_rfc3339("2026-11-22T14:00:00Z")]
    await changed(house, schedule=None)
    held = await claimed(house)
    assert held is not None
    assert held.sync_id == sync.id


async def test_a_run_that_was_missed_waits_for_the_window_too(house: House) -> None:
    at = Clock("2026-11-22T12:00:00Z")
    plan = await scheduled(house, cron="0 2 * * *", window=NIGHT)
    assert plan.next_run_at is not None
    assert parse_rfc3339("2026-11-23T02:00:00Z") <= plan.next_run_at <= parse_rfc3339("2026-11-23T02:10:00Z")
    at.at = parse_rfc3339("2026-11-23T09:00:00Z")
    await attended(house)
    (sync,) = await syncs_of(house)
    assert sync.waits_until(clock.now()) == parse_rfc3339("2026-11-24T01:00:00Z")
    at.at += DAY // 2 + 6 * HOUR
    await attended(house)
    await succeed(house)
    assert len(await syncs_of(house)) == 1, "The run of that night and the one that was missed are one"


async def test_who_hurries_a_dry_run_hurries_no_real_sync(house: House) -> None:
    Clock("2026-11-22T12:00:00Z")
    await scheduled(house, window=NIGHT)
    real = await asked(house)
    assert (await asked(house, dry_run=True, ignore_window=True)).waits_until(clock.now()) is not None
    await house.db.write(syncs.cancel, house.workspace_id, real.id)
    dry = await asked(house, dry_run=True, ignore_window=True)
    assert (dry.dry_run, dry.waits_until(clock.now())) == (True, None)
    await asked(house)
    assert await claimed(house) is None, "Made real, it waits"
