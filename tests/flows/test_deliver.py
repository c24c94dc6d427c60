"""Deliveries on their way to a real receiver: signed, retried, recorded, given up, on both databases."""

import asyncio
import contextlib
import json
import random
import secrets

import psycopg
import pytest
from aiohttp import web
from sqlalchemy import update
from standardwebhooks import Webhook

from tests.flows.webhook_house import Got, House, Receiver, Travel, open_receiver
from tidings import __version__, clock, metrics
from tidings.errors import Conflict, NotFound, Unavailable
from tidings.model.ids import new_id
from tidings.secretbox import SecretBox
from tidings.store.tables import deliveries as stored
from tidings.webhooks import deliveries
from tidings.webhooks.retention import prune
from tidings.worker.dispatch_loop import dispatch


async def test_a_delivery_arrives_signed_and_is_recorded(house: House, receiver: Receiver) -> None:
    custom = {"X-Api-Key": secrets.token_hex(8), "Authorization": f"Bearer {secrets.token_hex(8)}"}
    hook = await house.hook(target_url=receiver.url, headers=custom)
    async with house.dispatching():
        sync = await house.end_sync(refs=("r1",))
        (got,) = await receiver.until(1)
        (delivery,) = await house.until_all("delivered")
    assert Webhook(hook.secret).verify(got.body, got.headers) == json.loads(got.body)
    assert got.body.decode() == delivery.body
    expected = {
        "content-type": "application/json",
        "user-agent": f"Tidings/{__version__}",
        "webhook-id": delivery.event_id,
        "tidings-event": "sync.success",
        "tidings-sync-id": sync.id,
        "tidings-attempt": "1",
        "tidings-sequence": "1",
        "tidings-refs": "r1",
        **{name.lower(): value for name, value in custom.items()},
    }
    assert expected.items() <= got.headers.items()
    assert abs(int(got.headers["webhook-timestamp"]) - clock.now() // clock.SECOND) < 30
    (attempt,) = delivery.attempts
    assert (attempt.number, attempt.status, attempt.error, attempt.address) == (1, 200, None, "127.0.0.1")
    assert attempt.response_body == "thanks"
    assert attempt.response_headers is not None
    assert attempt.response_headers["content-type"].startswith("text/plain")
    kept = {name.lower(): value for name, value in attempt.request_headers.items()}
    assert kept["webhook-signature"] == got.headers["webhook-signature"]
    assert kept["x-api-key"] == kept["authorization"] == "********"
    assert not any(value in str(delivery) for value in custom.values())
    assert delivery.attempt_count == 1
    assert delivery.next_attempt_at is None
    looked = await house.look(hook)
    assert (looked.state, looked.last_used_at is not None) == ("ok", True)


async def test_retries_that_follow_quickly_wait_for_no_look_now_and_then(house: House, receiver: Receiver) -> None:
    await house.hook(target_url=receiver.url)
    receiver.answer = lambda _got: web.Response(status=500)
    async with house.dispatching(retry_schedule=(0.2,) * 20):
        await house.end_sync()
        await receiver.until(21, 60)  # gives up long before 20 looks, 5 s apart, have passed


async def test_retries_follow_the_schedule_and_then_it_is_exhausted(house: House, receiver: Receiver) -> None:
    travel = Travel()
    hook = await house.hook(target_url=receiver.url)
    schedule = [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    receiver.answer = lambda _got: web.Response(status=500, text="no")
    async with house.dispatching(lease_seconds=1e9, disable_after_days=30.0):
        await house.end_sync()
        for made, wait in enumerate(schedule, 1):
            (delivery,) = await house.until(lambda found, made=made: found[0].attempt_count == made)  # type: ignore[misc]
            assert delivery.state == "pending"
            assert delivery.next_attempt_at is not None
            assert wait <= (delivery.next_attempt_at - delivery.attempts[-1].at) / clock.SECOND <= wait * 1.1 + 5
            assert "500" in (delivery.reason or "")
            travel.forward(wait * 1.1 + 1)
            await house.wake()
        (delivery,) = await house.until_all("exhausted")
        assert delivery.attempt_count == len(receiver.got) == 10
        assert [int(got.headers["tidings-attempt"]) for got in receiver.got] == list(range(1, 11))
        assert len({got.headers["webhook-id"] for got in receiver.got}) == len({got.body for got in receiver.got}) == 1
        assert len({got.headers["webhook-timestamp"] for got in receiver.got}) > 5
        assert (await house.look(hook)).state == "failing"
        receiver.answer = lambda _got: web.Response(status=204)
        await deliveries.redeliver(house.db, house.workspace_id, delivery.id)
        (delivery,) = await house.until_all("delivered")
    assert [attempt.number for attempt in delivery.attempts] == list(range(1, 12))
    assert receiver.got[-1].headers["tidings-attempt"] == "11"
    assert (await house.look(hook)).state == "ok"


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 500])
async def test_only_2xx_counts_and_redirects_are_not_followed(house: House, receiver: Receiver, status: int) -> None:
    await house.hook(target_url=receiver.url)
    receiver.answer = lambda _got: web.Response(status=status, headers={"Location": receiver.url + "/elsewhere"})
    async with house.dispatching(retry_schedule=()):
        await house.end_sync()
        (delivery,) = await house.until_all("exhausted")
    assert [got.path for got in receiver.got] == ["/hook"]
    assert str(status) in (delivery.reason or "")
    assert delivery.attempts[0].status == status


