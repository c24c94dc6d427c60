"""Receiver self-tests under way. The first delivery of each is leased for as long as the whole of it may last: so there is one at a time for a
hook, whatever process runs it, and of one whose process dies the dispatcher sends that delivery as any other test."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from tidings.clock import Micros
from tidings.errors import Conflict
from tidings.store import deliveries as owed
from tidings.store.deliveries import PENDING
from tidings.store.leases import lease_now
from tidings.store.tables import deliveries
from tidings.store.transactions import Tx

OWNER = "self-test"


def begin(tx: Tx, webhook_id: str, first: Mapping[str, Any], lease: Micros) -> None:
    """Writes down the first delivery (by the names of the columns), held by us; the row of the hook is locked. Conflict."""
    now = lease_now(tx)
    mine = (deliveries.c.webhook_id == webhook_id, deliveries.c.state == PENDING, deliveries.c.owner == OWNER, deliveries.c.lease_until > now)
    if tx.execute(select(deliveries.c.id).where(*mine).limit(1)).first() is not None:
        raise Conflict("A check of this webhook is under way. Wait for its end; it is in the list of deliveries then.")
    owed.add(tx, [{**first, "owner": OWNER, "lease_until": now + lease}])
