"""Lists page by page are the same as lists whole, whatever the limit and whatever changes meanwhile."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.world import Caller, World, a_bot, a_folder


async def everything(caller: Caller, path: str, limit: int) -> list[dict[str, Any]]:
    """All items, page by page."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = (await caller("GET", path, 200, params={"limit": limit, **({} if cursor is None else {"cursor": cursor})})).json()
        assert len(page["items"]) <= limit
        items += page["items"]
        cursor = page["nextCursor"]
        if cursor is None:
            return items
        assert len(page["items"]) == limit


async def test_pages_add_up(world: World) -> None:
    bot_ids = [await a_bot(world.owner) for _ in range(7)]
    sources = [await a_folder(world, world.owner, bot_ids[0], syncNow=False) for _ in range(5)]
    rows = [await world.with_row(sources[0]["id"], "text") for _ in range(5)]
    for _ in range(5):
        await world.owner("POST", f"/data-sources/{sources[0]['id']}/sync", 202)
        await world.ended_sync(sources[0]["id"])
        await world.event(world.owner, {})
    hooks = [await world.owner.made(f"/bots/{bot_ids[0]}/webhooks", {"type": "sync_success", "targetUrl": "https://8.8.8.8"}) for _ in range(3)]
    for _ in range(4):
        await world.owner("POST", f"/webhooks/{hooks[0]['id']}/test", 202)
    sizes = {
        "/bots": 7,
        "/connectors": 2,
        f"/bots/{bot_ids[0]}/data-sources": 5,
        f"/data-sources/{sources[0]['id']}/rows": len(rows),
        f"/data-sources/{sources[0]['id']}/syncs": 5,
        f"/bots/{bot_ids[0]}/webhooks": 3,
        f"/webhooks/{hooks[0]['id']}/deliveries": 4,
        "/deliveries": 4,
        "/events": 5,
    }
    for path, size in sizes.items():
        whole = await everything(world.owner, path, 200)
        assert len(whole) >= size
        for limit in (1, 2, 3, size, size + 1):
            assert await everything(world.owner, path, limit) == whole, (path, limit)


async def test_what_comes_and_goes_between_pages(world: World) -> None:
    bot_ids = [await a_bot(world.owner) for _ in range(6)]
    first = (await world.owner("GET", "/bots?limit=3", 200)).json()
    await world.owner("DELETE", f"/bots/{bot_ids[2]}", 204)
    await world.owner("DELETE", f"/bots/{bot_ids[4]}", 204)
    new_id = await a_bot(world.owner)
    rest = (await world.owner("GET", "/bots", 200, params={"cursor": first["nextCursor"]})).json()
    assert [bot["id"] for bot in rest["items"]] == [bot_ids[3], bot_ids[5], new_id]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cursor=st.text(st.characters(codec="utf-8"), max_size=60), limit=st.integers())
async def test_whatever_is_sent_is_a_page_or_a_problem(world: World, cursor: str, limit: int) -> None:
    for path in ("/bots", "/events", "/deliveries", "/connectors"):
        answer = await world.owner("GET", path, params={"cursor": cursor, "limit": limit})
        assert answer.status_code in {200, 422}
        assert set(answer.json()) >= ({"items", "nextCursor"} if answer.status_code == 200 else {"errors"})
