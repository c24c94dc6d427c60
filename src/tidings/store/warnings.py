"""What syncs that succeeded warn of: on the sync, and in the activity."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import select, update

from tidings import clock
from tidings.model.activity import Activity
from tidings.model.syncs import SyncWarning
from tidings.store import activity
from tidings.store.leases import Held
from tidings.store.tables import syncs
from tidings.store.transactions import Tx


def warn(tx: Tx, held: Held, warnings: Sequence[SyncWarning]) -> None:
    """Adds to the warnings of a sync that ends or has ended."""
    before = tx.execute(select(syncs.c.warnings).where(syncs.c.id == held.sync_id).with_for_update()).scalar_one() or []
    tx.execute(update(syncs).where(syncs.c.id == held.sync_id).values(warnings=[*before, *map(asdict, warnings)]))
    for warning in () if held.dry_run else warnings:
        activity.add(tx, held.workspace_id, Activity(clock.now(), "sync_warning", warning.message, held.bot_id, held.data_source_id, held.sync_id))
