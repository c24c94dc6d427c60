"""When a data source syncs by itself, as a form and in words."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import time
from functools import cache
from zoneinfo import available_timezones

from cronsim import CronSim

from tidings.clock import DAY, EPOCH, SECOND, Micros
from tidings.errors import FieldError, Invalid
from tidings.model.freshness import HOUR, MINUTE, lasting
from tidings.model.schedules import CRON_LENGTH, LONGEST, SHORTEST, Schedule, Window, check
from tidings.web.pages.forms import Form, quoted

UNITS: dict[str, Micros] = {"minutes": MINUTE, "hours": HOUR, "days": DAY}
_OF_FORM = {"every": "every", "cron": "cron", "timeZone": "time_zone", "window.to": "closes", "freshWithin": "fresh"}  # by the schedule's own names
_PARTS = {
    "every": "starts",
    "every_unit": "starts",
    "cron": "starts",
    "opens": "window",
    "closes": "window",
    "fresh_unit": "fresh",
}  # fields that say one thing
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_CONTINENTS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@cache
def zones() -> Sequence[str]:
    """The time zones that are offered; all others that there are can be typed."""
    return ("UTC", *sorted(zone for zone in available_timezones() if zone.partition("/")[0] in _CONTINENTS and zone.count("/") == 1))


def form_of(schedule: Schedule | None) -> Form:
    """The form as it is before anybody types into it."""
    values = {"starts": "asked", "every": "6", "every_unit": "hours", "cron": "0 3 * * *", "time_zone": "UTC", "opens": "22:00", "closes": "06:00"}
    values |= {"window": "", "fresh": "", "fresh_unit": "hours"}
    if schedule is not None:
        values |= {"starts": "every" if schedule.every else "cron" if schedule.cron else "asked", "time_zone": schedule.time_zone}
        values |= _split("every", schedule.every) | _split("fresh", schedule.fresh_within)
        if schedule.cron:
            values["cron"] = schedule.cron
        if schedule.window:
            values |= {"window": "on", "opens": f"{schedule.window.opens:%H:%M}", "closes": f"{schedule.window.closes:%H:%M}"}
    return Form(values)


def part_of(field: str) -> str:
    """What a field says something of, together with others."""
    return _PARTS.get(field, field)


def told(schedule: Schedule | None) -> dict[str, str]:
    """How each part is, for a sentence."""
    schedule = schedule or Schedule()
    window = f"from {schedule.window.opens:%H:%M} to {schedule.window.closes:%H:%M}" if schedule.window else "at any hour"
    fresh = lasting(schedule.fresh_within) if schedule.fresh_within else ""
    return {"starts": f"it is {quoted(in_words(replace(schedule, window=None)))}", "window": f"it is {window}", "fresh": f"it is {quoted(fresh)}"}


def schedule_in(form: Form) -> Schedule | None:
    """The schedule that was typed; None where it says nothing. Invalid, naming the form's fields."""
    window = Window(_time(form, "opens"), _time(form, "closes")) if form["window"] == "on" else None
    every = _lasting(form, "every") if form["starts"] == "every" else None
    if form["starts"] == "every" and every is None:
        raise Invalid(FieldError("every", "Type how long it is from one sync to the next."))
    cron = " ".join(form["cron"].split())[: CRON_LENGTH + 1] if form["starts"] == "cron" else None
    schedule = Schedule(every, cron, form["time_zone"].strip()[:64] or "UTC", window, _lasting(form, "fresh"))
    if schedule == Schedule(time_zone=schedule.time_zone):
        return None
    try:
        check(schedule)
    except Invalid as error:
        raise Invalid(*(FieldError(_OF_FORM[one.field.removeprefix("schedule.")], one.message) for one in error.errors)) from None
    return schedule


def in_words(schedule: Schedule | None) -> str:
    """`Every 6 h, between 22:00 and 06:00 (Europe/Berlin)`: when syncs begin."""
    if schedule is None or not (schedule.every or schedule.cron):
        said = "Only when somebody asks for a sync"
    elif schedule.every:
        said = f"Every {lasting(schedule.every)}"
    else:
        said = CronSim(schedule.cron or "", EPOCH).explain()
    window = "" if schedule is None or schedule.window is None else f", between {schedule.window.opens:%H:%M} and {schedule.window.closes:%H:%M}"
    zone = f" ({schedule.time_zone})" if schedule is not None and (window or schedule.cron) else ""
    return f"{said}{window}{zone}"


def _split(name: str, lasts: Micros | None) -> dict[str, str]:
    """A duration in the largest unit in which it is whole; one of odd seconds in minutes."""
    if lasts is None:
        return {}
    unit = next((unit for unit in ("days", "hours") if lasts % UNITS[unit] == 0), "minutes")
    return {name: f"{lasts / UNITS[unit]:g}", f"{name}_unit": unit}


def _lasting(form: Form, name: str) -> Micros | None:
    typed = form[name].strip()
    if not typed:
        return None
    unit = UNITS.get(form[f"{name}_unit"])
    if unit is None or not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,4})?", typed):
        raise Invalid(FieldError(name, "Type a number, such as 6."))
    lasts = round(float(typed) * unit / SECOND) * SECOND
    if not SHORTEST <= lasts <= LONGEST:
        raise Invalid(FieldError(name, "It has to be from one minute to 366 days."))
    return lasts


def _time(form: Form, name: str) -> time:
    if not _TIME.fullmatch(form[name].strip()):
        raise Invalid(FieldError(name, "Type a time of day, such as 22:00."))
    return time.fromisoformat(form[name].strip())
