"""Inboxes, and what was posted to them."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds two tables."""
    op.create_table(
        "inboxes",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("bot_id", sa.Text, sa.ForeignKey("bots.id")),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret", sa.Text, nullable=False, unique=True),
        sa.Column("answer", sa.Integer, nullable=False, server_default="200"),
        sa.Column("guided", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_inboxes_workspace_id", "inboxes", ["workspace_id"])
    op.create_index("ix_inboxes_bot_id", "inboxes", ["bot_id"])
    op.create_table(
        "inbox_messages",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("inbox_id", sa.Text, sa.ForeignKey("inboxes.id"), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("headers", sa.JSON, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("webhook_id", sa.Text),
        sa.Column("problem", sa.Text),
        sa.Column("sync_id", sa.Text),
        sa.Column("after_sync", sa.BigInteger),
        sa.Column("answered", sa.Integer, nullable=False),
    )
    op.create_index("ix_inbox_messages_inbox_id_id", "inbox_messages", ["inbox_id", "id"])
    op.create_index("ix_inbox_messages_at", "inbox_messages", ["at"])
