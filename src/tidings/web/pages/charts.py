"""What pages show as charts: each is a table that `static/charts.js` draws; who has no script, or hears the page, gets the table."""

import calendar
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from tidings.clock import DAY, EPOCH, Micros, day
from tidings.model.syncs import Sync
from tidings.model.webhooks import DeliveryState
from tidings.model.workspaces import forecast_use
from tidings.store.delivery_figures import Fared

FAR = 4  # times the forecast: a plan from there on would leave nothing to see below its line
TALL = 4  # times the next one: a first sync from there on would leave nothing to see of the others


Colour = Literal["tide", "amber", "ink", "bad", "ink-2", "line-strong"]  # variables of the stylesheet

# What became of deliveries, from the bottom up.
_OUTCOMES: tuple[tuple[DeliveryState, str, Colour], ...] = (
    ("delivered", "Delivered", "tide"),
    ("pending", "On its way", "ink"),
    ("held", "Held", "amber"),
    ("exhausted", "Not delivered", "bad"),
    ("discarded", "Dropped", "line-strong"),
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers: bars stand on those of the column before."""

    name: str
    drawn: Literal["bars", "line", "dashed"]
    colour: Colour


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
        columns.append(Column("Plan", "line", "amber"))
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


def of_syncs(syncs: Sequence[Sync]) -> tuple[Chart, ...]:
    """Rows that each of these syncs (newest first) changed, and tokens that it was charged; of one that failed, nothing. No charts where none did anything."""
    told = [sync for sync in reversed(syncs) if sync.ended and sync.state != "cancelled" and not sync.dry_run]
    if not any(map(_touched, told)):
        return ()
    note, most = None, max(map(_touched, told[1:]), default=0)
    if 0 < TALL * most < _touched(told[0]):
        note = f"Without the oldest sync, of {_touched(told[0]):,} rows, which would hide the others"
        told = told[1:]
    columns = (Column("Added", "bars", "tide"), Column("Changed", "bars", "amber"), Column("Removed", "bars", "ink"))
    labels = [_moment(sync.finished_at or sync.queued_at) + (", failed" if sync.state == "failed" else "") for sync in told]
    rows = [(sync.counts.added, sync.counts.changed, sync.counts.removed) if sync.results else (None, None, None) for sync in told]
    tokens = [(sync.results.total_tokens if sync.results else None,) for sync in told]
    return (
        Chart("Rows changed by each sync", "Sync (UTC)", columns, tuple(zip(labels, rows, strict=True)), note=note),
        Chart("Storage tokens of each sync", "Sync (UTC)", (Column("Tokens", "bars", "tide"),), tuple(zip(labels, tokens, strict=True)), note=note),
    )


def of_deliveries(fared: Sequence[Fared], since: Micros, until: Micros, width: Micros, note: str) -> tuple[Chart, ...]:
    """Deliveries of each stretch of time by what became of them, and how long receivers took to answer: half of them no longer than p50, 95 % than p95.
    No charts where there were none."""
    if not fared:
        return ()
    first = since // width
    stretches: list[list[Fared]] = [[] for _ in range(first, until // width + 1)]
    for one in fared:
        if 0 <= one.made_at // width - first < len(stretches):
            stretches[one.made_at // width - first].append(one)
    labels = [_moment((first + index) * width) if width < DAY else _day((first + index) * width) for index in range(len(stretches))]
    there = [(state, Column(name, "bars", colour)) for state, name, colour in _OUTCOMES if state == "delivered" or any(one.state == state for one in fared)]
    counts = [tuple(sum(one.state == state for one in some) for state, _ in there) for some in stretches]
    took = [sorted(one.milliseconds for one in some if one.milliseconds is not None) for some in stretches]
    head = "Hour (UTC)" if width < DAY else "Day (UTC)"
    lines = (Column("p50", "line", "tide"), Column("p95", "line", "amber"))
    return (
        Chart("Deliveries", head, tuple(column for _, column in there), tuple(zip(labels, counts, strict=True)), note=note),
        Chart(
            "Time to answer",
            head,
            lines,
            tuple((label, (_share(some, 0.5), _share(some, 0.95))) for label, some in zip(labels, took, strict=True)),
            " ms",
            note,
        ),
    )


def _touched(sync: Sync) -> int:
    """The rows that a sync changed; none of one that failed."""
    return sync.counts.added + sync.counts.changed + sync.counts.removed if sync.results else 0


def _share(ordered: Sequence[int], share: float) -> int | None:
    """The least value that so large a share of them does not exceed; None of none."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else None


def _moment(at: Micros) -> str:
    return f"{_day(at)} {EPOCH + timedelta(microseconds=at):%H:%M}"


def _day(at: Micros) -> str:
    day_of = EPOCH + timedelta(microseconds=at)
    return f"{day_of.day} {day_of:%b}"
