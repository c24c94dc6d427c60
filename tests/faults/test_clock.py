"""The clock is set while deliveries are under way; and an endpoint that is down for days is asked exactly when it is said."""

import asyncio
import socket
from collections import Counter

import pytest
from aiohttp import web

from tests.flows.webhook_house import Got, House, Receiver, Travel, open_receiver
from tidings import clock
from tidings.clock import SECOND

HOUR, DAY = 3600.0, 86_400.0
WAIT = 60
SCHEDULE = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)  # the default
DOWN_DAYS = 3
EVENTS = 2
SLOW_SECONDS = 0.5
LATE_SECONDS = 20.0  # a busy machine


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 2 * DAY, -2 * DAY], ids=["an hour on", "an hour back", "two days on", "two days back"])
async def test_a_clock_that_is_set_skips_nothing_and_repeats_little(house: House, receiver: Receiver, jump: float) -> None:
    travel = Travel()
    bad: set[str] = set()

    async def answer(got: Got) -> web.Response:
        refused = not bad
        bad.add(got.headers["webhook-id"])
        if not refused:
            await asyncio.sleep(SLOW_SECONDS)
        return web.Response(status=500 if refused else 200)

    receiver.answer = answer
    await house.hook(target_url=receiver.url)
    async with house.dispatching(retry_schedule=(WAIT,) * 5):
        await house.end_sync()
        (failed,) = await house.until(lambda found: found[0].attempt_count == 1)
        for _ in range(3):
            await house.end_sync()
        await receiver.until(2)
        travel.forward(jump)  # while some are under way
        await house.wake()
        new = {(await house.end_sync()).id for _ in range(3)}
        await house.until(lambda found: all(one.state == "delivered" for one in found if one.sync_id in new))
        early = sum(got.headers["webhook-id"] == failed.event_id for got in receiver.got)
        assert early <= 2, "One early retry at most"
        travel.forward(WAIT * 1.1 + 1 - min(0, jump))  # what waited when the clock was set back waits as much longer
        await house.wake()
        found = await house.until_all("delivered", 7)
    arrived = Counter(got.headers["webhook-id"] for got in receiver.got)
    assert arrived == {one.event_id: 1 + (one.id == failed.id) for one in found}
    assert [one.sequence for one in found] == list(range(1, 8))
    assert all(attempt.duration_ms >= 0 for one in found for attempt in one.attempts), "However the clock was set, no attempt took less than no time"


async def one_more(house: House, travel: Travel, made: int) -> None:
    """When so many attempts have been made, it becomes the very moment of the next one."""
    found = await house.until(lambda found: sum(one.attempt_count for one in found) >= made)
    due = min(one.next_attempt_at for one in found if one.next_attempt_at is not None)
    travel.forward(max(0, due - clock.now()) / SECOND)
    await house.wake()


async def test_an_endpoint_that_is_down_for_three_days_is_asked_exactly_on_schedule(house: House) -> None:
    travel = Travel()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    await house.hook(target_url=f"http://127.0.0.1:{port}/hook")
    since = clock.now()
    for _ in range(EVENTS):
        await house.end_sync()
    async with house.dispatching(lease_seconds=1e9):
        made = EVENTS
        while clock.now() - since < DOWN_DAYS * clock.DAY:
            await one_more(house, travel, made)
            made += 1
        async with open_receiver(port) as receiver:
            while made < EVENTS * (len(SCHEDULE) + 1):
                await one_more(house, travel, made)
                made += 1
            found = await house.until_all("delivered", EVENTS)
    arrived = Counter(got.headers["webhook-id"] for got in receiver.got)
    assert arrived == {one.event_id: 1 for one in found}
    for one in found:
        assert len(one.attempts) == len(SCHEDULE) + 1
        for wait, before, after in zip(SCHEDULE, one.attempts, one.attempts[1:], strict=False):
            waited = (after.at - before.at) / SECOND
            assert wait <= waited <= wait * 1.1 + LATE_SECONDS
