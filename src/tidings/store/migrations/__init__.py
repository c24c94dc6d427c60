"""The history of the schema, applied by `tidings migrate` and at each start. New ones are added at the end, never changed.

They are numbered, each file named after its number, so that a start which has nothing to apply finds that out without Alembic,
whose loading takes a good part of a start.
"""

from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DatabaseError

from tidings.errors import Unavailable

FOLDER = Path(__file__).parent


def upgrade(connection: Connection) -> None:
    """Applies what is still to be applied, all in one transaction: either all of it or nothing."""
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415

    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except BaseException:
        if connection.dialect.name == "sqlite":
            with suppress(DatabaseError):  # SQLite may have rolled back by itself
                connection.exec_driver_sql("ROLLBACK")
        raise
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("COMMIT")


def pending(connection: Connection) -> list[str]:
    """The migrations that are still to be applied, in order. Unavailable where a newer version of Tidings made the schema."""
    numbers = sorted(path.stem.partition("_")[0] for path in (FOLDER / "versions").glob("[0-9]*.py"))
    applied = _applied(connection)
    if applied > numbers[-1]:
        raise Unavailable(f"The database was used by a newer version of Tidings (its schema is {applied}). Run that version, or restore a backup of before.")
    return [number for number in numbers if number > applied]


def _applied(connection: Connection) -> str:
    """The number of the last migration that was applied, "" where none was."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")
