"""The manifest names the versions that a change led from and to, so that their texts can be compared."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds two columns; which versions a change of the past was about is not known any more."""
    op.add_column("changes", sa.Column("version_before", sa.BigInteger))
    op.add_column("changes", sa.Column("version_after", sa.BigInteger))
