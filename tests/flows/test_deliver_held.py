"""Hooks that are disabled, by a person, by a 410, by days of failing: what is kept, sent in order, dropped, given up, on both databases."""

import asyncio
import json
import random

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from tests.flows.webhook_house import Got, House, Receiver, Travel
from tidings import clock
from tidings.errors import Conflict, Invalid
from tidings.model.webhooks import Delivery, Hook
from tidings.store import activity
from tidings.webhooks import deliveries, hooks
from tidings.webhooks.retention import prune


async def told_of(house: House, kind: str) -> list[tuple[str, str | None]]:
    """What the activity says of hooks: (sentence, hook)."""
    page = await house.db.read(activity.page, house.workspace_id, limit=50, cursor=None)
    return [(one.sentence, one.webhook_id) for one in page.items if one.kind == kind]


async def test_410_disables_the_hook_and_keeps_the_delivery(house: House, receiver: Receiver) -> None:
    hook = await house.hook(target_url=receiver.url)
    receiver.answer = lambda _got: web.Response(status=410)
    async with house.dispatching():
        await house.end_sync()
        (held,) = await house.until_all("held")
        looked = await house.look(hook)
        assert (looked.enabled, looked.disabled_by, looked.state) == (False, "gone", "disabled")
        assert held.reason == "The endpoint answered 410 Gone: it wants no more webhooks. So the hook is disabled."
        with pytest.raises(Conflict):
            await deliveries.redeliver(house.db, house.workspace_id, held.id)
        await house.end_sync()
        await house.until_all("held", 2)
        assert len(receiver.got) == 1
        told = f"The webhook to {receiver.url.partition('://')[2].partition('/')[0]} was disabled: its receiver answered 410, which asks for no more."
        assert await told_of(house, "webhook_disabled") == [(told, hook.id)]  # once
        receiver.answer = lambda _got: web.Response()
        await house.change(looked, enabled=True)
        await house.until_all("delivered", 2)


async def test_held_deliveries_go_out_in_order_and_new_ones_behind_them(house: House, receiver: Receiver) -> None:
    hook = await house.hook(target_url=receiver.url)
    await house.change(hook, enabled=False)
    count = random.randrange(70, 100)
    async with house.dispatching():
        for _ in range(count):
            await house.end_sync()
        await house.until_all("held", count)
        assert receiver.got == []

        async def slowly(_got: Got) -> web.Response:
            await asyncio.sleep(random.uniform(0, 0.01))
            return web.Response()

        receiver.answer = slowly
        await house.change(hook, enabled=True)
        for _ in range(10):
            await house.end_sync()
        await house.until_all("delivered", count + 10)
        assert [int(got.headers["tidings-sequence"]) for got in receiver.got] == list(range(1, count + 11))
        await house.end_sync()
        await house.until_all("delivered", count + 11)


async def test_a_hook_may_keep_the_latest_success_of_each_source_only(house: House, receiver: Receiver) -> None:
    other = await house.add_source()
    hook = await house.hook(target_url=receiver.url, keep_held="latest")
    async with house.dispatching():
        await house.end_sync()
        await house.until_all("delivered")
        await house.change(hook, enabled=False)
        ended = [await house.end_sync(source=source) for source in (house.source, other, house.source, house.source)]
        found = {one.sync_id: one for one in await house.deliveries(hook)}
        assert [found[sync.id].state for sync in ended] == ["discarded", "held", "discarded", "held"]
        assert "later success of the same data source" in (found[ended[0].id].reason or "")
        await house.change(hook, enabled=True)
        await house.until(lambda found: sum(one.state == "delivered" for one in found) == 3)
    assert [got.headers["tidings-sequence"] for got in receiver.got] == ["1", "3", "5"]


async def test_what_was_held_before_is_reduced_to_the_latest_when_it_is_sent(house: House, receiver: Receiver) -> None:
    other = await house.add_source()
    hook = await house.hook(target_url=receiver.url)
    await house.change(hook, enabled=False)
    for source in (house.source, other, house.source, other, house.source):
        await house.end_sync(source=source)
    await house.change(hook, keep_held="latest", enabled=True)
    async with house.dispatching():
        await house.until(lambda found: sum(one.state == "delivered" for one in found) == 2)
    assert [got.headers["tidings-sequence"] for got in receiver.got] == ["4", "5"]


async def test_a_failure_hook_keeps_all(house: House) -> None:
    with pytest.raises(Invalid) as caught:
        await house.hook("sync_failure", target_url="http://127.0.0.1:49/", keep_held="latest")
    assert [problem.field for problem in caught.value.errors] == ["keepHeld"]
    assert (await house.hook("sync_failure", target_url="http://127.0.0.1:49/", keep_held="all")).keep_held == "all"
    with pytest.raises(Invalid):
        await house.trigger_hook(keep_held="all")


