"""Trigger URLs: contract, section 2, line by line, on both databases."""

import asyncio
import json
import random
import secrets
import string
from typing import Any

import pytest
from sqlalchemy import update

from tests.flows.trigger_web import SUCCESS, Web
from tests.flows.webhook_house import House, Travel
from tidings.model.ids import new_random_id
from tidings.model.trigger_calls import Caller
from tidings.model.webhooks import Hook
from tidings.store import bots, leases, syncs
from tidings.store.tables import data_sources
from tidings.store.transactions import Tx
from tidings.webhooks import hooks
from tidings.webhooks.trigger import Accepted, Call, trigger


async def test_a_call_queues_one_sync_and_the_next_calls_join_it(house: House) -> None:
    hook, web = await house.trigger_hook(), Web(house)
    first = await web(hook.trigger_path)
    assert (first.status, first.body) == (200, SUCCESS)
    sync_id, state = first.sync
    assert state == "queued"
    for method in ("GET", "POST"):
        more = await web(hook.trigger_path, method)
        assert (more.status, more.body, more.sync) == (200, SUCCESS, (sync_id, "merged"))
    assert [tuple(row) for row in await house.queued()] == [(sync_id, 2)]
    sync = await house.db.read(syncs.get, house.workspace_id, sync_id)
    assert sync.triggered_by == "hook"
    assert sync.data_source_id == house.source.id
    assert (await house.look(hook)).last_used_at is not None


async def test_what_runs_gets_exactly_one_follow_up(house: House) -> None:
    hook, web = await house.trigger_hook(), Web(house)
    running = (await web(hook.trigger_path)).sync[0]
    assert (await house.db.write(leases.claim, "somebody", 10**9)) is not None
    follow_up = await web(hook.trigger_path)
    assert follow_up.sync[1] == "queued"
    assert follow_up.sync[0] != running
    assert (await web(hook.trigger_path)).sync == (follow_up.sync[0], "merged")


async def test_all_that_is_not_known_gets_the_same_bytes(house: House) -> None:
    hook, web = await house.trigger_hook(), Web(house)
    other = await house.trigger_hook()
    former = hook.secret
    hook = await house.change(hook, secret="generate")
    deleted = await house.trigger_hook()
    await hooks.delete(house.db, house.workspace_id, deleted.id)
    base = f"/api/public/hooks/{hook.id}/{hook.secret}"
    wrong: list[str | bytes] = [
        f"/api/public/hooks/{new_random_id()}/{hook.secret}",
        f"/api/public/hooks/{hook.id}/{former}",
        f"/api/public/hooks/{hook.id}/{other.secret}",
        f"/api/public/hooks/{hook.id}/{hook.secret[:-1]}",
        f"/api/public/hooks/{hook.id}/{hook.secret.upper()}",
        deleted.trigger_path,
        f"/api/public/hooks/{hook.id}/",
        f"/api/public/hooks/{hook.id}",
        "/api/public/hooks/",
        base + "/",
        base + "/more",
        base + "%2f",
        base + "%00",
        base + "%ff",
        base.encode() + b"\xff",
        base.replace(hook.id, hook.id[:-1] + "%2561"),
        base.replace("hooks/", "hooks//"),
        base.replace("hooks/", "hooks/../hooks/"),
        f"/api/public/hooks/{hook.id}/" + "a" * 100_000,
        f"/api/public/hooks/{'-' * 36}/{hook.secret}",
        f"/api/public/hooks/not-an-id/{hook.secret}",
        f"/api/public/hooks/{hook.id}/{secrets.token_hex(8)[:-1]}",
    ]
    answers = [await web(path) for path in wrong]
    assert {answer.status for answer in answers} == {404}
    assert len({answer.body for answer in answers}) == 1
    assert len({str(sorted(answer.headers.items())) for answer in answers}) == 1
    assert answers[0].is_refusal(404)
    assert await house.queued() == []
    assert (await web(base)).status == 200


