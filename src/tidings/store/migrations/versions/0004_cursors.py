"""The cursor of a data source: where its next listing goes on, and under which settings that holds."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds two columns; without a cursor the next sync lists from the beginning, as it did."""
    op.add_column("data_sources", sa.Column("cursor", sa.Text))
    op.add_column("data_sources", sa.Column("cursor_mark", sa.Text))
