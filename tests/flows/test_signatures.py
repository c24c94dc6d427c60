"""Signatures as receivers meet them: several live secrets, Ed25519 with its public key set, and what is seen of a new secret, on both databases."""

import asyncio
import base64
import json
import secrets

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import select
from standardwebhooks import Webhook, WebhookVerificationError

from tests.flows.webhook_house import Got, House, Receiver, Travel, knowing
from tidings import clock
from tidings.errors import Invalid
from tidings.model.webhooks import Hook
from tidings.store import attempts, bots
from tidings.store.tables import webhook_keys
from tidings.webhooks import deliveries, hooks
from tidings.webhooks.deliver import Policy, attempt, opened, settle
from tidings.webhooks.keys import key_set, shown
from tidings.webhooks.lanes import Lanes
from tidings.webhooks.retention import prune
from tidings.webhooks.signing import new_signing_secret, parse_signing_secret, verify

DAY = 86_400


async def delivered(house: House, receiver: Receiver, *, accepted: bool = True) -> Got:
    """One more delivery, as it arrived, once it is settled."""
    count = len(await house.deliveries())
    await house.end_sync()
    found = await house.until(lambda found: len(found) > count and all(one.state != "pending" or one.attempt_count for one in found))
    assert (found[-1].state == "delivered") == accepted
    return receiver.got[-1]


async def listed(house: House, kid: str | None = None) -> list[str]:
    return [key["kid"] for key in await key_set(house.db, kid)]


async def test_a_receiver_that_knows_either_secret_accepts_during_the_overlap_and_only_the_new_one_after_it(house: House, receiver: Receiver) -> None:
    hook = await house.hook(target_url=receiver.url)
    new = await house.change(hook, secret="generate", overlap_seconds=60)
    async with house.dispatching():
        got = await delivered(house, receiver)
    for secret in (hook.secret, new.secret):
        assert Webhook(secret).verify(got.body, got.headers) == json.loads(got.body)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_signing_secret()).verify(got.body, got.headers)
    Travel().forward(61)
    async with house.dispatching():
        got = await delivered(house, receiver)
    assert len(got.headers["webhook-signature"].split(" ")) == 1
    assert verify([parse_signing_secret(new.secret)], got.headers, got.body, clock.now()) is None
    assert verify([parse_signing_secret(hook.secret)], got.headers, got.body, clock.now()) is not None


async def test_ed25519_beside_the_secrets_and_found_by_its_kid(house: House, receiver: Receiver) -> None:
    hook = await house.hook(target_url=receiver.url, ed25519=True)
    assert hook.key is not None
    async with house.dispatching():
        got = await delivered(house, receiver)
    assert Webhook(hook.secret).verify(got.body, got.headers) == json.loads(got.body)
    ((encoded),) = [one.removeprefix("v1a,") for one in got.headers["webhook-signature"].split(" ") if one.startswith("v1a,")]
    (found,) = await key_set(house.db, hook.key.kid)
    raw = base64.urlsafe_b64decode(found["x"] + "=")
    assert raw == base64.b64decode(shown(hook.key).removeprefix("whpk_"))
    content = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    Ed25519PublicKey.from_public_bytes(raw).verify(base64.b64decode(encoded), content)
    plain = await house.hook(target_url=receiver.url)
    assert plain.key is None
    assert await listed(house) == [hook.key.kid]


async def test_off_and_on_again_makes_a_new_key_and_the_former_is_listed_for_a_week(house: House) -> None:
    travel = Travel()
    hook = await house.hook(target_url="http://127.0.0.1:49/", ed25519=True)
    assert (await house.change(hook, ed25519=True, secret="generate", overlap_seconds=60)).key == hook.key
    off = await house.change(hook, ed25519=False)
    assert off.key is None
    on = await house.change(hook, ed25519=True)
    assert on.key is not None
    assert hook.key is not None
    assert on.key != hook.key
    assert sorted(await listed(house)) == sorted([hook.key.kid, on.key.kid])
    rows = await house.db.read(lambda tx: {row.id: row.sealed for row in tx.execute(select(webhook_keys))})
    assert rows[hook.key.kid] == ""  # nothing is signed with it any more, by nobody
    assert rows[on.key.kid] != ""
    travel.forward(7 * DAY - 10)
    await house.db.write(prune, clock.now() - 90 * clock.DAY)
    assert await listed(house, hook.key.kid) == [hook.key.kid]
    travel.forward(20)
    assert await listed(house, hook.key.kid) == []
    await house.db.write(prune, clock.now() - 90 * clock.DAY)
    assert await house.db.read(lambda tx: tx.execute(select(webhook_keys.c.id)).scalars().all()) == [on.key.kid]


async def test_the_keys_of_what_is_deleted_leave_the_set_after_a_week(house: House) -> None:
    travel = Travel()
    one, other = await house.hook(target_url="http://127.0.0.1:49/", ed25519=True), await house.hook(target_url="http://127.0.0.1:49/", ed25519=True)
    await hooks.delete(house.db, house.workspace_id, one.id)
    await house.db.write(bots.delete, house.workspace_id, house.bot_id)
    assert len(await listed(house)) == 2
    assert set(await house.db.read(lambda tx: tx.execute(select(webhook_keys.c.sealed)).scalars().all())) == {""}
    travel.forward(7 * DAY + 1)
    assert await listed(house) == []
    assert one.key != other.key


