"""The manifest of a sync: its rows with their hashes, and the text of each before and after."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.flows.engine import Engine, engine_over
from tests.flows.source_of_texts import Texts
from tidings.errors import Gone, NotFound, TooLarge
from tidings.model.syncs import Change, Sync
from tidings.settings import Settings
from tidings.store import manifest as stored_manifest
from tidings.store import sweep
from tidings.store.change_texts import MOST_DOCUMENTS
from tidings.store.database import Database
from tidings.syncs.run import run_sync
from tidings.syncs.text_diff import diff_of_change, unified_diff

LINES = st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=8), min_size=1, max_size=30)


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def manifest(engine: Engine, sync: Sync) -> dict[str, Change]:
    """The changes of a sync by key."""
    return {change.key: change for change in (await engine.db.read(stored_manifest.page, sync.id, limit=1000, cursor=None)).items}


async def test_each_change_has_its_hashes_and_its_diff(database: Database, settings: Settings, home: Path) -> None:
    texts = Texts({"a": "First.\n\nSecond.\n\nThird.", "b": "Gone soon.", "c": "Stays."})
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        await engine.sync()
        ids = {key: row.id for key, row in (await engine.rows()).items()}
        before = dict(texts.texts)
        texts.texts |= {"a": "First.\n\nAnother.\n\nThird.", "d": "New."}
        del texts.texts["b"]
        sync = await engine.sync()
        found = await manifest(engine, sync)
        assert {key: (one.kind, one.hash_before, one.hash_after) for key, one in found.items()} == {
            "a": ("changed", hash_of(before["a"]), hash_of(texts.texts["a"])),
            "b": ("removed", hash_of(before["b"]), None),
            "d": ("added", None, hash_of("New.")),
        }
        assert (found["a"].row_id, found["b"].row_id) == (ids["a"], ids["b"])
        diffs = {key: await diff_of_change(database, sync.id, one.n) for key, one in found.items()}
        assert diffs["a"].splitlines() == ["--- before", "+++ after", "@@ -1,5 +1,5 @@", " First.", " ", "-Second.", "+Another.", " ", " Third."]
        assert diffs["b"].splitlines()[2:] == ["@@ -1 +0,0 @@", "-Gone soon."]
        assert diffs["d"].splitlines()[2:] == ["@@ -0,0 +1 @@", "+New."]
        with pytest.raises(NotFound):
            await diff_of_change(database, sync.id, max(one.n for one in found.values()) + 1)


async def test_what_a_failed_sync_and_a_dry_run_would_have_changed_can_be_read(database: Database, settings: Settings, home: Path) -> None:
    texts, limits = Texts({"a": "One."}), [1000]
    async with engine_over(database, settings, home, open_source=texts.open, allowance=lambda _plan: limits[0]) as engine:
        await engine.sync()
        texts.texts["a"] = "Two."
        limits[0] = 0
        for sync in (await engine.sync(), await engine.sync(dry_run=True)):
            assert sync.code == "over_plan_limit"
            change = (await manifest(engine, sync))["a"]
            assert (await diff_of_change(database, sync.id, change.n)).splitlines()[-2:] == ["-One.", "+Two."]


async def test_texts_that_were_swept_are_gone_and_no_others_take_their_place(database: Database, settings: Settings, home: Path) -> None:
    texts = Texts({"a": "One."})
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        first = await engine.sync()
        texts.texts["a"] = "Two."
        staged = await engine.sync(dry_run=True)
        texts.texts["a"] = "Three."
        published = await engine.sync()
        for one in (sweep.parked_versions, lambda tx: sweep.old_versions(tx, 1), sweep.empty_rows):
            while await database.write(one):
                pass
        texts.texts |= {"a": "Four.", "b": "Five."}  # SQLite gives their versions the numbers of those that were swept
        await engine.sync()
        for sync in (first, staged, published):
            change = (await manifest(engine, sync))["a"]
            with pytest.raises(Gone, match="TIDINGS_KEEP_SNAPSHOTS"):
                await diff_of_change(database, sync.id, change.n)


async def test_a_failed_row_and_a_text_without_end_have_no_diff(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "bad.pdf").write_bytes(b"%PDF-1.7 but nothing that a reader understands")
    (folder / "long.txt").write_text("\n\n".join(f"{n} " * 500 for n in range(MOST_DOCUMENTS + 1)))
    async with engine_over(database, settings, folder) as engine:
        sync = await run_sync(engine.work, await engine.claim())
        found = await manifest(engine, sync)
        with pytest.raises(NotFound, match="says why"):
            await diff_of_change(database, sync.id, found["bad.pdf"].n)
        with pytest.raises(TooLarge, match="has all of it"):
            await diff_of_change(database, sync.id, found["long.txt"].n)


@given(LINES, LINES)
def test_a_diff_holds_all_that_went_and_came(before: list[str], after: list[str]) -> None:
    lines = unified_diff("\n".join(before), "\n".join(after)).split("\n")[2:]
    if before == after:
        assert lines == []
    else:
        went = sum(line.startswith("-") for line in lines)
        came = sum(line.startswith("+") for line in lines)
        assert came - went == (len(after) if after != [""] else 0) - (len(before) if before != [""] else 0)
        assert {line[1:] for line in lines if line.startswith("-")} <= set(before)
        assert {line[1:] for line in lines if line.startswith("+")} <= set(after)
