"""What the cards of bots say, on both databases."""

import httpx
from sqlalchemy import update

from tests.web.world import World, a_bot, a_folder
from tidings.model.bots import BotView
from tidings.store import overview, webhooks
from tidings.store import tables as t


async def seen(world: World) -> dict[str, BotView]:
    """The bots of the first workspace by their ids."""
    page = await world.services.db.read(overview.page, world.owner.workspace_id, limit=50, cursor=None)
    return {view.bot.id: view for view in page.items}


async def test_a_bot_sums_up_its_data_sources(world: World) -> None:
    empty, full, theirs = await a_bot(world.owner), await a_bot(world.owner), await a_bot(world.stranger)
    sources = [await a_folder(world, world.owner, full) for _ in range(5)]
    for source in sources[:2]:
        await world.with_row(source["id"], "Some text.")
    await world.ended_sync(sources[0]["id"])
    for source in sources[1:3]:
        await world.ended_sync(source["id"], "failed", code="source_unreachable", reason=f"No answer from {source['name']}.")
    await world.owner("PATCH", f"/data-sources/{sources[3]['id']}", 200, json={"paused": True})
    await world.owner("DELETE", f"/data-sources/{sources[4]['id']}", 204)
    hook = {"type": "sync_trigger", "dataSourceId": sources[0]["id"]}
    await world.owner.made(f"/bots/{full}/webhooks", hook)
    for trouble in ({}, {"failing_since": 1}, {"enabled": False, "disabled_by": "gone", "failing_since": 1}, {"enabled": False, "disabled_by": "user"}):
        told = await world.owner.made(f"/bots/{full}/webhooks", {"type": "sync_success", "targetUrl": "https://8.8.8.8/"})
        if trouble:
            await world.services.db.write(lambda tx, hook_id, some: webhooks.change(tx, hook_id, **some), told["id"], trouble)

    found = await seen(world)
    assert theirs not in found
    assert (found[empty].sources, found[empty].hooks, found[empty].rows, found[empty].named) == (0, 0, 0, ())
    bot = found[full]
    assert (bot.sources, bot.failing, bot.paused, bot.new) == (4, 2, 1, 0)
    assert (bot.hooks, bot.hooks_failing, bot.hooks_disabled) == (5, 1, 1)
    assert (bot.rows, bot.documents, bot.tokens) == (2, 2, 6)
    assert [named.name for named in bot.named] == [source["name"] for source in sources[:3]]
    assert bot.failed == (sources[1]["name"], f"No answer from {sources[1]['name']}.")


async def test_a_data_source_of_which_not_one_row_could_be_read_is_not_fresh(world: World) -> None:
    bot = await a_bot(world.owner)
    source = await a_folder(world, world.owner, bot)
    row = await world.with_row(source["id"], "Some text.", error="The server answers 503.")
    nothing = update(t.snapshots).where(t.snapshots.c.data_source_id == source["id"]).values(rows=0)
    await world.services.db.write(lambda tx: tx.execute(nothing).rowcount)
    assert (await seen(world))[bot].failing == 0  # it was not synced yet
    await world.ended_sync(source["id"], failed=1)
    found = (await seen(world))[bot]
    assert (found.failing, found.failed) == (1, (source["name"], "Not one row could be read. The server answers 503."))
    assert (await world.owner("GET", f"/data-sources/{source['id']}", 200)).json()["state"] == "ok"  # to programs it is: the sync succeeded
    await world.services.db.write(lambda tx: tx.execute(update(t.rows).where(t.rows.c.id == row).values(error=None)).rowcount)
    assert (await seen(world))[bot].failing == 0


async def test_bots_come_page_by_page(world: World) -> None:
    made = [await a_bot(world.owner) for _ in range(5)]
    shown: list[str] = []
    cursor = None
    while cursor is not None or not shown:
        page = await world.services.db.read(overview.page, world.owner.workspace_id, limit=2, cursor=cursor)
        shown += [view.bot.id for view in page.items]
        cursor = page.next_cursor
    assert shown == made


async def test_pages_are_no_part_of_the_api(world: World) -> None:
    answer: httpx.Response = await world.nobody("GET", "/openapi.json", 200)
    assert not [path for path in answer.json()["paths"] if path.startswith(("/app", "/login", "/static"))]
