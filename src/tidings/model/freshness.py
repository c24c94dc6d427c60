"""A promise of freshness that is broken: since when, and why. Pure."""

from dataclasses import dataclass

from tidings.clock import DAY, SECOND, Micros, rfc3339
from tidings.model.schedules import Plan
from tidings.model.syncs import Sync

MINUTE: Micros = 60 * SECOND
HOUR: Micros = 60 * MINUTE
LONGEST_CAUSE = 500  # characters of why a sync failed that are repeated


@dataclass(frozen=True, slots=True)
class Stale:
    """No sync has succeeded for longer than was promised."""

    since: Micros
    reason: str


def stale(plan: Plan | None, *, paused: bool, last: Sync | None, going: Sync | None, at: Micros) -> Stale | None:
    """How a promise is broken at an instant; None where it holds, or where there is none. `last`: the latest sync that has ended; `going`: one
    that is running, else one that is queued."""
    if plan is None or plan.fresh_until is None or plan.schedule.fresh_within is None or (plan.stale_since is None and plan.fresh_until > at):
        return None
    promised = plan.schedule.fresh_within
    age = lasting(at - plan.fresh_until + promised)
    return Stale(
        plan.stale_since or plan.fresh_until,
        f"Not synced successfully for {age} (promised: within {lasting(promised)}): {_cause(plan, last, going, at, paused=paused)}",
    )


def lasting(micros: Micros) -> str:
    """`6 h 3 min`: a duration in its two largest units."""
    units = (("d", DAY), ("h", HOUR), ("min", MINUTE), ("s", SECOND))
    parts: list[str] = []
    left = max(micros, 0)
    for name, unit in units:
        count, left = divmod(left, unit)
        if count or parts:
            parts.append(f"{count} {name}" if count else "")
    return " ".join(part for part in parts[:2] if part) or "0 s"


def _cause(plan: Plan, last: Sync | None, going: Sync | None, at: Micros, *, paused: bool) -> str:
    if paused:
        return "the data source is paused. Resume it, or take the promise back."
    if last is not None and last.state == "failed":
        return f"the last sync failed: {(last.reason or '')[:LONGEST_CAUSE]}"
    if going is not None:
        return _held_up(going, at)
    if plan.next_run_at is not None and at - plan.next_run_at > MINUTE:
        return f"the sync that was due at {rfc3339(plan.next_run_at)} did not start, because no worker ran."
    before = "the last sync was cancelled" if last is not None and last.state == "cancelled" else "nothing has asked for a sync since"
    return f"{before}. Start one, or give it a schedule that keeps the promise."


def _held_up(going: Sync, at: Micros) -> str:
    if going.state == "running":
        return f"a sync has been running for {lasting(at - (going.started_at or at))}."
    opens = going.waits_until(at)
    if opens is not None:
        return f"a sync waits for the window of the schedule, which opens at {rfc3339(opens)}."
    return f"a sync has been queued for {lasting(at - going.queued_at)}, and no worker has taken it up yet. Look whether workers run."
