"""Whoever reads while syncs run sees one whole snapshot: the one before, then the one after."""

import asyncio
from pathlib import Path

from tests.flows.engine import age, engine_over
from tidings.knowledge.search import search
from tidings.settings import Settings
from tidings.store import rows
from tidings.store.database import Database
from tidings.store.transactions import Tx

ROWS, GENERATIONS = 60, 6


def write(folder: Path, generation: int) -> None:
    """Every row says of which generation it is; each generation has one row more."""
    for number in range(ROWS + generation):
        (folder / f"{number}.md").write_text(f"# Generation {generation}\n\nRow {number} of harbour {generation}, and nothing else.\n")


async def test_readers_see_one_whole_snapshot(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    write(folder, 0)
    age(folder)
    async with engine_over(database, settings, folder) as engine:
        await engine.sync()
        seen: list[str] = []
        going = True

        def titles(tx: Tx) -> tuple[list[str | None], list[str]]:
            return (
                [row.title for row in rows.page(tx, engine.data_source, limit=1000, cursor=None).items],
                [hit.title for hit in search(tx, engine.bot, "harbour", 1000)],
            )

        async def read() -> None:
            while going:
                listed, found = await database.read(titles)
                for these in (listed, found):
                    (generation,) = set(these)
                    assert generation is not None
                    assert len(these) == ROWS + int(generation.split()[-1]), generation
                    seen.append(generation)

        readers = [asyncio.create_task(read()) for _ in range(3)]
        for generation in range(1, GENERATIONS):
            write(folder, generation)
            assert (await engine.sync()).state == "succeeded"
            while f"Generation {generation}" not in seen and not any(reader.done() for reader in readers):  # noqa: ASYNC110 - readers read on
                await asyncio.sleep(0.01)
        going = False
        await asyncio.gather(*readers)
    assert set(seen) == {f"Generation {number}" for number in range(GENERATIONS)}
