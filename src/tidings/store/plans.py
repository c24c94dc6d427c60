"""The plan of each data source: when it syncs next, and until when it counts as fresh. Moved on in the transaction that brings it about."""

from dataclasses import replace

from sqlalchemy import false, select, update

from tidings import clock
from tidings.clock import SECOND, Micros
from tidings.model.bots import DataSource
from tidings.model.planning import next_run, share_of
from tidings.model.schedules import Plan, Schedule, schedule_of
from tidings.store.tables import data_sources
from tidings.store.transactions import Tx

AHEAD: Micros = 600 * SECOND  # a plan from further in the future was made by a clock that has been set back since
BATCH = 100


def make(tx: Tx, data_source_id: str, schedule: Schedule | None, former: Plan | None = None) -> None:
    """Gives a data source another schedule. The same promise as before stands as it is; a new one counts from the last success, if there was one."""
    if schedule is None:
        _write(tx, data_source_id, None)
        return
    at = clock.now()
    plan = Plan(schedule, at, next_run(schedule, at, share_of(data_source_id), at), None, None, at)
    if schedule.fresh_within is not None:
        if former is not None and former.schedule.fresh_within == schedule.fresh_within:
            plan = replace(plan, fresh_until=former.fresh_until, stale_since=former.stale_since)
        else:
            synced_at = tx.execute(select(data_sources.c.synced_at).where(data_sources.c.id == data_source_id)).scalar_one()
            plan = replace(plan, fresh_until=(synced_at or at) + schedule.fresh_within)
    _write(tx, data_source_id, plan)


def due(tx: Tx, at: Micros) -> list[str]:
    """Data sources whose plan has something to be done at an instant; not all of them, when there are many."""
    planned = data_sources.c
    wanted = (
        (planned.next_run_at <= at) & planned.next_run_at.is_not(None) & (planned.paused == false()),
        (planned.fresh_until <= at) & planned.fresh_until.is_not(None) & planned.stale_since.is_(None),
        (planned.planned_at > at + AHEAD) & planned.planned_at.is_not(None),
    )
    found = [id_ for which in wanted for id_ in tx.execute(select(planned.id).where(which, planned.deleted_at.is_(None)).limit(BATCH)).scalars()]
    return list(dict.fromkeys(found))


def move_on(tx: Tx, data_source: DataSource, plan: Plan, at: Micros) -> None:
    """Plans the next run behind an instant. What a clock that was ahead has promised is brought back with it."""
    after = next_run(plan.schedule, plan.since, share_of(data_source.id), at)
    latest = None if plan.fresh_until is None else min(plan.fresh_until, at + (plan.schedule.fresh_within or 0))
    _write(tx, data_source.id, replace(plan, next_run_at=after, fresh_until=latest, planned_at=at))


def mark_stale(tx: Tx, data_source: DataSource, plan: Plan) -> Plan:
    """Remembers that the broken promise of a data source was told; the next success takes that back."""
    marked = replace(plan, stale_since=plan.fresh_until)
    _write(tx, data_source.id, marked)
    return marked


def succeeded(tx: Tx, data_source_id: str) -> None:
    """A sync of the whole data source has succeeded: the promise, if there is one, begins anew. The caller has it locked."""
    row = tx.execute(select(data_sources.c.schedule, data_sources.c.planned_at).where(data_sources.c.id == data_source_id)).one()
    schedule, at = schedule_of(row.schedule), clock.now()
    kept: dict[str, Micros | None] = {"synced_at": at}
    if schedule is not None and schedule.fresh_within is not None:
        kept |= {"fresh_until": at + schedule.fresh_within, "stale_since": None, "planned_at": max(row.planned_at, at)}
    tx.execute(update(data_sources).where(data_sources.c.id == data_source_id).values(kept))


def _write(tx: Tx, data_source_id: str, plan: Plan | None) -> None:
    values = {
        "schedule": None if plan is None else plan.schedule.to_text(),
        "schedule_since": None if plan is None else plan.since,
        "next_run_at": None if plan is None else plan.next_run_at,
        "fresh_until": None if plan is None else plan.fresh_until,
        "stale_since": None if plan is None else plan.stale_since,
        "planned_at": None if plan is None else plan.planned_at,
    }
    tx.execute(update(data_sources).where(data_sources.c.id == data_source_id).values(values))
