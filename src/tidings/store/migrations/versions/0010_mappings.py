"""Trigger hooks that know from the body of a call which rows it is about."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds two columns; a hook without a mapping ignores bodies, as it did."""
    op.add_column("webhooks", sa.Column("mapping", sa.Text))
    op.add_column("trigger_log", sa.Column("mapped", sa.Text))
