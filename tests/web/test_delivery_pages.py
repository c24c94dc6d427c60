"""The pages of deliveries: what finds which, what each says, whom they tell what; on both databases."""

import re
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, update

from tests.web.test_sign_in import house, token_in
from tests.web.test_webhook_pages import Ann, ann
from tidings import clock
from tidings.clock import DAY, SECOND
from tidings.model.bots import DataSource
from tidings.model.ids import first_id_of, new_id
from tidings.model.webhooks import Hook
from tidings.store import data_sources, deliveries, syncs, tables, workspaces
from tidings.store.tables import attempts, members
from tidings.store.tables import deliveries as table
from tidings.web.pages.delivery_words import LONGEST_PLACE
from tidings.webhooks import hooks

__all__ = ["ann", "house"]  # the fixtures

ROOT = "/app/deliveries"
BODY = '{"success": true, "bot": "Testing bot"}'


async def made(ann: Ann, hook: Hook, state: str = "delivered", **values: Any) -> str:
    """A delivery to a hook; its id."""
    at = clock.now()
    fields = {
        "id": new_id(),
        "workspace_id": ann.workspace_id,
        "webhook_id": hook.id,
        "event_id": new_id(),
        "event": "sync.success",
        "data_source_id": ann.source.id,
        "sync_id": new_id(),
        "sequence": values.pop("sequence", int.from_bytes(new_id()[-6:].encode())),
        "state": state,
        "headers": {"Tidings-Event": "sync.success"},
        "body": BODY,
        "created_at": at,
        **values,
    }
    await ann.house.services.db.write(deliveries.add, [fields])
    return str(fields["id"])


async def attempted(ann: Ann, delivery_id: str, number: int = 1, **values: Any) -> None:
    """An attempt of a delivery."""
    fields: Mapping[str, Any] = {
        "delivery_id": delivery_id,
        "number": number,
        "at": clock.now(),
        "status": 503,
        "duration_ms": 41,
        "address": "203.0.113.7",
        "phases": {"lookup": 2.0, "connect": 4.0, "tls": 11.0, "firstByte": 22.0, "total": 41.0},
        "tls": "TLSv1.3",
        "certificate_until": clock.now() + 3 * DAY + SECOND,
        "request_headers": {"webhook-id": "an-id", "X-Api-Key": "********", "X-Mine": "my own"},
        "response_headers": {"server": "upstream"},
        "response_body": '{"error": "<b>down</b>"}',
        **values,
    }

    def add(tx: Any) -> None:
        tx.execute(insert(attempts).values(fields))
        tx.execute(update(table).where(table.c.id == delivery_id).values(attempt_count=number))

    await ann.house.services.db.write(add)


async def another_source(ann: Ann, name: str) -> DataSource:
    source = DataSource(new_id(), ann.workspace_id, ann.bot.id, name, "folder", {}, paused=False, created_at=clock.now())
    await ann.house.services.db.write(data_sources.create, source)
    return source


async def sees(ann: Ann, address: str, status: int = 200) -> str:
    answer = await ann.client.get(address)
    assert answer.status_code == status, answer.text
    return answer.text


async def led(ann: Ann, address: str) -> str:
    """Where an address leads."""
    answer = await ann.client.get(address)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def sends(ann: Ann, address: str, status: int = 303, **fields: str) -> httpx.Response:
    token = token_in(await ann.client.get("/app/bots"))
    answer = await ann.client.post(address, data={"form_token": token, **fields})
    assert answer.status_code == status, answer.text
    return answer


async def found(ann: Ann, query: str = "") -> list[str]:
    """The ids of the deliveries that the list shows."""
    return re.findall(r'id="delivery-([0-9a-f-]{36})"', await sees(ann, f"{ROOT}?{query}"))


