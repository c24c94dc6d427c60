"""When the next sync is due, and when a window opens. Pure: instants come in as arguments.

Slots follow from the schedule alone, never from when the last sync really ran, so nothing drifts, and a clock that is set does no harm.
"""

import hashlib
import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from tidings.clock import EPOCH, SECOND, Micros
from tidings.model.schedules import Schedule

LONGEST_JITTER: Micros = 600 * SECOND  # nobody who wrote 03:00 means 05:00


def share_of(data_source_id: str) -> float:
    """Where within its jitter a data source stands, 0 to 1: always the same, and another for each, so that not all start at once."""
    return int.from_bytes(hashlib.sha256(data_source_id.encode()).digest()[:6]) / 2**48


def next_run(schedule: Schedule, since: Micros, share: float, after: Micros) -> Micros | None:
    """The first instant behind `after` at which a sync is due; None where the schedule starts none.

    A slot outside the window is due when it opens next; of several such, one is left. `since`: what intervals count from. `share`: see `share_of`.
    """
    slot = _next_of_interval(schedule.every, since, share, after) if schedule.every else _next_of_cron(schedule, share, after) if schedule.cron else None
    if slot is None or schedule.window is None:
        return slot
    opens, closes = _window(schedule, slot)
    return max(slot, opens + _jitter(share, closes - opens))


def next_runs(schedule: Schedule, since: Micros, share: float, after: Micros) -> Iterator[Micros]:
    """The instants behind `after` at which syncs are due, one after the other; none where the schedule starts none."""
    run = next_run(schedule, since, share, after)
    while run is not None:
        yield run
        run = next_run(schedule, since, share, run)


def opening(schedule: Schedule, at: Micros) -> Micros | None:
    """When the window opens next; None where it is open at `at`, or where there is none."""
    if schedule.window is None:
        return None
    opens, _ = _window(schedule, at)
    return opens if opens > at else None


def _next_of_interval(every: Micros, since: Micros, share: float, after: Micros) -> Micros:
    first = since - _jitter(share, every)  # earlier, so that the first run behind `since` is nearly a whole interval away
    return first + ((after - first) // every + 1) * every


def _next_of_cron(schedule: Schedule, share: float, after: Micros) -> Micros | None:
    for at, following in itertools.pairwise(_times(schedule, after - LONGEST_JITTER)):
        slot = at + _jitter(share, following - at)
        if slot > after:
            return slot
    return None


def _times(schedule: Schedule, after: Micros) -> Iterator[Micros]:
    """The times of a cron expression behind an instant. Where clocks are set back, a time of day comes twice and counts once; where they are
    set forward, what would have come between is due behind."""
    zone, last = ZoneInfo(schedule.time_zone), after
    assert schedule.cron is not None
    for local in CronSim(schedule.cron, (EPOCH + timedelta(microseconds=after)).astimezone(zone)):
        at = _instant(local)
        if at > last:
            yield at
            last = at


def _window(schedule: Schedule, at: Micros) -> tuple[Micros, Micros]:
    """(opens, closes) of the window that is open at an instant, else of the next one."""
    assert schedule.window is not None
    zone, window = ZoneInfo(schedule.time_zone), schedule.window
    overnight = timedelta(days=window.closes <= window.opens)
    day = (EPOCH + timedelta(microseconds=at)).astimezone(zone).date() - timedelta(days=1)
    while True:
        opens, closes = _on_the_wall(day, window.opens, zone), _on_the_wall(day + overnight, window.closes, zone)
        if at < closes and opens < closes:  # a window that falls whole into the hour that clocks skip does not open on that day
            return opens, closes
        day += timedelta(days=1)


def _on_the_wall(day: date, shows: time, zone: ZoneInfo) -> Micros:
    """The first instant at which clocks there show a time of day, or a later one where they skip it."""
    wall = datetime.combine(day, shows, zone)
    while wall.astimezone(UTC).astimezone(zone) != wall:
        wall += timedelta(minutes=1)
    return _instant(wall)


def _jitter(share: float, lasts: Micros) -> Micros:
    """At most a tenth of what there is between two slots."""
    return int(share * min(LONGEST_JITTER, lasts // 10))


def _instant(local: datetime) -> Micros:
    return (local - EPOCH) // timedelta(microseconds=1)
