"""The activity of a workspace: four lists as one, newest first, each thing once however they are paged; on both databases."""

import re
from typing import Any

from sqlalchemy import delete, insert, select

from tests.web.test_data_source_pages import Browser, ann, root  # noqa: F401 - `ann` is a fixture
from tests.web.test_sign_in import house  # noqa: F401 - a fixture
from tests.web.world import World
from tidings import clock
from tidings.clock import DAY, SECOND
from tidings.model.activity import Activity
from tidings.model.happenings import Happening
from tidings.model.ids import first_id_of, new_id
from tidings.store import activity, bots, happenings, tables
from tidings.store.happenings import Wanted
from tidings.store.transactions import Tx
from tidings.web.pages.activity import CHOICES

EACH = 7  # happenings of each kind, a minute apart


async def _filled(house: World, ann: Browser, source: str) -> tuple[str, str]:  # noqa: F811
    """(workspace, another bot): much has happened to Ann's bot, one thing to the other."""
    bot, other, now = ann.bot.rpartition("/")[2], new_id(), clock.now()

    def fill(tx: Tx) -> str:
        workspace_id: str = tx.execute(select(tables.bots.c.workspace_id).where(tables.bots.c.id == bot)).scalar_one()
        mine: dict[str, Any] = {"workspace_id": workspace_id}
        tx.execute(delete(tables.activity))  # so that what is told here is written down in the order of time
        tx.execute(insert(tables.bots).values(**mine, id=other, name="Other bot", created_at=now))
        told, called = new_id(), new_id()
        for hook, kind, endpoint in ((told, "sync_success", "https://pager.example.com"), (called, "sync_trigger", None)):
            tx.execute(insert(tables.webhooks).values(**mine, id=hook, bot_id=bot, type=kind, endpoint=endpoint, created_at=now))
        activity.add(tx, workspace_id, Activity(now - 2 * DAY, "stale", "The other one is out of date.", bot_id=other))
        for minute in range(EACH, 0, -1):
            at = now - 60 * SECOND * minute
            sync = {"id": first_id_of(at)[:-4] + "0001", "bot_id": bot, "data_source_id": source, "state": "failed", "reason": "The folder is gone."}
            tx.execute(insert(tables.syncs).values(**mine, **sync, triggered_by="hook", queued_at=at))
            delivery = {"id": first_id_of(at)[:-4] + "0002", "webhook_id": told, "event_id": new_id(), "event": "sync.success", "sequence": minute}
            tx.execute(insert(tables.deliveries).values(**mine, **delivery, state="delivered", headers={}, attempt_count=1, created_at=at, ended_at=at))
            call = {"webhook_id": called, "at": at, "method": "POST", "address": "192.0.2.7", "status": 429, "reason": "Too many <calls>."}
            tx.execute(insert(tables.trigger_log).values(call))
            activity.add(tx, workspace_id, Activity(at, "plan_changed", f"Change {minute}.", bot_id=bot))
        return workspace_id

    return await house.services.db.write(fill), other


async def test_everything_that_happened_is_one_list(house: World, ann: Browser) -> None:  # noqa: F811
    assert "The bot Bot was made." in (await ann.get("/app/activity")).text
    source = await ann.made(root(house))
    workspace_id, other = await _filled(house, ann, source.rpartition("/")[2])
    held = "The new text of 1 row was held back. If that is right, approve it: a sync with approveRemovals lets it through."
    warned = Activity(clock.now(), "sync_warning", held, bot_id=ann.bot.rpartition("/")[2], sync_id=new_id())
    await house.services.db.write(lambda tx: activity.add(tx, workspace_id, warned))
    page = (await ann.get("/app/activity")).text
    for said in (
        "Sync of Runbooks",
        "The folder is gone.",
        "to pager.example.com arrived",
        "refused a call from 192.0.2.7",
        "Too many &lt;calls&gt;.",
        "Change 3.",
    ):
        assert said in page
    assert "held back. If that is right, approve it. <a" in page  # what programs do about it is not said to people
    assert "Change 3." not in (await ann.get("/app/activity?what=sync")).text
    assert "The folder is gone." not in (await ann.get("/app/activity?what=change")).text
    others = (await ann.get(f"/app/activity?bot={other}")).text
    assert "The other one is out of date." in others
    assert "Change 3." not in others
    past = (await ann.get(f"/app/activity?until={clock.day(clock.now() - 2 * DAY)}")).text
    assert "The other one is out of date." in past
    assert "Change 3." not in past
    assert "Nothing like that happened" in (await ann.get("/app/activity?until=2001-01-01")).text
    theirs = (await house.stranger.made("/bots", {"name": "Theirs"}))["id"]
    for odd in (f"bot={theirs}", "what=x", "cursor=x", "cursor=a.b.c.d", "cursor=...", "until=%00", "until=9999-12-31", "bot=x"):
        assert (await ann.get(f"/app/activity?{odd}")).status_code in {200, 404, 422}
        assert (await ann.get(f"/app/activity/live?{odd}&cursor=x")).status_code in {404, 422}
    assert (await ann.get(f"/app/activity?bot={theirs}")).status_code == 404


