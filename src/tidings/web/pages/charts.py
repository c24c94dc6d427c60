"""What pages show as charts: each is a table that `static/charts.js` draws; who has no script, or hears the page, gets the table."""

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from tidings.clock import Micros, day
from tidings.model.workspaces import forecast_use

FAR = 4  # times the forecast: a plan from there on would leave nothing to see below its line


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers: bars stand on those of the column before. `colour`: a variable of the stylesheet."""

    name: str
    drawn: Literal["bars", "line", "dashed"]
    colour: Literal["tide", "good", "warn", "bad", "ink-2", "line-strong"]


@dataclass(frozen=True, slots=True)
class Chart:
    """A table with what is drawn of it. Each row is a label, under the head `first`, and a number or None for each column."""

    title: str
    first: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, tuple[int | None, ...]], ...]
    unit: str = ""
    note: str | None = None


def usage_by_day(charged: Mapping[str, int], month: str, limit: int | None, at: Micros) -> Chart:
    """Storage tokens of each day of a month on those of the days before, against the plan's `limit`; in the present month with the forecast."""
    year, number = map(int, month.split("-"))
    days = [date(year, number, one).isoformat() for one in range(1, calendar.monthrange(year, number)[1] + 1)]
    today = day(at) if day(at) in days else None
    used, place = sum(charged.values()), days.index(today) if today else 0
    expected = forecast_use(used, at) if today else used
    columns = [Column("Before", "bars", "line-strong"), Column("That day", "bars", "tide")]
    if today:
        columns.append(Column("Forecast", "dashed", "ink-2"))
    planned = limit is not None and limit <= FAR * max(expected, 1)
    if planned:
        columns.append(Column("Plan", "line", "warn"))
    rows, before = [], 0
    for index, one in enumerate(days):
        there = today is None or one <= today
        values: list[int | None] = [before, charged.get(one, 0)] if there else [None, None]
        if today:
            ahead = max(len(days) - 1 - place, 1)
            values.append(None if index < place else used + round((expected - used) * (index - place) / ahead))
        before += charged.get(one, 0)
        rows.append((f"{index + 1} {calendar.month_abbr[number]}", (*values, *([limit] if planned else []))))
    return Chart("Storage tokens by day", "Day (UTC)", tuple(columns), tuple(rows))
