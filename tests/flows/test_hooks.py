"""Hooks: made, changed, refused with the name of the field, on both databases."""

import base64
import random
import secrets
from typing import Any

import pytest
from sqlalchemy import select

from tests.flows.webhook_house import House
from tidings.errors import Invalid, NotFound
from tidings.model.ids import is_id, new_id
from tidings.store.tables import webhook_secrets, webhooks
from tidings.webhooks import hooks
from tidings.webhooks.signing import parse_signing_secret

URL = "http://127.0.0.1:49/hook"


def fields(error: pytest.ExceptionInfo[Invalid]) -> list[str]:
    return [one.field for one in error.value.errors]


async def test_a_trigger_hook(house: House) -> None:
    hook = await house.trigger_hook()
    assert is_id(hook.id)
    assert len(hook.secret) == 32
    assert set(hook.secret) <= set("0123456789abcdef")
    assert hook.trigger_path == f"/api/public/hooks/{hook.id}/{hook.secret}"
    assert (hook.type, hook.enabled, hook.state, hook.post_only, hook.target_url, hook.envelope) == ("sync_trigger", True, "ok", False, None, None)
    assert await house.look(hook) == hook
    assert (await house.change(hook, post_only=True)).post_only


async def test_an_outgoing_hook(house: House) -> None:
    headers = {"X-Key": secrets.token_hex(8)}
    hook = await house.hook("sync_failure", target_url=URL, headers=headers, data_source_id=house.source.id)
    parse_signing_secret(hook.secret)
    assert (hook.envelope, hook.target_url, hook.headers, hook.data_source_id) == ("plain", URL, headers, house.source.id)
    changed = await house.change(hook, data_source_id=None, envelope="standard", headers={}, target_url=URL + "?a=b")
    assert (changed.envelope, changed.target_url, changed.headers, changed.data_source_id) == ("standard", URL + "?a=b", {}, None)
    assert (changed.secret, changed.created_at) == (hook.secret, hook.created_at)
    assert await house.look(hook) == changed
    own = "whsec_" + base64.b64encode(secrets.token_bytes(random.randrange(24, 65))).decode()
    assert (await house.change(hook, secret=own)).secret == own


async def test_nothing_secret_lies_open_in_the_database(house: House) -> None:
    value = secrets.token_hex(16)
    made = [await house.trigger_hook(), await house.hook(target_url=URL, headers={"X-Key": value})]
    rows = await house.db.read(lambda tx: [*tx.execute(select(webhooks)).all(), *tx.execute(select(webhook_secrets)).all()])
    assert len(rows) == 4
    assert not any(secret in str(rows) for secret in (value, *(hook.secret for hook in made)))