async def test_the_list_is_filtered(ann: Ann) -> None:
    assert "No deliveries yet" in await sees(ann, ROOT)
    hook, other = await ann.outgoing(), await ann.outgoing("sync_failure")
    assert "Nothing was owed to this webhook so far" in await sees(ann, f"{ROOT}?hook={hook.id}")
    assert "No webhook was to be told of this data source so far" in await sees(ann, f"{ROOT}?source={ann.source.id}")
    second = await another_source(ann, "Runbooks")
    delivered = await made(ann, hook)
    given_up = await made(ann, other, "exhausted", reason="The endpoint answered 503; only 2xx counts as received.")
    elsewhere = await made(ann, hook, data_source_id=second.id)
    unwanted = await made(ann, other, "discarded", sequence=None, body=None, reason="The hook takes the events of another data source only.")
    discarded = await made(ann, hook, "discarded", reason="Dropped by hand.")
    tested = await made(ann, hook, "held", test=True, sequence=None, data_source_id=None, sync_id=None)
    assert await found(ann) == [tested, discarded, elsewhere, given_up, delivered]  # what a hook does not listen to is left out
    assert await found(ann, "state=unwanted") == [unwanted]
    assert await found(ann, "state=discarded") == [discarded]
    assert await found(ann, "state=exhausted") == [given_up]
    assert await found(ann, f"hook={other.id}") == [given_up]
    assert await found(ann, f"source={second.id}") == [elsewhere]
    assert await found(ann, f"source={ann.source.id}") == [discarded, given_up, delivered, unwanted]  # there, one may look for just that
    assert await found(ann, f"source={ann.source.id}&state=delivered&hook={hook.id}") == [delivered]
    assert "No deliveries like that" in await sees(ann, f"{ROOT}?source={second.id}&state=held")
    page = await sees(ann, f"{ROOT}?state=exhausted")
    assert "The endpoint answered 503" in page
    assert "Sync failure → 8.8.8.8/hook" in page
    assert "Help &lt;centre&gt;" in page


async def test_the_list_is_filtered_by_day(ann: Ann) -> None:
    hook, noon = await ann.outgoing(), clock.parse_rfc3339("2026-01-15T12:00:00Z")
    before, within, after = [await made(ann, hook, id=first_id_of(noon + days * DAY)[:14] + new_id()[14:]) for days in (-1, 0, 1)]
    assert await found(ann, "day=2026-01-15") == [within]
    assert await found(ann) == [after, within, before]
    for odd in ("day=2026-02-31", "day=today", "day=0001-01-01", "state=other", "hook=x", "source=%00", "cursor=x", "q=" + "x" * 501):
        assert (await ann.client.get(f"{ROOT}?{odd}")).status_code in {200, 404}, odd


async def test_whatever_is_pasted_leads_on(ann: Ann) -> None:
    hook, sync_id, event_id = await ann.outgoing(), new_id(), new_id()
    one = await made(ann, hook, sync_id=sync_id, event_id=event_id)
    another = await made(ann, await ann.outgoing(), sync_id=sync_id, event_id=event_id)
    await made(ann, hook)
    for pasted in (event_id, f" {event_id.upper()} ", f"webhook-id: {event_id}", f"%22webhook-id%22:%20%22{event_id}%22"):
        assert await found(ann, f"q={pasted}") == [another, one], pasted
    assert await led(ann, f"{ROOT}?q={one}") == f"{ROOT}/{one}"
    assert await led(ann, f"{ROOT}?q={hook.id}&state=held") == f"{ROOT}?state=held&hook={hook.id}"
    assert await led(ann, f"{ROOT}?q={ann.source.id}") == f"{ROOT}?source={ann.source.id}"
    assert await led(ann, f"{ROOT}?q=help+%3CCENT") == f"{ROOT}?source={ann.source.id}"
    trigger = await ann.trigger()
    assert await led(ann, f"{ROOT}?q=http%3A%2F%2Ftidings.example%2Fapi%2Fpublic%2Fhooks%2F{trigger.id}%2Fan-old-secret") == f"/app/webhooks/{trigger.id}#calls"
    assert "No data source has a name like that" in await sees(ann, f"{ROOT}?q=100%25")
    assert "Nothing in this workspace has this id" in await sees(ann, f"{ROOT}?q={new_id()}")
    second = await another_source(ann, "Help desk")
    choice = await sees(ann, f"{ROOT}?q=help")
    assert f"source={second.id}" in choice
    assert f"source={ann.source.id}" in choice


