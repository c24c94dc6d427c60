"""The pages of syncs, rows and snapshots: what they show, who may do what; on both databases."""

import html
import re
from typing import Any

from sqlalchemy import insert, select, update

from tests.web.test_data_source_pages import Browser, ann, root  # noqa: F401 - `ann` is a fixture
from tests.web.test_sign_in import house  # noqa: F401 - a fixture
from tests.web.world import World
from tidings import clock
from tidings.model.ids import new_id
from tidings.store import tables as t

RESULTS = {"totalTokens": 7, "modifiedRows": 2, "totalDocuments": 9, "unmodifiedRows": 3, "totalDataSourceRows": 5}
GUARDED = (
    "This sync would remove 40 of 100 rows. Nothing was changed. If they are meant to go, approve it: start a sync of this data source with approveRemovals."
)


async def seen(browser: Browser, path: str) -> str:
    """The words of a page."""
    answer = await browser.get(path)
    assert answer.status_code == 200, (path, answer.text)
    assert len(answer.text) < 60_000
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


async def latest(world: World, data_source_id: str) -> str:
    """The address of the latest sync of a data source."""
    query = select(t.syncs.c.id).where(t.syncs.c.data_source_id == data_source_id).order_by(t.syncs.c.id.desc()).limit(1)
    return f"/app/syncs/{await world.services.db.read(lambda tx: tx.execute(query).scalar_one())}"


async def set_(world: World, sync: str, **values: Any) -> None:
    await world.services.db.write(lambda tx: tx.execute(update(t.syncs).where(t.syncs.c.id == sync[-36:]).values(**values)).rowcount)


async def members_only(world: World) -> None:
    await world.services.db.write(lambda tx: tx.execute(update(t.members).values(role="member")).rowcount)


async def test_a_sync_says_why_it_waits_how_far_it_is_and_what_came_of_it(house: World, ann: Browser) -> None:  # noqa: F811
    source = await ann.made(root(house))
    sync = await latest(house, source[-36:])
    assert "It waits for a worker" in await seen(ann, sync)
    await set_(house, sync, not_before=clock.now() + clock.DAY)
    assert "the time of the day at which this data source may sync" in await seen(ann, sync)
    await ann.post(f"{source}/pause")
    paused = await seen(ann, sync)
    assert "because its data source is paused" in paused
    assert "Start now" not in paused
    assert "It starts once the data source is resumed." in await seen(ann, source)
    await ann.post(f"{source}/resume")
    assert "Start now" in await seen(ann, sync)
    assert (await ann.post(f"{sync}/start")).headers["location"] == sync
    assert "It waits for a worker" in await seen(ann, sync)
    await ann.post(f"{source}/pause")
    assert "because its data source is paused" in await seen(ann, sync)
    await ann.post(f"{sync}/start")
    assert "Resume it first." in await seen(ann, sync)
    await ann.post(f"{source}/resume")
    progress = {"phase": "reading", "rows_seen": 100, "rows_done": 20, "rows_failed": 0, "rows_total": 100, "listed_at": clock.now() - 5 * clock.SECOND}
    await set_(house, sync, state="running", started_at=clock.now() - 10 * clock.SECOND, progress=progress)
    running = await seen(ann, sync)
    assert "It reads: 20 of 100 rows." in running
    assert "2 rows a second" in running
    assert "left" in running
    await ann.post(f"{source}/sync")
    follow_up = await latest(house, source[-36:])
    assert "It waits for the sync that is running" in await seen(ann, follow_up)
    await ann.post(f"{follow_up}/cancel")
    assert "It was cancelled before it began." in await seen(ann, follow_up)
    assert "This sync has ended already" in await seen(ann, (await ann.post(f"{follow_up}/cancel")).headers["location"])
    await ann.post(f"{follow_up}/start")
    assert "It waits for nothing any more." in await seen(ann, follow_up)
    warnings = [{"code": "not_found_by_search", "message": "One row is not found."}]
    await set_(house, sync, state="succeeded", finished_at=clock.now(), added=2, results=RESULTS, warnings=warnings, merged=3)
    ended = await seen(ann, sync)
    assert "It added 2 rows, and charged 7 tokens." in ended
    assert "3 more requests came while it waited" in ended
    assert "One row is not found." in ended
    again = (await ann.post(f"{sync}/again")).headers["location"]
    assert again == await latest(house, source[-36:]) != sync


