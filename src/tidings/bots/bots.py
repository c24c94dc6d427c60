"""Bots: deleting one takes everything along that hangs on it."""

from tidings.connectors.home import drop_all
from tidings.settings import Settings
from tidings.store import bots, inboxes, syncs
from tidings.store.database import Database
from tidings.store.transactions import Tx


async def delete(db: Database, settings: Settings, workspace_id: str, bot_id: str) -> None:
    """Deletes a bot with its data sources, hooks and inboxes; their syncs are cancelled, their uploads dropped. NotFound."""
    for data_source_id in await db.write(_delete, workspace_id, bot_id):
        await drop_all(settings.home, data_source_id)


def _delete(tx: Tx, workspace_id: str, bot_id: str) -> tuple[str, ...]:
    data_source_ids = bots.delete(tx, workspace_id, bot_id)
    syncs.cancel_all(tx, data_source_ids)
    inboxes.remove_of_bot(tx, bot_id)
    return data_source_ids
