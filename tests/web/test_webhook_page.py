"""The page of one webhook: what it changes, what it says of each state, whom it tells secrets, what it refuses; on both databases."""

import re
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from aiohttp import web
from sqlalchemy import insert, update

from tests.flows.webhook_house import Got, open_receiver
from tests.web.test_sign_in import browsing, house, signed_in, token_in
from tests.web.test_webhook_pages import TARGET, Ann, ann
from tidings import clock
from tidings.clock import DAY
from tidings.model.ids import new_id
from tidings.model.trigger_calls import Caller, TriggerCall
from tidings.model.webhooks import Hook
from tidings.outbound import Outbound
from tidings.store import deliveries as stored
from tidings.store import trigger_log, webhooks
from tidings.store.tables import attempts, data_sources, members
from tidings.store.tables import webhooks as hooks_table
from tidings.store.transactions import Tx
from tidings.web.server import create_app
from tidings.webhooks.deliveries import sample_delivery

__all__ = ["ann", "house"]  # the fixtures


def at(hook: Hook) -> str:
    return f"/app/webhooks/{hook.id}"


def everything(hook: Hook, **other: str) -> dict[str, str]:
    """The form of an outgoing hook as a browser sends it."""
    form = {
        "targetUrl": hook.target_url or "",
        "dataSourceId": "",
        "secret": hook.secret,
        "overlap": "0",
        "envelope": "plain",
        "keepHeld": "all",
        "ed25519": "",
    }
    return {**form, "header-name-0": "", "header-value-0": "", **other}


async def sees(ann: Ann, hook: Hook, more: str = "") -> str:
    page = await ann.client.get(at(hook) + more)
    assert page.status_code == 200, page.text
    return page.text


async def marked(ann: Ann, hook: Hook, **values: Any) -> None:
    """Has the row of a hook say something else."""
    await ann.house.services.db.write(Tx.execute, update(hooks_table).where(hooks_table.c.id == hook.id).values(**values))


async def owed(ann: Ann, hook: Hook, **values: Any) -> str:
    """A delivery of a hook, in whatever state; its id."""
    row = await ann.house.services.db.read(webhooks.get, ann.workspace_id, hook.id)
    made = {**sample_delivery(row), "test": False, "sequence": 1, **values}
    await ann.house.services.db.write(stored.add, [made])
    return str(made["id"])


async def test_all_settings_are_changed_at_once(ann: Ann) -> None:
    hook = await ann.outgoing()
    more = {"envelope": "standard", "keepHeld": "latest", "ed25519": "yes", "dataSourceId": ann.source.id, "targetUrl": "https://8.8.4.4/"}
    await ann.sends(at(hook), **everything(hook, **more, **{"header-name-0": "X-Key", "header-value-0": "abc"}))
    (changed,) = await ann.hooks()
    assert (changed.envelope, changed.keep_held, changed.data_source_id, changed.target_url) == ("standard", "latest", ann.source.id, "https://8.8.4.4/")
    assert changed.key is not None
    assert changed.headers == {"X-Key": "abc"}
    page = await sees(ann, changed)
    assert changed.key.kid in page
    assert 'name="header-value-0" type="password" value="abc"' in page
    assert 'name="header-name-2"' in page  # empty lines for more
    await ann.sends(at(hook), **everything(changed, secret="whsec_" + "A" * 32, overlap="3600"))
    (again,) = await ann.hooks()
    assert (again.headers, again.key, again.envelope, again.data_source_id) == ({}, None, "plain", None)
    assert again.overlap_until is not None
    assert "The former secret stops signing" in await sees(ann, again)


async def test_a_form_that_stood_open_changes_only_what_was_typed_into_it(ann: Ann) -> None:
    """Above all, it does not bring back a secret that somebody else has replaced meanwhile."""
    hook = await ann.outgoing()
    open_here = re.findall(r'name="shown_with" value="([^"]+)"', await sees(ann, hook))[0]
    assert hook.secret not in open_here
    secret, headers = "whsec_" + "B" * 32, {"header-name-0": "X-Key", "header-value-0": "abc"}
    await ann.sends(at(hook), **everything(hook, secret=secret, envelope="standard", **headers))
    refused = await ann.sends(at(hook), 422, **everything(hook, targetUrl="x", shown_with=open_here))
    assert f'value="{secret}"' in refused.text
    for path, typed in ((at(hook), {"targetUrl": "https://8.8.4.4/"}), (f"{ann.root}/{hook.id}", {"dataSourceId": ann.source.id})):
        await ann.sends(path, **everything(hook, **typed, shown_with=open_here))
        (found,) = await ann.hooks()
        assert (found.secret, found.envelope, found.headers) == (secret, "standard", {"X-Key": "abc"})
    assert (found.target_url, found.data_source_id) == ("https://8.8.4.4/", ann.source.id)


