"""The promise of freshness: broken for whatever reason, it is told once, and made anew by the next success."""

import json
from datetime import time
from typing import Any

import pytest

from tests.flows.scheduled import activity_of, asked, attended, changed, claimed, fail, look, plan_of, scheduled, succeed
from tests.flows.webhook_house import House, Receiver, Travel
from tidings import clock
from tidings.clock import DAY, SECOND
from tidings.model.schedules import Window
from tidings.store import deliveries, events
from tidings.store.leases import renew

HOUR = 3600 * SECOND


async def told(house: House) -> list[dict[str, Any]]:
    """The `data` of the events of broken promises."""
    page = await house.db.read(events.page, house.workspace_id, after=None, limit=100)
    return [dict(event.data) for event in page.items if event.data.get("code") == "stale"]


async def test_a_broken_promise_is_told_once_with_the_reason(house: House, receiver: Receiver) -> None:
    travel = Travel()
    hooks = [await house.hook("sync_failure", target_url=receiver.url, envelope=envelope) for envelope in ("plain", "standard")]
    success = await house.hook(target_url=receiver.url)
    await scheduled(house, fresh_within=6 * HOUR)
    travel.forward(6.05 * 3600)
    for _ in range(3):
        await attended(house)
    async with house.dispatching():
        await house.until(lambda found: len(found) == 2 and all(one.state == "delivered" for one in found))
    cause = "nothing has asked for a sync since. Start one, or give it a schedule that keeps the promise."
    reason = f"Not synced successfully for 6 h 3 min (promised: within 6 h): {cause}"
    bodies = [json.loads(got.body) for got in receiver.got]
    plain = next(body for body in bodies if "type" not in body)
    assert list(plain.items()) == [("success", False), ("reason", reason), ("bot", house.bot_name), ("dataSource", house.source.name)]
    standard = next(body for body in bodies if "type" in body)
    about: dict[str, Any] = {
        "botId": house.bot_id,
        "dataSourceId": house.source.id,
        "syncId": None,
        "refs": [],
        "startedAt": None,
        "finishedAt": None,
        "code": "stale",
    }
    assert (standard["type"], standard["data"]) == ("sync.failure", {**plain, **about})
    for got in receiver.got:
        assert "tidings-sync-id" not in got.headers
        assert (got.headers["tidings-event"], got.headers["tidings-sequence"]) == ("sync.failure", "1")
    assert [one.event for hook in hooks for one in await house.deliveries(hook)] == ["sync.failure"] * 2
    assert await house.deliveries(success) == []
    assert await told(house) == [standard["data"]]
    (line,) = [one for one in await activity_of(house) if one.kind == "stale"]
    assert (line.kind, line.data_source_id, line.sentence) == ("stale", house.source.id, f"{house.source.name}: {reason}")
    shown = await look(house)
    assert shown.stale is not None
    assert shown.stale.reason == reason


async def test_the_next_success_makes_it_anew(house: House) -> None:
    travel = Travel()
    await scheduled(house, fresh_within=HOUR)
    travel.forward(2 * 3600)
    await attended(house)
    await asked(house)
    await fail(house, "It did not answer.")
    await attended(house)
    assert len(await told(house)) == 1, "A failed sync keeps no promise, and breaks none that is broken"
    await asked(house)
    await succeed(house)
    assert (await look(house)).stale is None
    fresh_until = (await plan_of(house)).fresh_until
    assert fresh_until is not None
    assert abs(fresh_until - clock.now() - HOUR) < 60 * SECOND
    travel.forward(0.9 * 3600)
    await attended(house)
    assert len(await told(house)) == 1
    travel.forward(0.2 * 3600)
    await attended(house)
    assert len(await told(house)) == 2


async def _failing(house: House) -> None:
    await asked(house)
    await fail(house, "Connection refused. Look whether it runs.")


async def _paused(house: House) -> None:
    await changed(house, paused=True)


async def _stuck(house: House) -> None:
    await asked(house)
    assert await claimed(house)


async def _no_worker(house: House) -> None:
    await asked(house)


async def _waiting(house: House) -> None:
    hour = ((clock.now() + 12 * HOUR) % DAY) // HOUR
    await scheduled(house, window=Window(time(hour), time((hour + 1) % 24)), fresh_within=2 * HOUR)
    await asked(house)


async def _all_down(house: House) -> None:
    await scheduled(house, every=HOUR, fresh_within=2 * HOUR)


@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        (_failing, "the last sync failed: Connection refused. Look whether it runs."),
        (_paused, "the data source is paused. Resume it, or take the promise back."),
        (_stuck, "a sync has been running for 3 h."),
        (_no_worker, "a sync has been queued for 3 h, and no worker has taken it up yet. Look whether workers run."),
        (_waiting, "a sync waits for the window of the schedule, which opens at "),
        (_all_down, "the sync that was due at "),
    ],
)
async def test_the_reason_names_the_cause(house: House, trouble: Any, cause: str) -> None:
    travel = Travel()
    await scheduled(house, fresh_within=2 * HOUR)
    await trouble(house)
    travel.forward(3 * 3600)
    stale = (await look(house)).stale
    assert stale is not None, "Whoever looks is told at once, also while no worker runs"
    assert stale.since == (await plan_of(house)).fresh_until
    await attended(house)
    (data,) = await told(house)
    assert data["reason"].startswith(f"Not synced successfully for 3 h (promised: within 2 h): {cause}")


async def test_a_sync_that_renews_its_lease_keeps_no_promise(house: House) -> None:
    travel = Travel()
    await scheduled(house, fresh_within=2 * HOUR)
    await asked(house)
    held = await claimed(house)
    assert held is not None
    travel.forward(3 * 3600)
    await house.db.write(renew, held, HOUR)
    await attended(house)
    assert len(await told(house)) == 1


async def test_a_promise_counts_from_the_last_success(house: House) -> None:
    travel = Travel()
    await asked(house)
    await succeed(house)
    travel.forward(5 * 3600)
    await scheduled(house, fresh_within=2 * HOUR)
    await attended(house)
    assert len(await told(house)) == 1
    await scheduled(house, fresh_within=2 * HOUR, every=HOUR)
    await attended(house)
    assert len(await told(house)) == 1, "The same promise, told once"
    await scheduled(house, fresh_within=6 * HOUR)
    assert (await look(house)).stale is None


async def test_a_disabled_hook_keeps_it_and_one_of_another_data_source_says_why_not(house: House) -> None:
    travel = Travel()
    other = await house.add_source()
    hook = await house.hook("sync_failure", target_url="http://127.0.0.1:8080/")
    elsewhere = await house.hook("sync_failure", target_url="http://127.0.0.1:8080/", data_source_id=other.id)
    await house.change(hook, enabled=False)
    await scheduled(house, fresh_within=HOUR)
    travel.forward(2 * 3600)
    await attended(house)
    found = await house.db.read(deliveries.page, house.workspace_id, limit=10, cursor=None)
    assert {(one.webhook_id, one.state, one.sync_id) for one in found.items} == {(hook.id, "held", None), (elsewhere.id, "discarded", None)}


async def test_a_sync_of_some_rows_keeps_no_promise(house: House) -> None:
    travel = Travel()
    await scheduled(house, fresh_within=2 * HOUR)
    travel.forward(3600)
    await asked(house)
    await succeed(house, whole=False)
    travel.forward(1.5 * 3600)
    await attended(house)
    assert len(await told(house)) == 1
