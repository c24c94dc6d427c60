"""Quarantine: texts that were held back, their approval, and what syncs warn of."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds columns and an index; until now nothing was held back."""
    op.add_column("rows", sa.Column("quarantined", sa.Text))
    op.add_column("rows", sa.Column("approved_at", sa.BigInteger))
    some = sa.text("quarantined IS NOT NULL")
    op.create_index("quarantined_rows", "rows", ["data_source_id", "quarantined"], sqlite_where=some, postgresql_where=some)
    op.add_column("syncs", sa.Column("quarantined", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("syncs", sa.Column("warnings", sa.JSON))
    op.add_column("changes", sa.Column("quarantined", sa.Boolean, nullable=False, server_default=sa.false()))
