"""The tables, the same on SQLite and PostgreSQL. Times are microseconds since 1970 UTC (`clock`), ids are UUID text.

Full-text entries hang on `documents` and differ by dialect: the migrations make them, `search` reads them.
"""

from tidings.store.tables.base import FOREVER, PARKED, metadata
from tidings.store.tables.inboxes import inbox_messages, inboxes
from tidings.store.tables.knowledge import bots, data_sources, documents, rows, snapshots, versions
from tidings.store.tables.syncs import changes, events, sync_refs, syncs
from tidings.store.tables.webhooks import attempts, deliveries, trigger_calls, trigger_log, webhook_keys, webhook_secrets, webhooks
from tidings.store.tables.workspaces import (
    activity,
    api_keys,
    guesses,
    idempotency_keys,
    identities,
    invitations,
    members,
    sessions,
    usage,
    usage_by_day,
    users,
    workspaces,
)

__all__ = [
    "FOREVER",
    "PARKED",
    "activity",
    "api_keys",
    "attempts",
    "bots",
    "changes",
    "data_sources",
    "deliveries",
    "documents",
    "events",
    "guesses",
    "idempotency_keys",
    "identities",
    "inbox_messages",
    "inboxes",
    "invitations",
    "members",
    "metadata",
    "rows",
    "sessions",
    "snapshots",
    "sync_refs",
    "syncs",
    "trigger_calls",
    "trigger_log",
    "usage",
    "usage_by_day",
    "users",
    "versions",
    "webhook_keys",
    "webhook_secrets",
    "webhooks",
    "workspaces",
]