async def test_what_is_live_goes_before_what_is_recovered(house: House, receiver: Receiver) -> None:
    hook = await house.hook(target_url=receiver.url)
    await house.change(hook, enabled=False)
    since = clock.now()
    count = 700
    for _ in range(count):
        await house.end_sync()
    await house.change(hook, enabled=True, held="drop")

    async def slowly(_got: Got) -> web.Response:
        await asyncio.sleep(0.01)
        return web.Response()

    receiver.answer = slowly
    async with house.dispatching():
        assert await deliveries.recover(house.db, house.workspace_id, hook.id, since) == count
        await receiver.until(5)
        await house.end_sync()
        await receiver.until(count + 1, seconds=60)
        await house.until(lambda found: all(one.state == "delivered" for one in found))
    place = [got.headers["tidings-sequence"] for got in receiver.got].index(str(count + 1))
    assert place < 400  # behind what had been claimed before, not behind all
    ids = [got.headers["webhook-id"] for got in receiver.got]
    assert len(set(ids)) == len(ids) == count + 1


async def test_held_deliveries_can_be_dropped_and_recovered(house: House, receiver: Receiver) -> None:
    hook = await house.hook(target_url=receiver.url)
    async with house.dispatching():
        await house.end_sync()
        await house.until_all("delivered")
        since = clock.now()
        await house.change(hook, enabled=False)
        with pytest.raises(Conflict):
            await deliveries.recover(house.db, house.workspace_id, hook.id, since)
        for _ in range(3):
            await house.end_sync()
        await house.change(hook, enabled=True, held="drop")
        found = await house.until(lambda found: [one.state for one in found] == ["delivered"] + ["discarded"] * 3)
        assert all(one.reason for one in found[1:])
        await house.end_sync()
        await receiver.until(2)
        assert await deliveries.recover(house.db, house.workspace_id, hook.id, since) == 3
        found = await house.until_all("delivered", 5)
    assert sorted(int(got.headers["tidings-sequence"]) for got in receiver.got) == [1, 2, 3, 4, 5]
    assert {got.headers["webhook-id"] for got in receiver.got} == {one.event_id for one in found}


async def test_pending_deliveries_are_held_when_a_hook_is_disabled(house: House, receiver: Receiver) -> None:
    hook = await house.hook(target_url=receiver.url)
    receiver.answer = lambda _got: web.Response(status=500)
    async with house.dispatching():
        await house.end_sync()
        await house.until(lambda found: found[0].attempt_count == 1)
        await house.change(hook, enabled=False)
        (held,) = await house.until_all("held")
        assert held.next_attempt_at is None
        receiver.answer = lambda _got: web.Response()
        await house.change(hook, enabled=True)
        (delivery,) = await house.until_all("delivered")
    assert [attempt.number for attempt in delivery.attempts] == [1, 2]


async def fail_for_days(house: House, hook: Hook, travel: Travel) -> list[Delivery]:
    """Lets a hook fail until it is disabled; its two deliveries, which are held then."""
    await house.end_sync()
    await house.until(lambda found: found[0].attempt_count == 1)
    assert (await house.look(hook)).state == "failing"
    travel.forward(5 * 86_400 + 10)
    await house.end_sync()
    return await house.until_all("held", 2)


async def test_a_hook_that_fails_for_days_is_disabled_probed_and_comes_back(house: House, receiver: Receiver) -> None:
    travel = Travel()
    hook = await house.hook(target_url=receiver.url)
    receiver.answer = lambda _got: web.Response(status=500)
    async with house.dispatching(lease_seconds=1e9):
        found = await fail_for_days(house, hook, travel)
        looked = await house.look(hook)
        assert (looked.enabled, looked.disabled_by) == (False, "failing")
        assert all("5 days" in (one.reason or "") or "500" in (one.reason or "") for one in found)
        attempts = len(receiver.got)
        travel.forward(3601)
        await house.wake()
        await receiver.until(attempts + 1)
        await house.until_all("held", 2)
        await asyncio.sleep(0.2)
        assert len(receiver.got) == attempts + 1  # one of them, once
        receiver.answer = lambda _got: web.Response()
        travel.forward(3601)
        await house.wake()
        await house.until_all("delivered", 2)
        looked = await house.look(hook)
    assert (looked.enabled, looked.state) == (True, "ok")
    (disabled,), (enabled,) = await told_of(house, "webhook_disabled"), await told_of(house, "webhook_enabled")
    assert disabled[0].endswith("was disabled: nothing that it sent was accepted for 5 days.")
    assert enabled[0].endswith("was enabled by itself: its receiver accepts deliveries again.")
    assert [got.headers["tidings-sequence"] for got in receiver.got[-2:]] == ["1", "2"]


