"""What the plan of a data source brings about: due syncs, and the word that a promise of freshness is broken."""

from collections.abc import Callable

from tidings import clock
from tidings.model.activity import Activity
from tidings.model.bots import DataSource
from tidings.model.schedules import Plan
from tidings.store import activity, data_sources, plans, syncs
from tidings.store.transactions import Tx

# Tells those who want to know of failures that a promise is broken, and why.
TellStale = Callable[[Tx, DataSource, str], None]


def attend(tx: Tx, data_source_id: str, tell_stale: TellStale) -> bool:
    """Does what the plan of one data source says is due, and moves it on, in one transaction: whoever dies in between has done nothing. Several
    missed runs are one. Of workers that come at once, one does it. A plan that was made by a clock which has been set back since is made anew.
    Whether there was anything to do."""
    source = data_sources.lock_if_free(tx, data_source_id)
    if source is None or source.plan is None:
        return False
    plan, at = source.plan, clock.now()
    broken = plan.fresh_until is not None and plan.fresh_until <= at and plan.stale_since is None
    if broken:
        plan = _tell(tx, source, plan, tell_stale)
    run = not source.paused and plan.next_run_at is not None and plan.next_run_at <= at
    if run:
        syncs.request(tx, source.id, "schedule")
    ahead = plan.planned_at > at + plans.AHEAD
    if run or ahead:
        plans.move_on(tx, source, plan, at)
    return broken or run or ahead


def _tell(tx: Tx, source: DataSource, plan: Plan, tell_stale: TellStale) -> Plan:
    stale = data_sources.view(tx, source.workspace_id, source.id).stale
    assert stale is not None
    tell_stale(tx, source, stale.reason)
    said = Activity(clock.now(), "stale", f"{source.name}: {stale.reason}", bot_id=source.bot_id, data_source_id=source.id)
    activity.add(tx, source.workspace_id, said)
    return plans.mark_stale(tx, source, plan)