async def test_pages_show_each_thing_once_newest_first(house: World, ann: Browser) -> None:  # noqa: F811
    source = (await ann.made(root(house))).rpartition("/")[2]
    workspace_id, other = await _filled(house, ann, source)
    bot = ann.bot.rpartition("/")[2]
    found: list[Happening]
    for wanted, most in (
        (Wanted(workspace_id), 4 * EACH + 2),  # the first sync of the data source, and what happened to the other bot
        (Wanted(workspace_id, bot_id=bot), 4 * EACH + 1),
        (Wanted(workspace_id, "call"), EACH),
        (Wanted(workspace_id, before=clock.now() - 30 * SECOND), 4 * EACH + 1),
        (Wanted(workspace_id, bot_id=other), 1),
    ):
        found, cursor = [], None
        while True:
            page = await house.services.db.read(happenings.page, wanted, limit=3, cursor=cursor)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        assert len(found) == len({(one.what, one.key) for one in found}) == most
        assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)


async def test_of_many_bots_one_is_chosen_by_its_name(house: World, ann: Browser) -> None:  # noqa: F811
    assert (await ann.get("/app/activity?bot=Bot")).text.count("<option") == 7  # of the kinds of happenings, and of two choices of a bot

    def fill(tx: Tx) -> None:
        workspace_id: str = tx.execute(select(tables.bots.c.workspace_id)).scalar_one()
        for number in range(CHOICES):
            bots.create(tx, workspace_id, "Twice" if number > CHOICES - 3 else f"Bot {number}%")

    await house.services.db.write(fill)
    page = (await ann.get("/app/activity")).text
    assert page.count("<option>") == CHOICES
    assert '<select name="bot"' not in page
    one = (await ann.get("/app/activity?bot=+bot+42%25+&what=change")).text  # as nobody would write it, and as only one is called
    assert "The bot Bot 42% was made." in one
    assert "Bot 43%" not in one.partition("<ol")[2]
    assert 'value="Bot 42%"' in one
    exact = (await ann.get("/app/activity?bot=Bot")).text  # which the names of all others begin with
    assert "The bot Bot was made." in exact
    assert "was made.</p>" not in exact.replace("The bot Bot was made.", "")
    twice = (await ann.get("/app/activity?bot=Twice&what=change")).text
    assert "Several bots have this name." in twice
    assert twice.count("/app/activity?what=change&amp;bot=") == 2
    assert "Several bots have a name like that." in (await ann.get("/app/activity?bot=4%25")).text
    assert "No bot is called like that" in (await ann.get("/app/activity?bot=%25%25")).text
    assert (await ann.get("/app/activity/bots?bot=wic")).text.count("<option>Twice</option>") == 2
    for odd in ("%00", "%FF", "x" * 201):
        assert (await ann.get(f"/app/activity/bots?bot={odd}")).status_code in {200, 404}


async def test_what_was_deleted_is_named_and_leads_nowhere(house: World, ann: Browser) -> None:  # noqa: F811
    source = await ann.made(root(house))
    there = (await ann.get("/app/activity")).text
    assert re.search(r'<a class="strong" href="/app/syncs/[^"]*">Sync of Runbooks</a>', there)
    assert f'href="{ann.bot}">' in there
    await ann.post(f"{source}/delete")
    gone = (await ann.get("/app/activity")).text
    assert '<span class="strong">Sync of Runbooks</span>' in gone
    assert f'href="{ann.bot}">' in gone
    await ann.post(f"{ann.bot}/delete")
    assert f'href="{ann.bot}">' not in (await ann.get("/app/activity")).text


async def test_changes_of_settings_are_written_down(house: World, ann: Browser) -> None:  # noqa: F811
    source = await ann.made(root(house))
    await ann.post(f"{ann.bot}/settings", name="Renamed bot")
    await ann.post(f"{source}/pause")
    owner = house.owner
    bot = (await owner.made("/bots", {"name": "Their bot"}))["id"]
    hook = (await owner.made(f"/bots/{bot}/webhooks", {"type": "sync_success", "targetUrl": "https://93.184.216.34/in?key=hush"}))["id"]
    for body in ({"enabled": False}, {"secret": "generate"}, {"keepHeld": "latest"}, {}):
        await owner("PATCH", f"/webhooks/{hook}", 200, json=body)
    await owner("DELETE", f"/webhooks/{hook}", 204)
    page = (await ann.get("/app/activity?what=change")).text
    for said in ("The bot Bot was renamed to Renamed bot.", "The data source Runbooks was paused.", "The data source Runbooks was added."):
        assert said in page
    told = [item["sentence"] for item in (await owner("GET", "/activity?limit=6", 200)).json()["items"]]
    done = ("was deleted", "was changed", "has a new secret", "was disabled", "was made")
    assert told == [*(f"The webhook to 93.184.216.34:443 {each}." for each in done), "The bot Their bot was made."]