async def test_a_test_delivery_is_one_attempt_also_on_a_disabled_hook(house: House, receiver: Receiver) -> None:
    hook = await house.hook("sync_failure", target_url=receiver.url)
    await house.change(hook, enabled=False)
    receiver.answer = lambda _got: web.Response(status=410)
    async with house.dispatching():
        delivery_id = await deliveries.send_test(house.db, house.workspace_id, hook.id, None)
        (delivery,) = await house.until_all("exhausted")
        assert (delivery.id, delivery.test, delivery.sequence, delivery.sync_id) == (delivery_id, True, None, None)
        assert delivery.reason == "The endpoint answered 410 Gone: it wants no more webhooks. A test is sent once."  # and disables nothing
        (got,) = receiver.got
        assert got.headers["tidings-test"] == "true"
        assert got.headers["tidings-event"] == "sync.failure"
        assert "tidings-sequence" not in got.headers
        assert "tidings-sync-id" not in got.headers
        Webhook(hook.secret).verify(got.body, got.headers)
        receiver.answer = lambda _got: web.Response()
        await deliveries.send_test(house.db, house.workspace_id, hook.id, "sync.success")
        await receiver.until(2)
    assert json.loads(receiver.got[0].body) == {
        "success": False,
        "reason": "Over plan storage token limit, please upgrade plan",
        "bot": "Testing bot",
        "dataSource": "Data source one",
    }
    assert receiver.got[1].body == (
        b'{"success": true, "results": {"totalTokens": 241245, "modifiedRows": 15, "totalDocuments": 20, "unmodifiedRows": 0, "totalDataSourceRows": 15}, '
        b'"bot": "Testing bot", "dataSource": "Data source one"}'
    )
    looked = await house.look(hook)
    assert (looked.enabled, looked.disabled_by) == (False, "user")
    trigger = await house.trigger_hook()
    with pytest.raises(Invalid):
        await deliveries.send_test(house.db, house.workspace_id, trigger.id, None)


async def test_what_is_owed_to_a_deleted_hook_is_given_up(house: House, receiver: Receiver) -> None:
    hook = await house.hook(target_url=receiver.url)
    receiver.answer = lambda _got: web.Response(status=500)
    async with house.dispatching():
        await house.end_sync()
        await house.until(lambda found: found[0].attempt_count == 1)
        with pytest.raises(Conflict):
            await deliveries.redeliver(house.db, house.workspace_id, (await house.only_delivery()).id)
        await hooks.delete(house.db, house.workspace_id, hook.id)
        (delivery,) = await house.until_all("discarded")
    assert delivery.reason


async def test_what_is_held_for_a_hook_that_is_deleted_is_given_up(house: House, receiver: Receiver) -> None:
    deleted, other = await house.hook(target_url=receiver.url), await house.hook(target_url=receiver.url)
    for hook in (deleted, other):
        await house.change(hook, enabled=False)
    await house.end_sync()
    await hooks.delete(house.db, house.workspace_id, deleted.id)
    while await house.db.write(prune, 0):
        pass
    (given_up,) = await house.deliveries(deleted)
    assert (given_up.state, given_up.reason) == ("discarded", "The hook was deleted before this was sent.")
    assert given_up.ended_at is not None  # so its body is forgotten some day
    assert [one.state for one in await house.deliveries(other)] == ["held"]


async def test_a_probe_that_is_answered_with_410_is_the_last(house: House, receiver: Receiver) -> None:
    travel = Travel()
    hook = await house.hook(target_url=receiver.url)
    receiver.answer = lambda _got: web.Response(status=500)
    async with house.dispatching(lease_seconds=1e9):
        await fail_for_days(house, hook, travel)
        receiver.answer = lambda _got: web.Response(status=410)
        travel.forward(3601)
        await house.wake()
        await house.until(lambda found: sum(one.attempt_count for one in found) == 4)
        looked = await house.look(hook)
        assert (looked.enabled, looked.disabled_by) == (False, "gone")
        attempts = len(receiver.got)
        travel.forward(3601)
        await house.wake()
        await house.end_sync()
        await house.until_all("held", 3)
        assert len(receiver.got) == attempts
    assert [sentence.partition(" was ")[2] or sentence.partition(" is ")[2] for sentence, _ in await told_of(house, "webhook_disabled")] == [
        "tried no more: its receiver has answered 410, which asks for no more.",
        "disabled: nothing that it sent was accepted for 5 days.",
    ]


async def test_what_is_held_is_not_dropped_by_a_change_that_is_refused(house: House, receiver: Receiver) -> None:
    hook = await house.hook(target_url=receiver.url)
    await house.change(hook, enabled=False)
    await house.end_sync()
    with pytest.raises(Invalid):
        await house.change(hook, enabled=True, held="drop", data_source_id="00000000-0000-0000-0000-000000000000")
    assert not (await house.look(hook)).enabled
    assert [one.state for one in await house.deliveries(hook)] == ["held"]
