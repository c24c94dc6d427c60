"""The tables, the same on SQLite and PostgreSQL. Times are microseconds since 1970 UTC (`clock`), ids are UUID text.

Full-text entries hang on `documents` and differ by dialect: the migrations make them, `search` reads them.
"""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text, false, text, true
from sqlalchemy.types import TypeEngine

metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"})

# A version that is not visible at any number: staged by a sync that did not end well, kept because its text may serve the next one.
PARKED = 2**62 - 1
# The end of a version that nothing has replaced.
FOREVER = 2**62
PENDING, UNNUMBERED, PRUNABLE = text("state = 'pending'"), text("sequence IS NULL"), text("body IS NOT NULL AND ended_at IS NOT NULL")


def _serial() -> TypeEngine[int]:
    """A 64-bit number that the database gives out; SQLite knows only INTEGER as a self-numbering key."""
    return BigInteger().with_variant(Integer, "sqlite")


workspaces = Table(
    "workspaces",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("event_seq", BigInteger, nullable=False, server_default="0"),
    Column("created_at", BigInteger, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

members = Table(
    "members",
    metadata,
    Column("workspace_id", Text, ForeignKey("workspaces.id"), primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), primary_key=True),
    Column("role", Text, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspaces.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),  # SHA-256 of the key
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

# Storage tokens charged, by UTC month ("2026-11").
usage = Table(
    "usage",
    metadata,
    Column("workspace_id", Text, ForeignKey("workspaces.id"), primary_key=True),
    Column("month", Text, primary_key=True),
    Column("storage_tokens", BigInteger, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("workspace_id", Text, ForeignKey("workspaces.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("status", Integer),  # NULL while the first request is running
    Column("headers", JSON),
    Column("body", LargeBinary),
    Column("created_at", BigInteger, nullable=False),
    Index(None, "created_at"),
)

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
    Column("created_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    Index(None, "bot_id", "id"),
    Index(None, "deleted_at", sqlite_where=text("deleted_at IS NOT NULL"), postgresql_where=text("deleted_at IS NOT NULL")),
)

rows = Table(
    "rows",
    metadata,
    Column("n", _serial(), primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("data_source_id", Text, ForeignKey("data_sources.id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("key_hash", LargeBinary, nullable=False),  # keys can be longer than an index entry may be
    Column("error", Text),  # why the last attempt to bring this row up to date failed
    Column("error_validator", Text),  # what it looked like then: unreadable and unchanged is not read again
    Column("error_at", BigInteger),
    Index(None, "data_source_id", "key_hash", unique=True),
    Index(None, "data_source_id", "n"),
)

# A version of a row is visible when from_n <= published < to_n of its data source.
versions = Table(
    "versions",
    metadata,
    Column("n", _serial(), primary_key=True, autoincrement=True),
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
    Column("created_at", BigInteger, nullable=False),
    Index(None, "row_n", "from_n"),
    Index(None, "data_source_id", "to_n"),
    Index(None, "data_source_id", "from_n"),
)

documents = Table(
    "documents",
    metadata,
    Column("n", _serial(), primary_key=True, autoincrement=True),
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
    Column("approves", Text),  # the sync whose listed removals are approved
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
    Column("charge", BigInteger, nullable=False, server_default="0"),
    Column("documents_delta", BigInteger, nullable=False, server_default="0"),
    Column("tokens_delta", BigInteger, nullable=False, server_default="0"),
    Column("progress", JSON),
    Column("results", JSON),
    Column("code", Text),
    Column("reason", Text),
    Index(None, "data_source_id", "id"),
    Index("one_queued", "data_source_id", unique=True, sqlite_where=text("state = 'queued'"), postgresql_where=text("state = 'queued'")),
    Index("one_running", "data_source_id", unique=True, sqlite_where=text("state = 'running'"), postgresql_where=text("state = 'running'")),
    Index("due_syncs", "queued_at", sqlite_where=text("state = 'queued'"), postgresql_where=text("state = 'queued'")),
    Index("leased_syncs", "lease_until", sqlite_where=text("state = 'running'"), postgresql_where=text("state = 'running'")),
)

sync_refs = Table(
    "sync_refs",
    metadata,
    Column("n", _serial(), primary_key=True, autoincrement=True),
    Column("sync_id", Text, ForeignKey("syncs.id"), nullable=False),
    Column("ref", Text, nullable=False),
    Index(None, "sync_id", "ref", unique=True),
)

# The manifest of a sync: the rows it added, changed, removed, and those that failed.
changes = Table(
    "changes",
    metadata,
    Column("n", _serial(), primary_key=True, autoincrement=True),
    Column("sync_id", Text, ForeignKey("syncs.id"), nullable=False),
    Column("row_n", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("title", Text),
    Column("kind", Text, nullable=False),  # added, changed, removed, failed
    Column("tokens", BigInteger, nullable=False, server_default="0"),
    Column("hash_before", Text),
    Column("hash_after", Text),
    Column("reason", Text),
    Column("unfetched", Boolean, nullable=False, server_default=false()),  # failed, and its bytes were not to be had
    Index(None, "sync_id", "row_n", unique=True),
    Index(None, "sync_id", "kind", "n"),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspaces.id"), nullable=False),
    Column("bot_id", Text, ForeignKey("bots.id"), nullable=False),
    Column("data_source_id", Text, ForeignKey("data_sources.id")),
    Column("type", Text, nullable=False),  # sync_trigger, sync_success, sync_failure
    Column("enabled", Boolean, nullable=False, server_default=true()),
    Column("disabled_by", Text),  # user, gone (a 410), failing (rule 16)
    Column("post_only", Boolean, nullable=False, server_default=false()),
    Column("target_url", Text),
    Column("endpoint", Text),  # scheme://host:port of the target
    Column("envelope", Text),  # plain, standard
    Column("headers", Text),  # JSON object, sealed
    Column("sequence", BigInteger, nullable=False, server_default="0"),
    Column("failing_since", BigInteger),  # first failed attempt since the last success
    Column("probe_at", BigInteger),  # when a hook disabled for failing is tried again
    Column("draining", Boolean, nullable=False, server_default=false()),  # enabled, but what was held goes first, in order
    Column("keep_held", Text, nullable=False, server_default="all"),  # all, latest: the latest success of each data source
    Column("last_used_at", BigInteger),
    Column("last_used_address", Text),
    Column("last_used_agent", Text),
    Column("certificate_until", BigInteger),  # of the endpoint, as last seen
    Column("secret_since", BigInteger),  # when the present secret joined, NULL for the first one; then how deliveries have fared since
    Column("secret_delivered_at", BigInteger),
    Column("secret_failed_at", BigInteger),
    Column("secret_proven_at", BigInteger),  # the first to be accepted that it alone had signed
    Column("created_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    Index(None, "bot_id", "id"),
    Index("draining_webhooks", "id", sqlite_where=text("draining"), postgresql_where=text("draining")),
    Index("probed_webhooks", "probe_at", sqlite_where=text("probe_at IS NOT NULL"), postgresql_where=text("probe_at IS NOT NULL")),
)

# The live secrets of a hook: the present one (expires_at NULL) and at most one former during an overlap.
webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    Column("webhook_id", Text, ForeignKey("webhooks.id"), primary_key=True),
    Column("mac", LargeBinary, primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
)

# Ed25519 keys of the hooks that sign with one: the present one (expires_at NULL), and former ones during an overlap. `id` is the `kid` of the JWKS.
webhook_keys = Table(
    "webhook_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("webhook_id", Text, ForeignKey("webhooks.id"), nullable=False),
    Column("public", LargeBinary, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Index(None, "webhook_id"),
)

# The last calls of trigger hooks, taken and refused, for people; bounded for each hook.
trigger_log = Table(
    "trigger_log",
    metadata,
    Column("n", _serial(), primary_key=True, autoincrement=True),
    Column("webhook_id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("method", Text, nullable=False),
    Column("address", Text),
    Column("agent", Text),
    Column("status", Integer, nullable=False),
    Column("reason", Text),
    Column("sync_id", Text),
    Column("merged", Boolean, nullable=False, server_default=false()),
    Index(None, "webhook_id", "n"),
    Index(None, "at"),
)

# Accepted calls of trigger hooks within the last minute, for the rate limit.
trigger_calls = Table(
    "trigger_calls",
    metadata,
    Column("n", _serial(), primary_key=True, autoincrement=True),
    Column("webhook_id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index(None, "webhook_id", "at"),
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

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, nullable=False),
    Column("webhook_id", Text, ForeignKey("webhooks.id"), nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("sync_id", Text),
    Column("sequence", BigInteger),
    Column("test", Boolean, nullable=False, server_default=false()),
    Column("state", Text, nullable=False),  # pending, delivered, exhausted, held, discarded
    Column("reason", Text),
    Column("headers", JSON, nullable=False),  # those frozen with the body: Tidings-Refs and the like
    Column("body", Text),  # NULL once pruned
    Column("attempt_count", Integer, nullable=False, server_default="0"),
    Column("step", Integer, nullable=False, server_default="0"),  # attempts made on the present run through the retry schedule
    Column("bulk", Boolean, nullable=False, server_default=false()),  # sent again with many others: goes behind what is live
    Column("next_attempt_at", BigInteger),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("owner", Text),
    Column("lease_until", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Index("due_deliveries", "webhook_id", "bulk", "next_attempt_at", "sequence", sqlite_where=PENDING, postgresql_where=PENDING),
    Index("next_deliveries", "next_attempt_at", "webhook_id", sqlite_where=PENDING, postgresql_where=PENDING),
    Index("held_deliveries", "webhook_id", "sequence", sqlite_where=text("state = 'held'"), postgresql_where=text("state = 'held'")),
    Index("undelivered", "webhook_id", "state", "id", sqlite_where=text("state <> 'delivered'"), postgresql_where=text("state <> 'delivered'")),
    Index("unnumbered_deliveries", "created_at", sqlite_where=UNNUMBERED, postgresql_where=UNNUMBERED),
    Index("prunable_deliveries", "ended_at", sqlite_where=PRUNABLE, postgresql_where=PRUNABLE),
    Index(None, "webhook_id", "id"),
    Index(None, "webhook_id", "sequence", unique=True),
    Index(None, "workspace_id", "id"),
    Index(None, "sync_id"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("n", _serial(), primary_key=True, autoincrement=True),
    Column("delivery_id", Text, ForeignKey("deliveries.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("status", Integer),
    Column("duration_ms", Integer, nullable=False),
    Column("error", Text),
    Column("address", Text),
    Column("phases", JSON),  # milliseconds by phase
    Column("tls", Text),
    Column("certificate_until", BigInteger),
    Column("request_headers", JSON, nullable=False),
    Column("response_headers", JSON),
    Column("response_body", Text),
    Index(None, "delivery_id", "number", unique=True),
    Index(None, "at"),
)
