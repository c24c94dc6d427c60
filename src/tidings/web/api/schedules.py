"""The schedule of a data source, as it is sent and shown."""

import re
from datetime import time
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from tidings.clock import SECOND
from tidings.model.schedules import CRON_LENGTH, LONGEST, SHORTEST, Schedule, Window
from tidings.web.api.shapes import Input, Shape

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,7})([smhd])")
_NO_DURATION = "It has to be a number of seconds, or a text like 90s, 15m, 6h or 1d."


def _seconds(value: Any) -> Any:
    if value is None or type(value) is int:
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(_NO_DURATION)
    return int(found[1]) * _UNITS[found[2]]


def _written_out(value: Any) -> Any:
    """A text or a number alone stands for an interval, or a cron expression."""
    if type(value) is int or (isinstance(value, str) and _DURATION.fullmatch(value)):
        return {"every": value}
    return {"cron": value} if isinstance(value, str) else value


_SECONDS = {"type": "integer", "minimum": SHORTEST // SECOND, "maximum": LONGEST // SECOND}
_DURATIONS = {"anyOf": [_SECONDS, {"type": "string", "pattern": f"^{_DURATION.pattern}$"}, {"type": "null"}]}
Duration = Annotated[int | None, BeforeValidator(_seconds), WithJsonSchema(_DURATIONS)]
TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["01:00"])]
ZoneName = Annotated[str, Field(min_length=1, max_length=64, examples=["Europe/Berlin"])]
Cron = Annotated[str, Field(min_length=9, max_length=CRON_LENGTH, examples=["0 3 * * 1-5"])]


class WindowInput(Input):
    """When syncs may start, by the clock in the time zone of the schedule. `to` may be on the next day."""

    model_config = ConfigDict(alias_generator=lambda name: to_camel(name).removesuffix("_"), extra="forbid", strict=True)

    from_: TimeOfDay
    to: TimeOfDay


class ScheduleInput(Input):
    """When a data source syncs by itself, and how fresh it has to be. At least one of `every`, `cron`, `window` and `freshWithin`."""

    every: Duration = Field(None, description="An interval: seconds, or `90s`, `15m`, `6h`, `1d`. From 60 seconds to 366 days.")
    cron: Cron | None = Field(None, description="Minute, hour, day of the month, month, day of the week. Instead of `every`.")
    time_zone: ZoneName = Field("UTC", description="IANA name of the time zone of `cron` and `window`.")
    window: WindowInput | None = Field(None, description="Syncs, whoever asks for them, start within it only.")
    fresh_within: Duration = Field(None, description="A promise: when no sync has succeeded for so long, failure webhooks are told, with code `stale`.")


class WindowShape(Shape):
    """When syncs may start."""

    model_config = ConfigDict(alias_generator=lambda name: to_camel(name).removesuffix("_"), validate_by_name=True, serialize_by_alias=True)

    from_: str
    to: str


class ScheduleShape(Shape):
    """When a data source syncs by itself, and how fresh it has to be; durations in seconds."""

    every: int | None
    cron: str | None
    time_zone: str
    window: WindowShape | None
    fresh_within: int | None


def _shorter_forms(schema: dict[str, Any]) -> None:
    schema["anyOf"] += [_SECONDS, {"type": "string", "maxLength": CRON_LENGTH}]


GivenSchedule = Annotated[
    ScheduleInput | None,
    BeforeValidator(_written_out),
    Field(
        json_schema_extra=_shorter_forms,
        description="When it syncs by itself; a cron expression alone (in UTC) or an interval alone will do. null: only when somebody asks for it.",
    ),
]


def schedule_given(given: ScheduleInput | None) -> Schedule | None:
    """What was sent, to be checked."""
    if given is None:
        return None
    window = None if given.window is None else Window(time.fromisoformat(given.window.from_), time.fromisoformat(given.window.to))
    every, fresh = (None if seconds is None else seconds * SECOND for seconds in (given.every, given.fresh_within))
    return Schedule(every, given.cron, given.time_zone, window, fresh)


def shape_of_schedule(schedule: Schedule | None) -> ScheduleShape | None:
    """A schedule as an answer."""
    return None if schedule is None else ScheduleShape.model_validate(schedule.to_json())