async def test_escapes_are_decoded_once_and_ids_are_known_in_any_case(house: House) -> None:
    own = "".join(random.choices(string.ascii_letters + string.digits + "._~-", k=random.randrange(16, 129)))
    hook, web = await house.trigger_hook(secret=own), Web(house)
    escaped = "".join(f"%{ord(character):02{random.choice('xX')}}" for character in own)
    assert (await web(f"/api/public/hooks/{hook.id.upper()}/{escaped}")).status == 200
    assert (await web(f"/api/public/hooks/{hook.id}/{escaped.replace('%', '%25')}")).status == 404


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "FOO"])
async def test_other_methods_trigger_nothing(house: House, method: str) -> None:
    hook = await house.trigger_hook()
    answer = await Web(house)(hook.trigger_path, method, headers={"Purpose": "prefetch"})
    assert answer.is_refusal(405)
    assert answer.headers["allow"] == "GET, POST"
    assert await house.queued() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Purpose": "prefetch"},
        {"Sec-Purpose": "prefetch;prerender"},
        {"Purpose": "Prefetch"},
        {"User-Agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
        {"User-Agent": "facebookexternalhit/1.1"},
        {"User-Agent": "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)"},
        {"User-Agent": "TelegramBot (like TwitterBot)"},
        {"User-Agent": "WhatsApp/2.23.20.0"},
    ],
)
async def test_who_only_looks_ahead_triggers_nothing(house: House, headers: dict[str, str]) -> None:
    hook, web = await house.trigger_hook(), Web(house)
    assert (await web(hook.trigger_path, headers=headers)).is_refusal(403)
    assert (await web("/api/public/hooks/x/y", "POST", headers={**headers, "Content-Length": str(2**21)})).is_refusal(403)
    assert await house.queued() == []
    assert (await web(hook.trigger_path, headers={"User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)"})).status == 200


async def test_a_body_is_ignored_unless_it_is_over_1_mib(house: House) -> None:
    hook, web = await house.trigger_hook(), Web(house)
    mib = b"x" * 2**20
    assert (await web(hook.trigger_path, "POST", pieces=(b"{not json", b"\x00\xff"))).status == 200
    assert (await web(hook.trigger_path, "POST", pieces=(mib,))).status == 200
    assert (await web(hook.trigger_path, "POST", headers={"content-length": str(2**20)}, pieces=(mib,))).status == 200
    over = await web("/api/public/hooks/x/y", "POST", pieces=(mib, b"y"))
    assert over.is_refusal(413)
    assert (await web(hook.trigger_path, "POST", headers={"content-length": str(10**12)}, pieces=(b"",))).is_refusal(413)
    assert (await web(hook.trigger_path, "POST", pieces=(mib,) * 30)).is_refusal(413)


async def test_which_answer_wins(house: House) -> None:
    hook, web = await house.trigger_hook(post_only=True), Web(house)
    wrong = f"/api/public/hooks/{hook.id}/{secrets.token_hex(16)}"
    await house.change(hook, enabled=False)
    assert (await web(wrong)).status == 404
    refused = await web(hook.trigger_path)
    assert refused.is_refusal(405)
    assert refused.headers["allow"] == "POST"
    disabled = await web(hook.trigger_path, "POST")
    assert disabled.is_refusal(403)
    await house.change(hook, enabled=True)
    await _set(house, paused=True)
    paused = await web(hook.trigger_path, "POST")
    assert paused.is_refusal(403)
    assert "paused" in json.loads(paused.body)["reason"]
    assert paused.body != disabled.body
    assert await house.queued() == []


async def _set(house: House, **values: Any) -> None:
    def write(tx: Tx) -> None:
        tx.execute(update(data_sources).where(data_sources.c.id == house.source.id).values(**values))

    await house.db.write(write)


async def test_a_deleted_data_source_is_gone_a_deleted_bot_was_never_there(house: House) -> None:
    hook, web = await house.trigger_hook(), Web(house, rate=1)
    assert (await web(hook.trigger_path)).status == 200
    await _set(house, deleted_at=1)
    assert (await web(hook.trigger_path)).is_refusal(410)
    await house.db.write(bots.delete, house.workspace_id, house.bot_id)
    assert (await web(hook.trigger_path)).is_refusal(404)


