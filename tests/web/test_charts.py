"""Charts of data sources and webhooks: their pages on both databases, and what they show."""

from dataclasses import replace

from sqlalchemy import insert, select

from tests.web.test_data_source_pages import Browser, ann, root  # noqa: F401 - `ann` is a fixture
from tests.web.test_sign_in import house  # noqa: F401 - a fixture
from tests.web.world import World
from tidings import clock
from tidings.clock import DAY
from tidings.model.ids import new_id
from tidings.model.syncs import Counts, Progress, Results, Sync
from tidings.store import tables
from tidings.store.delivery_figures import Fared
from tidings.store.transactions import Tx
from tidings.web.pages.charts import of_deliveries, of_syncs
from tidings.web.pages.figures import HOUR

NOON = clock.parse_rfc3339("2026-11-10T12:00:00Z")


async def test_a_data_source_shows_its_last_syncs(house: World, ann: Browser) -> None:  # noqa: F811
    source = await ann.made(root(house))
    results = {"totalTokens": 4321, "modifiedRows": 7, "totalDocuments": 7, "unmodifiedRows": 0, "totalDataSourceRows": 7}
    await house.ended_sync(source.rpartition("/")[2], added=5, changed=2, results=results)
    assert f'hx-get="{source}/charts"' in (await ann.get(source)).text
    page = (await ann.get(f"{source}/charts")).text
    assert '<td class="end" data-v="5">5</td><td class="end" data-v="2">2</td><td class="end" data-v="0">0</td>' in page
    assert '<td class="end" data-v="4321">4,321</td>' in page
    assert (await ann.get(f"/app/data-sources/{new_id()}/charts")).status_code == 404


async def test_a_webhook_shows_how_its_deliveries_fared(house: World, ann: Browser) -> None:  # noqa: F811
    bot, source, now = ann.bot.rpartition("/")[2], (await ann.made(root(house))).rpartition("/")[2], clock.now()
    hooks = {kind: new_id() for kind in ("sync_success", "sync_failure", "sync_trigger")}

    def fill(tx: Tx) -> None:
        workspace_id = tx.execute(select(tables.bots.c.workspace_id).where(tables.bots.c.id == bot)).scalar_one()
        for kind, hook in hooks.items():
            tx.execute(insert(tables.webhooks).values(id=hook, workspace_id=workspace_id, bot_id=bot, data_source_id=source, type=kind, created_at=now))
        for sequence, state in ((1, "delivered"), (2, "exhausted"), (None, "discarded")):  # the last one was never owed to it
            delivery = {"id": new_id(), "workspace_id": workspace_id, "webhook_id": hooks["sync_success"], "event_id": new_id(), "event": "sync.success"}
            tx.execute(insert(tables.deliveries).values(**delivery, sequence=sequence, state=state, headers={}, body="{}", attempt_count=1, created_at=now))
            tx.execute(insert(tables.attempts).values(delivery_id=delivery["id"], number=1, at=now, duration_ms=1234, request_headers={}))

    await house.services.db.write(fill)
    for window in ("", "?window=month"):
        page = (await ann.get(f"/app/webhooks/{hooks['sync_success']}/charts{window}")).text
        assert '<td class="end" data-v="1">1</td><td class="end" data-v="1">1</td></tr>' in page
        assert "Dropped" not in page
        assert "1,234 ms" in page
    unused = (await ann.get(f"/app/webhooks/{hooks['sync_failure']}/charts")).text
    assert "Nothing was sent in this time." in unused
    assert "<figure" not in unused
    for path in (f"{hooks['sync_trigger']}/charts", f"{new_id()}/charts", "x/charts", f"{hooks['sync_success']}/charts?window=year"):
        assert (await ann.get(f"/app/webhooks/{path}")).status_code == 404


def test_deliveries_are_counted_by_the_hour_with_the_time_that_most_took() -> None:
    late = [Fared(NOON, "delivered", milliseconds) for milliseconds in range(1, 101)]
    fared = [*late, Fared(NOON - 1, "pending", None), Fared(NOON - 3 * HOUR, "delivered", 7), Fared(NOON - DAY, "delivered", 9)]
    counts, took = of_deliveries(fared, NOON - 3 * HOUR, NOON, HOUR, "Last 3 hours")
    assert [column.name for column in counts.columns] == ["Delivered", "On its way"]
    assert counts.rows == (("10 Nov 09:00", (1, 0)), ("10 Nov 10:00", (0, 0)), ("10 Nov 11:00", (0, 1)), ("10 Nov 12:00", (100, 0)))
    assert [values for _, values in took.rows] == [(7, 7), (None, None), (None, None), (50, 95)]
    by_day, _ = of_deliveries(fared, NOON - DAY, NOON, DAY, "Last day")
    assert by_day.rows == (("9 Nov", (1, 0)), ("10 Nov", (101, 1)))


def test_syncs_are_shown_oldest_first_and_those_that_changed_nothing_by_design_are_left_out() -> None:
    good = Sync("", "", "", "", "succeeded", "hook", False, (), None, NOON, NOON, NOON, Progress(), Counts(3, 2, 1, 0), Results(90, 5, 5, 0, 5), None, None)
    bad = replace(good, state="failed", results=None, finished_at=NOON + HOUR)
    rows, tokens = of_syncs([replace(good, state="queued"), bad, replace(good, dry_run=True), replace(good, state="cancelled"), good])
    assert rows.rows == (("10 Nov 12:00", (3, 2, 1)), ("10 Nov 13:00, failed", (None, None, None)))
    assert tokens.rows == (("10 Nov 12:00", (90,)), ("10 Nov 13:00, failed", (None,)))
    assert of_syncs([bad, replace(good, counts=Counts(failed=3))]) == ()


def test_a_first_sync_beside_which_the_others_could_not_be_seen_is_left_out_and_said() -> None:
    good = Sync("", "", "", "", "succeeded", "hook", False, (), None, NOON, NOON, NOON, Progress(), Counts(3, 2, 1, 0), Results(90, 5, 5, 0, 5), None, None)
    first = replace(good, counts=Counts(added=1284))
    rows, tokens = of_syncs([good, first])
    assert rows.rows == (("10 Nov 12:00", (3, 2, 1)),)
    assert len(tokens.rows) == 1
    assert "Without the oldest sync, of 1,284 rows" in (rows.note or "")
    for others in ([first], [replace(good, counts=Counts()), first], [replace(good, counts=Counts(changed=400)), first]):
        rows, _ = of_syncs(others)
        assert (len(rows.rows), rows.note) == (len(others), None)
