"""What is forgotten of the outgoing side after `TIDINGS_RETENTION_DAYS`, in batches short enough for nobody to wait."""

from functools import partial

from tidings import clock
from tidings.clock import Micros
from tidings.store import deliveries, events, outcomes, webhook_keys, webhooks
from tidings.store.transactions import Tx

BATCH = 50
_OLD = (outcomes.prune, deliveries.prune, deliveries.prune_unwanted, events.prune)
_OUTLIVED = (webhook_keys.prune, webhooks.prune_secrets, deliveries.give_up_of_deleted)


def prune(tx: Tx, before: Micros) -> int:
    """Removes one batch: of attempts, bodies of ended deliveries or events from before an instant, or of secrets and keys that count no more;
    or gives up a batch of what is held for deleted hooks; how many. 0: nothing is left to remove."""
    rounds = [partial(forget, tx, before, BATCH) for forget in _OLD] + [partial(forget, tx, clock.now(), BATCH) for forget in _OUTLIVED]
    return next((removed for forget in rounds if (removed := forget())), 0)