REFUSED: tuple[tuple[dict[str, str], str], ...] = (
    ({"targetUrl": "http://169.254.169.254/"}, "refused"),
    ({"secret": "short"}, "The icon beside it makes a new one."),
    ({"secret": "s" * 600}, "512 is the most"),
    ({"envelope": "other"}, "Choose one of the list."),
    ({"keepHeld": "other"}, "Choose one of the list."),
    ({"dataSourceId": "01999999-9999-7999-8999-999999999999"}, "no data source of this bot"),
    ({"header-name-0": "webhook-id", "header-value-0": "x"}, "set by Tidings"),
    ({"header-name-0": "A", "header-value-0": "x", "header-name-7": "A", "header-value-7": "y"}, "It is there twice."),
    ({"header-name-0": "", "header-value-0": "x"}, "1 to 100 letters"),
)


async def test_what_can_not_be_taken_is_told_at_its_field(ann: Ann) -> None:
    hook = await ann.outgoing()
    for change, sentence in REFUSED:
        page = (await ann.sends(at(hook), 422, **everything(hook, **change))).text
        assert sentence in page
        assert 'aria-invalid="true"' in page, change
        assert "/api/" not in re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL)  # people are told nothing of the API
    assert await ann.hooks() == (hook,)


async def test_a_generated_secret_keeps_what_was_typed_and_is_not_kept_itself(ann: Ann) -> None:
    hook = await ann.outgoing()
    page = (await ann.sends(at(hook), 200, **everything(hook, generate="yes", envelope="standard"))).text
    assert re.search(r'name="secret" type="text" value="whsec_[^"]{44}"', page)
    assert 'value="standard" selected' in page
    assert await ann.hooks() == (hook,)


DISABLED = {"enabled": False, "disabled_at": 1}


STATES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"failing_since": None}, "Nothing was sent yet."),
    ({"failing_since": 1}, "It began to fail <time"),
    ({**DISABLED, "disabled_by": "user"}, "It was disabled by hand."),
    ({**DISABLED, "disabled_by": "gone"}, "The receiver answered 410"),
    ({**DISABLED, "disabled_by": "failing", "failing_since": 1}, "It is tried once an hour"),
    ({"certificate_until": 1}, "The TLS certificate of the endpoint has expired."),
    ({"secret_since": 1}, "New secret not used yet"),
    ({"secret_since": 1, "secret_delivered_at": 2}, "New secret not proven"),
    ({"secret_since": 1, "secret_failed_at": 2}, "New secret not accepted"),
    ({"secret_since": 1, "secret_delivered_at": 2, "secret_proven_at": 3}, "New secret proven"),
)


async def test_each_state_is_told_in_words(ann: Ann) -> None:
    for values, said in STATES:
        hook = await ann.outgoing()
        await marked(ann, hook, **values)
        page = await sees(ann, hook)
        assert said in page
        assert ("Disabled <time" in page) == ("disabled_at" in values)


async def test_what_is_held_is_sent_or_dropped_when_a_hook_is_enabled(ann: Ann) -> None:
    hook = await ann.outgoing()
    await ann.sends(f"{at(hook)}/enabled", enabled="no")
    assert "Nothing is held." in await sees(ann, hook)
    delivery = await owed(ann, hook, state="held", next_attempt_at=None, reason="Held for you.")
    page = await sees(ann, hook)
    for words in ("Enable and send what is held", "Enable and drop what is held", "Held for you.", f"/app/deliveries/{delivery}"):
        assert words in page
    for words in ("what was held was dropped.", "enabled already, so nothing was changed."):
        await ann.sends(f"{at(hook)}/enabled", enabled="yes", held="drop")
        page = await sees(ann, hook)
        assert words in page
        assert "Discarded" in page
    assert (await ann.hooks())[0].enabled


