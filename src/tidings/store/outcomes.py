"""What became of attempts: deliveries settled and attempts written down by whoever holds the lease, in groups; forgotten when they are old."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import CTE, BigInteger, Executable, Integer, Text, and_, bindparam, case, delete, literal_column, select, update

from tidings.clock import Micros
from tidings.store.attempts import Claimed
from tidings.store.deliveries import PENDING
from tidings.store.tables import attempts, deliveries
from tidings.store.transactions import Hot, HotRows, Tx, insert_rows


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt that was made, and what it means for the delivery."""

    claimed: Claimed
    at: Micros
    status: int | None
    duration_ms: int
    error: str | None
    address: str | None
    phases: Mapping[str, float]  # milliseconds of lookup, connect, tls, firstByte, total, as far as they took place
    tls: str | None
    certificate_until: Micros | None
    request_headers: dict[str, str]
    response_headers: dict[str, str] | None
    response_body: str | None
    state: str  # delivered, pending, exhausted, held
    reason: str | None
    next_attempt_at: Micros | None
    gone: bool = False  # the receiver wants no more: the hook is disabled
    overloaded: bool = False  # no answer in time, or one that asks for less
    secret_since: Micros | None = None  # when the newest secret that signed it had joined; None for the first one
    alone: bool = False  # that secret alone had signed it

    @property
    def delivered(self) -> bool:
        """Whether the receiver has it."""
        return self.state == "delivered"


# What was held or discarded while its attempt was under way stays so, unless the receiver has it now.
def _settle(given: CTE) -> Executable:
    stays = and_(deliveries.c.state != PENDING, given.c.state != literal_column("'delivered'"))
    return (
        update(deliveries)
        .where(deliveries.c.id == given.c.id, deliveries.c.fence == given.c.fence)
        .values(
            state=case((stays, deliveries.c.state), else_=given.c.state),
            reason=case((stays, deliveries.c.reason), else_=given.c.reason),
            next_attempt_at=case((stays, deliveries.c.next_attempt_at), else_=given.c.due),
            ended_at=case((stays, deliveries.c.ended_at), else_=given.c.ended),
            attempt_count=given.c.number,
            step=given.c.step,
            lease_until=None,
            owner=None,
        )
        .returning(deliveries.c.id)
    )


_SETTLE = HotRows(
    {
        "id": Text(),
        "fence": BigInteger(),
        "state": Text(),
        "reason": Text(),
        "due": BigInteger(),
        "ended": BigInteger(),
        "number": Integer(),
        "step": Integer(),
    },
    _settle,
)
_RECORD = insert_rows(attempts)


def record(tx: Tx, outcomes: Sequence[Outcome]) -> None:
    """Settles deliveries and writes down their attempts; those whose fence is not the newest any more are left alone."""
    in_order = sorted(outcomes, key=lambda each: each.claimed.id)  # two at once meet the rows in the same order
    settled = {row[0] for row in tx.hot_rows(_SETTLE, [_verdict(each) for each in in_order])}
    tx.hot_rows(_RECORD, [_attempt(each) for each in in_order if each.claimed.id in settled])


def _verdict(outcome: Outcome) -> dict[str, Any]:
    held = outcome.claimed
    return {
        "id": held.id,
        "fence": held.fence,
        "state": outcome.state,
        "reason": outcome.reason,
        "due": outcome.next_attempt_at,
        "ended": None if outcome.state in {"pending", "held"} else outcome.at + outcome.duration_ms * 1000,
        "number": held.attempt_count + 1,
        "step": held.step + 1,
    }


def _attempt(outcome: Outcome) -> dict[str, Any]:
    return {
        "delivery_id": outcome.claimed.id,
        "number": outcome.claimed.attempt_count + 1,
        "at": outcome.at,
        "status": outcome.status,
        "duration_ms": outcome.duration_ms,
        "error": outcome.error,
        "address": outcome.address,
        "phases": orjson.dumps(outcome.phases).decode(),
        "tls": outcome.tls,
        "certificate_until": outcome.certificate_until,
        "request_headers": orjson.dumps(outcome.request_headers).decode(),
        "response_headers": None if outcome.response_headers is None else orjson.dumps(outcome.response_headers).decode(),
        "response_body": outcome.response_body,
    }


_PRUNE = Hot(
    delete(attempts).where(
        attempts.c.n.in_(
            select(attempts.c.n).where(attempts.c.at < bindparam("before", type_=BigInteger)).order_by(attempts.c.at).limit(bindparam("most", type_=Integer))
        )
    )
)


def prune(tx: Tx, before: Micros, limit: int) -> int:
    """Forgets attempts from before an instant; how many, at most `limit`."""
    return tx.hot_count(_PRUNE, before=before, most=limit)
