"""Who uses Tidings: workspaces, people, keys, what was charged."""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from tidings.store.tables.base import metadata, serial

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
    Column("password_hash", Text, nullable=False),  # empty where somebody has none, and signs in elsewhere
    Column("created_at", BigInteger, nullable=False),
)

# Whom a provider of OpenID Connect means by a subject.
identities = Table(
    "identities",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

members = Table(
    "members",
    metadata,
    Column("workspace_id", Text, ForeignKey("workspaces.id"), primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), primary_key=True),
    Column("role", Text, nullable=False),
    Column("joined_at", BigInteger, nullable=False, server_default="0"),
    Index(None, "user_id"),
)

# Who may join a workspace by a link, which is used once.
invitations = Table(
    "invitations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspaces.id"), nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),  # SHA-256 of what the link ends with
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index(None, "workspace_id", "email", unique=True),
    Index(None, "email"),
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
    Column("prefix", Text),  # the first characters of the key; NULL for those of before there were any
    Column("last_used_at", BigInteger),
    Index(None, "workspace_id", "id"),
)

# People who have signed in with a browser.
sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),  # what it is revoked by; the browser knows another one
    Column("hash", LargeBinary, nullable=False, unique=True),  # SHA-256 of what the browser's cookie holds
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("workspace_id", Text, ForeignKey("workspaces.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("address", Text),
    Column("agent", Text),
    Index(None, "user_id"),
    Index(None, "seen_at"),
)

# How often somebody tried to sign in since an instant, without success.
guesses = Table(
    "guesses",
    metadata,
    Column("about", LargeBinary, primary_key=True),  # SHA-256 of an account or of an address
    Column("since", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Index(None, "since"),
)

# Storage tokens charged, by UTC month ("2026-11").
usage = Table(
    "usage",
    metadata,
    Column("workspace_id", Text, ForeignKey("workspaces.id"), primary_key=True),
    Column("month", Text, primary_key=True),
    Column("storage_tokens", BigInteger, nullable=False),
    Column("told_limit", BigInteger),  # the plan's limit of which it was said that it may not last
)

# The same tokens by UTC day ("2026-11-22") and data source; a bot and a data source that were deleted are still there to name.
usage_by_day = Table(
    "usage_by_day",
    metadata,
    Column("workspace_id", Text, ForeignKey("workspaces.id"), primary_key=True),
    Column("day", Text, primary_key=True),
    Column("data_source_id", Text, ForeignKey("data_sources.id"), primary_key=True),
    Column("bot_id", Text, ForeignKey("bots.id"), nullable=False),
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

# What happened that is no sync, call or delivery of its own; for people, newest first.
activity = Table(
    "activity",
    metadata,
    Column("n", serial(), primary_key=True, autoincrement=True),
    Column("workspace_id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),  # see model.activity
    Column("sentence", Text, nullable=False),
    Column("bot_id", Text),
    Column("data_source_id", Text),
    Column("sync_id", Text),
    Column("webhook_id", Text),
    Index(None, "workspace_id", "n"),
    Index(None, "bot_id", "n"),
    Index(None, "at"),
)