async def test_retry_after_counts_when_it_is_later_than_the_schedule(house: House, receiver: Receiver) -> None:
    travel, wait = Travel(), random.randrange(100, 80_000)
    await house.hook(target_url=receiver.url)
    receiver.answer = lambda _got: web.Response(status=503, headers={"Retry-After": str(wait)})
    async with house.dispatching(lease_seconds=1e9):
        await house.end_sync()
        (delivery,) = await house.until(lambda found: found[0].attempt_count == 1)
        assert delivery.next_attempt_at is not None
        assert wait <= (delivery.next_attempt_at - delivery.attempts[0].at) / clock.SECOND <= wait + 10
        receiver.answer = lambda _got: web.Response()
        travel.forward(wait - 30)
        await house.wake()
        await asyncio.sleep(0.2)
        assert len(receiver.got) == 1
        travel.forward(40)
        await house.wake()
        await house.until_all("delivered")


async def test_what_can_never_be_sent_is_given_up_at_once(house: House, receiver: Receiver) -> None:
    await house.hook(target_url=receiver.url)
    await house.end_sync()
    refusing = house.outbound.__class__()
    house.outbound, kept = refusing, house.outbound
    try:
        async with house.dispatching():
            (delivery,) = await house.until_all("exhausted")
    finally:
        house.outbound = kept
        await refusing.aclose()
    assert receiver.got == []
    assert "TIDINGS_ALLOWED_NETWORKS" in (delivery.reason or "")
    assert "TIDINGS_ALLOWED_NETWORKS" in (delivery.attempts[0].error or "")


async def test_an_endpoint_that_is_down_is_a_failed_attempt(house: House) -> None:
    await house.hook(target_url="http://127.0.0.1:49/")
    async with house.dispatching():
        await house.end_sync()
        (delivery,) = await house.until(lambda found: found[0].attempt_count == 1)
    assert delivery.state == "pending"
    assert delivery.attempts[0].status is None
    assert delivery.attempts[0].error == delivery.reason


async def test_target_headers_and_secrets_are_taken_at_each_attempt(house: House, receiver: Receiver) -> None:
    travel = Travel()
    hook = await house.hook(target_url=receiver.url, headers={"X-One": "1"})
    receiver.answer = lambda _got: web.Response(status=500)
    async with house.dispatching(lease_seconds=1e9):
        await house.end_sync()
        await house.until(lambda found: found[0].attempt_count == 1)
        changed = await house.change(hook, target_url=receiver.url + "/new", headers={"X-Two": "2"}, secret="generate", overlap_seconds=86_400)
        receiver.answer = lambda _got: web.Response()
        travel.forward(10)
        await house.wake()
        await house.until_all("delivered")
    first, second = receiver.got
    assert (first.path, second.path) == ("/hook", "/hook/new")
    assert ("x-one" in first.headers, "x-one" in second.headers, second.headers.get("x-two")) == (True, False, "2")
    assert len(first.headers["webhook-signature"].split()) == 1
    assert len(second.headers["webhook-signature"].split()) == 2
    for secret in (hook.secret, changed.secret):
        Webhook(secret).verify(second.body, second.headers)


