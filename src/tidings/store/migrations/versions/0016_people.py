"""Invitations by link, people whom a provider of OpenID Connect knows, when somebody joined; of API keys their beginning and when they were last used."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds two tables, and columns to members and API keys."""
    op.create_table(
        "invitations",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_invitations_workspace_id_email", "invitations", ["workspace_id", "email"], unique=True)
    op.create_index("ix_invitations_email", "invitations", ["email"])
    op.create_table(
        "identities",
        sa.Column("issuer", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.add_column("members", sa.Column("joined_at", sa.BigInteger, nullable=False, server_default="0"))
    op.execute("UPDATE members SET joined_at = (SELECT created_at FROM users WHERE users.id = members.user_id)")
    op.create_index("ix_members_user_id", "members", ["user_id"])
    op.add_column("api_keys", sa.Column("prefix", sa.Text))
    op.add_column("api_keys", sa.Column("last_used_at", sa.BigInteger))
    op.create_index("ix_api_keys_workspace_id_id", "api_keys", ["workspace_id", "id"])
