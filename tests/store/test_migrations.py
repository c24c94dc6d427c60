"""The migrations make the very tables that the code speaks of, on both databases, and can be run again."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from tidings.errors import Unavailable
from tidings.settings import load_settings
from tidings.store import migrations
from tidings.store.database import open_database
from tidings.store.tables import metadata

# What only one dialect has: full-text entries, made by the first migration.
FULL_TEXT = ("documents_text", "words")


def is_ours(_object: Any, name: str | None, *_rest: Any) -> bool:
    """Whether a thing of the database is described in `tables`."""
    return not any(part in (name or "") for part in (*FULL_TEXT, "alembic_version"))


def test_the_migrated_schema_is_that_of_the_tables(blank_database_url: str | None, home: Path) -> None:
    with contextlib.closing(open_database(load_settings(home=home, database_url=blank_database_url))) as database:
        assert database.pending_migrations() == sorted(path.name[:4] for path in (migrations.FOLDER / "versions").glob("[0-9]*.py"))
        database.migrate()
        assert database.pending_migrations() == []
        database.migrate()
        with database.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"include_object": is_ours, "compare_type": True})
            assert compare_metadata(context, metadata) == []


def test_a_new_home_and_its_file_are_private(tmp_path: Path) -> None:
    home = tmp_path / "new"
    with contextlib.closing(open_database(load_settings(home=home))) as database:
        assert database.pending_migrations()  # which commands ask for before there is a file
        database.migrate()
        assert home.stat().st_mode & 0o777 == 0o700
        with database.engine.connect():
            modes = {path.name: path.stat().st_mode & 0o777 for path in home.iterdir()}
    assert modes.keys() >= {"tidings.sqlite", "tidings.sqlite-wal"}
    assert set(modes.values()) == {0o600}


def test_the_numbers_are_alembics_own_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations.FOLDER))
    script = ScriptDirectory.from_config(config)
    numbers = [revision.revision for revision in script.walk_revisions()]
    assert len(script.get_heads()) == 1
    assert numbers == sorted(numbers, reverse=True)
    assert sorted(path.stem.partition("_")[0] for path in (migrations.FOLDER / "versions").glob("*.py")) == sorted(numbers)


def test_a_schema_of_a_newer_version_is_left_alone(blank_database_url: str | None, home: Path) -> None:
    with contextlib.closing(open_database(load_settings(home=home, database_url=blank_database_url))) as database:
        database.migrate()
        with database.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(Unavailable, match="newer version"):
            database.pending_migrations()