@pytest.mark.parametrize(
    ("state", "values", "sentence"),
    [
        ("queued", {}, "has not ended yet"),
        ("cancelled", {}, "Nobody is told of a cancelled sync"),
        ("succeeded", {"dry_run": True}, "Nobody is told of a dry run"),
        ("succeeded", {}, "no webhook of the kind “Sync success”"),
        ("failed", {"code": "internal"}, "no webhook of the kind “Sync failure”"),
    ],
)
async def test_a_sync_of_which_nobody_was_told_says_why(state: str, values: dict[str, Any], sentence: str, ann: Ann) -> None:
    requested = await ann.house.services.db.write(syncs.request, ann.source.id, "api")
    if state != "queued":
        await ann.house.ended_sync(ann.source.id, state, **values)
    assert sentence in await sees(ann, f"{ROOT}?q={requested.sync_id}")
    assert "No deliveries like that" in await sees(ann, f"{ROOT}?q={requested.sync_id}&state=held")


async def test_a_delivery_says_what_became_of_it(ann: Ann) -> None:
    hook = await ann.outgoing()
    delivery_id = await made(
        ann, hook, "pending", reason="The endpoint answered 503; only 2xx counts as received.", next_attempt_at=clock.now() + 1800 * SECOND
    )
    assert "None yet." in await sees(ann, f"{ROOT}/{delivery_id}")
    await attempted(ann, delivery_id)
    await attempted(ann, delivery_id, 2, status=None, error="8.8.8.8 gave no answer within 15 s.", response_headers=None, response_body=None)
    page = await sees(ann, f"{ROOT}/{delivery_id}")
    assert "The next attempt is due <time" in page
    assert "Request of attempt 2" in page
    assert "8.8.8.8 gave no answer within 15 s." in page
    assert "The TLS certificate of the endpoint expires in 3 days." in page
    assert "203.0.113.7" in page
    assert "TLS 1.3" in page
    assert "DNS 2 ms, Connect 4 ms, TLS 11 ms, First byte 22 ms, The rest 2 ms" in page
    assert 'data-copy="curl &#39;https://8.8.8.8/hook?token=abc&#39;' in page
    assert "X-Api-Key: ********" in page
    assert f"{ROOT}/{delivery_id}/redeliver" not in page  # it goes out by itself
    first = await sees(ann, f"{ROOT}/{delivery_id}?attempt=1")
    assert "Request of attempt 1" in first
    assert "503 Service Unavailable" in first
    assert "&lt;b&gt;down&lt;/b&gt;" in first
    payload = await ann.client.get(f"{ROOT}/{delivery_id}/payload")
    assert payload.text == BODY
    assert payload.headers["content-disposition"].startswith("attachment")
    assert "Its beginning." not in first
    await attempted(ann, delivery_id, 3, response_body="x" * 16_000)
    assert "Its beginning. The API tells all that is kept of it, at most 16 KiB." in await sees(ann, f"{ROOT}/{delivery_id}")


@pytest.mark.parametrize(
    ("state", "values", "changes", "sentence"),
    [
        ("delivered", {}, {}, "What its attempts were is not kept any more."),
        ("pending", {"attempt_count": 1, "next_attempt_at": 1}, {}, "It was asked for again"),
        ("exhausted", {"reason": "That was the last of 10 attempts."}, {}, "That was the last of 10 attempts."),
        ("held", {}, {"enabled": False}, "Enable the webhook: what is held goes out first, in order."),
        ("held", {}, {}, "It goes out by itself, in its turn"),
        ("discarded", {"sequence": None, "body": None}, {}, "choose “Any of this bot&#39;s” as its data source"),
        ("exhausted", {"body": None}, {}, "The payload is not kept any more."),
    ],
)
async def test_each_state_has_its_sentence(state: str, values: dict[str, Any], changes: dict[str, Any], sentence: str, ann: Ann) -> None:
    hook, services = await ann.outgoing(), ann.house.services
    delivery_id = await made(ann, hook, state, **values)
    if changes:
        await hooks.change(services.db, services.secretbox, services.outbound, ann.workspace_id, hook.id, changes)  # type: ignore[arg-type]
    assert sentence in await sees(ann, f"{ROOT}/{delivery_id}")
    assert delivery_id in await sees(ann, f"{ROOT}?hook={hook.id}&state={'unwanted' if 'sequence' in values else state}")
    await hooks.delete(services.db, ann.workspace_id, hook.id)
    assert "eleted" in await sees(ann, f"{ROOT}/{delivery_id}")


