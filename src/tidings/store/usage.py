"""Storage tokens charged, by workspace and UTC month."""

from sqlalchemy import select

from tidings.store.tables import usage
from tidings.store.transactions import Tx


def of_month(tx: Tx, workspace_id: str, month: str) -> int:
    """Storage tokens that a workspace was charged in a month (`2026-11`)."""
    return tx.execute(select(usage.c.storage_tokens).where(usage.c.workspace_id == workspace_id, usage.c.month == month)).scalar_one_or_none() or 0
