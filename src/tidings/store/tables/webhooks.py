"""Hooks, their secrets and calls, and the deliveries to them."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, false, text, true

from tidings.store.tables.base import metadata, serial

PENDING, UNNUMBERED, PRUNABLE = text("state = 'pending'"), text("sequence IS NULL"), text("body IS NOT NULL AND ended_at IS NOT NULL")
UNDELIVERED = text("state <> 'delivered'")

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
    Column("disabled_at", BigInteger),
    Column("post_only", Boolean, nullable=False, server_default=false()),
    Column("mapping", Text),  # of a trigger hook: where the body names rows, as JSON
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
    Column("n", serial(), primary_key=True, autoincrement=True),
    Column("webhook_id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("method", Text, nullable=False),
    Column("address", Text),
    Column("agent", Text),
    Column("status", Integer, nullable=False),
    Column("reason", Text),
    Column("sync_id", Text),
    Column("merged", Boolean, nullable=False, server_default=false()),
    Column("mapped", Text),
    Index(None, "webhook_id", "n"),
    Index(None, "at"),
)

# Accepted calls of trigger hooks within the last minute, for the rate limit.
trigger_calls = Table(
    "trigger_calls",
    metadata,
    Column("n", serial(), primary_key=True, autoincrement=True),
    Column("webhook_id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index(None, "webhook_id", "at"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, nullable=False),
    Column("webhook_id", Text, ForeignKey("webhooks.id"), nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("data_source_id", Text),  # NULL of a test
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
    Index("undelivered", "webhook_id", "state", "id", sqlite_where=UNDELIVERED, postgresql_where=UNDELIVERED),
    Index("unnumbered_deliveries", "created_at", sqlite_where=UNNUMBERED, postgresql_where=UNNUMBERED),
    Index("prunable_deliveries", "ended_at", sqlite_where=PRUNABLE, postgresql_where=PRUNABLE),
    Index(None, "webhook_id", "id"),
    Index(None, "webhook_id", "sequence", unique=True),
    Index("undelivered_of_workspace", "workspace_id", "state", "id", sqlite_where=UNDELIVERED, postgresql_where=UNDELIVERED),
    Index(None, "workspace_id", "id"),
    Index(None, "data_source_id", "id"),
    Index(None, "sync_id"),
    Index(None, "event_id"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("n", serial(), primary_key=True, autoincrement=True),
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
