"""The history of the schema, applied by `tidings migrate` and at each start. New ones are added at the end, never changed."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Applies what is still to be applied, all in one transaction: either all of it or nothing."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except BaseException:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("ROLLBACK")
        raise
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("COMMIT")


def pending(connection: Connection) -> list[str]:
    """The migrations that are still to be applied, in order."""
    script = ScriptDirectory.from_config(_config())
    applied = set(MigrationContext.configure(connection).get_current_heads())
    waiting = [revision.revision for revision in script.iterate_revisions("heads", "base") if revision.revision not in applied]
    # Heads only are recorded: what stands before an applied one is applied too.
    done = {ancestor.revision for head in applied for ancestor in script.iterate_revisions(head, "base")}
    return [revision for revision in reversed(waiting) if revision not in done]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