async def test_what_a_guard_stopped_is_approved_by_owners_and_nothing_older(house: World, ann: Browser) -> None:  # noqa: F811
    source = await ann.made(root(house))
    stopped = f"/app/syncs/{await house.ended_sync(source[-36:], 'failed', code='removal_guard', reason=GUARDED)}"
    page = await seen(ann, stopped)
    assert "If they are meant to go, approve it." in page
    assert "approveRemovals" not in page
    assert "Approve…" in page
    assert f'href="{stopped}">' in (await ann.get(source)).text.partition("See what waits for approval")[0]
    row = await house.with_row(source[-36:], "Some text.")
    await house.with_change(stopped[-36:], row)
    await house.services.db.write(lambda tx: tx.execute(update(t.changes).values(kind="removed", title="Going <b>")).rowcount)
    asked = (await ann.get(f"{stopped}/approve")).text
    assert "These rows go" in asked
    assert "Going &lt;b&gt;" in asked
    approved = (await ann.post(f"{stopped}/approve")).headers["location"]
    wanted = select(t.syncs.c.approves).where(t.syncs.c.id == approved[-36:])
    assert await house.services.db.read(lambda tx: tx.execute(wanted).scalar_one()) == stopped[-36:]
    await house.ended_sync(source[-36:], "succeeded")
    assert "Approve…" not in await seen(ann, stopped)
    assert "See what waits for approval" not in await seen(ann, source)
    assert "Nothing to approve" in await seen(ann, f"{stopped}/approve")
    assert (await ann.post(f"{stopped}/approve")).headers["location"] == stopped
    assert "nothing of this sync to approve any more" in await seen(ann, stopped)


async def test_the_manifest_is_searched_narrowed_and_turned_over(house: World, ann: Browser) -> None:  # noqa: F811
    source = await ann.made(root(house))
    sync = await latest(house, source[-36:])
    row = await house.with_row(source[-36:], "Some text.")
    await house.ended_sync(source[-36:], results=RESULTS)
    await house.with_change(sync[-36:], row)

    def fill(tx: Any) -> None:
        kinds = ("added", "changed", "removed", "failed")
        lines = [
            {"sync_id": sync[-36:], "row_n": 1000 + n, "key": f"key-{n:03}", "kind": kinds[n % 4], "reason": None, "quarantined": False} for n in range(120)
        ]
        lines[3] |= {"quarantined": True, "reason": f"It shrank. {GUARDED}"}
        tx.execute(insert(t.changes), lines)

    await house.services.db.write(fill)
    keys: list[str] = []
    address: str | None = sync
    while address is not None:
        text = (await ann.get(address)).text
        keys += re.findall(r'title="(key-\d+)"', text)
        more = re.search(r'rel="next" href="([^"#]+)', text)
        address = None if more is None else html.unescape(more[1])
    assert keys == [f"key-{n:03}" for n in range(120)]  # in order, each once
    assert re.findall(r'title="(key-\d+)"', (await ann.get(f"{sync}?kind=removed&q=KEY-00")).text) == ["key-002", "key-006"]
    held_back = await seen(ann, f"{sync}?kind=held-back")
    assert "key-003" in held_back
    assert "key-007" not in held_back
    assert "No row of this sync is like that." in await seen(ann, f"{sync}?q=nothing-like-it")
    for odd in ("kind=other", "cursor=x", "q=a%00b", "cursor=" + "9" * 30):
        assert (await ann.get(f"{sync}?{odd}")).status_code in {200, 404, 422}
    lines = await house.services.db.read(lambda tx: tx.execute(select(t.changes.c.key, t.changes.c.n)).all())
    numbers = {line.key: line.n for line in lines}
    added, without_text = numbers[f"{row}.md"], numbers["key-001"]
    assert "<ins>" in (await ann.get(f"{sync}/changes/{added}")).text
    assert "is not kept any more" in await seen(ann, f"{sync}/changes/{without_text}")
    for nowhere in (f"{sync}/changes/{2**40}", f"{sync}/changes/{2**70}", f"{sync}/changes/x", f"/app/syncs/{new_id()}", "/app/syncs/x"):
        assert (await ann.get(nowhere)).status_code == 404


async def test_a_row_shows_its_text_and_its_past_and_can_be_let_through(house: World, ann: Browser) -> None:  # noqa: F811
    source = await ann.made(root(house))
    row = await house.with_row(source[-36:], "Some text of it.", error=f"It shrank. {GUARDED}")
    sync = await house.ended_sync(source[-36:])
    await house.with_change(sync, row)
    page = f"{source}/rows/{row}"
    await house.services.db.write(lambda tx: tx.execute(update(t.rows).values(quarantined="hash")).rowcount)
    shown = await seen(ann, page)
    assert "Some text of it." in shown
    assert "Held back" in shown
    assert f"/app/syncs/{sync}/changes/" in (await ann.get(page)).text
    assert f"{page}" in (await ann.get(source)).text
    other = await ann.made(root(house))
    assert (await ann.get(f"{other}/rows/{row}")).status_code == 404
    assert (await ann.get(f"{page}?cursor=x")).status_code == 422
    assert (await ann.post(f"{page}/approve")).headers["location"] == await latest(house, source[-36:])
    await house.services.db.write(lambda tx: tx.execute(update(t.rows).values(quarantined=None)).rowcount)
    assert (await ann.post(f"{page}/approve")).headers["location"] == page
    assert "No text of this row is held back any more." in await seen(ann, page)


