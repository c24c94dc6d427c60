"""What everything that happened in a workspace, or to a bot, is found by."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds indexes."""
    op.create_index("ix_syncs_workspace_id_id", "syncs", ["workspace_id", "id"])
    op.create_index("ix_syncs_bot_id_id", "syncs", ["bot_id", "id"])
    op.create_index("ix_activity_bot_id_n", "activity", ["bot_id", "n"])
