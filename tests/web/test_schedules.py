"""Schedules over the API: the forms that are taken, what is answered, what follows."""

from typing import Any

import pytest

from tests.web.world import World, a_bot, a_folder, fields_of
from tidings import clock
from tidings.clock import parse_rfc3339

NONE: dict[str, Any] = {"every": None, "cron": None, "timeZone": "UTC", "window": None, "freshWithin": None}
NIGHT = {"from": "22:00", "to": "05:00"}


@pytest.fixture(autouse=True)
def at_noon(world: World) -> Any:
    clock.set_source(lambda: parse_rfc3339("2026-11-22T12:00:00Z"))
    yield
    clock.set_source(None)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (3600, {"every": 3600}),
        ("6h", {"every": 21_600}),
        ("0 3 * * 1-5", {"cron": "0 3 * * 1-5"}),
        ({"every": "90s"}, {"every": 90}),
        ({"every": 31_622_400}, {"every": 31_622_400}),
        ({"cron": "0 3 * * *", "timeZone": "Europe/Berlin"}, {"cron": "0 3 * * *", "timeZone": "Europe/Berlin"}),
        ({"every": "1d", "window": NIGHT, "freshWithin": "2d"}, {"every": 86_400, "window": NIGHT, "freshWithin": 172_800}),
        ({"window": NIGHT}, {"window": NIGHT}),
        ({"freshWithin": 60}, {"freshWithin": 60}),
        (None, None),
    ],
)
async def test_forms(world: World, given: Any, shown: dict[str, Any] | None) -> None:
    expected = None if shown is None else {**NONE, **shown}
    bot_id = await a_bot(world.owner)
    made = await a_folder(world, world.owner, bot_id, schedule=given, syncNow=False)
    path = f"/data-sources/{made['id']}"
    assert made["schedule"] == expected
    assert (await world.member("GET", path, 200)).json() == made
    assert (await world.member("GET", f"/bots/{bot_id}/data-sources", 200)).json()["items"] == [made]
    assert (await world.owner("PATCH", path, 200, json={"schedule": made["schedule"]})).json() == made, "What is shown may be sent back"
    assert (await world.owner("PATCH", path, 200, json={"name": made["name"]})).json() == made
    removed = (await world.owner("PATCH", path, 200, json={"schedule": None})).json()
    assert [removed[name] for name in ("schedule", "nextSyncAt", "freshUntil", "stale")] == [None] * 4
    assert (await world.owner("PATCH", path, 200, json={"schedule": given})).json()["schedule"] == expected


async def test_when_it_syncs_next(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner), schedule={"cron": "30 13 * * *", "freshWithin": "1h"}, syncNow=False)
    path = f"/data-sources/{source['id']}"
    assert "2026-11-22T13:30:00Z" <= source["nextSyncAt"] <= "2026-11-22T13:40:00Z"
    assert (source["freshUntil"], source["stale"]) == ("2026-11-22T13:00:00Z", None)
    paused = (await world.owner("PATCH", path, 200, json={"paused": True})).json()
    assert (paused["nextSyncAt"], paused["freshUntil"]) == (None, "2026-11-22T13:00:00Z")
    clock.set_source(lambda: parse_rfc3339("2026-11-22T13:00:00Z"))
    stale = (await world.member("GET", path, 200)).json()["stale"]
    assert stale["since"] == "2026-11-22T13:00:00Z"
    assert stale["reason"].endswith("the data source is paused. Resume it, or take the promise back.")


async def test_the_whole_schedule_is_replaced(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner), schedule={"every": 3600, "window": NIGHT}, syncNow=False)
    changed = (await world.owner("PATCH", f"/data-sources/{source['id']}", 200, json={"schedule": {"freshWithin": "1d"}})).json()
    assert changed["schedule"] == {**NONE, "freshWithin": 86_400}
    assert changed["nextSyncAt"] is None


async def test_a_sync_that_waits_says_so(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner), schedule={"window": NIGHT, "timeZone": "Europe/Berlin"})
    (queued,) = (await world.member("GET", f"/data-sources/{source['id']}/syncs", 200)).json()["items"]
    assert (queued["state"], queued["triggeredBy"], queued["waitingUntil"]) == ("queued", "created", "2026-11-22T21:00:00Z")
    assert "window" in queued["waitingReason"]
    assert (await world.member("GET", f"/syncs/{queued['id']}", 200)).json() == queued
    merged = (await world.member("POST", f"/data-sources/{source['id']}/sync", 202)).json()
    assert merged == {"syncId": queued["id"], "state": "merged"}
    await world.member("POST", f"/data-sources/{source['id']}/sync", 202, json={"ignoreWindow": True})
    hurried = (await world.member("GET", f"/syncs/{queued['id']}", 200)).json()
    assert (hurried["waitingUntil"], hurried["waitingReason"]) == (None, None)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({}, "schedule"),
        (59, "schedule.every"),
        ("0 0 30 2 *", "schedule.cron"),
        ({"every": 60, "cron": "0 3 * * *"}, "schedule.cron"),
        ({"cron": "61 * * * *"}, "schedule.cron"),
        ({"every": 60, "timeZone": "Mars/Base"}, "schedule.timeZone"),
        ({"every": "soon"}, "schedule.every"),
        ({"freshWithin": 366 * 86_400 + 1}, "schedule.freshWithin"),
        ({"window": {"from": "01:00", "to": "01:00"}}, "schedule.window.to"),
        ({"window": {"from": "25:00", "to": "01:00"}}, "schedule.window.from"),
        ({"window": {"to": "01:00"}}, "schedule.window.from"),
    ],
)
async def test_what_is_wrong_is_named(world: World, wrong: Any, field: str) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner), syncNow=False)
    assert fields_of(await world.owner("PATCH", f"/data-sources/{source['id']}", 422, json={"schedule": wrong})) == [field]
    assert (await world.owner("GET", f"/data-sources/{source['id']}", 200)).json() == source


async def test_members_change_no_schedule(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner))
    await world.member("PATCH", f"/data-sources/{source['id']}", 403, json={"schedule": 3600})
