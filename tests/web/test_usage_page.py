"""The page of usage: against the plan, by day, bot and data source, in each month; on both databases. And what a chart of it shows."""

from sqlalchemy import insert

from tests.web.test_data_source_pages import Browser, ann, root  # noqa: F401 - `ann` is a fixture
from tests.web.test_sign_in import house  # noqa: F401 - a fixture
from tests.web.world import World
from tidings import clock
from tidings.store import tables
from tidings.store.transactions import Tx
from tidings.web import static_files
from tidings.web.pages.charts import usage_by_day

NOV_10 = clock.parse_rfc3339("2026-11-10T00:00:00Z")


async def test_a_month_is_shown_against_its_plan_and_the_one_before_is_a_link_away(house: World, ann: Browser) -> None:  # noqa: F811
    assert "Nothing was charged in" in (await ann.get("/app/usage")).text
    source = (await ann.made(root(house))).rpartition("/")[2]
    bot = ann.bot.rpartition("/")[2]
    today = clock.day(clock.now())

    def charged(tx: Tx) -> None:
        workspace_id = tx.execute(tables.bots.select().where(tables.bots.c.id == bot)).one().workspace_id
        for day, tokens in (("2026-02-03", 40_000), (today, 2_000_000)):
            tx.execute(insert(tables.usage).values(workspace_id=workspace_id, month=day[:7], storage_tokens=tokens))
            share = {"workspace_id": workspace_id, "day": day, "data_source_id": source, "bot_id": bot, "storage_tokens": tokens}
            tx.execute(insert(tables.usage_by_day).values(share))

    await house.services.db.write(charged)
    page = (await ann.get("/app/usage")).text
    assert "2.0 M tokens" in page
    assert f'href="/app/data-sources/{source}">Runbooks</a>' in page
    assert "<dd>Unlimited</dd>" in page
    february = (await ann.get("/app/usage?month=2026-02")).text
    assert '<th scope="row">3 Feb</th><td class="end" data-v="0">0</td><td class="end" data-v="40000">40,000</td>' in february
    assert "month=2026-01" not in february  # nothing was charged before
    assert "month=2026-03" in february
    assert "Nothing was charged in March 2026" in (await ann.get("/app/usage?month=2026-03")).text
    for odd in ("2026-13", "0000-01", "x", "9999-12", "%00"):
        assert (await ann.get(f"/app/usage?month={odd}")).status_code in {200, 404}


def test_the_days_of_a_month_stand_on_each_other_below_the_plan_and_lead_to_the_forecast() -> None:
    chart = usage_by_day({"2026-11-02": 300, "2026-11-09": 600}, "2026-11", 4000, NOV_10)
    assert [column.name for column in chart.columns] == ["Before", "That day", "Forecast", "Plan"]
    assert chart.rows[1] == ("2 Nov", (0, 300, None, 4000))
    assert chart.rows[8] == ("9 Nov", (300, 600, None, 4000))
    assert chart.rows[9] == ("10 Nov", (900, 0, 900, 4000))
    assert chart.rows[29] == ("30 Nov", (None, None, 3000, 4000))  # 900 in 9 days
    far = usage_by_day({"2026-11-02": 300}, "2026-11", 4_000_000, NOV_10)
    assert "Plan" not in [column.name for column in far.columns]
    past = usage_by_day({"2026-10-31": 7}, "2026-10", None, NOV_10)
    assert [column.name for column in past.columns] == ["Before", "That day"]
    assert past.rows[30] == ("31 Oct", (0, 7))


def test_the_whole_front_end_is_small() -> None:
    assert sum(len(file.packed or file.body) for file in static_files.files().values()) < 150_000
