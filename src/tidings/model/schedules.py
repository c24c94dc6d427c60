"""When a data source syncs by itself, and how fresh it has to be."""

import json
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from tidings.clock import DAY, EPOCH, SECOND, Micros, now
from tidings.errors import FieldError, Invalid

SHORTEST: Micros = 60 * SECOND
LONGEST: Micros = 366 * DAY
CRON_FIELDS = 5
CRON_LENGTH = 200  # characters
_BAD_CRON = "It is no cron expression: write minute, hour, day of the month, month and day of the week, as in 0 3 * * 1-5."


@dataclass(frozen=True, slots=True)
class Window:
    """The part of each day in which syncs may start, by the clock on the wall; `closes` may be on the next day."""

    opens: time
    closes: time


@dataclass(frozen=True, slots=True)
class Schedule:
    """At most one of `every` and `cron` starts syncs; `window` is when any of them may start; `fresh_within` is a promise: a sync succeeds
    at least so often. `time_zone` is that of `cron` and `window`."""

    every: Micros | None = None
    cron: str | None = None
    time_zone: str = "UTC"
    window: Window | None = None
    fresh_within: Micros | None = None

    def to_json(self) -> dict[str, Any]:
        """As it is shown and kept: durations in seconds, times as `HH:MM`."""
        window = None if self.window is None else {"from": f"{self.window.opens:%H:%M}", "to": f"{self.window.closes:%H:%M}"}
        every, fresh = (None if lasts is None else lasts // SECOND for lasts in (self.every, self.fresh_within))
        return {"every": every, "cron": self.cron, "timeZone": self.time_zone, "window": window, "freshWithin": fresh}

    def to_text(self) -> str:
        """As it stands in the database."""
        return json.dumps(self.to_json())


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows from a schedule: when the next sync is due, and until when the data source counts as fresh."""

    schedule: Schedule
    since: Micros  # what intervals count from
    next_run_at: Micros | None
    fresh_until: Micros | None
    stale_since: Micros | None  # the promise is broken, and that was told
    planned_at: Micros


def schedule_of(text: str | None) -> Schedule | None:
    """What `to_text` made."""
    if text is None:
        return None
    kept = json.loads(text)
    window = None if kept["window"] is None else Window(*(time.fromisoformat(kept["window"][edge]) for edge in ("from", "to")))
    every, fresh = (None if kept[name] is None else kept[name] * SECOND for name in ("every", "freshWithin"))
    return Schedule(every, kept["cron"], kept["timeZone"], window, fresh)


def check(schedule: Schedule) -> None:
    """Makes sure that a schedule says something that can be done. Invalid, naming the field."""
    if not (schedule.every or schedule.cron or schedule.window or schedule.fresh_within):
        raise Invalid(FieldError("schedule", "It says nothing. Give it every, cron, window or freshWithin, or send null for no schedule."))
    if schedule.every and schedule.cron:
        raise Invalid(FieldError("schedule.cron", "There is an interval already. Keep either every or cron."))
    for name, lasts in (("every", schedule.every), ("freshWithin", schedule.fresh_within)):
        if lasts is not None and not SHORTEST <= lasts <= LONGEST:
            raise Invalid(FieldError(f"schedule.{name}", "It has to last from 60 seconds to 366 days."))
    try:
        zone = ZoneInfo(schedule.time_zone)
    except (KeyError, ValueError, OSError):  # OSError: a folder of zones, as Europe is one
        raise Invalid(FieldError("schedule.timeZone", "There is no such time zone. Use a name of the IANA database, like Europe/Berlin, or UTC.")) from None
    if schedule.window and schedule.window.opens == schedule.window.closes:
        raise Invalid(FieldError("schedule.window.to", "The window would close when it opens. Leave the window out if syncs may start at any time."))
    if schedule.cron is not None:
        _check_cron(schedule.cron, zone)


def _check_cron(cron: str, zone: ZoneInfo) -> None:
    if len(cron) > CRON_LENGTH or len(cron.split()) != CRON_FIELDS:
        raise Invalid(FieldError("schedule.cron", _BAD_CRON))
    try:
        times = CronSim(cron, (EPOCH + timedelta(microseconds=now())).astimezone(zone))
    except CronSimError as error:
        raise Invalid(FieldError("schedule.cron", f"{error}. {_BAD_CRON}")) from None
    if next(times, None) is None:
        raise Invalid(FieldError("schedule.cron", "This time never comes. Check the day and the month."))