async def test_what_was_given_up_is_sent_again(ann: Ann) -> None:
    for typed, sent in (
        ({"since": "hour"}, False),
        ({"since": "week"}, True),
        ({"since": "failing"}, True),
        ({"since": "hour", "at": "2020-01-01T00:00"}, True),
    ):
        hook = await ann.outgoing()
        await marked(ann, hook, failing_since=clock.now() - 3 * DAY)
        await owed(ann, hook, state="exhausted", created_at=clock.now() - 2 * DAY, next_attempt_at=None, ended_at=clock.now())
        assert "Given up" in await sees(ann, hook)
        await ann.sends(f"{at(hook)}/recover", **typed)
        assert ("Given up" not in await sees(ann, hook)) == sent, typed


async def test_what_a_webhook_began_to_fail_with_is_sent_again_too(ann: Ann) -> None:
    hook, failing = await ann.outgoing(), clock.now() - DAY
    delivery_id = await owed(ann, hook, state="exhausted", created_at=failing - 5 * clock.SECOND, next_attempt_at=None, ended_at=failing)
    await marked(ann, hook, failing_since=failing)
    attempt = {"delivery_id": delivery_id, "number": 1, "at": failing, "status": 503, "duration_ms": 1, "phases": "{}", "request_headers": "{}"}
    await ann.house.services.db.write(lambda tx: tx.execute(insert(attempts).values(attempt)).rowcount)
    await ann.sends(f"{at(hook)}/recover", since="failing")
    assert "1 delivery is sent again" in await sees(ann, hook)


async def test_when_to_recover_from_has_to_make_sense(ann: Ann) -> None:
    hook, trigger = await ann.outgoing(), await ann.trigger()
    for typed in ({}, {"since": "other"}, {"since": "failing"}, {"at": "yesterday"}, {"at": "2026-13-40T00:00"}):
        assert 'aria-invalid="true"' in (await ann.sends(f"{at(hook)}/recover", 422, **typed)).text
    await ann.sends(f"{at(trigger)}/recover", 422, since="hour")
    await ann.sends(f"{at(hook)}/enabled", enabled="no")
    await ann.sends(f"{at(hook)}/recover", 409, since="hour")


async def test_a_test_belongs_to_its_hook(ann: Ann) -> None:
    hook, other, trigger = await ann.outgoing(), await ann.outgoing("sync_failure"), await ann.trigger()
    where = (await ann.sends(f"{at(hook)}/test")).headers["location"]
    assert "On its way" in (await ann.client.get(where)).text
    test = where.partition("test=")[2].partition("#")[0]
    assert (await ann.client.get(f"{at(other)}?test={test}")).status_code == 404
    assert (await ann.client.get(f"{at(other)}/tests/{test}/live")).status_code == 404
    assert (await ann.client.get(f"{at(hook)}?test=nonsense")).status_code == 404
    await ann.sends(f"{at(trigger)}/test", 422)
    await ann.sends(f"{at(trigger)}/check", 422)


async def test_a_receiver_is_checked_one_at_a_time(ann: Ann) -> None:
    hook = await ann.outgoing()
    lease = {"owner": "self-test", "lease_until": clock.now() + DAY}
    await owed(ann, hook, test=True, sequence=None, **lease)
    assert "A check of this webhook is under way." in (await ann.sends(f"{at(hook)}/check", 200)).text


async def test_a_webhook_that_was_deleted_while_its_receiver_was_checked_is_not_shown(ann: Ann) -> None:
    hook, outbound = await ann.outgoing(), Outbound([ip_network("127.0.0.0/8")])

    async def slowly(_got: Got) -> web.Response:
        await ann.sends(f"{at(hook)}/delete")
        return web.Response(status=503)

    app = create_app(replace(ann.house.services, outbound=outbound))
    async with open_receiver() as receiver, browsing(replace(ann.house, app=app)) as second:
        await marked(ann, hook, target_url=receiver.url)
        receiver.answer = slowly
        await signed_in(second)
        token = token_in(await second.get("/app/bots"))
        answer = await second.post(f"{at(hook)}/check", data={"form_token": token})
    await outbound.aclose()
    assert len(receiver.got) == 1
    assert (answer.status_code, "There is no such webhook. It may have been deleted." in answer.text) == (404, True)