async def test_a_trigger_hook_has_no_key(house: House) -> None:
    with pytest.raises(Invalid) as error:
        await house.trigger_hook(ed25519=True)
    assert [one.field for one in error.value.errors] == ["ed25519"]
    hook = await house.trigger_hook()
    with pytest.raises(Invalid):
        await house.change(hook, ed25519=False)
    assert (await house.change(hook, secret="generate")).rotation is None


async def test_without_an_overlap_the_first_success_shows_that_the_endpoint_has_the_new_secret(house: House, receiver: Receiver) -> None:
    hook = await house.hook(target_url=receiver.url)
    receiver.answer = knowing(hook.secret)
    async with house.dispatching(retry_schedule=()):
        await delivered(house, receiver)
        assert (await house.look(hook)).rotation is None
        new = await house.change(hook, secret="generate")
        assert new.rotation is not None
        assert new.rotation.delivered_at is new.rotation.failed_at is new.rotation.proven_at is None
        await asyncio.sleep(1.1)  # a hook is read anew after a second
        await delivered(house, receiver, accepted=False)
        rotation = (await house.look(hook)).rotation
        assert rotation is not None
        assert rotation.failed_at is not None
        assert rotation.failed_at >= rotation.since == new.rotation.since
        assert rotation.delivered_at is rotation.proven_at is None
        receiver.answer = knowing(new.secret)
        await delivered(house, receiver)
    after = (await house.look(hook)).rotation
    assert after is not None
    assert after.failed_at == rotation.failed_at
    assert after.proven_at == after.delivered_at is not None
    assert (await house.change(new, secret=new.secret)).rotation == after  # the same secret again is no change


async def test_during_an_overlap_success_proves_nothing_and_after_it_does(house: House, receiver: Receiver) -> None:
    travel = Travel()
    hook = await house.hook(target_url=receiver.url)
    new = await house.change(hook, secret="generate", overlap_seconds=100)
    receiver.answer = knowing(hook.secret)
    async with house.dispatching(lease_seconds=1e9):
        await delivered(house, receiver)
        during = (await house.look(hook)).rotation
        assert during is not None
        assert during.delivered_at is not None
        assert during.proven_at is None
        receiver.answer = knowing(new.secret)
        travel.forward(101)
        await asyncio.sleep(1.1)
        await delivered(house, receiver)
    after = (await house.look(hook)).rotation
    assert after is not None
    assert (after.delivered_at, after.proven_at is not None) == (during.delivered_at, True)


async def test_a_test_delivery_shows_as_much_as_any(house: House, receiver: Receiver) -> None:
    hook = await house.change(await house.hook(target_url=receiver.url), secret="generate")
    async with house.dispatching():
        await deliveries.send_test(house.db, house.workspace_id, hook.id, None)
        await house.until_all("delivered")
    rotation = (await house.look(hook)).rotation
    assert rotation is not None
    assert rotation.proven_at is not None


async def test_what_the_former_secret_signed_says_nothing_about_the_new_one(house: House, receiver: Receiver) -> None:
    """A dispatcher that has read the hook sends, and the secret changes before it settles."""
    first = await house.hook(target_url=receiver.url)
    hook = await house.change(first, secret="generate")
    await house.end_sync()
    policy = Policy((), 5, DAY * clock.SECOND)
    claim = await house.db.write(attempts.claim, "me", 60 * clock.SECOND, cursor="", rooms=lambda: Lanes().rooms(0))
    (claimed,), target = claim.taken, claim.targets[hook.id]
    outcome = await attempt(house.outbound, claimed, target, opened(house.box, target), policy)
    assert outcome.delivered
    assert outcome.alone
    newest: Hook = await house.change(hook, secret="generate")
    await house.db.write(settle, [outcome], policy)
    assert (await house.only_delivery()).state == "delivered"
    assert (await house.look(hook)).rotation == newest.rotation


async def test_no_key_lies_open_in_the_database_nor_in_a_log(house: House, receiver: Receiver, capfd: pytest.CaptureFixture[str]) -> None:
    hook = await house.hook(target_url=receiver.url, ed25519=True, headers={"X-Key": secrets.token_hex(16)})
    new = await house.change(hook, secret="generate", overlap_seconds=60)
    receiver.answer = lambda _got: web.Response(status=401)
    async with house.dispatching(retry_schedule=()):
        await delivered(house, receiver, accepted=False)
    (row,) = await house.db.read(lambda tx: tx.execute(select(webhook_keys)).all())
    seed = house.box.open(row.sealed, "webhook_keys", row.id, "sealed")
    target = await house.db.read(attempts.target, hook.id, clock.now())
    assert target is not None
    logged = "".join(capfd.readouterr())
    assert "attempt_failed" in logged
    secret_ones = (seed, hook.secret.removeprefix("whsec_"), new.secret.removeprefix("whsec_"), hook.headers["X-Key"])
    for shown_text in (str(row), repr(target), logged, str(await house.deliveries())):
        assert not any(secret in shown_text for secret in secret_ones)
