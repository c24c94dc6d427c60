"""An index of the rows that fail: few among many."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds it."""
    some = sa.text("error IS NOT NULL")
    op.create_index("failing_rows", "rows", ["data_source_id", "n"], sqlite_where=some, postgresql_where=some)
