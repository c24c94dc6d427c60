"""Calls of trigger hooks are remembered for people: each with its reason, bounded, and without any caller noticing."""

import asyncio
import gc
import secrets
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select, text

from tests.flows.commands import a_data_source, answer, environment, serving
from tests.flows.trigger_web import Web
from tests.flows.webhook_house import House, Travel
from tidings import clock
from tidings.model.ids import new_random_id
from tidings.model.trigger_calls import TriggerCall
from tidings.model.webhooks import Hook
from tidings.settings import Settings
from tidings.store import data_sources as sources
from tidings.store import trigger_log
from tidings.store.tables import trigger_log as table
from tidings.store.transactions import Tx
from tidings.webhooks import hooks
from tidings.webhooks.call_log import COLLECTED
from tidings.worker.housekeeping import keep_house


async def calls_of(house: House, hook: Hook) -> list[TriggerCall]:
    """The calls of a hook, oldest first."""
    found = await house.db.read(trigger_log.page, hook.id, limit=200, cursor=None)
    return list(reversed(found.items))


async def until_calls(house: House, hook: Hook, count: int) -> None:
    async with asyncio.timeout(60):
        while len(await calls_of(house, hook)) != count:  # noqa: ASYNC110 - nobody wakes those who wait for this list
            await asyncio.sleep(0.02)


async def all_ids(house: House) -> set[str]:
    def read(tx: Tx) -> set[str]:
        return set(tx.execute(select(table.c.webhook_id)).scalars())

    return await house.db.read(read)


async def test_each_call_is_remembered_with_its_reason(house: House) -> None:
    hook, web = await house.trigger_hook(), Web(house, rate=2)
    wrong = f"/api/public/hooks/{hook.id}/{secrets.token_hex(16)}"
    agent = {"User-Agent": "CMS/5 (staging)"}
    answers = [
        await web(hook.trigger_path, headers=agent, address="203.0.113.7"),
        await web(hook.trigger_path, "POST", address="2001:db8::1"),
        await web(hook.trigger_path),
        await web(wrong, headers={"User-Agent": "scanner"}),
        await web(hook.trigger_path + "/"),
        await web(f"/api/public/hooks/{hook.id.upper()}"),
        await web(hook.trigger_path, "HEAD"),
        await web(hook.trigger_path, headers={"Purpose": "prefetch"}),
        await web(hook.trigger_path, "POST", headers={"content-length": str(2**30)}),
        await web(hook.trigger_path, "POST", headers={"content-length": "9"}, pieces=()),  # left before its body was there
    ]
    await house.change(hook, post_only=True)
    answers.append(await web(hook.trigger_path))
    await house.change(hook, enabled=False)
    answers.append(await web(hook.trigger_path, "POST"))
    await house.change(hook, enabled=True)
    await house.db.write(sources.change, house.source.id, name=house.source.name, config={}, paused=True)
    answers.append(await web(hook.trigger_path, "POST"))
    await house.db.write(sources.change, house.source.id, name=house.source.name, config={}, paused=False)
    await house.db.write(sources.delete, house.source.id)
    answers.append(await web(hook.trigger_path, "POST"))
    await web.urls.aclose()
    calls = await calls_of(house, hook)
    assert [call.status for call in calls] == [one.status for one in answers] == [200, 200, 429, 404, 404, 404, 405, 403, 413, 400, 405, 403, 403, 410]
    assert [call.reason for call in calls] == [one.reason for one in answers]
    assert [(call.sync_id, call.merged) for call in calls[:3]] == [(answers[0].sync[0], False), (answers[0].sync[0], True), (None, False)]
    assert [(call.caller.method, call.caller.address, call.caller.agent) for call in calls[:4]] == [
        ("GET", "203.0.113.7", "CMS/5 (staging)"),
        ("POST", "2001:db8::1", None),
        ("GET", None, None),
        ("GET", None, "scanner"),
    ]
    assert [call.at for call in calls] == sorted(call.at for call in calls)
    seen = await house.look(hook)
    assert (seen.last_used_address, seen.last_used_agent) == ("203.0.113.7", "CMS/5 (staging)")  # exact to a second


async def test_hooks_that_are_not_there_leave_nothing(house: House) -> None:
    hook, deleted, web = await house.trigger_hook(), await house.trigger_hook(), Web(house)
    outgoing = await house.hook(target_url="http://127.0.0.1:59999/")
    await hooks.delete(house.db, house.workspace_id, deleted.id)
    for path in (
        f"/api/public/hooks/{new_random_id()}/{hook.secret}",
        f"/api/public/hooks/{outgoing.id}/{secrets.token_hex(16)}",
        deleted.trigger_path,
        "/api/public/hooks/nonsense",
    ):
        assert (await web(path)).status == 404
        assert (await web(path, "DELETE")).status == 405
    assert (await web(hook.trigger_path)).status == 200
    await web.urls.aclose()
    assert await all_ids(house) == {hook.id}