async def test_one_is_sent_again_and_many_are_recovered(ann: Ann) -> None:
    hook = await ann.outgoing()
    one, two, pruned = await made(ann, hook, "exhausted"), await made(ann, hook, "exhausted"), await made(ann, hook, "exhausted", body=None)
    assert (await sends(ann, f"{ROOT}/{one}/redeliver")).headers["location"] == f"{ROOT}/{one}"
    assert "It is sent again." in await sees(ann, f"{ROOT}/{one}")
    assert await found(ann, "state=pending") == [one]
    for odd in (one, pruned):
        await sends(ann, f"{ROOT}/{odd}/redeliver")
        assert 'class="toast bad"' in await sees(ann, f"{ROOT}/{odd}")
    await sends(ann, f"{ROOT}/{new_id()}/redeliver", 404)
    assert f"/app/webhooks/{hook.id}/recover" in await sees(ann, f"{ROOT}?hook={hook.id}")
    again, back = f"/app/webhooks/{hook.id}/recover", dict[str, Any](since="hour", **{"from": "list"})
    assert (await sends(ann, again, **back)).headers["location"] == f"{ROOT}?hook={hook.id}"
    assert "1 delivery is sent again" in await sees(ann, f"{ROOT}?hook={hook.id}")
    assert await found(ann, "state=pending") == [two, one]
    await sends(ann, again, **back)
    assert "there is nothing to send again" in await sees(ann, f"{ROOT}?hook={hook.id}")
    await sends(ann, again, **{**back, "since": "other"})
    assert "Choose one of the list, or type a time." in await sees(ann, f"{ROOT}?hook={hook.id}")
    await sends(ann, again, 403, form_token="0" * 64, since="hour")
    await sends(ann, f"{ROOT}/{one}/redeliver", 403, form_token="0" * 64)


async def test_a_sync_is_found_by_its_ref(ann: Ann) -> None:
    hook, tell = await ann.outgoing(), ann.house.services.db.write
    carrying = [(await tell(syncs.request, ann.source.id, "hook", refs=["deploy-7", "main"])).sync_id]
    await tell(lambda tx: tx.execute(update(tables.syncs).values(state="succeeded")).rowcount)
    delivery_id = await made(ann, hook, sync_id=carrying[0])
    unwanted = await made(ann, hook, "discarded", sequence=None, body=None, sync_id=carrying[0])
    assert await led(ann, f"{ROOT}?q=deploy-7") == f"{ROOT}?q={carrying[0]}"
    assert await found(ann, f"q={carrying[0]}") == [delivery_id, unwanted]  # whoever was told comes first
    carrying.append((await tell(syncs.request, ann.source.id, "hook", refs=["main"])).sync_id)
    several = await sees(ann, f"{ROOT}?q=main")
    assert "Several syncs are found by that." in several
    for each in carrying:
        assert f'href="{ROOT}?q={each}"' in several
    assert "no sync carries it as a ref" in await sees(ann, f"{ROOT}?q=deploy-")  # whole, as it was sent
    activity = await sees(ann, "/app/activity?ref=deploy-7")
    assert f"/app/syncs/{carrying[0]}" in activity
    assert f"{ROOT}/{delivery_id}" in activity
    assert carrying[1] not in activity
    assert carrying[1] in await sees(ann, f"/app/activity?ref={carrying[1]}")
    assert "A ref is found whole" in await sees(ann, "/app/activity?ref=deploy-")
    other_id = await tell(workspaces.create, "Other", "unlimited")
    await tell(lambda tx: tx.execute(update(tables.syncs).values(workspace_id=other_id)).rowcount)
    assert "no sync carries it as a ref" in await sees(ann, f"{ROOT}?q=main")
    assert "A ref is found whole" in await sees(ann, "/app/activity?ref=main")


