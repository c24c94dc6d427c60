"""Rollback: which versions were published and undone, so that publishing them again is not charged again."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds two columns; until now nothing was ever undone."""
    op.add_column("data_sources", sa.Column("undone_to", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("versions", sa.Column("charged", sa.Boolean, nullable=False, server_default=sa.false()))
