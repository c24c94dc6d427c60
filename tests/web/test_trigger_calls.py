"""The calls of trigger hooks over the API: who sees them, page by page, with the address of the caller and not that of a proxy."""

import asyncio
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.web.test_paging import everything
from tests.web.world import World, a_bot, a_folder, fields_of, opened, settings_in
from tidings.settings import Settings

NAMES = ["at", "method", "address", "agent", "status", "accepted", "reason", "syncId", "merged", "mapped"]


async def a_trigger(world: World) -> tuple[dict[str, Any], str]:
    """(a trigger hook, its path)."""
    bot_id = await a_bot(world.owner)
    source = await a_folder(world, world.owner, bot_id, syncNow=False)
    hook = await world.owner.made(f"/bots/{bot_id}/webhooks", {"type": "sync_trigger", "dataSourceId": source["id"]})
    return hook, urlsplit(hook["url"]).path


async def calls_of(world: World, hook: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """As a member sees them, once there are so many."""
    async with asyncio.timeout(60):
        while True:
            found: list[dict[str, Any]] = (await world.member("GET", f"/webhooks/{hook['id']}/calls", 200)).json()["items"]
            if len(found) == count:
                return found
            await asyncio.sleep(0.05)


async def test_calls_are_listed_newest_first(world: World) -> None:
    hook, path = await a_trigger(world)
    assert hook["lastUsed"] is None
    agent = {"User-Agent": "CMS/5"}
    sync_id = (await world.nobody("GET", path, 200, headers=agent)).headers["tidings-sync-id"]
    await world.nobody("POST", path, 200, headers=agent)
    refused = await world.nobody("GET", path + "x", 404, headers=agent)
    calls = await calls_of(world, hook, 3)
    assert [list(call) for call in calls] == [NAMES] * 3
    shared = {"address": "127.0.0.1", "agent": "CMS/5", "mapped": None}
    assert [{name: call[name] for name in NAMES[1:]} for call in calls] == [
        {"method": "GET", **shared, "status": 404, "accepted": False, "reason": refused.json()["reason"], "syncId": None, "merged": False},
        {"method": "POST", **shared, "status": 200, "accepted": True, "reason": None, "syncId": sync_id, "merged": True},
        {"method": "GET", **shared, "status": 200, "accepted": True, "reason": None, "syncId": sync_id, "merged": False},
    ]
    assert [call["at"] for call in calls] == sorted((call["at"] for call in calls), reverse=True)
    seen = (await world.member("GET", f"/webhooks/{hook['id']}", 200)).json()
    assert seen["lastUsed"] == {"at": seen["lastUsedAt"], "address": "127.0.0.1", "agent": "CMS/5"}


async def test_calls_come_in_pages(world: World) -> None:
    hook, path = await a_trigger(world)
    for number in range(7):
        await world.nobody("GET", path + "x" * (number % 2))
    whole = await calls_of(world, hook, 7)
    for limit in (1, 2, 7, 8):
        assert await everything(world.owner, f"/webhooks/{hook['id']}/calls", limit) == whole
    for cursor in ("x", "-1", "9" * 19):
        assert fields_of(await world.owner("GET", f"/webhooks/{hook['id']}/calls", 422, params={"cursor": cursor})) == ["cursor"]


async def test_an_outgoing_webhook_has_no_calls(world: World) -> None:
    hook = await world.owner.made(f"/bots/{await a_bot(world.owner)}/webhooks", {"type": "sync_success", "targetUrl": "https://8.8.8.8"})
    assert "lastUsed" not in hook
    assert await calls_of(world, hook, 0) == []


@pytest.mark.parametrize(("proxies", "seen"), [("127.0.0.0/8", "2001:db8::7"), ("10.0.0.0/8", "127.0.0.1")])
async def test_the_address_is_the_callers_behind_trusted_proxies(settings: Settings, proxies: str, seen: str) -> None:
    async with opened(settings_in(settings), trusted_proxies=(ip_network(proxies),)) as world:
        hook, path = await a_trigger(world)
        await world.nobody("GET", path, 200, headers={"X-Forwarded-For": "8.8.4.4, 2001:db8::7"})
        assert [call["address"] for call in await calls_of(world, hook, 1)] == [seen]
        assert (await world.owner("GET", f"/webhooks/{hook['id']}", 200)).json()["lastUsed"]["address"] == seen


async def test_figures_count_calls_by_outcome(settings: Settings) -> None:
    from pydantic import SecretStr

    async with opened(settings_in(settings), metrics_token=SecretStr("figures"), trigger_rate=2) as world:

        async def figures() -> dict[str, float]:
            text = (await world.nobody("GET", "/metrics", 200, headers={"Authorization": "Bearer figures"})).text
            lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith(("tidings_triggers_total", "tidings_trigger_seconds_count")))
            return {name.partition('outcome="')[2].strip('"}') or "all": float(value) for name, _, value in lines}

        _, path = await a_trigger(world)
        before = await figures()
        for asked in (path, path, path, path + "x", "/api/public/hooks/nonsense"):
            await world.nobody("GET", asked)
        await world.nobody("DELETE", path)
        after = await figures()
    assert {name: after[name] - before[name] for name in after} == {"queued": 1, "merged": 1, "limited": 1, "unknown": 2, "refused": 1, "all": 6}
