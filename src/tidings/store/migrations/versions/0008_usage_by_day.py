"""Usage by day and data source, and whether it was said of a plan that it may not last."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def upgrade() -> None:
    """Adds a table, filled from the syncs that have published, and a column."""
    op.add_column("usage", sa.Column("told_limit", sa.BigInteger))
    by_day = op.create_table(
        "usage_by_day",
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("day", sa.Text, nullable=False),
        sa.Column("data_source_id", sa.Text, nullable=False),
        sa.Column("bot_id", sa.Text, nullable=False),
        sa.Column("storage_tokens", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "day", "data_source_id", name="pk_usage_by_day"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_usage_by_day_workspace_id_workspaces"),
        sa.ForeignKeyConstraint(["data_source_id"], ["data_sources.id"], name="fk_usage_by_day_data_source_id_data_sources"),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name="fk_usage_by_day_bot_id_bots"),
    )
    columns = ("workspace_id", "data_source_id", "bot_id", "finished_at", "charge")
    syncs = sa.table("syncs", sa.column("state", sa.Text), sa.column("dry_run", sa.Boolean), *(sa.column(name) for name in columns))
    charged: Counter[tuple[str, str, str, str]] = Counter()
    for workspace, source, bot, at, tokens in op.get_bind().execute(
        sa.select(*(syncs.c[name] for name in columns)).where(syncs.c.state == "succeeded", ~syncs.c.dry_run, syncs.c.charge > 0)
    ):
        charged[workspace, f"{EPOCH + timedelta(microseconds=at):%Y-%m-%d}", source, bot] += tokens
    if charged:
        names = ("workspace_id", "day", "data_source_id", "bot_id", "storage_tokens")
        op.bulk_insert(by_day, [dict(zip(names, (*key, tokens), strict=True)) for key, tokens in charged.items()])