@pytest.mark.parametrize(
    ("kind", "members", "wrong"),
    [
        ("sync_trigger", {}, "dataSourceId"),
        ("sync_trigger", {"data_source_id": "SOURCE", "target_url": URL}, "targetUrl"),
        ("sync_trigger", {"data_source_id": "SOURCE", "envelope": "plain"}, "envelope"),
        ("sync_trigger", {"data_source_id": "SOURCE", "headers": {}}, "headers"),
        ("sync_trigger", {"data_source_id": "SOURCE", "secret": "too short"}, "secret"),
        ("sync_trigger", {"data_source_id": "SOURCE", "secret": "has/a/slash/and/is/long"}, "secret"),
        ("sync_trigger", {"data_source_id": "SOURCE", "secret": "a" * 129}, "secret"),
        ("sync_trigger", {"data_source_id": "00000000-0000-0000-0000-000000000000"}, "dataSourceId"),
        ("sync_success", {}, "targetUrl"),
        ("sync_success", {"target_url": URL, "post_only": True}, "postOnly"),
        ("sync_success", {"target_url": URL, "secret": "a" * 32}, "secret"),
        ("sync_success", {"target_url": "http://10.1.2.3/"}, "targetUrl"),
        ("sync_success", {"target_url": "http://169.254.169.254/latest"}, "targetUrl"),
        ("sync_success", {"target_url": "ftp://127.0.0.1/"}, "targetUrl"),
        ("sync_success", {"target_url": "http://user:pass@127.0.0.1/"}, "targetUrl"),
        ("sync_success", {"target_url": "nonsense"}, "targetUrl"),
        ("sync_success", {"target_url": URL, "headers": {"Host": "x"}}, "headers.Host"),
        ("sync_success", {"target_url": URL, "headers": {"content-LENGTH": "1"}}, "headers.content-LENGTH"),
        ("sync_success", {"target_url": URL, "headers": {"Transfer-Encoding": "x"}}, "headers.Transfer-Encoding"),
        ("sync_success", {"target_url": URL, "headers": {"Webhook-Id": "x"}}, "headers.Webhook-Id"),
        ("sync_success", {"target_url": URL, "headers": {"tidings-foo": "x"}}, "headers.tidings-foo"),
        ("sync_success", {"target_url": URL, "headers": {"User-Agent": "x"}}, "headers.User-Agent"),
        ("sync_success", {"target_url": URL, "headers": {"X y": "x"}}, "headers.X y"),
        ("sync_success", {"target_url": URL, "headers": {"": "x"}}, "headers."),
        ("sync_success", {"target_url": URL, "headers": {"X-A": "x\r\nY: z"}}, "headers.X-A"),
        ("sync_success", {"target_url": URL, "headers": {"X-A": "ü"}}, "headers.X-A"),
        ("sync_success", {"target_url": URL, "headers": {"X-A": "\x00"}}, "headers.X-A"),
        ("sync_success", {"target_url": URL, "headers": {"X-A": "1", "x-a": "2"}}, "headers.x-a"),
        ("sync_success", {"target_url": URL, "headers": {"X-A": "1" * 5000}}, "headers.X-A"),
        ("sync_success", {"target_url": URL, "headers": {f"X-{n}": "1" for n in range(21)}}, "headers"),
    ],
)
async def test_what_is_wrong_with_a_new_hook_is_named(house: House, kind: str, members: dict[str, Any], wrong: str) -> None:
    given = {name: house.source.id if value == "SOURCE" else value for name, value in members.items()}
    with pytest.raises(Invalid) as error:
        await house.hook(kind, **given)
    assert fields(error) == [wrong]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"type": "sync_failure"}, "type"),
        ({"target_url": "http://10.1.2.3/"}, "targetUrl"),
        ({"post_only": True}, "postOnly"),
        ({"held": "drop"}, "held"),
        ({"enabled": False, "held": "send"}, "held"),
        ({"overlap_seconds": 5}, "overlapSeconds"),
        ({"secret": "generate", "overlap_seconds": 7 * 86_400 + 1}, "overlapSeconds"),
        ({"secret": "generate", "overlap_seconds": -1}, "overlapSeconds"),
        ({"secret": "whsec_short"}, "secret"),
        ({"headers": {"Connection": "close"}}, "headers.Connection"),
        ({"data_source_id": "00000000-0000-0000-0000-000000000000"}, "dataSourceId"),
    ],
)
async def test_what_is_wrong_with_a_change_is_named_and_nothing_is_changed(house: House, change: dict[str, Any], wrong: str) -> None:
    hook = await house.hook(target_url=URL)
    with pytest.raises(Invalid) as error:
        await house.change(hook, **change)
    assert fields(error) == [wrong]
    assert await house.look(hook) == hook


async def test_a_trigger_keeps_a_data_source(house: House) -> None:
    hook, other = await house.trigger_hook(), await house.add_source()
    with pytest.raises(Invalid) as error:
        await house.change(hook, data_source_id=None)
    assert fields(error) == ["dataSourceId"]
    assert (await house.change(hook, data_source_id=other.id)).data_source_id == other.id
    assert (await house.change(hook, type="sync_trigger")).data_source_id == other.id


async def test_hooks_of_another_workspace_are_not_there(house: House) -> None:
    hook = await house.hook(target_url=URL)
    stranger = new_id()
    for call in (
        hooks.read(house.db, house.box, stranger, hook.id),
        hooks.change(house.db, house.box, house.outbound, stranger, hook.id, {"enabled": False}),
        hooks.delete(house.db, stranger, hook.id),
        hooks.page(house.db, house.box, stranger, house.bot_id, limit=10, cursor=None),
    ):
        with pytest.raises(NotFound):
            await call
    assert (await house.look(hook)).enabled


async def test_hooks_are_listed_in_pages_until_they_are_deleted(house: House) -> None:
    made = [await house.hook(target_url=URL) for _ in range(5)]
    listed: list[Any] = []
    cursor = None
    while True:
        page = await hooks.page(house.db, house.box, house.workspace_id, house.bot_id, limit=2, cursor=cursor)
        listed += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert listed == made
    await hooks.delete(house.db, house.workspace_id, made[2].id)
    page = await hooks.page(house.db, house.box, house.workspace_id, house.bot_id, limit=10, cursor=None)
    assert list(page.items) == made[:2] + made[3:]
    with pytest.raises(NotFound):
        await house.look(made[2])


async def test_disabling_and_enabling(house: House) -> None:
    hook = await house.trigger_hook()
    disabled = await house.change(hook, enabled=False)
    assert (disabled.enabled, disabled.disabled_by, disabled.state) == (False, "user", "disabled")
    assert await house.change(hook, enabled=False) == disabled
    enabled = await house.change(hook, enabled=True, held="drop")
    assert (enabled.enabled, enabled.disabled_by, enabled.state) == (True, None, "ok")


async def test_the_present_secret_given_again_changes_nothing(house: House) -> None:
    hook = await house.trigger_hook()
    second = await house.change(hook, secret="generate", overlap_seconds=100)
    again = await house.change(second, secret=second.secret)
    assert (again.secret, again.overlap_until) == (second.secret, second.overlap_until)
