"""The activity: what happened in a workspace that is no sync, call or delivery of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table; what is there already stays as it is."""
    serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "activity",
        sa.Column("n", serial, autoincrement=True, nullable=False),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("bot_id", sa.Text),
        sa.Column("data_source_id", sa.Text),
        sa.Column("sync_id", sa.Text),
        sa.Column("webhook_id", sa.Text),
        sa.PrimaryKeyConstraint("n", name="pk_activity"),
    )
    op.create_index("ix_activity_workspace_id_n", "activity", ["workspace_id", "n"])
    op.create_index("ix_activity_at", "activity", ["at"])
