"""How the writer thread of SQLite commits, and what its connections know."""

from contextlib import closing
from pathlib import Path

from sqlalchemy import text

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
