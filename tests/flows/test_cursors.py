"""Where a listing goes on: a source that lists only what is new since its cursor, and what makes it begin again."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tests.flows.engine import engine_over
from tidings.connectors.base import LONGEST_CURSOR, Fetched, Listed, Outcome, Source, Unlistable, Wanted
from tidings.errors import RowNotFetched
from tidings.settings import Settings
from tidings.store import data_sources
from tidings.store.database import Database
from tidings.store.leases import Held
from tidings.syncs.run import SourceToSync


class Log:
    """A source that only ever grows: its rows are numbered."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.texts: list[str] = []
        self.broken: set[int] = set()
        self.settings = "settings"
        self.endless = ""
        self.began_at: list[str | None] = []

    async def open(self, held: Held) -> SourceToSync:
        """As `open_source` does it."""
        cursor = None if held.force else await self.db.read(data_sources.cursor, held.data_source_id, self.settings)
        self.began_at.append(cursor)
        return SourceToSync(LogSource(self, int(cursor or 0)), "print", self.settings)


class LogSource(Source):
    def __init__(self, log: Log, after: int) -> None:
        self.log, self.after = log, after

    async def list_rows(self) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        yield [Listed(str(n), None) for n in range(self.after, len(self.log.texts))]
        self.cursor = str(len(self.log.texts)) + self.log.endless

    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        rows = [int(one.row.key) for one in wanted]
        return [RowNotFetched("It is away.") if n in self.log.broken else Fetched(self.log.texts[n].encode(), None) for n in rows]


async def test_a_listing_goes_on_where_the_last_good_one_ended(database: Database, settings: Settings, tmp_path: Path) -> None:
    log = Log(database)
    log.texts = ["one", "two", "three"]
    async with engine_over(database, settings, tmp_path, open_source=log.open) as engine:
        for _ in range(2):
            assert (await engine.sync()).state == "succeeded"
        log.texts += ["four", "five"]
        log.broken = {3}
        assert (await engine.sync()).counts.failed == 1
        log.broken = set()
        assert (await engine.sync()).counts.added == 1  # the row that failed is listed again
        assert len(await engine.rows()) == 5
        await engine.sync()
        assert log.began_at == [None, "3", "3", "3", "5"]

        await engine.sync(force=True)
        log.settings = "others"
        for _ in range(2):
            await engine.sync()
        await database.write(data_sources.forget_cursor, engine.data_source)
        await engine.sync()
        assert log.began_at[5:] == [None, None, "5", None]


async def test_no_cursor_is_kept_of_a_sync_that_failed_or_where_it_is_too_long(database: Database, settings: Settings, tmp_path: Path) -> None:
    log = Log(database)
    log.texts = ["one", "two", "three"]
    limits = [0]
    async with engine_over(database, settings, tmp_path, open_source=log.open, allowance=lambda _plan: limits[0]) as engine:
        assert (await engine.sync()).code == "over_plan_limit"
        limits[0] = 1_000
        assert (await engine.sync()).state == "succeeded"
        log.endless = "0" * LONGEST_CURSOR
        for _ in range(2):
            assert (await engine.sync()).state == "succeeded"
        assert log.began_at == [None, None, "3", None]


async def test_another_config_is_another_mark(database: Database, settings: Settings, tmp_path: Path) -> None:
    async with engine_over(database, settings, tmp_path) as engine:
        held = await engine.claim()
        marks = {(await engine.work.open_source(held)).mark for _ in range(2)}
        await database.write(data_sources.change, engine.data_source, name="D", config={"path": str(tmp_path), "include": ["*.md"]}, paused=False)
        marks.add((await engine.work.open_source(held)).mark)
        assert len(marks) == 2
