"""What is said of a row that could not be read, once it has gone from its source."""

from pathlib import Path

from tests.flows.engine import engine_over
from tidings.settings import Settings
from tidings.store.database import Database


async def test_a_row_that_failed_and_then_vanished_leaves_no_error_behind(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number}.md").write_text(f"# Page {number}\n\nSome text.\n")
    async with engine_over(database, settings, folder) as engine:
        await engine.sync()
        (folder / "3.md").unlink()
        (folder / "3.md").symlink_to(folder / "nowhere.md")
        failing = await engine.sync()
        assert (failing.counts.failed, failing.counts.removed) == (1, 0)
        assert (await engine.rows())["3.md"].error is not None
        (folder / "3.md").unlink()
        last = await engine.sync()
        assert (last.counts.failed, last.counts.removed) == (0, 1)
        assert "3.md" not in await engine.rows()