async def test_the_calls_of_a_trigger_are_listed_with_what_came_of_them(ann: Ann) -> None:
    hook, sync_id = await ann.trigger(), new_id()
    caller = Caller("POST", "192.0.2.7", "<b>Contentful</b>")
    calls = [
        TriggerCall(hook.id, 1, caller, 200, None, sync_id, merged=False, mapped="2 rows: a, b."),
        TriggerCall(hook.id, 2, caller, 200, None, sync_id, merged=True),
        *(TriggerCall(hook.id, 3 + number, caller, 403, f"Refused for reason {number}.") for number in range(19)),
        TriggerCall(hook.id, 22, caller, 404, "There is no hook with this URL. Copy the URL from the hook's page."),
    ]
    await ann.house.services.db.write_bulk(trigger_log.add, calls)
    page = await sees(ann, hook)
    assert page.count("Refused, 403") == 19
    assert "The secret in the URL was wrong, or a former one" in page  # on the hook's own page nobody is told that there is no hook
    assert "There is no hook" not in page
    for words in ("192.0.2.7", "&lt;b&gt;Contentful&lt;/b&gt;", "Refused for reason 18."):
        assert words in page
    older = re.search(r'rel="next" href="[^"?]+\?before=(\d+)#calls"', page)
    assert older
    page = await sees(ann, hook, f"?before={older[1]}")
    assert page.count(f"/app/syncs/{sync_id}") == 2
    for words in ("The sync that carried it", "2 rows: a, b.", "Latest calls"):
        assert words in page
    assert (await ann.client.get(f"{at(hook)}?before=nonsense")).status_code == 422


async def test_a_trigger_says_why_its_calls_are_refused(ann: Ann) -> None:
    hook = await ann.trigger()
    assert "Nobody has called it yet." in await sees(ann, hook)
    source = update(data_sources).where(data_sources.c.id == ann.source.id)
    for change, said in ((source.values(paused=True), "Its data source is paused"), (source.values(deleted_at=1), "Its data source was deleted")):
        await ann.house.services.db.write(Tx.execute, change)
        assert said in await sees(ann, hook)
    await ann.sends(f"{at(hook)}/enabled", enabled="no")
    assert "Calls are refused with 403" in await sees(ann, hook)


async def test_a_mapping_is_tried_kept_and_removed(ann: Ann) -> None:
    hook = await ann.trigger()
    mapping = {"keys": "$.entry.path\n\n $.more[*].path ", "urls": "$.url"}
    body = '{"entry": {"path": "<guides>/a.md"}, "more": [{"path": "b.md"}], "url": "https://example.com/"}'
    page = (await ann.sends(f"{at(hook)}/mapping", 200, **mapping, body=body, **{"try": "yes"})).text
    for words in ("3 rows: ", "&lt;guides&gt;/a.md", "b.md", "https://example.com/", "$.more[*].path"):
        assert words in page
    assert await ann.hooks() == (hook,)  # trying keeps nothing
    assert "the body is not JSON" in (await ann.sends(f"{at(hook)}/mapping", 200, **mapping, body="{", **{"try": "yes"})).text
    await ann.sends(f"{at(hook)}/mapping", **mapping, body=body)
    kept = (await ann.hooks())[0].mapping
    assert kept is not None
    assert (kept.keys, kept.urls) == (("$.entry.path", "$.more[*].path"), ("$.url",))
    page = await sees(ann, hook)
    assert "The rows that a call names" in page
    assert "b.md" not in page
    await ann.sends(at(hook), dataSourceId=ann.source.id, secret=hook.secret, overlap="0", postOnly="")
    assert (await ann.hooks())[0].mapping == kept  # the other form leaves it alone
    await ann.sends(f"{at(hook)}/mapping", keys=" \n", urls="")
    assert (await ann.hooks())[0].mapping is None


NO_MAPPING: tuple[tuple[dict[str, str], str], ...] = (
    ({"keys": "$.a\nnonsense"}, "Line 2: An expression begins with $"),
    ({"urls": "$.a["}, "Line 1: This is no JSONPath expression"),
    ({"keys": "$.a\n" * 11}, "11 expressions; 10 is the most"),
    ({"keys": "$" + "a" * 400}, "at most 300 characters"),
    ({"keys": "", "try": "yes"}, "There is nothing to try yet."),
    ({"keys": "$.a", "body": f'{{"a": "{"x" * 60_000}"}}'[:60_001], "try": "yes"}, "may have been cut off"),  # as browsers cut it
    ({"keys": "$.a", "body": f'"\U0001f600{"x" * 60_000}'[:60_000], "try": "yes"}, "may have been cut off"),
)