async def test_a_slow_endpoint_delays_nobody_else(house: House, receiver: Receiver) -> None:
    async with open_receiver() as slow:
        over = asyncio.Event()

        async def in_the_end(_got: Got) -> web.Response:
            await over.wait()
            return web.Response()

        slow.answer = in_the_end
        for _ in range(3):
            await house.hook(target_url=slow.url)
        hook = await house.hook(target_url=receiver.url)
        for _ in range(60):
            await house.end_sync()
        async with house.dispatching(delivery_timeout=1000.0):
            await receiver.until(60)
            assert len(slow.got) <= 32
            await house.until(lambda found: all(one.state == "delivered" for one in found if one.webhook_id == hook.id))
            over.set()


async def test_a_dispatcher_that_dies_loses_nothing(house: House, receiver: Receiver) -> None:
    """It dies in the midst of its requests; another one takes over when the leases ran out."""
    await house.hook(target_url=receiver.url)

    async def never(_got: Got) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    receiver.answer = never
    settings = house.settings.model_copy(update={"lease_seconds": 1.5})
    dying = asyncio.create_task(dispatch(house.db, settings, house.box, house.outbound, new_id(), asyncio.Event()))
    for _ in range(5):
        await house.end_sync()
    await receiver.until(3)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    in_flight = {got.headers["webhook-id"] for got in receiver.got}
    receiver.answer = lambda _got: web.Response()
    async with house.dispatching(lease_seconds=1.5):
        found = await house.until_all("delivered", 5)
    sent = [got.headers["webhook-id"] for got in receiver.got]
    assert set(sent) == {one.event_id for one in found}
    assert {id_ for id_ in sent if sent.count(id_) > 1} <= in_flight
    assert [one.attempt_count for one in found] == [1] * 5


async def test_a_clean_stop_finishes_what_is_under_way(house: House, receiver: Receiver) -> None:
    await house.hook(target_url=receiver.url)

    async def in_a_while(_got: Got) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response()

    receiver.answer = in_a_while
    for _ in range(20):
        await house.end_sync()
    async with house.dispatching():
        await receiver.until(3)
    found = await house.deliveries()
    sent = {got.headers["webhook-id"] for got in receiver.got}
    assert {one.event_id for one in found if one.state == "delivered"} == sent
    assert {one.state for one in found if one.event_id not in sent} == {"pending"}
    receiver.answer = lambda _got: web.Response()
    async with house.dispatching():  # the leases were let go of: nobody waits for them to run out
        await house.until(lambda found: all(one.state == "delivered" for one in found), seconds=10)
    assert len(receiver.got) == 20


async def test_two_dispatchers_never_send_one_twice(house: House, receiver: Receiver) -> None:
    hooks_ = [await house.hook(target_url=receiver.url) for _ in range(3)]
    async with house.dispatching(), house.dispatching():
        for _ in range(40):
            await house.end_sync()
        await receiver.until(120)
        await house.until_all("delivered", 120)
    assert len(receiver.got) == 120
    assert len({(got.headers["webhook-id"], got.headers["webhook-signature"]) for got in receiver.got}) == 120
    for hook in hooks_:
        assert sorted(one.sequence or 0 for one in await house.deliveries(hook)) == list(range(1, 41))


async def test_what_a_receiver_has_is_settled_once_the_database_is_back(house: House, receiver: Receiver) -> None:
    if house.settings.database_url is None:
        pytest.skip("a file does not go away")
    await house.hook(target_url=receiver.url)
    away, answered = asyncio.Event(), asyncio.Event()

    async def answer(_got: Got) -> web.Response:
        await away.wait()
        answered.set()
        return web.Response()

    receiver.answer = answer

    async def stay_away(connection: psycopg.AsyncConnection) -> None:
        end = asyncio.get_running_loop().time() + 3
        while asyncio.get_running_loop().time() < end:
            await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
            away.set()
            await asyncio.sleep(0.005)

    async with house.dispatching():
        await house.end_sync()
        await receiver.until(1)
        async with await psycopg.AsyncConnection.connect(house.settings.database_url, autocommit=True) as connection:
            await stay_away(connection)
        assert answered.is_set()
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(Unavailable):
                    if (await house.only_delivery()).state == "delivered":
                        break
                await asyncio.sleep(0.1)
    assert len(receiver.got) == 1
    assert (await house.only_delivery()).attempt_count == 1


