"""Deliveries and trigger calls, explained: phases of attempts, certificates, rotation seen to work, Ed25519 keys, calls with their callers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PENDING = sa.text("state = 'pending'")


def upgrade() -> None:
    """Adds columns and tables; what is there already stays as it is."""
    op.add_column("deliveries", sa.Column("bulk", sa.Boolean, nullable=False, server_default=sa.false()))
    op.drop_index("due_deliveries", "deliveries")
    op.create_index("due_deliveries", "deliveries", ["webhook_id", "bulk", "next_attempt_at", "sequence"], sqlite_where=PENDING, postgresql_where=PENDING)
    unnumbered = sa.text("sequence IS NULL")
    op.create_index("unnumbered_deliveries", "deliveries", ["created_at"], sqlite_where=unnumbered, postgresql_where=unnumbered)
    for column in (sa.Column("phases", sa.JSON), sa.Column("tls", sa.Text), sa.Column("certificate_until", sa.BigInteger)):
        op.add_column("attempts", column)
    for column in (
        sa.Column("keep_held", sa.Text, nullable=False, server_default="all"),
        sa.Column("last_used_address", sa.Text),
        sa.Column("last_used_agent", sa.Text),
        sa.Column("certificate_until", sa.BigInteger),
        sa.Column("secret_since", sa.BigInteger),
        sa.Column("secret_delivered_at", sa.BigInteger),
        sa.Column("secret_failed_at", sa.BigInteger),
        sa.Column("secret_proven_at", sa.BigInteger),
    ):
        op.add_column("webhooks", column)
    make_webhook_keys()
    make_trigger_log()


def make_webhook_keys() -> None:
    """Ed25519 keys of hooks."""
    op.create_table(
        "webhook_keys",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("webhook_id", sa.Text, nullable=False),
        sa.Column("public", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_keys"),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name="fk_webhook_keys_webhook_id"),
    )
    op.create_index("ix_webhook_keys_webhook_id", "webhook_keys", ["webhook_id"])


def make_trigger_log() -> None:
    """The last calls of trigger hooks, for people."""
    serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "trigger_log",
        sa.Column("n", serial, autoincrement=True, nullable=False),
        sa.Column("webhook_id", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("address", sa.Text),
        sa.Column("agent", sa.Text),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("sync_id", sa.Text),
        sa.Column("merged", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("n", name="pk_trigger_log"),
    )
    op.create_index("ix_trigger_log_webhook_id_n", "trigger_log", ["webhook_id", "n"])
    op.create_index("ix_trigger_log_at", "trigger_log", ["at"])
