"""Schedules of data sources, the window that a sync waits for, and the promise of freshness."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

INDEXES = {
    "due_data_sources": ("next_run_at", "next_run_at IS NOT NULL"),
    "promised_data_sources": ("fresh_until", "fresh_until IS NOT NULL AND stale_since IS NULL"),
    "planned_data_sources": ("planned_at", "planned_at IS NOT NULL"),
}


def upgrade() -> None:
    """Adds columns, and finds out when each data source was last synced."""
    op.add_column("data_sources", sa.Column("schedule", sa.Text))
    for name in ("synced_at", "schedule_since", "next_run_at", "fresh_until", "stale_since", "planned_at"):
        op.add_column("data_sources", sa.Column(name, sa.BigInteger))
    for name, (column, where) in INDEXES.items():
        op.create_index(name, "data_sources", [column], sqlite_where=sa.text(where), postgresql_where=sa.text(where))
    last = "SELECT max(finished_at) FROM syncs WHERE syncs.data_source_id = data_sources.id AND syncs.state = 'succeeded' AND NOT syncs.dry_run"
    op.execute(f"UPDATE data_sources SET synced_at = ({last})")  # noqa: S608 - a text of ours
    op.add_column("syncs", sa.Column("not_before", sa.BigInteger))
    op.add_column("syncs", sa.Column("ignores_window", sa.Boolean, nullable=False, server_default=sa.false()))