async def test_a_mapping_that_can_not_be_is_refused(ann: Ann) -> None:
    hook = await ann.trigger()
    for typed, sentence in NO_MAPPING:
        page = (await ann.sends(f"{at(hook)}/mapping", 422, **typed)).text
        assert sentence in page
        assert 'aria-invalid="true"' in page, typed
    assert await ann.hooks() == (hook,)
    await ann.sends(f"{at(await ann.outgoing())}/mapping", 404, keys="$.a")


async def test_a_hook_is_deleted(ann: Ann) -> None:
    hook = await ann.outgoing()
    asked = (await ann.client.get(f"{at(hook)}/delete")).text
    assert f"Delete Sync success {hook.id[:8]}?" in asked
    await ann.sends(f"{at(hook)}/delete")
    assert await ann.hooks() == ()
    gone = await ann.client.get(at(hook))
    assert gone.status_code == 404
    assert "/api/" not in gone.text


ACTIONS = ("", "/enabled", "/test", "/check", "/recover", "/mapping", "/delete")


async def test_members_look_and_do_nothing(ann: Ann) -> None:
    hook, outgoing = await ann.trigger(), await ann.outgoing()
    await ann.sends(at(outgoing), **everything(outgoing, **{"header-name-0": "X-Key", "header-value-0": "a-value-of-theirs"}))
    test = (await ann.sends(f"{at(outgoing)}/test")).headers["location"].partition("test=")[2].partition("#")[0]
    await ann.house.services.db.write(Tx.execute, update(members).values(role="member"))
    for one, more in ((hook, ""), (outgoing, ""), (hook, "?show=yes"), (outgoing, f"?show=yes&test={test}")):
        page = await sees(ann, one, more)
        for secret in (hook.secret, outgoing.secret, TARGET, "8.8.8.8", "a-value-of-theirs", "X-Key", "Update", "<textarea", "Enable"):
            assert secret not in page, more
    for address in (f"{at(outgoing)}/tests/{test}/live", f"{at(outgoing)}/delete"):
        assert (await ann.client.get(address)).status_code == 403
    for action in ACTIONS:
        await ann.sends(at(outgoing) + action, 403, enabled="no", secret="x")
    assert len(await ann.hooks()) == 2


async def test_others_hooks_are_not_there_and_forms_need_their_token(ann: Ann) -> None:
    hook = await ann.trigger()
    theirs = (await ann.house.stranger.made("/bots", {"name": "Secret bot"}))["id"]
    made = await ann.house.stranger.made(f"/bots/{theirs}/webhooks", {"type": "sync_success", "targetUrl": TARGET})
    for action in ACTIONS:
        await ann.sends(at(hook) + action, 403, form_token="0" * 64)
        for hook_id in (made["id"], "nonsense"):
            await ann.sends(f"/app/webhooks/{hook_id}{action}", 404)
    for end in ("", "/live", "/calls/live", "/delete"):
        assert (await ann.client.get(f"/app/webhooks/{made['id']}{end}")).status_code == 404
    assert await ann.hooks() == (hook,)


async def test_the_page_stays_small(ann: Ann) -> None:
    hook = await ann.outgoing()
    await ann.sends(at(hook), **everything(hook, ed25519="yes"))
    for number in range(50):
        await owed(ann, hook, sequence=number + 1, state="exhausted", attempt_count=9, reason="The endpoint answered 503; only 2xx counts as received." * 2)
    assert len((await sees(ann, hook)).encode()) < 60_000


async def test_what_a_webhook_was_not_told_of_hides_nothing_of_what_it_was(ann: Ann) -> None:
    hook = await ann.outgoing()
    await marked(ann, hook, failing_since=1)
    failed = await owed(ann, hook, state="pending", attempt_count=1, reason="The endpoint answered 503.")
    for _ in range(21):
        await owed(ann, hook, state="discarded", sequence=None, body=None, reason="The hook takes the events of another data source only.")
    page = await sees(ann, hook)
    assert "another data source only" not in page
    assert page.count(f"/app/deliveries/{failed}") == 2  # in the list, and as the latest failure
