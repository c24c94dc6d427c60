"""Dry runs: syncs that tell what they would do."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column; all syncs until now were real."""
    op.add_column("syncs", sa.Column("dry_run", sa.Boolean, nullable=False, server_default=sa.false()))