async def test_the_rate_counts_accepted_calls_over_a_sliding_minute(house: House) -> None:
    travel, rate = Travel(), random.randrange(2, 6)
    hook, other, web = await house.trigger_hook(), await house.trigger_hook(), Web(house, rate)
    for _ in range(3 * rate):
        await web(f"/api/public/hooks/{hook.id}/{secrets.token_hex(16)}")
        await web(hook.trigger_path, "HEAD")
    for _ in range(rate):
        assert (await web(hook.trigger_path)).status == 200
        travel.forward(5)
    refused = await web(hook.trigger_path)
    assert refused.is_refusal(429)
    wait = int(refused.headers["retry-after"])
    assert 60 - 5 * rate - 1 <= wait <= 60 - 5 * rate + 1
    assert (await web(other.trigger_path)).status == 200
    assert (await web(f"/api/public/hooks/{hook.id}/{secrets.token_hex(16)}")).status == 404
    travel.forward(wait)
    assert (await web(hook.trigger_path)).status == 200  # the first of them is a minute ago
    assert (await web(hook.trigger_path)).status == 429


async def test_calls_at_once_do_not_outrun_the_rate(house: House) -> None:
    hook, web = await house.trigger_hook(), Web(house, rate=5)
    answers = await asyncio.gather(*(web(hook.trigger_path) for _ in range(30)))
    assert sorted(answer.status for answer in answers) == [200] * 5 + [429] * 25


async def test_refs_are_kept_distinct_and_cut(house: House) -> None:
    hook, web = await house.trigger_hook(), Web(house)
    long = "".join(random.choices(string.ascii_letters, k=300))
    sync_id = (await web(hook.trigger_path, query=f"ref=one&ref=two%20w%C3%B6rter&ref={long}")).sync[0]
    await web(hook.trigger_path, query="ref=one&ref=&ref=%00&ref=three%ff")
    sync = await house.db.read(syncs.get, house.workspace_id, sync_id)
    assert sync.refs == ("one", "two wörter", long[:200], "three\ufffd")


async def test_calls_that_are_taken_together_are_each_answered_on_their_own(house: House) -> None:
    async def call(hook: Hook, *refs: str, secret: str | None = None, method: str = "GET", rate: int = 0) -> Call:
        _, hook_id, kept = (hook.trigger_path or "").rsplit("/", 2)
        return Call(hook_id, house.box.lookup_macs(hook_id, secret or kept), Caller(method, None, None), refs, rate)

    one, other = await house.trigger_hook(), await house.trigger_hook(data_source_id=(await house.add_source()).id)
    post_only, disabled = await house.trigger_hook(post_only=True), await house.change(await house.trigger_hook(), enabled=False)
    limited = await house.trigger_hook()
    queued = await house.db.write(lambda tx: syncs.request(tx, house.source.id, "api"))
    calls = [
        await call(other, "a"),
        await call(one, "b"),
        await call(one, secret="w" * 43),
        await call(post_only),
        await call(post_only, method="POST"),
        await call(disabled),
        await call(limited, rate=1),
        await call(limited, rate=1),
        await call(other, "c"),
        Call(new_random_id(), house.box.lookup_macs(new_random_id(), "w" * 43), Caller("GET", None, None), (), 0),
        await call(one, "b", "d"),
    ]
    answers = await house.db.write(trigger, calls)
    assert [answer.requested.state if isinstance(answer, Accepted) else getattr(answer, "status", None) for answer in answers] == [
        *("queued", "merged", 404, 405, "merged", 403, "merged", 429, "merged", 404, "merged")
    ]
    synced = [answer.requested.sync_id for answer in answers if isinstance(answer, Accepted)]
    new = synced[0]
    assert synced == [new, queued.sync_id, queued.sync_id, queued.sync_id, new, queued.sync_id]
    assert await house.db.read(syncs.refs_of, [new, queued.sync_id]) == {new: ("a", "c"), queued.sync_id: ("b", "d")}


async def test_calls_at_once_share_one_sync(house: House) -> None:
    hook, web = await house.trigger_hook(), Web(house)
    answers = await asyncio.gather(*(web(hook.trigger_path, query=f"ref=r{number}") for number in range(60)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.sync[0] for answer in answers}) == 1
    assert sorted(answer.sync[1] for answer in answers) == ["merged"] * 59 + ["queued"]
    sync = await house.db.read(syncs.get, house.workspace_id, answers[0].sync[0])
    assert set(sync.refs) == {f"r{number}" for number in range(60)}