async def test_a_secret_that_cannot_be_opened_is_said_and_waits(house: House, receiver: Receiver) -> None:
    await house.hook(target_url=receiver.url)
    house.box, right = SecretBox([secrets.token_bytes(32)]), house.box
    await house.end_sync()
    async with house.dispatching():
        house.box = right
        (delivery,) = await house.until(lambda found: found[0].reason is not None)
    assert receiver.got == []
    assert (delivery.state, delivery.attempt_count) == ("pending", 0)
    assert "TIDINGS_SECRET_KEY" in (delivery.reason or "")


async def test_redelivering(house: House, receiver: Receiver) -> None:
    travel = Travel()
    await house.hook(target_url=receiver.url)
    async with house.dispatching(lease_seconds=1e9):
        await house.end_sync()
        (delivery,) = await house.until_all("delivered")
        await deliveries.redeliver(house.db, house.workspace_id, delivery.id)
        await receiver.until(2)
        (delivery,) = await house.until(lambda found: found[0].attempt_count == 2 and found[0].state == "delivered")
        assert [got.headers["webhook-id"] for got in receiver.got] == [delivery.event_id] * 2
        with pytest.raises(NotFound):
            await deliveries.redeliver(house.db, new_id(), delivery.id)
        travel.forward(100 * 86_400)
        while await house.db.write(prune, clock.now() - 90 * clock.DAY):
            pass
        (pruned,) = await house.deliveries()
        assert (pruned.body, pruned.attempts, pruned.state) == (None, (), "delivered")
        with pytest.raises(Conflict):
            await deliveries.redeliver(house.db, house.workspace_id, delivery.id)


async def test_attempts_are_counted_by_what_came_of_them(house: House, receiver: Receiver) -> None:
    def counted() -> list[float]:
        name = "tidings_attempts_total"
        found = [metrics.registry.get_sample_value(name, {"outcome": outcome}) for outcome in ("delivered", "503", "unanswered")]
        return [value or 0 for value in (*found, metrics.registry.get_sample_value("tidings_attempt_seconds_count"))]

    before = counted()
    answers = iter((web.Response(status=503), web.Response(), web.Response()))
    receiver.answer = lambda _got: next(answers)
    await house.hook(target_url=receiver.url)
    await house.hook(target_url="http://127.0.0.1:1024/nobody-listens")
    async with house.dispatching(retry_schedule=(0.05,)):
        await house.end_sync()
        await house.until(lambda found: {one.state for one in found} == {"delivered", "exhausted"})
    assert [after - each for each, after in zip(before, counted(), strict=True)] == [1, 1, 2, 4]


async def test_what_others_have_taken_over_is_not_sent_however_often_leases_are_renewed(house: House, receiver: Receiver) -> None:
    lease, freed = 1.5, asyncio.Event()

    async def once_freed(_got: Got) -> web.Response:
        await freed.wait()
        return web.Response()

    await house.hook(target_url=receiver.url)
    async with house.dispatching(lease_seconds=lease):
        await house.end_sync()
        await house.until_all("delivered")  # an endpoint that answers quickly may have some waiting for it here
        receiver.answer = once_freed
        for _ in range(20):
            await house.end_sync()
        await receiver.until(4)
        await asyncio.sleep(lease / 2)
        under_way = {got.headers["webhook-id"] for got in receiver.got}
        waiting = (stored.c.state == "pending") & stored.c.event_id.not_in(under_way)
        another = update(stored).where(waiting).values(fence=stored.c.fence + 1, owner="another", lease_until=clock.now() + clock.DAY)
        taken_over = await house.db.write(lambda tx: tx.execute(another).rowcount)
        assert taken_over > 4
        await asyncio.sleep(2 * lease)
        freed.set()
        await house.until(lambda found: sum(one.state == "delivered" for one in found) == len(under_way))
        await house.end_sync()
        await house.until(lambda found: sum(one.state == "delivered" for one in found) == len(under_way) + 1)
    assert len(receiver.got) == len(under_way) + 1
