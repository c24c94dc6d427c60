"""The bots of a workspace with how they stand, in a handful of statements whatever the number of bots."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import and_, case, func, select

from tidings.model.bots import Bot, BotView, Going, SourceName
from tidings.model.pages import Page
from tidings.model.syncs import Progress
from tidings.store import bots as stored
from tidings.store.data_sources import FIRST_ERROR, LAST_OUTCOME
from tidings.store.tables import data_sources, snapshots, syncs, webhooks
from tidings.store.transactions import AnyRow, Tx

NAMED = 3  # data sources that are named of each bot


def page(tx: Tx, workspace_id: str, *, limit: int, cursor: str | None) -> Page[BotView]:
    """The bots of a workspace, the oldest first."""
    found = stored.page(tx, workspace_id, limit=limit, cursor=cursor)
    return Page(views(tx, found.items), found.next_cursor)


def views(tx: Tx, found: Sequence[Bot]) -> tuple[BotView, ...]:
    """These bots with how they stand."""
    ids = [bot.id for bot in found]
    sums = {row.bot_id: row for row in tx.execute(_sums(ids))}
    hooks = {row.bot_id: row for row in tx.execute(_hooks(ids))}
    names: dict[str, list[SourceName]] = {}
    for row in tx.execute(_names(ids)):
        names.setdefault(row.bot_id, []).append(SourceName(row.id, row.name, row.type))
    going = {row.bot_id: Going(row.name, Progress(**(row.progress or {}))) for row in tx.execute(_running(ids))}
    failing = {bot_id: _failing(tx, bot_id) for bot_id, row in sums.items() if row.failing}
    return tuple(
        _view(bot, sums.get(bot.id), tuple(names.get(bot.id, ())), hooks=hooks.get(bot.id), going=going.get(bot.id), failing=failing.get(bot.id))
        for bot in found
    )


def _sums(ids: Sequence[str]) -> Any:
    each = (
        select(data_sources.c.bot_id, data_sources.c.paused, data_sources.c.synced_at, data_sources.c.stale_since, LAST_OUTCOME.label("outcome"))
        .add_columns(FIRST_ERROR.label("error"), snapshots.c.rows, snapshots.c.documents, snapshots.c.tokens)
        .outerjoin(snapshots, and_(snapshots.c.data_source_id == data_sources.c.id, snapshots.c.n == data_sources.c.published))
        .where(data_sources.c.bot_id.in_(ids), data_sources.c.deleted_at.is_(None))
        .subquery()
    )
    works = ~each.c.paused
    unread = (each.c.outcome == "succeeded") & each.c.error.is_not(None) & (func.coalesce(each.c.rows, 0) == 0)
    return select(
        each.c.bot_id,
        func.count().label("sources"),
        func.sum(case((works, 0), else_=1)).label("paused"),
        func.sum(case((works & ((each.c.outcome == "failed") | unread), 1), else_=0)).label("failing"),
        func.sum(case((works & each.c.outcome.is_(None), 1), else_=0)).label("new"),
        func.sum(case((works & each.c.stale_since.is_not(None), 1), else_=0)).label("stale"),
        func.coalesce(func.sum(each.c.rows), 0).label("rows"),
        func.coalesce(func.sum(each.c.documents), 0).label("documents"),
        func.coalesce(func.sum(each.c.tokens), 0).label("tokens"),
        func.max(each.c.synced_at).label("synced_at"),
    ).group_by(each.c.bot_id)


def _hooks(ids: Sequence[str]) -> Any:
    gone = ~webhooks.c.enabled & webhooks.c.disabled_by.in_(("failing", "gone"))
    counted = select(
        webhooks.c.bot_id,
        func.count().label("hooks"),
        func.sum(case((webhooks.c.enabled & webhooks.c.failing_since.is_not(None), 1), else_=0)).label("hooks_failing"),
        func.sum(case((gone, 1), else_=0)).label("hooks_disabled"),
    )
    return counted.where(webhooks.c.bot_id.in_(ids), webhooks.c.deleted_at.is_(None)).group_by(webhooks.c.bot_id)


def _names(ids: Sequence[str]) -> Any:
    place = func.row_number().over(partition_by=data_sources.c.bot_id, order_by=data_sources.c.id).label("place")
    living = (data_sources.c.bot_id.in_(ids), data_sources.c.deleted_at.is_(None))
    each = select(data_sources.c.bot_id, data_sources.c.id, data_sources.c.name, data_sources.c.type, place).where(*living).subquery()
    return select(each).where(each.c.place <= NAMED).order_by(each.c.bot_id, each.c.place)


def _running(ids: Sequence[str]) -> Any:
    """Of each bot the running sync that comes last."""
    query = select(data_sources.c.bot_id, data_sources.c.name, syncs.c.progress)
    joined = query.join(syncs, syncs.c.data_source_id == data_sources.c.id)
    return joined.where(data_sources.c.bot_id.in_(ids), data_sources.c.deleted_at.is_(None), syncs.c.state == "running", ~syncs.c.dry_run).order_by(syncs.c.id)


def _failing(tx: Tx, bot_id: str) -> tuple[str, str]:
    """The oldest data source of a bot whose syncs fail, else the oldest that could not read one row; and why."""
    query = select(data_sources.c.name, syncs.c.reason).join(syncs, syncs.c.data_source_id == data_sources.c.id)
    mine = (data_sources.c.bot_id == bot_id, data_sources.c.deleted_at.is_(None), ~data_sources.c.paused)
    failed = query.where(*mine, LAST_OUTCOME == "failed", syncs.c.state == "failed", ~syncs.c.dry_run).order_by(data_sources.c.id, syncs.c.id.desc())
    if (found := tx.execute(failed.limit(1)).one_or_none()) is not None:
        return found.name, found.reason or ""
    published = and_(snapshots.c.data_source_id == data_sources.c.id, snapshots.c.n == data_sources.c.published)
    nothing = select(data_sources.c.name, FIRST_ERROR.label("error")).outerjoin(snapshots, published).where(func.coalesce(snapshots.c.rows, 0) == 0)
    unread = nothing.where(*mine, LAST_OUTCOME == "succeeded", FIRST_ERROR.is_not(None)).order_by(data_sources.c.id)
    found = tx.execute(unread.limit(1)).one()
    return found.name, f"Not one row could be read. {found.error}"


def _view(
    bot: Bot, sums: AnyRow | None, names: tuple[SourceName, ...], *, hooks: AnyRow | None, going: Going | None, failing: tuple[str, str] | None
) -> BotView:
    view = BotView(bot) if hooks is None else BotView(bot, hooks.hooks, int(hooks.hooks_failing), int(hooks.hooks_disabled))
    if sums is None:
        return view
    return replace(
        view,
        sources=sums.sources,
        paused=int(sums.paused),
        failing=int(sums.failing),
        new=int(sums.new),
        stale=int(sums.stale),
        rows=int(sums.rows),
        documents=int(sums.documents),
        tokens=int(sums.tokens),
        synced_at=sums.synced_at,
        named=names,
        going=going,
        failed=failing,
    )
