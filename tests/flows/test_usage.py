"""What a plan allows: stopped as early as it can be known, told of in time, and counted by day, bot and data source."""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from tests.flows.engine import engine_over
from tests.flows.source_of_texts import Texts
from tidings import clock
from tidings.model.ids import new_id
from tidings.model.workspaces import judge_use
from tidings.settings import Settings, load_settings
from tidings.store import activity, data_sources, migrations, usage
from tidings.store import tables as t
from tidings.store.database import Database, open_database

OVER_PLAN = "Over plan storage token limit, please upgrade plan"
NOON = clock.parse_rfc3339("2026-11-10T12:00:00Z")


@pytest.fixture
def at() -> Iterator[list[clock.Micros]]:
    """The present instant, as the test sets it."""
    now = [NOON]
    clock.set_source(lambda: now[0])
    yield now
    clock.set_source(None)


async def test_a_sync_over_the_plan_ends_before_everything_is_read(database: Database, settings: Settings, home: Path) -> None:
    texts = Texts({f"row {n}": f"This is what row {n} says." for n in range(400)})
    plan: list[int | None] = [0]
    async with engine_over(database, settings, home, open_source=texts.open, allowance=lambda _plan: plan[0]) as engine:
        failed = await engine.sync()
        assert (failed.state, failed.code, failed.reason) == ("failed", "over_plan_limit", OVER_PLAN)
        assert sum(map(len, texts.asked)) < 200
        assert await engine.rows() == {}
        assert await database.read(usage.of_month, engine.workspace, clock.month(clock.now())) == 0

        dry = await engine.sync(dry_run=True)  # is to tell what all of it would cost
        assert (dry.reason, dry.counts.added) == (OVER_PLAN, 400)

        plan[0] = None
        assert (await engine.sync()).counts.added == 400
        plan[0] = 0
        assert (await engine.sync()).state == "succeeded"  # nothing is to be charged
        texts.texts["row 7"] = "Something else."
        assert (await engine.sync()).reason == OVER_PLAN


async def test_a_plan_that_grows_while_a_sync_runs_is_heeded(database: Database, settings: Settings, home: Path) -> None:
    texts = Texts({f"row {n}": f"This is what row {n} says." for n in range(100)})
    looks = 0

    def allowance(_plan: str) -> int:
        nonlocal looks
        looks += 1
        return 300 * looks  # each time that it is looked at

    async with engine_over(database, settings, home, open_source=texts.open, allowance=allowance) as engine:
        assert (await engine.sync()).counts.added == 100
        assert looks > 2


async def test_most_of_a_plan_is_told_once_a_month_and_for_each_plan(database: Database, settings: Settings, home: Path, at: list[clock.Micros]) -> None:
    texts, plan = Texts(), [10**6]
    async with engine_over(database, settings, home, open_source=texts.open, allowance=lambda _plan: plan[0]) as engine:

        async def told(words: int, key: str) -> list[str]:
            texts.texts[key] = "word " * words
            assert (await engine.sync()).state == "succeeded"
            return [each.sentence for each in (await database.read(activity.page, engine.workspace, limit=50, cursor=None)).items]

        assert await told(79, "a") == []
        used = await database.read(usage.of_month, engine.workspace, "2026-11")
        plan[0] = used * 10 // 8 + 1  # 80% of it is more than that
        assert await told(79, "a") == []  # nothing is charged
        (first,) = await told(1, "b")
        assert first.startswith("8")
        assert "in 2026-11. At this pace it is used up on 2026-11-" in first
        assert len(await told(2, "c")) == 1
        plan[0] -= 1
        assert len(await told(1, "d")) == 2
        at[0] += 30 * clock.DAY
        assert len(await told(79, "e")) == 3


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.integers(NOON, NOON + 400 * clock.DAY))
def test_a_forecast_is_made_from_four_fifths_on(limit: int, used: int, at: clock.Micros) -> None:
    sentence = judge_use("small", limit, used, at)
    assert (sentence is not None) == (used >= 0.8 * limit)
    assert sentence is None or ("Nothing is left" in sentence) == (used >= limit)


async def test_usage_adds_up_by_day_bot_and_data_source(database: Database, settings: Settings, home: Path, at: list[clock.Micros]) -> None:
    texts = Texts()
    charged: dict[str, int] = {}
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        for _ in range(12):
            at[0] += random.randrange(clock.DAY)
            texts.texts[f"row {random.randrange(4)}"] = " ".join(random.choices(["alder", "birch", "cedar"], k=random.randrange(1, 30)))
            ended = await engine.sync()
            assert ended.results is not None
            day = clock.rfc3339(at[0])[:10]
            charged[day] = charged.get(day, 0) + ended.results.total_tokens
        await database.write(data_sources.delete, engine.data_source)
        found = await database.read(usage.shares, engine.workspace, "2026-11")
        november = {day: tokens for day, tokens in charged.items() if day < "2026-12" and tokens}
        total = sum(november.values())
        assert (found.tokens, dict(found.by_day)) == (total, november)
        assert [(one.id, one.name, one.deleted, one.tokens) for one in found.by_bot] == [(engine.bot, "Testing bot", False, total)]
        assert [(one.bot_id, one.name, one.deleted, one.tokens) for one in found.by_data_source] == [(engine.bot, "Data source one", True, total)]
        assert (await database.read(usage.shares, engine.workspace, "2025-01")).by_day == ()


def test_what_was_charged_before_there_were_days_is_found_again(blank_database_url: str | None, home: Path) -> None:
    with contextlib.closing(open_database(load_settings(home=home, database_url=blank_database_url))) as database, database.engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(migrations.FOLDER))
        config.attributes["connection"] = connection
        command.upgrade(config, "0007")
        ids = {"workspace": new_id(), "bot": new_id(), "source": new_id()}
        for statement in (
            "INSERT INTO workspaces (id, name, plan, created_at) VALUES (:workspace, 'W', 'p', 1)",
            "INSERT INTO bots (id, workspace_id, name, created_at) VALUES (:bot, :workspace, 'B', 1)",
            "INSERT INTO data_sources (id, workspace_id, bot_id, name, type, config, created_at) VALUES (:source, :workspace, :bot, 'D', 'folder', '{}', 1)",
        ):
            connection.execute(text(statement), ids)
        for state, days, charge, dry in (
            ("succeeded", 0, 5, False),
            ("succeeded", 0, 7, False),
            ("succeeded", 3, 11, False),
            ("succeeded", 3, 0, False),
            ("succeeded", 3, 17, True),
            ("failed", 3, 13, False),
        ):
            values = {**ids, "id": new_id(), "state": state, "at": NOON + days * clock.DAY, "charge": charge, "dry": dry}
            connection.execute(
                text(
                    "INSERT INTO syncs (id, workspace_id, bot_id, data_source_id, state, triggered_by, queued_at, finished_at, charge, dry_run)"
                    " VALUES (:id, :workspace, :bot, :source, :state, 'api', 1, :at, :charge, :dry)"
                ),
                values,
            )
        command.upgrade(config, "head")
        found = connection.execute(select(t.usage_by_day.c.day, t.usage_by_day.c.storage_tokens).order_by(t.usage_by_day.c.day)).all()
        assert [tuple(row) for row in found] == [("2026-11-10", 12), ("2026-11-13", 11)]
