"""Everything that happened in a workspace, newest first: four lists, each read by its own key, joined by time."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice
from typing import Any, get_args

from sqlalchemy import ColumnElement, Select, Table, func, select

from tidings.clock import Micros
from tidings.errors import FieldError, Invalid
from tidings.model.happenings import Happening, What
from tidings.model.ids import first_id_of
from tidings.model.pages import Page
from tidings.store.cursors import id_in
from tidings.store.deliveries import UNWANTED
from tidings.store.syncs import number_of
from tidings.store.tables import activity, bots, data_sources, deliveries, syncs, trigger_log, webhooks
from tidings.store.transactions import AnyRow, Tx

WHATS: tuple[What, ...] = get_args(What)
OF_SYNCS: tuple[What, ...] = ("sync", "delivery")
HOOKS = 200  # of one bot: those whose calls and deliveries are looked at


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which happenings: of one kind, of one bot, from before an instant; None: whichever. With `syncs`, these and their deliveries alone."""

    workspace_id: str
    what: What | None = None
    bot_id: str | None = None
    before: Micros | None = None
    syncs: tuple[str, ...] | None = None


def page(tx: Tx, wanted: Wanted, *, limit: int, cursor: str | None) -> Page[Happening]:
    """What happened, newest first. A cursor holds where each of the lists goes on. Invalid on `cursor`."""
    places = _places(cursor)
    lists = [_LISTS[what](tx, wanted, places.get(what), limit + 1) for what in (WHATS if wanted.syncs is None else OF_SYNCS) if wanted.what in {None, what}]
    joined = list(islice(merge(*lists, key=lambda one: one.at, reverse=True), limit + 1))
    shown = joined[:limit]
    places |= {one.what: one.key for one in shown}  # the last of each list that is shown
    more = ".".join(places.get(what, "") for what in WHATS) if len(joined) > limit else None
    return Page(tuple(_named(tx, shown)), more)


def _places(cursor: str | None) -> dict[What, str]:
    if cursor is None:
        return {}
    parts = cursor.split(".")
    if len(parts) != len(WHATS):
        raise Invalid(FieldError("cursor", "This is no cursor of ours. Go back to the newest."))
    return {what: id_in(part) if what in {"sync", "delivery"} else str(number_of(part)) for what, part in zip(WHATS, parts, strict=True) if part}


def _syncs(tx: Tx, wanted: Wanted, place: str | None, limit: int) -> list[Happening]:
    names = ("bot_id", "data_source_id", "state", "reason", "triggered_by", "dry_run", "added", "changed", "removed", "failed", "queued_at", "id")
    query = _by_id(select(*(syncs.c[name] for name in names)), syncs, wanted, place)
    query = query.where(syncs.c.workspace_id == wanted.workspace_id if wanted.bot_id is None else syncs.c.bot_id == wanted.bot_id)
    if wanted.syncs is not None:
        query = query.where(syncs.c.id.in_(wanted.syncs))
    return [
        Happening("sync", row.id, row.queued_at, row.state, row.reason, row.bot_id, row.data_source_id, None, row._asdict())
        for row in tx.execute(query.limit(limit))
    ]


def _deliveries(tx: Tx, wanted: Wanted, place: str | None, limit: int) -> list[Happening]:
    names = ("webhook_id", "event", "state", "reason", "test", "attempt_count", "created_at", "id")
    query = _by_id(select(*(deliveries.c[name] for name in names)).where(~UNWANTED), deliveries, wanted, place).limit(limit)
    if wanted.syncs is not None:
        query = query.where(deliveries.c.sync_id.in_(wanted.syncs))
    if wanted.bot_id is None:
        found: Iterable[AnyRow] = tx.execute(query.where(deliveries.c.workspace_id == wanted.workspace_id))
    else:  # hook by hook: each by its index, however many others there are
        each = [tx.execute(query.where(deliveries.c.webhook_id == hook)).all() for hook in _hooks_of(tx, wanted.bot_id)]
        found = islice(merge(*each, key=lambda row: row.id, reverse=True), limit)
    return [Happening("delivery", row.id, row.created_at, row.state, row.reason, None, None, row.webhook_id, row._asdict()) for row in found]


