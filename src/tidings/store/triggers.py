"""What a call of a trigger URL looks up and leaves behind. Every statement here runs once per call, so all are hot."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Integer, LargeBinary, Text, bindparam, delete, insert, literal_column, or_, select, update

from tidings import clock
from tidings.clock import SECOND, Micros
from tidings.model.trigger_calls import Caller
from tidings.model.webhooks import RowMapping
from tidings.store.tables import data_sources, trigger_calls, webhook_secrets, webhooks
from tidings.store.transactions import Hot, HotRows, Tx

MINUTE: Micros = 60 * SECOND
USED_STEP: Micros = SECOND  # `last_used_at` is exact to this


@dataclass(frozen=True, slots=True)
class Known:
    """The trigger hook that a URL names, and how its data source stands."""

    hook_id: str
    workspace_id: str
    data_source_id: str
    enabled: bool
    post_only: bool
    last_used_at: Micros | None
    paused: bool
    gone: bool  # the data source was deleted
    mapping: RowMapping | None


_hook = bindparam("hook", type_=Text)
_now = bindparam("now", type_=BigInteger)
_until = bindparam("until", type_=BigInteger)

_KNOWN = (
    select(
        webhook_secrets.c.webhook_id,
        webhook_secrets.c.mac,
        webhooks.c.workspace_id,
        webhooks.c.data_source_id,
        webhooks.c.enabled,
        webhooks.c.post_only,
        webhooks.c.last_used_at,
        data_sources.c.paused,
        data_sources.c.id,
        data_sources.c.deleted_at,
        webhooks.c.mapping,
    )
    .select_from(webhook_secrets)
    .join(webhooks, webhooks.c.id == webhook_secrets.c.webhook_id)
    .outerjoin(data_sources, data_sources.c.id == webhooks.c.data_source_id)
    .where(
        or_(webhook_secrets.c.expires_at.is_(None), webhook_secrets.c.expires_at > _now),
        webhooks.c.type == literal_column("'sync_trigger'"),
        webhooks.c.deleted_at.is_(None),
    )
)
_FIND = Hot(_KNOWN.where(webhook_secrets.c.webhook_id == _hook, webhook_secrets.c.mac == bindparam("mac", type_=LargeBinary)))
_FIND_ALL = HotRows(
    {"hook": Text(), "mac": LargeBinary()},
    lambda given: _KNOWN.join(given, (webhook_secrets.c.webhook_id == given.c.hook) & (webhook_secrets.c.mac == given.c.mac)),
)
_STAND = Hot(select(data_sources.c.paused, data_sources.c.deleted_at).where(data_sources.c.id == bindparam("source", type_=Text)).with_for_update(read=True))
_LOCK = Hot(select(webhooks.c.id).where(webhooks.c.id == _hook).with_for_update(key_share=True))
_USED = HotRows(
    {"hook": Text(), "address": Text(), "agent": Text()},
    lambda given: (
        update(webhooks).where(webhooks.c.id == given.c.hook).values(last_used_at=_now, last_used_address=given.c.address, last_used_agent=given.c.agent)
    ),
)
_NTH_CALL = Hot(
    select(trigger_calls.c.at)
    .where(trigger_calls.c.webhook_id == _hook, trigger_calls.c.at > bindparam("since", type_=BigInteger), trigger_calls.c.at < _until)
    .order_by(trigger_calls.c.at.desc())
    .limit(literal_column("1"))
    .offset(bindparam("skip", type_=Integer))
)
_FORGET_CALLS = Hot(
    delete(trigger_calls).where(
        trigger_calls.c.webhook_id == _hook, or_(trigger_calls.c.at <= bindparam("since", type_=BigInteger), trigger_calls.c.at >= _until)
    )
)
_ADD_CALL = Hot(insert(trigger_calls).values(webhook_id=_hook, at=_now))


def find(tx: Tx, calls: Sequence[tuple[str, Sequence[bytes]]], now: Micros) -> list[Known | None]:
    """For each (hook id, macs of a secret under each key) the living trigger hook with this id, if the secret counts now. Who knows
    the id but not the secret takes the same way as who knows neither."""
    wanted = [{"hook": hook_id, "mac": mac} for hook_id, macs in calls for mac in macs]
    rows = tx.hot_rows(_FIND_ALL, wanted, now=now) if len(calls) > 1 else [row for one in wanted for row in tx.hot(_FIND, **one, now=now)]
    found = {(row[0], bytes(row[1])): _known(row) for row in rows}
    return [next((found[hook_id, mac] for mac in macs if (hook_id, mac) in found), None) for hook_id, macs in calls]


def _known(row: Sequence[Any]) -> Known:
    hook, _, workspace, source, enabled, post_only, used_at, paused, source_there, source_deleted, mapping = row
    gone = source_there is None or source_deleted is not None
    return Known(hook, workspace, source, bool(enabled), bool(post_only), used_at, bool(paused), gone, RowMapping.unpacked(mapping))


def stands(tx: Tx, known: Known) -> tuple[bool, bool]:
    """(paused, gone) of the data source, kept so until the end of the transaction."""
    if tx.dialect == "sqlite" or known.data_source_id is None:  # the one writer: nobody changes it meanwhile
        return known.paused, known.gone
    found = tx.hot(_STAND, source=known.data_source_id)
    return (bool(found[0][0]), found[0][1] is not None) if found else (known.paused, True)


def count_call(tx: Tx, hook_id: str, rate: int) -> Micros | None:
    """Counts one more accepted call, if fewer than `rate` were accepted in the last minute; else how long it takes until the
    next one will be. Calls that other machines date a little ahead of us count; those far ahead were made by a clock that was wrong."""
    if tx.dialect == "postgresql":
        tx.hot(_LOCK, hook=hook_id)  # two calls at once would both find the last place free
    now = clock.now()
    minute = {"hook": hook_id, "since": now - MINUTE, "until": now + MINUTE}
    found = tx.hot(_NTH_CALL, skip=rate - 1, **minute)
    if found:
        return max(0, int(found[0][0]) + MINUTE - now)
    tx.hot(_FORGET_CALLS, **minute)
    tx.hot(_ADD_CALL, hook=hook_id, now=now)
    return None


def used(tx: Tx, calls: Iterable[tuple[Known, Caller]], now: Micros) -> None:
    """Remembers when hooks were last called, to the second, and by whom."""
    stale = {hook.hook_id: caller for hook, caller in calls if hook.last_used_at is None or abs(now - hook.last_used_at) >= USED_STEP}
    tx.hot_rows(_USED, [{"hook": hook_id, "address": caller.address, "agent": caller.agent} for hook_id, caller in sorted(stale.items())], now=now)
