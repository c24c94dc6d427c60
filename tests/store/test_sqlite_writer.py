"""How the writer thread of SQLite commits, and what its connections know."""

import asyncio
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.flows.commands import answer, environment, one_sentence, run
from tidings.errors import Unavailable
from tidings.settings import load_settings
from tidings.store.database import open_database
from tidings.store.transactions import Tx

LATER, AT_ONCE = 1, 2  # NORMAL and FULL


def _synchronous(tx: Tx) -> int:
    return int(tx.execute(text("PRAGMA synchronous")).scalar_one())


async def test_all_but_bulk_work_is_forced_to_the_disk(home: Path) -> None:
    with closing(open_database(load_settings(home=home))) as database:
        database.migrate()
        assert await database.write(_synchronous) == AT_ONCE
        assert await database.write_bulk(_synchronous) == LATER
        assert await database.write_each(lambda tx, items: [_synchronous(tx) for _ in items], None) == AT_ONCE


async def test_letters_of_every_alphabet_have_a_lower_case(home: Path) -> None:
    with closing(open_database(load_settings(home=home))) as database:
        database.migrate()
        for place in (database.read, database.write):
            assert await place(lambda tx: tx.execute(text("SELECT lower('ÜBERSICHT ΣΟΦΊΑ'), lower(NULL), lower(7)")).one()) == ("übersicht σοφία", None, 7)


async def test_a_write_that_finds_no_file_is_told_so_and_the_next_one_tries_again(home: Path) -> None:
    with closing(open_database(load_settings(home=home))) as database:
        (home / "tidings.sqlite").mkdir()
        for _ in range(2):
            with pytest.raises(Unavailable, match="tidings doctor"):
                await asyncio.wait_for(database.write(_synchronous), 30)
        (home / "tidings.sqlite").rmdir()
        assert await asyncio.wait_for(database.write(_synchronous), 30) == AT_ONCE


@pytest.mark.parametrize("replaced", [False, True], ids=["moved", "replaced"])
async def test_nothing_is_written_to_a_file_that_is_not_where_it_was(home: Path, *, replaced: bool) -> None:
    file, away = home / "tidings.sqlite", home / "away.sqlite"
    with closing(open_database(load_settings(home=home))) as database:
        database.migrate()
        assert await database.write(_synchronous) == AT_ONCE
        file.rename(away)
        if replaced:
            shutil.copy(away, file)
        for write in (database.write, database.write_bulk):
            with pytest.raises(Unavailable, match="not where it was"):
                await asyncio.wait_for(write(_synchronous), 30)
        with pytest.raises(Unavailable, match="not where it was"):
            database.pending_migrations()
        assert file.exists() is replaced, "nothing is made in its place"
        away.rename(file)
        assert await database.write(_synchronous) == AT_ONCE
        assert database.pending_migrations() == []


@pytest.mark.parametrize("at", [0, 100], ids=["head", "schema"])
def test_a_damaged_file_is_told_by_every_command(home: Path, at: int) -> None:
    env = environment(home)
    answer("setup", "--email", "ann@example.com", "--password", "a-long-password", env=env)
    damage(home, at)
    for words in (["keys", "list"], ["migrate"], ["serve", "--port", "0"]):
        done = run(*words, env=env)
        assert done.returncode == 1
        assert one_sentence(done.stderr)
        assert "The file of the database is damaged" in done.stderr
    found = run("doctor", env=env)
    assert found.returncode == 1
    assert "error    database     The file of the database is damaged" in found.stdout


async def test_damage_that_shows_while_it_is_read_and_written_is_told(home: Path) -> None:
    with closing(open_database(load_settings(home=home))) as database:
        database.migrate()
        pages = await database.read(lambda tx: tx.execute(text("SELECT rootpage FROM sqlite_master WHERE name = 'workspaces'")).scalar_one())
        size = await database.read(lambda tx: tx.execute(text("PRAGMA page_size")).scalar_one())
    damage(home, (pages - 1) * size)
    with closing(open_database(load_settings(home=home))) as database:
        for place in (database.read, database.write):
            with pytest.raises(Unavailable, match="restore a backup"):
                await place(lambda tx: tx.execute(text("SELECT * FROM workspaces")).all())


def damage(home: Path, at: int) -> None:
    """Nonsense in the file, from this byte on."""
    with (home / "tidings.sqlite").open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * 100)
