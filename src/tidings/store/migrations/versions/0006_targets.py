"""Targeted syncs: which rows a sync is about."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column; without targets a sync is about the whole of its data source, as it was."""
    op.add_column("syncs", sa.Column("targets", sa.Text))
