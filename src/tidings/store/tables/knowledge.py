"""Bots, their data sources, and what is stored of those."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, false, text

from tidings.store.tables.base import metadata, serial

PLANNED, PROMISED = text("next_run_at IS NOT NULL"), text("fresh_until IS NOT NULL AND stale_since IS NULL")
FAILING, QUARANTINED = text("error IS NOT NULL"), text("quarantined IS NOT NULL")

bots = Table(
    "bots",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspaces.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),  # a tombstone: the sweep removes what hangs on it
    Index(None, "workspace_id", "id"),
)

data_sources = Table(
    "data_sources",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspaces.id"), nullable=False),
    Column("bot_id", Text, ForeignKey("bots.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("config", JSON, nullable=False),  # secret members sealed
    Column("paused", Boolean, nullable=False, server_default=false()),
    Column("published", BigInteger, nullable=False, server_default="0"),  # the number of the snapshot that readers see
    Column("undone_to", BigInteger, nullable=False, server_default="0"),  # snapshots above `published` up to this one were rolled back, and are not parked yet
    Column("cursor", Text),  # where the next listing goes on, NULL: at the beginning
    Column("cursor_mark", Text),  # of the settings that it holds under
    Column("synced_at", BigInteger),  # when the last sync of all of it succeeded
    Column("schedule", Text),  # JSON, see model.schedules
    Column("schedule_since", BigInteger),  # what its interval counts from
    Column("next_run_at", BigInteger),
    Column("fresh_until", BigInteger),  # when its promise is broken, unless a sync succeeds before
    Column("stale_since", BigInteger),  # the promise is broken, and that was told
    Column("planned_at", BigInteger),  # what the clock showed when the plan was made
    Column("created_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    Index(None, "bot_id", "id"),
    Index(None, "deleted_at", sqlite_where=text("deleted_at IS NOT NULL"), postgresql_where=text("deleted_at IS NOT NULL")),
    Index("due_data_sources", "next_run_at", sqlite_where=PLANNED, postgresql_where=PLANNED),
    Index("promised_data_sources", "fresh_until", sqlite_where=PROMISED, postgresql_where=PROMISED),
    Index("planned_data_sources", "planned_at", sqlite_where=text("planned_at IS NOT NULL"), postgresql_where=text("planned_at IS NOT NULL")),
)

rows = Table(
    "rows",
    metadata,
    Column("n", serial(), primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("data_source_id", Text, ForeignKey("data_sources.id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("key_hash", LargeBinary, nullable=False),  # keys can be longer than an index entry may be
    Column("error", Text),  # why the last attempt to bring this row up to date failed
    Column("error_validator", Text),  # what it looked like then: unreadable and unchanged is not read again
    Column("error_at", BigInteger),
    Column("quarantined", Text),  # the hash of the text that was held back from it
    Column("approved_at", BigInteger),  # when its text was approved to change as much as it likes; holds until the visible version is a later one
    Index(None, "data_source_id", "key_hash", unique=True),
    Index(None, "data_source_id", "n"),
    Index("failing_rows", "data_source_id", "n", sqlite_where=FAILING, postgresql_where=FAILING),
    Index("quarantined_rows", "data_source_id", "quarantined", sqlite_where=QUARANTINED, postgresql_where=QUARANTINED),
)

# A version of a row is visible when from_n <= published < to_n of its data source.
versions = Table(
    "versions",
    metadata,
    Column("n", serial(), primary_key=True, autoincrement=True),
    Column("row_n", BigInteger, ForeignKey("rows.n"), nullable=False),
    Column("data_source_id", Text, nullable=False),
    Column("from_n", BigInteger, nullable=False),
    Column("to_n", BigInteger, nullable=False),
    Column("content_hash", Text, nullable=False),  # of the bytes at the source
    Column("text_hash", Text, nullable=False),  # of the title and the documents
    Column("fingerprint", Text, nullable=False),  # of the settings and the pipeline that made text of the bytes
    Column("validator", Text),
    Column("title", Text, nullable=False),
    Column("url", Text),
    Column("tokens", BigInteger, nullable=False),
    Column("documents", Integer, nullable=False),
    Column("charged", Boolean, nullable=False, server_default=false()),  # parked by a rollback: it was published, and paid for, before
    Column("created_at", BigInteger, nullable=False),
    Index(None, "row_n", "from_n"),
    Index(None, "data_source_id", "to_n"),
    Index(None, "data_source_id", "from_n"),
)

documents = Table(
    "documents",
    metadata,
    Column("n", serial(), primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),
    Column("version_n", BigInteger, ForeignKey("versions.n"), nullable=False),
    Column("scope", Text, nullable=False),  # the data source's id without hyphens: one word of the full-text entry
    Column("ord", Integer, nullable=False),
    Column("heading", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("tokens", Integer, nullable=False),
    Index(None, "version_n", "ord"),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("data_source_id", Text, ForeignKey("data_sources.id"), primary_key=True),
    Column("n", BigInteger, primary_key=True),
    Column("sync_id", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("documents", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("published_at", BigInteger, nullable=False),
)
