"""What a sync is found by, for people: the refs of those who asked for it."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds an index."""
    op.create_index("ix_sync_refs_ref_sync_id", "sync_refs", ["ref", "sync_id"])