def _calls(tx: Tx, wanted: Wanted, place: str | None, limit: int) -> list[Happening]:
    query = _by_number(select(trigger_log), trigger_log, wanted, place)
    if wanted.bot_id is None:
        query = query.join(webhooks, webhooks.c.id == trigger_log.c.webhook_id).where(webhooks.c.workspace_id == wanted.workspace_id)
    else:
        query = query.where(trigger_log.c.webhook_id.in_(_hooks_of(tx, wanted.bot_id)))
    return [
        Happening("call", str(row.n), row.at, "refused" if row.reason else "accepted", row.reason, None, None, row.webhook_id, row._asdict())
        for row in tx.execute(query.limit(limit))
    ]


def _changes(tx: Tx, wanted: Wanted, place: str | None, limit: int) -> list[Happening]:
    query = _by_number(select(activity), activity, wanted, place).where(activity.c.workspace_id == wanted.workspace_id)
    if wanted.bot_id is not None:
        query = query.where(activity.c.bot_id == wanted.bot_id)
    return [
        Happening("change", str(row.n), row.at, row.kind, row.sentence, row.bot_id, row.data_source_id, row.webhook_id, row._asdict())
        for row in tx.execute(query.limit(limit))
    ]


_LISTS: dict[What, Callable[[Tx, Wanted, str | None, int], list[Happening]]] = {
    "sync": _syncs,
    "call": _calls,
    "delivery": _deliveries,
    "change": _changes,
}


def _by_id(query: Select[Any], table: Table, wanted: Wanted, place: str | None) -> Select[Any]:
    """In the order of ids, which is that of time."""
    if wanted.before is not None:
        query = query.where(table.c.id < first_id_of(wanted.before))
    return (query if place is None else query.where(table.c.id < place)).order_by(table.c.id.desc())


def _by_number(query: Select[Any], table: Table, wanted: Wanted, place: str | None) -> Select[Any]:
    """In the order of numbers, as they were written down; the index of times says from which number on it was before an instant."""
    if wanted.before is not None:
        last = select(table.c.n).where(table.c.at < wanted.before).order_by(table.c.at.desc()).limit(1).scalar_subquery()
        query = query.where(table.c.n <= func.coalesce(last, 0))
    return (query if place is None else query.where(table.c.n < int(place))).order_by(table.c.n.desc())


def _hooks_of(tx: Tx, bot_id: str) -> Sequence[str]:
    return tx.execute(select(webhooks.c.id).where(webhooks.c.bot_id == bot_id).order_by(webhooks.c.id.desc()).limit(HOOKS)).scalars().all()


def _named(tx: Tx, found: Sequence[Happening]) -> list[Happening]:
    """The same with the names of what they are about."""
    hooks = _rows(tx, webhooks.c.id, (webhooks.c.bot_id, webhooks.c.type, webhooks.c.endpoint), {one.webhook_id for one in found})
    sources = _rows(tx, data_sources.c.id, (data_sources.c.name, data_sources.c.deleted_at), {one.data_source_id for one in found})
    of = [one.bot_id or (hooks[one.webhook_id].bot_id if one.webhook_id in hooks else None) for one in found]
    named = _rows(tx, bots.c.id, (bots.c.name, bots.c.deleted_at), set(of))
    made = []
    for one, bot_id in zip(found, of, strict=True):
        hook, source = hooks.get(one.webhook_id), sources.get(one.data_source_id)
        about = source.name if source is not None else hook.endpoint if hook is not None else None
        bot, gone = named.get(bot_id), source is not None and source.deleted_at is not None
        bot_gone = bot is not None and bot.deleted_at is not None
        made.append(replace(one, bot_id=bot_id, bot=bot.name if bot is not None else None, about=about, gone=gone, bot_gone=bot_gone))
    return made


def _rows(tx: Tx, key: ColumnElement[str], columns: Sequence[ColumnElement[Any]], wanted: set[str | None]) -> dict[str | None, AnyRow]:
    return {row.id: row for row in tx.execute(select(key, *columns).where(key.in_(wanted - {None})))}