async def test_what_a_caller_says_of_itself_is_cut_and_masked(house: House) -> None:
    hook, web = await house.trigger_hook(), Web(house)
    url = f"https://x.example{hook.trigger_path}"
    for agent in (url, f"curl {url}?ref=a", "a" * 190 + url, "ä\0ö" * 500):
        assert (await web(hook.trigger_path, headers={"User-Agent": agent}, address="x" * 999)).status == 200
    await web.urls.aclose()
    calls = await calls_of(house, hook)
    agents = [call.caller.agent or "" for call in calls]
    assert hook.secret not in "".join(agents)
    assert [agent[:22] for agent in agents[:2]] == ["https://x.example/api/", "curl https://x.example"]
    assert max(map(len, agents)) == 200
    assert {len(call.caller.address or "") for call in calls} == {64}


async def test_a_flood_pushes_out_neither_accepted_calls_nor_memory(house: House) -> None:
    hook, other, web = await house.trigger_hook(), await house.trigger_hook(), Web(house)
    for number in range(70):
        assert (await web(hook.trigger_path, headers={"User-Agent": f"n{number}"})).status == 200
    assert (await web(other.trigger_path, "DELETE")).status == 405
    await web.urls.aclose()
    for _ in range(20):
        await asyncio.gather(*(web(f"/api/public/hooks/{new_random_id()}/{hook.secret}") for _ in range(100)))
        await asyncio.gather(*(web(f"/api/public/hooks/{hook.id}/{secrets.token_hex(16)}") for _ in range(20)))
    gc.collect()
    assert sum(isinstance(one, TriggerCall) for one in gc.get_objects()) <= 3 * COLLECTED
    await web.urls.aclose()
    calls = await calls_of(house, hook)
    assert [call.caller.agent for call in calls if call.accepted] == [f"n{number}" for number in range(20, 70)]
    assert len([call for call in calls if not call.accepted]) == trigger_log.KEPT
    assert [call.status for call in await calls_of(house, other)] == [405]


async def test_calls_are_written_down_by_themselves(house: House) -> None:
    hook, web = await house.trigger_hook(), Web(house)
    for expected in (1, 2):
        assert (await web(hook.trigger_path)).status == 200
        await until_calls(house, hook, expected)


async def test_a_log_that_can_not_be_written_fails_no_call(house: House, settings: Settings) -> None:
    if settings.database_url is not None:
        pytest.skip("what is broken here is an OperationalError on SQLite only")
    hook, web = await house.trigger_hook(), Web(house)
    await house.db.write(lambda tx: tx.execute(text("ALTER TABLE trigger_log RENAME TO away")))
    assert (await web(hook.trigger_path)).status == 200
    await web.urls.aclose()
    await house.db.write(lambda tx: tx.execute(text("ALTER TABLE away RENAME TO trigger_log")))
    assert (await web(hook.trigger_path)).status == 200
    await web.urls.aclose()
    assert [call.merged for call in await calls_of(house, hook)] == [True]


@pytest.mark.parametrize(("days", "kept"), [(90, 6.5), (2, 1.5)])
async def test_old_calls_are_forgotten(house: House, days: float, kept: float) -> None:
    travel = Travel()
    hook, web = await house.trigger_hook(), Web(house)
    for _ in range(3):
        await web(hook.trigger_path)
    await web.urls.aclose()
    travel.forward(1 * 86_400)
    since = clock.now()
    await web(hook.trigger_path)
    await web.urls.aclose()
    travel.forward(kept * 86_400)
    stop = asyncio.Event()
    keeping = asyncio.create_task(keep_house(house.db, house.settings.model_copy(update={"retention_days": days}), lambda _tx, _before: 0, stop))
    await until_calls(house, hook, 1)
    stop.set()
    await keeping
    assert [call.at >= since for call in await calls_of(house, hook)] == [True]


def test_a_clean_stop_writes_down_the_last_calls(database_url: str | None, home: Any, tmp_path: Any) -> None:
    env = environment(home, database_url, TIDINGS_LOCAL_ROOTS=str(tmp_path))
    key = answer("setup", "--email", "ann@example.com", "--password", secrets.token_urlsafe(12), env=env)["apiKey"]
    with serving(env=env) as server:
        source = a_data_source(server, key, tmp_path)
        bot = server.api("GET", f"/data-sources/{source}", key)["botId"]
        hook = server.api("POST", f"/bots/{bot}/webhooks", key, {"type": "sync_trigger", "dataSourceId": source})
        path = urlsplit(hook["url"]).path
        assert server.call("GET", path) == (200, {"success": True})
        assert server.call("GET", path + "x")[0] == 404
        assert server.process.stop() == 0
    with serving(env=env) as server:
        calls = server.api("GET", f"/webhooks/{hook['id']}/calls", key)["items"]
        assert [(call["status"], call["address"]) for call in calls] == [(404, "127.0.0.1"), (200, "127.0.0.1")]
        assert server.process.stop() == 0