async def test_members_look_and_see_no_secrets(ann: Ann) -> None:
    hook = await ann.outgoing()
    delivery_id = await made(ann, hook, "exhausted", reason="The endpoint answered 503.")
    await attempted(ann, delivery_id)
    await ann.house.services.db.write(lambda tx: tx.execute(update(members).values(role="member")).rowcount)
    assert "no webhook leads there" in await sees(ann, f"{ROOT}?q=8.8.8.8")  # who is told no target can't ask for one either
    for address in (ROOT, f"{ROOT}?hook={hook.id}", f"{ROOT}/{delivery_id}", f"{ROOT}/{delivery_id}?attempt=1"):
        page = await sees(ann, address)
        assert "The endpoint answered 503." in page
        for secret in ("8.8.8.8", "token=abc", "203.0.113.7", "my own", "curl", "Redeliver", "Recover"):
            assert secret not in page, (address, secret)
    await sends(ann, f"{ROOT}/{delivery_id}/redeliver", 403)
    await sends(ann, f"/app/webhooks/{hook.id}/recover", 403, since="hour")


async def test_a_receiver_is_found_by_its_url(ann: Ann) -> None:
    hook = await ann.outgoing()
    assert await led(ann, f"{ROOT}?q=https%3A%2F%2F8.8.8.8%2FHOOK") == f"{ROOT}?hook={hook.id}"
    other = await ann.outgoing("sync_failure")
    choice = await sees(ann, f"{ROOT}?q=8.8.8.8")
    assert "Several webhooks are named like that." in choice
    for each in (hook, other):
        assert f'href="{ROOT}?hook={each.id}"' in choice


async def test_what_was_deleted_is_named_and_leads_nowhere(ann: Ann) -> None:
    hook = await ann.outgoing()
    delivery_id = await made(ann, hook, sync_id=(sync_id := new_id()))
    there = await sees(ann, f"{ROOT}/{delivery_id}")
    await ann.house.services.db.write(data_sources.delete, ann.source.id)
    gone = await sees(ann, f"{ROOT}/{delivery_id}")
    for page, links in ((there, 1), (gone, 0)):
        assert page.count(f"/app/syncs/{sync_id}") == page.count(f"/app/data-sources/{ann.source.id}") == links
        assert "Help &lt;centre&gt;" in page


async def test_a_long_target_is_named_by_its_beginning_and_its_end(ann: Ann) -> None:
    await ann.sends(type="sync_success", targetUrl=f"https://8.8.8.8/{'a' * 900}/the/end-of-it")
    await made(ann, (await ann.hooks())[-1])
    page = await sees(ann, ROOT)
    assert "a" * LONGEST_PLACE not in page
    assert "8.8.8.8/aaa" in page
    assert "…aaaaaaaaaa/the/end-of-it" in page


async def test_another_workspace_is_out_of_sight(ann: Ann) -> None:
    hook = await ann.outgoing()
    other_id = await ann.house.services.db.write(workspaces.create, "Other", "unlimited")
    delivery_id = await made(ann, hook, workspace_id=other_id, sync_id=(sync_id := new_id()))
    assert await found(ann) == []
    assert "Nothing in this workspace has this id" in await sees(ann, f"{ROOT}?q={delivery_id}")
    assert "Nothing in this workspace has this id" in await sees(ann, f"{ROOT}?q={sync_id}")
    for address in (delivery_id, f"{delivery_id}/payload", f"{delivery_id}/live", "x", new_id()):
        assert "API" not in await sees(ann, f"{ROOT}/{address}", 404)
    await sees(ann, f"{ROOT}?hook={new_id()}", 404)
    await sees(ann, f"{ROOT}?source={new_id()}", 404)


async def test_a_long_list_is_read_page_by_page_and_stays_small(ann: Ann) -> None:
    hook = await ann.outgoing()
    ids = [
        await made(ann, hook, "exhausted", reason="The endpoint answered 503; only 2xx counts as received. That was the last of 10 attempts.")
        for _ in range(60)
    ]
    page = await sees(ann, ROOT)
    assert len(page.encode()) < 60_000
    following = re.search(r'rel="next" href="([^"]*)"', page)
    assert following
    older = await sees(ann, following[1].replace("&amp;", "&"))
    shown = re.findall(r'id="delivery-([0-9a-f-]{36})"', page + older)
    assert shown == ids[::-1]
    assert "sse-connect" not in older