async def test_no_change_is_lost_between_a_merge_and_a_claim(house: House) -> None:
    """Each accepted call's ref is on its sync when that is claimed: whoever runs it looks at the source after the call."""
    hook, web = await house.trigger_hook(), Web(house)
    seen: dict[str, set[str]] = {}
    over = asyncio.Event()

    def claim(tx: Tx) -> str | None:
        held = leases.claim(tx, "runner", 10**9)
        if held is None:
            return None
        seen[held.sync_id] = set(syncs.refs_of(tx, [held.sync_id]).get(held.sync_id, ()))
        return held.sync_id

    async def run() -> None:
        while not (over.is_set() and not await house.queued()):
            sync_id = await house.db.write(claim)
            if sync_id is not None:
                await asyncio.sleep(0.002)
                await house.db.write(syncs.cancel, house.workspace_id, sync_id)

    async def call(number: int) -> None:
        for turn in range(8):
            ref = f"{number}-{turn}"
            answer = await web(hook.trigger_path, query=f"ref={ref}")
            assert answer.status == 200
            carried[ref] = answer.sync[0]

    carried: dict[str, str] = {}
    runner = asyncio.create_task(run())
    await asyncio.gather(*(call(number) for number in range(16)))
    over.set()
    await asyncio.wait_for(runner, 60)
    assert len(carried) == 128
    assert [ref for ref, sync_id in carried.items() if ref not in seen[sync_id]] == []


async def test_wait_answers_with_the_outcome(house: House) -> None:
    hook, web = await house.trigger_hook(), Web(house)
    for state in ("succeeded", "failed"):
        waiting = asyncio.create_task(web(hook.trigger_path, query="wait=60"))
        await house.until_queued()
        sync = await house.end_sync(state=state)
        answer = await asyncio.wait_for(waiting, 50)
        assert answer.status == 200
        assert answer.sync == (sync.id, "queued")
        told = json.loads(answer.body)
        names = {"bot": house.bot_name, "dataSource": house.source.name}
        if state == "succeeded":
            assert sync.results is not None
            assert list(told) == ["success", "results", "bot", "dataSource"]
            assert told == {"success": True, "results": syncs.results_json(sync.results), **names}
        else:
            assert told == {"success": False, "reason": sync.reason, **names}


async def test_wait_tells_of_a_cancelled_sync(house: House) -> None:
    hook, web = await house.trigger_hook(), Web(house)
    waiting = asyncio.create_task(web(hook.trigger_path, query="wait=1000"))
    await house.db.write(syncs.cancel, house.workspace_id, await house.until_queued())
    told = json.loads((await asyncio.wait_for(waiting, 50)).body)
    assert told == {"success": False, "reason": "The sync was cancelled", "bot": house.bot_name, "dataSource": house.source.name}


async def test_wait_ends_with_the_server_and_with_its_time(house: House) -> None:
    hook, web = await house.trigger_hook(), Web(house)
    assert (await asyncio.wait_for(web(hook.trigger_path, query="wait=-5"), 30)).body == SUCCESS
    for text in ("", "abc", "nan"):
        assert (await asyncio.wait_for(web(hook.trigger_path, query=f"wait={text}"), 30)).body == SUCCESS
    waiting = asyncio.create_task(web(hook.trigger_path, query="wait=60"))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    web.stopping.set()
    assert (await asyncio.wait_for(waiting, 30)).body == SUCCESS


async def test_a_former_secret_counts_for_the_overlap(house: House) -> None:
    travel = Travel()
    hook, web = await house.trigger_hook(), Web(house)
    overlap = random.randrange(100, 7 * 86_400)
    second = await house.change(hook, secret="generate", overlap_seconds=overlap)
    assert second.overlap_until is not None
    travel.forward(overlap - 50)
    assert (await web(hook.trigger_path)).status == 200
    assert (await web(second.trigger_path)).status == 200
    travel.forward(51)
    assert (await web(hook.trigger_path)).status == 404
    third = await house.change(second, secret="generate", overlap_seconds=1000)
    fourth = await house.change(third, secret="generate", overlap_seconds=1000)
    assert [(await web(one.trigger_path)).status for one in (second, third, fourth)] == [404, 200, 200]
    fifth = await house.change(fourth, secret="generate")
    assert [(await web(one.trigger_path)).status for one in (third, fourth, fifth)] == [404, 404, 200]
    back = await house.change(fifth, secret=fourth.secret)
    assert [(await web(one.trigger_path)).status for one in (fourth, fifth, back)] == [200, 404, 200]