async def test_snapshots_are_compared_and_gone_back_to(house: World, ann: Browser) -> None:  # noqa: F811
    source = await ann.made(root(house))
    here = f"{source}/snapshots"
    assert "No snapshot yet" in await seen(ann, here)
    assert "No snapshot yet" in await seen(ann, f"{here}/compare")
    first, second = [await house.with_row(source[-36:], "Some text.") for _ in range(2)]
    assert "Snapshot 2" in await seen(ann, here)
    compared = (await ann.get(f"{here}/compare")).text
    assert second in compared
    assert first not in compared
    assert "No row is like that." in await seen(ann, f"{here}/compare?kind=removed")
    back = await seen(ann, f"{here}/1/roll-back")
    assert "1 row in place of 2" in back
    assert f"Goes Title {second}" in back
    for nowhere in (f"{here}/3/roll-back", f"{here}/compare?before=7", f"{here}/0/roll-back"):
        assert (await ann.get(nowhere)).status_code == 404
    await ann.post(f"{here}/1/roll-back")
    after = await seen(ann, here)
    assert "The bot knows again what snapshot 1 holds." in after
    assert "This data source is paused" in after
    assert "Snapshot 2" not in after
    await ann.post(f"{here}/1/roll-back")
    assert "is the one that is published" in await seen(ann, here)
    assert (await ann.post(f"{source}/dry-run")).headers["location"] == source
    assert "Resume it first." in await seen(ann, source)


async def test_a_dry_run_leads_to_what_it_would_change(house: World, ann: Browser) -> None:  # noqa: F811
    source = await ann.made(root(house))
    await house.ended_sync(source[-36:])
    dry = (await ann.post(f"{source}/dry-run")).headers["location"]
    assert "Dry run" in await seen(ann, dry)
    await house.ended_sync(source[-36:], added=2, results=RESULTS)
    ended = await seen(ann, dry)
    assert "A sync would add 2 rows now, and charge 7 tokens." in ended
    assert "Dry runs are told to nobody." in ended
    assert "Sync now" in ended


async def test_members_look_and_ask_and_change_nothing(house: World, ann: Browser) -> None:  # noqa: F811
    source = await ann.made(root(house))
    body = {"type": "sync_failure", "targetUrl": "https://secret.example.com/hook?key=hush"}
    await ann.post(f"{ann.bot}/webhooks", **body)
    sync = f"/app/syncs/{await house.ended_sync(source[-36:], 'failed', code='removal_guard', reason=GUARDED)}"
    row = await house.with_row(source[-36:], "Some text.")
    await members_only(house)
    shown = (await ann.get(sync)).text
    assert "An owner of this workspace can approve it." in shown
    assert "secret.example.com" not in shown
    assert (await ann.post(f"{sync}/again")).status_code == 303
    owners = (f"{sync}/cancel", f"{sync}/approve", f"{source}/rows/{row}/approve", f"{source}/snapshots/1/roll-back")
    for path in owners:
        assert (await ann.post(path)).status_code == 403
    for path in (f"{sync}/approve", f"{source}/snapshots/1/roll-back"):
        assert (await ann.get(path)).status_code == 403
    assert "Go back" not in await seen(ann, f"{source}/snapshots")
    for path in (*owners, f"{sync}/again", f"{sync}/start", f"{source}/dry-run"):
        assert (await ann.client.post(path, data={})).status_code == 403


async def test_others_see_nothing(house: World, ann: Browser) -> None:  # noqa: F811
    bot = (await house.stranger.made("/bots", {"name": "Theirs"}))["id"]
    body = {"name": "Theirs", "type": "folder", "config": {"path": root(house)}}
    theirs = (await house.stranger.made(f"/bots/{bot}/data-sources", body))["id"]
    row = await house.with_row(theirs, "Some text.")
    sync = await house.ended_sync(theirs, "failed", code="removal_guard", reason=GUARDED)
    n = await house.with_change(sync, row)
    source, sync = f"/app/data-sources/{theirs}", f"/app/syncs/{sync}"
    looks = (sync, f"{sync}/live", f"{sync}/changes/live", f"{sync}/changes/{n}", f"{sync}/approve", f"{source}/rows/{row}", f"{source}/snapshots")
    for path in (*looks, f"{source}/snapshots/compare", f"{source}/snapshots/1/roll-back"):
        assert (await ann.get(path)).status_code == 404, path
    acts = (f"{sync}/cancel", f"{sync}/approve", f"{sync}/again", f"{sync}/start", f"{source}/dry-run")
    for path in (*acts, f"{source}/rows/{row}/approve", f"{source}/snapshots/1/roll-back"):
        assert (await ann.post(path)).status_code == 404, path
