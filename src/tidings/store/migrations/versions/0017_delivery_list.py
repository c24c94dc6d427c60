"""What deliveries are found by: the data source, the event, the state within a workspace."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

UNDELIVERED = sa.text("state <> 'delivered'")


def upgrade() -> None:
    """Adds a column, filled from the syncs, and indexes. A broken promise of freshness of before has no sync, so its data source stays unknown."""
    op.add_column("deliveries", sa.Column("data_source_id", sa.Text))
    syncs = sa.table("syncs", sa.column("id"), sa.column("data_source_id"))
    deliveries = sa.table("deliveries", sa.column("sync_id"), sa.column("data_source_id"))
    source = sa.select(syncs.c.data_source_id).where(syncs.c.id == deliveries.c.sync_id).scalar_subquery()
    op.execute(sa.update(deliveries).where(deliveries.c.sync_id.is_not(None)).values(data_source_id=source))
    op.create_index("ix_deliveries_data_source_id_id", "deliveries", ["data_source_id", "id"])
    op.create_index("ix_deliveries_event_id", "deliveries", ["event_id"])
    op.create_index("undelivered_of_workspace", "deliveries", ["workspace_id", "state", "id"], sqlite_where=UNDELIVERED, postgresql_where=UNDELIVERED)
