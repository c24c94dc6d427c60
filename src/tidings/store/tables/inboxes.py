"""Inboxes, and what was posted to them."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, false

from tidings.store.tables.base import metadata

inboxes = Table(
    "inboxes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspaces.id"), nullable=False),
    Column("bot_id", Text, ForeignKey("bots.id")),  # the bot that it goes with, also when that is deleted
    Column("name", Text, nullable=False),
    Column("secret", Text, nullable=False, unique=True),  # the last part of its URL; hooks have that among their targets, as it is
    Column("answer", Integer, nullable=False, server_default="200"),
    Column("guided", Boolean, nullable=False, server_default=false()),  # its page explains what happened on the first visit
    Column("created_at", BigInteger, nullable=False),
    Index(None, "workspace_id"),
    Index(None, "bot_id"),
)

inbox_messages = Table(
    "inbox_messages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("inbox_id", Text, ForeignKey("inboxes.id"), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("webhook_id", Text),  # the hook whose signature it bears
    Column("problem", Text),  # why no signature fits; NULL where one does
    Column("sync_id", Text),  # what it tells of, where the signature fits
    Column("after_sync", BigInteger),  # microseconds since that sync ended
    Column("answered", Integer, nullable=False),
    Index(None, "inbox_id", "id"),
    Index(None, "at"),
)
