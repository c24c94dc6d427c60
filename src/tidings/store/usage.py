"""Storage tokens charged: by workspace and UTC month, which plans are about, and by data source and UTC day."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert

from tidings import clock
from tidings.model.activity import Activity
from tidings.model.workspaces import judge_use
from tidings.store import activity
from tidings.store.leases import Held
from tidings.store.tables import bots, data_sources, usage, usage_by_day, workspaces
from tidings.store.transactions import AnyRow, Tx

# The storage tokens a month that a plan of this name allows; None without a limit.
Allowance = Callable[[str], int | None]


@dataclass(frozen=True, slots=True)
class Share:
    """What was charged for one bot or data source, under its name, also after it was deleted."""

    id: str
    bot_id: str
    name: str
    deleted: bool
    tokens: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a workspace was charged in a month: the same sum by day, by bot and by data source. The largest shares come first."""

    tokens: int
    by_day: tuple[tuple[str, int], ...]
    by_bot: tuple[Share, ...]
    by_data_source: tuple[Share, ...]


def of_month(tx: Tx, workspace_id: str, month: str) -> int:
    """Storage tokens that a workspace was charged in a month (`2026-11`)."""
    return tx.execute(select(usage.c.storage_tokens).where(usage.c.workspace_id == workspace_id, usage.c.month == month)).scalar_one_or_none() or 0


def first_month(tx: Tx, workspace_id: str) -> str | None:
    """The earliest month that a workspace was charged in; None where it never was."""
    first: str | None = tx.execute(select(func.min(usage.c.month)).where(usage.c.workspace_id == workspace_id)).scalar_one()
    return first


def shares(tx: Tx, workspace_id: str, month: str) -> Usage:
    """Who used what of a month (`2026-11`), each day by itself."""
    mine = (usage_by_day.c.workspace_id == workspace_id) & usage_by_day.c.day.between(f"{month}-01", f"{month}-31")
    tokens = func.sum(usage_by_day.c.storage_tokens).label("tokens")
    days = tx.execute(select(usage_by_day.c.day, tokens).where(mine).group_by(usage_by_day.c.day).order_by(usage_by_day.c.day)).all()

    def of(table: Any, key: Any, bot_id: Any) -> tuple[Share, ...]:
        query: Select[Any] = select(table.c.id, bot_id.label("bot_id"), table.c.name, table.c.deleted_at, tokens).join(usage_by_day, key == table.c.id)
        found = tx.execute(query.where(mine).group_by(table.c.id, bot_id, table.c.name, table.c.deleted_at).order_by(tokens.desc(), table.c.id))
        return tuple(Share(row.id, row.bot_id, row.name, row.deleted_at is not None, int(row.tokens)) for row in found)

    return Usage(
        of_month(tx, workspace_id, month),
        tuple((row.day, int(row.tokens)) for row in days),
        of(bots, usage_by_day.c.bot_id, bots.c.id),
        of(data_sources, usage_by_day.c.data_source_id, data_sources.c.bot_id),
    )


def left(tx: Tx, workspace_id: str, allowance: Allowance) -> float:
    """Storage tokens that may still be charged this month; infinite without a limit, below zero after a change to a smaller plan."""
    limit = allowance(tx.execute(select(workspaces.c.plan).where(workspaces.c.id == workspace_id)).scalar_one())
    return math.inf if limit is None else limit - of_month(tx, workspace_id, clock.month(clock.now()))


def charge(tx: Tx, held: Held, tokens: int, allowance: Allowance) -> bool:
    """Adds to the usage of the month and of the day what a sync publishes, unless the plan does not allow it; of a dry run, says
    no more than that. Meeting the limit exactly is fine. Writes down, once for each limit, that most of a plan is used."""
    at = clock.now()
    month = clock.month(at)
    tx.execute(insert(usage).values(workspace_id=held.workspace_id, month=month, storage_tokens=0).on_conflict_do_nothing())
    mine = (usage.c.workspace_id == held.workspace_id) & (usage.c.month == month)
    before: AnyRow = tx.execute(select(usage.c.storage_tokens, usage.c.told_limit).where(mine).with_for_update()).one()
    used = before.storage_tokens + tokens
    plan = tx.execute(select(workspaces.c.plan).where(workspaces.c.id == held.workspace_id)).scalar_one()
    limit = allowance(plan)
    if limit is not None and used > limit:
        return False
    if held.dry_run:
        return True
    sentence = None if limit is None or limit == before.told_limit else judge_use(plan, limit, used, at)
    tx.execute(update(usage).where(mine).values(storage_tokens=used, told_limit=before.told_limit if sentence is None else limit))
    if sentence is not None:
        activity.add(tx, held.workspace_id, Activity(at, "plan_forecast", sentence, held.bot_id, held.data_source_id, held.sync_id))
    day = insert(usage_by_day).values(
        workspace_id=held.workspace_id, day=clock.day(at), bot_id=held.bot_id, data_source_id=held.data_source_id, storage_tokens=tokens
    )
    more = {"storage_tokens": usage_by_day.c.storage_tokens + tokens}
    tx.execute(day.on_conflict_do_update(index_elements=["workspace_id", "day", "data_source_id"], set_=more))
    return True
