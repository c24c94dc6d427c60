"""Rows of another form than they should have: each costs itself at most."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tests.flows.engine import engine_over
from tidings.connectors.base import UNCHANGED, Fetched, Listed, Outcome, Source, Unlistable, Wanted
from tidings.errors import RowNotRead
from tidings.settings import Settings
from tidings.store.database import Database
from tidings.store.leases import Held
from tidings.syncs.run import SourceToSync

ODD = "a\0b\ud800c"  # what PostgreSQL, and JSON, do not take


class OddSource(Source):
    async def list_rows(self) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        yield [Listed("titled", None, ODD, f"https://example.com/{ODD}"), Listed("given", None), Listed("refused", None), Unlistable("no", RowNotRead(ODD))]
        yield [Listed("unchanged, although it was never had", None)]
        self.complete = True

    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        given = Fetched(b"Some text.", None, title=ODD, url=f"https://example.com/{ODD}")
        made: dict[str, Outcome] = {"titled": Fetched(b"Another text.", None), "given": given, "refused": RowNotRead(ODD)}
        return [made.get(one.row.key, UNCHANGED) for one in wanted]


async def test_odd_titles_addresses_and_reasons_are_kept_as_far_as_can_be(database: Database, settings: Settings, home: Path) -> None:
    async def open_source(_held: Held) -> SourceToSync:
        return SourceToSync(OddSource(), "print", "settings")

    async with engine_over(database, settings, home, open_source=open_source) as engine:
        ended = await engine.sync()
        assert ended.state == "succeeded"
        rows = await engine.rows()
    assert [(rows[key].title, rows[key].url) for key in ("titled", "given")] == [("ab?c", "https://example.com/ab?c")] * 2
    assert [rows[key].error for key in ("refused", "no")] == ["ab?c"] * 2
    assert "says that this row is unchanged, although nothing of it is stored" in (rows["unchanged, although it was never had"].error or "")
