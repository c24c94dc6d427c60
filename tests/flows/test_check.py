"""The receiver self-test against receivers that do well, and against those that make each mistake; on both databases."""

import asyncio
import base64
import secrets
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import update

from tests.flows.webhook_house import Got, House, Receiver, Travel, knowing
from tidings import clock
from tidings.errors import Conflict, Invalid, NotFound
from tidings.model.ids import new_id
from tidings.model.webhooks import Hook
from tidings.store.tables import deliveries
from tidings.webhooks.check import Check, check, verdict_of
from tidings.webhooks.signing import parse_signing_secret, verify

IN_ORDER = {"good": "good", "wrong_signature": "good", "stale_timestamp": "good", "repeat": "good"}


async def checked(house: House, hook: Hook, timeout: float = 15) -> dict[str, Check]:  # noqa: ASYNC109 - of each request
    found = await check(house.db, house.box, house.outbound, timeout, house.workspace_id, hook.id)
    return {one.name: one for one in found}


def verdicts(found: dict[str, Check]) -> dict[str, str]:
    return {name: one.verdict for name, one in found.items()}


def answering(status: int) -> Any:
    return lambda _got: web.Response(status=status)


async def test_a_receiver_that_does_well(house: House, receiver: Receiver) -> None:
    value = secrets.token_hex(8)
    hook = await house.hook(target_url=receiver.url, headers={"X-Key": value}, envelope="standard")
    receiver.answer = knowing(hook.secret)
    async with house.dispatching():  # which leaves the check's deliveries alone
        found = await checked(house, hook)
        assert len(receiver.got) == 4
        rows = await house.deliveries()
    assert verdicts(found) == IN_ORDER
    assert verdict_of(tuple(found.values())) == "good"
    good, wrong, stale, repeat = receiver.got
    assert [got.headers["tidings-test"] for got in receiver.got] == ["true"] * 4
    assert all(got.headers["x-key"] == value and "tidings-sequence" not in got.headers for got in receiver.got)
    assert good.headers["webhook-id"] == repeat.headers["webhook-id"]
    assert good.body == repeat.body
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 3
    key, now = parse_signing_secret(hook.secret), clock.now()
    assert verify([key], stale.headers, stale.body, now) is not None
    assert verify([key], stale.headers, stale.body, now - 600 * clock.SECOND) is None  # old, and signed as it should be
    assert abs(int(wrong.headers["webhook-timestamp"]) - now // clock.SECOND) < 60
    assert [(one.id, one.test, one.state, one.attempt_count) for one in rows] == [
        (found[name].delivery_id, True, "delivered" if found[name].accepted else "exhausted", 1) for name in IN_ORDER
    ]
    assert [one.attempts[0].status for one in rows] == [found[name].status for name in IN_ORDER] == [200, 401, 401, 200]
    assert all(one.reason == f"A self-test ({name}). {found[name].sentence}" for name, one in zip(IN_ORDER, rows, strict=True))
    assert value not in str(rows)
    looked = await house.look(hook)
    assert (looked.state, looked.last_used_at, looked.rotation) == ("ok", None, None)


async def test_a_receiver_that_takes_everything(house: House, receiver: Receiver) -> None:
    hook = await house.change(await house.hook("sync_failure", target_url=receiver.url), enabled=False)
    found = await checked(house, hook)
    assert verdicts(found) == {**IN_ORDER, "wrong_signature": "bad", "stale_timestamp": "bad"}
    assert "anyone who knows the URL can post to it" in found["wrong_signature"].sentence
    assert verdict_of(tuple(found.values())) == "bad"
    assert {got.headers["tidings-event"] for got in receiver.got} == {"sync.failure"}


async def test_a_receiver_that_forgets_the_time(house: House, receiver: Receiver) -> None:
    hook = await house.hook(target_url=receiver.url)
    key = parse_signing_secret(hook.secret)

    def answer(got: Got) -> web.Response:
        then = int(got.headers["webhook-timestamp"]) * clock.SECOND
        return web.Response(status=401 if verify([key], got.headers, got.body, then) else 204)

    receiver.answer = answer
    found = await checked(house, hook)
    assert verdicts(found) == {**IN_ORDER, "stale_timestamp": "bad"}
    assert found["stale_timestamp"].status == 204


async def test_a_receiver_that_refuses_repeats(house: House, receiver: Receiver) -> None:
    hook = await house.hook(target_url=receiver.url)
    right, seen = knowing(hook.secret), set()

    def answer(got: Got) -> web.Response:
        answered = right(got)
        if answered.status == 200 and got.headers["webhook-id"] in seen:
            return web.Response(status=409)
        seen.add(got.headers["webhook-id"])
        return answered

    receiver.answer = answer
    found = await checked(house, hook)
    assert verdicts(found) == {**IN_ORDER, "repeat": "bad"}
    assert "It answered 409." in found["repeat"].sentence


@pytest.mark.parametrize("status", [302, 401, 410, 500])
async def test_a_receiver_that_takes_nothing_is_asked_once(house: House, receiver: Receiver, status: int) -> None:
    hook = await house.hook(target_url=receiver.url)
    receiver.answer = answering(status)
    found = await checked(house, hook)
    assert verdicts(found) == {"good": "bad", "wrong_signature": "unknown", "stale_timestamp": "unknown", "repeat": "unknown"}
    assert (found["good"].accepted, found["good"].status, found["repeat"].accepted, found["repeat"].delivery_id) == (False, status, None, None)
    assert len(receiver.got) == len(await house.deliveries()) == 1
    assert (await house.look(hook)).enabled  # even after a 410: nothing was owed


async def test_no_answer_shows_nothing(house: House, receiver: Receiver) -> None:
    hook = await house.hook(target_url=receiver.url)
    right = knowing(hook.secret)

    async def answer(got: Got) -> web.Response:
        answered = right(got)
        if answered.status == 401:
            await asyncio.sleep(30)
        return answered

    receiver.answer = answer
    found = await checked(house, hook, 0.5)
    assert verdicts(found) == {**IN_ORDER, "wrong_signature": "unknown", "stale_timestamp": "unknown"}
    assert (found["wrong_signature"].status, found["wrong_signature"].accepted) == (None, False)
    assert verdict_of(tuple(found.values())) == "unknown"
    nowhere = await house.hook(target_url="http://127.0.0.1:49/")
    assert (await checked(house, nowhere))["good"].verdict == "bad"


async def test_during_an_overlap_it_is_found_out_whether_the_new_secret_is_there(house: House, receiver: Receiver) -> None:
    hook = await house.hook(target_url=receiver.url)
    new = await house.change(hook, secret="generate", overlap_seconds=600)
    receiver.answer = knowing(hook.secret)
    found = await checked(house, hook)
    assert verdicts(found) == {**IN_ORDER, "new_secret": "bad"}
    rotation = (await house.look(hook)).rotation
    assert rotation is not None
    assert rotation.delivered_at is not None
    assert rotation.proven_at is None

    receiver.answer = answering(200)
    assert verdicts(await checked(house, hook))["new_secret"] == "unknown"
    assert (await house.look(hook)).rotation == rotation

    receiver.answer = knowing(hook.secret, new.secret)
    found = await checked(house, hook)
    assert verdicts(found) == {**IN_ORDER, "new_secret": "good"}
    assert verify([parse_signing_secret(new.secret)], receiver.got[-1].headers, receiver.got[-1].body, clock.now()) is None
    assert len(receiver.got[-1].headers["webhook-signature"].split(" ")) == 1
    after = (await house.look(hook)).rotation
    assert after is not None
    assert after.proven_at is not None
    assert replace(after, proven_at=None) == rotation


async def test_without_an_overlap_the_good_one_shows_it(house: House, receiver: Receiver) -> None:
    hook = await house.change(await house.hook(target_url=receiver.url), secret="generate")
    receiver.answer = knowing(hook.secret)
    assert verdicts(await checked(house, hook)) == IN_ORDER
    rotation = (await house.look(hook)).rotation
    assert rotation is not None
    assert rotation.proven_at is not None


async def test_a_receiver_that_knows_the_public_key_alone(house: House, receiver: Receiver) -> None:
    hook = await house.hook(target_url=receiver.url, ed25519=True)
    assert hook.key is not None
    key = Ed25519PublicKey.from_public_bytes(hook.key.raw)

    def answer(got: Got) -> web.Response:
        given = next((one[4:] for one in got.headers["webhook-signature"].split(" ") if one.startswith("v1a,")), "")
        at = int(got.headers["webhook-timestamp"])
        try:
            key.verify(base64.b64decode(given), f"{got.headers['webhook-id']}.{at}.".encode() + got.body)
        except InvalidSignature:
            return web.Response(status=403)
        return web.Response(status=200 if abs(clock.now() // clock.SECOND - at) < 300 else 400)

    receiver.answer = answer
    assert verdicts(await checked(house, hook)) == IN_ORDER
    await house.change(hook, secret="generate", overlap_seconds=600)
    assert verdicts(await checked(house, hook)) == IN_ORDER | {"new_secret": "unknown"}


async def test_one_at_a_time(house: House, receiver: Receiver) -> None:
    hook, other = await house.hook(target_url=receiver.url), await house.hook(target_url=receiver.url + "/other")
    going_on = asyncio.Event()

    async def answer(got: Got) -> web.Response:
        if not got.path.endswith("other"):
            await going_on.wait()
        return web.Response()

    receiver.answer = answer
    first = asyncio.create_task(checked(house, hook))
    await receiver.until(1)
    with pytest.raises(Conflict, match="under way"):
        await checked(house, hook)
    assert len(await checked(house, other)) == 4
    going_on.set()
    assert len(await first) == len(await checked(house, hook)) == 4
    assert {one.state for one in await house.deliveries()} == {"delivered"}


async def test_a_check_whose_process_died_is_in_nobodys_way(house: House, receiver: Receiver) -> None:
    travel = Travel()
    hook = await house.hook(target_url=receiver.url)
    receiver.answer = lambda _got: asyncio.sleep(60)
    dying = asyncio.create_task(checked(house, hook))
    await receiver.until(1)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    with pytest.raises(Conflict):
        await checked(house, hook)
    travel.forward(200)  # on PostgreSQL leases go by the server's clock
    await house.db.write(lambda tx: tx.execute(update(deliveries).values(lease_until=deliveries.c.lease_until - 200 * clock.SECOND)))
    receiver.answer = knowing(hook.secret)
    assert verdicts(await checked(house, hook)) == IN_ORDER
    async with house.dispatching():
        await house.until(lambda found: all(one.state != "pending" for one in found))
    left = (await house.deliveries())[0]
    assert (left.test, left.state, left.attempt_count) == (True, "delivered", 1)


async def test_what_can_not_be_checked(house: House) -> None:
    trigger, hook = await house.trigger_hook(), await house.hook(target_url="http://127.0.0.1:49/")
    with pytest.raises(Invalid) as error:
        await checked(house, trigger)
    assert [one.field for one in error.value.errors] == ["webhookId"]
    with pytest.raises(NotFound):
        await check(house.db, house.box, house.outbound, 1, new_id(), hook.id)
    assert await house.deliveries() == []
