"""Hooks remember when they were disabled."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column; of hooks that are disabled already nobody knows."""
    op.add_column("webhooks", sa.Column("disabled_at", sa.BigInteger))
