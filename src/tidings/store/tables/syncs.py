"""Syncs, what they changed, and the events at their ends."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, Text, false, text

from tidings.store.tables.base import metadata, serial

syncs = Table(
    "syncs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, nullable=False),
    Column("bot_id", Text, nullable=False),
    Column("data_source_id", Text, ForeignKey("data_sources.id"), nullable=False),
    Column("state", Text, nullable=False),  # queued, running, succeeded, failed, cancelled
    Column("triggered_by", Text, nullable=False),
    Column("merged", BigInteger, nullable=False, server_default="0"),  # requests that joined while it was queued
    Column("force", Boolean, nullable=False, server_default=false()),
    Column("dry_run", Boolean, nullable=False, server_default=false()),  # publishes nothing, charges nothing, is told to no hook
    Column("approves", Text),  # the sync whose listed removals are approved
    Column("targets", Text),  # the rows that it is about, as JSON; NULL: all of the data source
    Column("not_before", BigInteger),  # it waits for the window of its data source
    Column("ignores_window", Boolean, nullable=False, server_default=false()),
    Column("queued_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    # the lease
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("owner", Text),
    Column("lease_until", BigInteger),
    Column("takeovers", Integer, nullable=False, server_default="0"),
    # what it has done so far; the counts of rows are exact, `progress` is for people
    Column("target_n", BigInteger),  # the snapshot it stages
    Column("added", BigInteger, nullable=False, server_default="0"),
    Column("changed", BigInteger, nullable=False, server_default="0"),
    Column("removed", BigInteger, nullable=False, server_default="0"),
    Column("failed", BigInteger, nullable=False, server_default="0"),
    Column("unfetched", BigInteger, nullable=False, server_default="0"),  # of the failed: those whose bytes were not to be had
    Column("quarantined", BigInteger, nullable=False, server_default="0"),  # of the failed: those whose new text was held back
    Column("charge", BigInteger, nullable=False, server_default="0"),
    Column("documents_delta", BigInteger, nullable=False, server_default="0"),
    Column("tokens_delta", BigInteger, nullable=False, server_default="0"),
    Column("progress", JSON),
    Column("results", JSON),
    Column("code", Text),
    Column("reason", Text),
    Column("warnings", JSON),  # a list of objects with code and message
    Index(None, "data_source_id", "id"),
    Index(None, "workspace_id", "id"),
    Index(None, "bot_id", "id"),
    Index("one_queued", "data_source_id", unique=True, sqlite_where=text("state = 'queued'"), postgresql_where=text("state = 'queued'")),
    Index("one_running", "data_source_id", unique=True, sqlite_where=text("state = 'running'"), postgresql_where=text("state = 'running'")),
    Index("due_syncs", "queued_at", sqlite_where=text("state = 'queued'"), postgresql_where=text("state = 'queued'")),
    Index("leased_syncs", "lease_until", sqlite_where=text("state = 'running'"), postgresql_where=text("state = 'running'")),
)

sync_refs = Table(
    "sync_refs",
    metadata,
    Column("n", serial(), primary_key=True, autoincrement=True),
    Column("sync_id", Text, ForeignKey("syncs.id"), nullable=False),
    Column("ref", Text, nullable=False),
    Index(None, "sync_id", "ref", unique=True),
    Index(None, "ref", "sync_id"),
)

# The manifest of a sync: the rows it added, changed, removed, and those that failed.
changes = Table(
    "changes",
    metadata,
    Column("n", serial(), primary_key=True, autoincrement=True),
    Column("sync_id", Text, ForeignKey("syncs.id"), nullable=False),
    Column("row_n", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("title", Text),
    Column("kind", Text, nullable=False),  # added, changed, removed, failed
    Column("tokens", BigInteger, nullable=False, server_default="0"),
    Column("hash_before", Text),
    Column("hash_after", Text),
    Column("version_before", BigInteger),  # the versions themselves may be swept before this line is
    Column("version_after", BigInteger),
    Column("reason", Text),
    Column("unfetched", Boolean, nullable=False, server_default=false()),  # failed, and its bytes were not to be had
    Column("quarantined", Boolean, nullable=False, server_default=false()),  # failed, because its new text was held back
    Index(None, "sync_id", "row_n", unique=True),
    Index(None, "sync_id", "kind", "n"),
)

events = Table(
    "events",
    metadata,
    Column("workspace_id", Text, ForeignKey("workspaces.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("data", JSON, nullable=False),
    Index(None, "at"),
)
