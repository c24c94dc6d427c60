"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes every table, then the full-text entries of the dialect."""
    make_tables()
    make_full_text()


def make_full_text() -> None:
    """Full-text entries of `documents`, kept by the database itself. `scope` is one word that names the data source, so
    that a search for a common word never walks through the documents of others."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE VIRTUAL TABLE documents_text USING fts5(heading, text, scope, content='documents', content_rowid='n', tokenize='porter unicode61')")
        # Merging less often makes a first sync a third faster; a search looks into a few more segments (0.3 ms, not 0.1).
        op.execute("INSERT INTO documents_text(documents_text, rank) VALUES ('automerge', 16)")
        op.execute("INSERT INTO documents_text(documents_text, rank) VALUES ('crisismerge', 32)")
        op.execute(
            "CREATE TRIGGER documents_text_insert AFTER INSERT ON documents BEGIN "
            "INSERT INTO documents_text(rowid, heading, text, scope) VALUES (new.n, new.heading, new.text, new.scope); END"
        )
        op.execute(
            "CREATE TRIGGER documents_text_delete AFTER DELETE ON documents BEGIN "
            "INSERT INTO documents_text(documents_text, rowid, heading, text, scope) VALUES ('delete', old.n, old.heading, old.text, old.scope); END"
        )
    else:
        # Punctuation parts words here as it does in FTS5; the parser takes a/b or a.b for one word.
        words = r"regexp_replace({}, '[!-/:-@[-`{{-~]', ' ', 'g')"
        op.execute(
            "ALTER TABLE documents ADD COLUMN words tsvector GENERATED ALWAYS AS ("
            f"setweight(to_tsvector('english', {words.format('heading')}), 'A') || setweight(to_tsvector('english', {words.format('text')}), 'B')"
            " || array_to_tsvector(ARRAY[scope])) STORED"
        )
        op.execute("CREATE INDEX ix_documents_words ON documents USING gin(words)")


def make_tables() -> None:
    op.create_table(
        "trigger_calls",
        sa.Column("n", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("webhook_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_trigger_calls")),
    )
    op.create_index(op.f("ix_trigger_calls_webhook_id_at"), "trigger_calls", ["webhook_id", "at"], unique=False)
    op.create_table(
        "users",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email"),
    )
    op.create_table(
        "workspaces",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("event_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspaces")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_api_keys_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("hash"),
    )
    op.create_table(
        "bots",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_bots_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bots")),
    )
    op.create_index(op.f("ix_bots_workspace_id_id"), "bots", ["workspace_id", "id"], unique=False)
    op.create_table(
        "events",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_events_workspace_id")),
        sa.PrimaryKeyConstraint("workspace_id", "seq", name=op.f("pk_events")),
        sa.UniqueConstraint("id"),
    )
    op.create_index(op.f("ix_events_at"), "events", ["at"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", sa.JSON(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_idempotency_keys_workspace_id")),
        sa.PrimaryKeyConstraint("workspace_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "members",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_members_user_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_members_workspace_id")),
        sa.PrimaryKeyConstraint("workspace_id", "user_id", name=op.f("pk_members")),
    )
    op.create_table(
        "usage",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("storage_tokens", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_usage_workspace_id")),
        sa.PrimaryKeyConstraint("workspace_id", "month", name=op.f("pk_usage")),
    )
    op.create_table(
        "data_sources",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("bot_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("paused", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("published", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_data_sources_bot_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_data_sources_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_sources")),
    )
    op.create_index(op.f("ix_data_sources_bot_id_id"), "data_sources", ["bot_id", "id"], unique=False)
    op.create_index(
        op.f("ix_data_sources_deleted_at"),
        "data_sources",
        ["deleted_at"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NOT NULL"),
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_table(
        "rows",
        sa.Column("n", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("data_source_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("error_validator", sa.Text(), nullable=True),
        sa.Column("error_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["data_source_id"], ["data_sources.id"], name=op.f("fk_rows_data_source_id")),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_rows")),
        sa.UniqueConstraint("id"),
    )
    op.create_index(op.f("ix_rows_data_source_id_key_hash"), "rows", ["data_source_id", "key_hash"], unique=True)
    op.create_index(op.f("ix_rows_data_source_id_n"), "rows", ["data_source_id", "n"], unique=False)
    op.create_table(
        "snapshots",
        sa.Column("data_source_id", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("sync_id", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("documents", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["data_source_id"], ["data_sources.id"], name=op.f("fk_snapshots_data_source_id")),
        sa.PrimaryKeyConstraint("data_source_id", "n", name=op.f("pk_snapshots")),
    )
    op.create_table(
        "syncs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("bot_id", sa.Text(), nullable=False),
        sa.Column("data_source_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("triggered_by", sa.Text(), nullable=False),
        sa.Column("merged", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("force", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("approves", sa.Text(), nullable=True),
        sa.Column("queued_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("takeovers", sa.Integer(), server_default="0", nullable=False),
        sa.Column("target_n", sa.BigInteger(), nullable=True),
        sa.Column("added", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("changed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("removed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unfetched", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("charge", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("documents_delta", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tokens_delta", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("progress", sa.JSON(), nullable=True),
        sa.Column("results", sa.JSON(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["data_source_id"], ["data_sources.id"], name=op.f("fk_syncs_data_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_syncs")),
    )
    op.create_index("due_syncs", "syncs", ["queued_at"], unique=False, sqlite_where=sa.text("state = 'queued'"), postgresql_where=sa.text("state = 'queued'"))
    op.create_index(op.f("ix_syncs_data_source_id_id"), "syncs", ["data_source_id", "id"], unique=False)
    op.create_index(
        "leased_syncs", "syncs", ["lease_until"], unique=False, sqlite_where=sa.text("state = 'running'"), postgresql_where=sa.text("state = 'running'")
    )
    op.create_index(
        "one_queued", "syncs", ["data_source_id"], unique=True, sqlite_where=sa.text("state = 'queued'"), postgresql_where=sa.text("state = 'queued'")
    )
    op.create_index(
        "one_running", "syncs", ["data_source_id"], unique=True, sqlite_where=sa.text("state = 'running'"), postgresql_where=sa.text("state = 'running'")
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("bot_id", sa.Text(), nullable=False),
        sa.Column("data_source_id", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("disabled_by", sa.Text(), nullable=True),
        sa.Column("post_only", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("target_url", sa.Text(), nullable=True),
        sa.Column("endpoint", sa.Text(), nullable=True),
        sa.Column("envelope", sa.Text(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=True),
        sa.Column("sequence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.Column("probe_at", sa.BigInteger(), nullable=True),
        sa.Column("draining", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_webhooks_bot_id")),
        sa.ForeignKeyConstraint(["data_source_id"], ["data_sources.id"], name=op.f("fk_webhooks_data_source_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_webhooks_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index("draining_webhooks", "webhooks", ["id"], unique=False, sqlite_where=sa.text("draining"), postgresql_where=sa.text("draining"))
    op.create_index(op.f("ix_webhooks_bot_id_id"), "webhooks", ["bot_id", "id"], unique=False)
    op.create_index(
        "probed_webhooks",
        "webhooks",
        ["probe_at"],
        unique=False,
        sqlite_where=sa.text("probe_at IS NOT NULL"),
        postgresql_where=sa.text("probe_at IS NOT NULL"),
    )
    op.create_table(
        "changes",
        sa.Column("n", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("sync_id", sa.Text(), nullable=False),
        sa.Column("row_n", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("hash_before", sa.Text(), nullable=True),
        sa.Column("hash_after", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("unfetched", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(["sync_id"], ["syncs.id"], name=op.f("fk_changes_sync_id")),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_changes")),
    )
    op.create_index(op.f("ix_changes_sync_id_kind_n"), "changes", ["sync_id", "kind", "n"], unique=False)
    op.create_index(op.f("ix_changes_sync_id_row_n"), "changes", ["sync_id", "row_n"], unique=True)
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("webhook_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("sync_id", sa.Text(), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        sa.Column("test", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("attempt_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("step", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name=op.f("fk_deliveries_webhook_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    op.create_index(
        "due_deliveries",
        "deliveries",
        ["webhook_id", "next_attempt_at", "sequence"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "held_deliveries",
        "deliveries",
        ["webhook_id", "sequence"],
        unique=False,
        sqlite_where=sa.text("state = 'held'"),
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_index(op.f("ix_deliveries_sync_id"), "deliveries", ["sync_id"], unique=False)
    op.create_index(op.f("ix_deliveries_webhook_id_id"), "deliveries", ["webhook_id", "id"], unique=False)
    op.create_index(op.f("ix_deliveries_webhook_id_sequence"), "deliveries", ["webhook_id", "sequence"], unique=True)
    op.create_index(op.f("ix_deliveries_workspace_id_id"), "deliveries", ["workspace_id", "id"], unique=False)
    op.create_index(
        "next_deliveries",
        "deliveries",
        ["next_attempt_at", "webhook_id"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "prunable_deliveries",
        "deliveries",
        ["ended_at"],
        unique=False,
        sqlite_where=sa.text("body IS NOT NULL AND ended_at IS NOT NULL"),
        postgresql_where=sa.text("body IS NOT NULL AND ended_at IS NOT NULL"),
    )
    op.create_index(
        "undelivered",
        "deliveries",
        ["webhook_id", "state", "id"],
        unique=False,
        sqlite_where=sa.text("state <> 'delivered'"),
        postgresql_where=sa.text("state <> 'delivered'"),
    )
    op.create_table(
        "sync_refs",
        sa.Column("n", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("sync_id", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["sync_id"], ["syncs.id"], name=op.f("fk_sync_refs_sync_id")),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_sync_refs")),
    )
    op.create_index(op.f("ix_sync_refs_sync_id_ref"), "sync_refs", ["sync_id", "ref"], unique=True)
    op.create_table(
        "versions",
        sa.Column("n", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("row_n", sa.BigInteger(), nullable=False),
        sa.Column("data_source_id", sa.Text(), nullable=False),
        sa.Column("from_n", sa.BigInteger(), nullable=False),
        sa.Column("to_n", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("text_hash", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("validator", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("documents", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["row_n"], ["rows.n"], name=op.f("fk_versions_row_n")),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_versions")),
    )
    op.create_index(op.f("ix_versions_data_source_id_from_n"), "versions", ["data_source_id", "from_n"], unique=False)
    op.create_index(op.f("ix_versions_data_source_id_to_n"), "versions", ["data_source_id", "to_n"], unique=False)
    op.create_index(op.f("ix_versions_row_n_from_n"), "versions", ["row_n", "from_n"], unique=False)
    op.create_table(
        "webhook_secrets",
        sa.Column("webhook_id", sa.Text(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name=op.f("fk_webhook_secrets_webhook_id")),
        sa.PrimaryKeyConstraint("webhook_id", "mac", name=op.f("pk_webhook_secrets")),
    )
    op.create_table(
        "attempts",
        sa.Column("n", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("request_headers", sa.JSON(), nullable=False),
        sa.Column("response_headers", sa.JSON(), nullable=True),
        sa.Column("response_body", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name=op.f("fk_attempts_delivery_id")),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_attempts")),
    )
    op.create_index(op.f("ix_attempts_at"), "attempts", ["at"], unique=False)
    op.create_index(op.f("ix_attempts_delivery_id_number"), "attempts", ["delivery_id", "number"], unique=True)
    op.create_table(
        "documents",
        sa.Column("n", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("version_n", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("ord", sa.Integer(), nullable=False),
        sa.Column("heading", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["version_n"], ["versions.n"], name=op.f("fk_documents_version_n")),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_documents")),
    )
    op.create_index(op.f("ix_documents_version_n_ord"), "documents", ["version_n", "ord"], unique=False)
