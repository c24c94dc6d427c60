"""How the deliveries of one hook fared of late, for charts."""

from dataclasses import dataclass

from sqlalchemy import select

from tidings.clock import Micros
from tidings.model.ids import first_id_of
from tidings.model.webhooks import DeliveryState
from tidings.store.deliveries import UNWANTED
from tidings.store.tables import attempts, deliveries
from tidings.store.transactions import Tx


@dataclass(frozen=True, slots=True)
class Fared:
    """What became of one delivery, and how long its last attempt took; None where there was none."""

    made_at: Micros
    state: DeliveryState
    milliseconds: int | None


def of_hook(tx: Tx, webhook_id: str, since: Micros, most: int) -> list[Fared]:
    """The latest deliveries of a hook that were made since an instant, at most so many, newest first."""
    last = (attempts.c.delivery_id == deliveries.c.id) & (attempts.c.number == deliveries.c.attempt_count)
    query = select(deliveries.c.created_at, deliveries.c.state, attempts.c.duration_ms).select_from(deliveries.outerjoin(attempts, last))
    query = query.where(deliveries.c.webhook_id == webhook_id, deliveries.c.id >= first_id_of(since), ~UNWANTED)
    return [Fared(*row) for row in tx.execute(query.order_by(deliveries.c.id.desc()).limit(most))]
