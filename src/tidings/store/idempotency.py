"""Requests that carried an Idempotency-Key: that one came, that its effect is committed, how it was answered.

A claim that is not answered within `RUNNING` belongs to a request that died. Had it committed nothing, the next one with the key takes the claim
over; the one that was thought dead can't commit any more, because its claim is not there. Had it committed, it is never run again.
"""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite's compiler takes its ON CONFLICT just the same

from tidings import clock
from tidings.clock import DAY, SECOND, Micros
from tidings.errors import Conflict
from tidings.store.tables import idempotency_keys as keys
from tidings.store.transactions import Tx

KEPT: Micros = DAY
RUNNING: Micros = 120 * SECOND
_COMMITTED = 0  # in the column `status`: its effect is there, its answer is not (yet)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run the request of a key."""

    workspace_id: str
    key: str
    at: Micros


@dataclass(frozen=True, slots=True)
class Answer:
    """How the first request was answered. `body` is sealed."""

    status: int
    headers: dict[str, str]
    body: bytes


Standing = Claim | Answer | Literal["other", "running", "lost"]


def claim(tx: Tx, workspace_id: str, key: str, request_hash: bytes) -> Standing:
    """A claim for the first request with a key; for a repeat the first's answer, or why there is none: `other` (another request had this
    key), `running` (the first has not ended), `lost` (the first was carried out, but ended before its answer was kept)."""
    now = clock.now()
    tx.execute(delete(keys).where(keys.c.workspace_id == workspace_id, keys.c.key == key, keys.c.created_at <= now - KEPT))
    row = {"workspace_id": workspace_id, "key": key, "request_hash": request_hash, "created_at": now}
    if tx.execute(insert(keys).values(row).on_conflict_do_nothing().returning(keys.c.key)).all():
        return Claim(workspace_id, key, now)
    first = tx.execute(select(keys).where(keys.c.workspace_id == workspace_id, keys.c.key == key).with_for_update()).one_or_none()
    if first is None:
        return "running"  # it was just being forgotten
    if bytes(first.request_hash) != request_hash:
        return "other"
    if first.status is not None and first.status != _COMMITTED:
        return Answer(first.status, first.headers, bytes(first.body))
    if first.created_at <= now - RUNNING and first.status is None:
        tx.execute(update(keys).where(keys.c.workspace_id == workspace_id, keys.c.key == key).values(created_at=now))
        return Claim(workspace_id, key, now)
    return "running" if first.created_at > now - RUNNING else "lost"


def commit(tx: Tx, held: Claim) -> None:
    """Notes, in the transaction that makes a request's effect, that it is made. Conflict where the claim was taken over."""
    if tx.execute(_claimed(held).values(status=_COMMITTED)).rowcount == 0:
        raise Conflict("This request took so long that a repeat of it was let through in its place. See what the repeat did.")


def answer(tx: Tx, held: Claim, answered: Answer) -> None:
    """Keeps the answer for repeats."""
    tx.execute(_claimed(held).values(status=answered.status, headers=answered.headers, body=answered.body))


def release(tx: Tx, held: Claim) -> None:
    """Forgets a claim whose request failed without a fault of the caller's, so that a repeat is run; not one whose effect is committed."""
    tx.execute(delete(keys).where(keys.c.workspace_id == held.workspace_id, keys.c.key == held.key, keys.c.created_at == held.at, keys.c.status.is_(None)))


def _claimed(held: Claim) -> Any:
    return update(keys).where(keys.c.workspace_id == held.workspace_id, keys.c.key == held.key, keys.c.created_at == held.at)
