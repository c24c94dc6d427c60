"""Schedules: what may stand in one, when the next run is, when a window opens. Around changes of clocks too."""

import itertools
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tidings.clock import DAY, EPOCH, SECOND, Micros, parse_rfc3339, rfc3339
from tidings.errors import Invalid
from tidings.model.planning import LONGEST_JITTER, next_run, opening, share_of
from tidings.model.schedules import LONGEST, SHORTEST, Schedule, Window, check, schedule_of

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo", "Pacific/Apia", "Africa/Casablanca"]
CRONS = ["0 3 * * *", "30 2 * * *", "15 * * * *", "*/7 * * * *", "* * * * *", "0,30 1-3 * * *", "0 0 1 * *", "30 2 * * SUN", "0 0 L * *", "59 23 29 2 *"]

instants = st.integers(parse_rfc3339("2011-01-01T00:00:00Z"), parse_rfc3339("2040-01-01T00:00:00Z"))
shares = st.floats(0, 1, exclude_max=True)
times = st.times().map(lambda at: at.replace(second=0, microsecond=0))
windows = st.builds(Window, times, times).filter(lambda window: window.opens != window.closes)
intervals = st.integers(SHORTEST // SECOND, LONGEST // SECOND).map(lambda seconds: seconds * SECOND)
zones = st.sampled_from(ZONES)
running = st.builds(Schedule, intervals, st.none(), zones, st.none() | windows) | st.builds(
    Schedule, st.none(), st.sampled_from(CRONS), zones, st.none() | windows
)


@st.composite
def near_a_change_of_clocks(draw: Any) -> tuple[str, Micros]:
    """A zone, and an instant within a day of one at which its clocks change."""
    zone = ZoneInfo(draw(st.sampled_from(ZONES[1:4])))
    first = datetime(draw(st.integers(2020, 2035)), draw(st.sampled_from([3, 4, 10, 11])), 1, tzinfo=UTC)
    changes = [
        first + timedelta(hours=n)
        for n in range(31 * 24)
        if (first + timedelta(hours=n)).astimezone(zone).utcoffset() != (first + timedelta(hours=n + 1)).astimezone(zone).utcoffset()
    ]
    assume(changes)
    return zone.key, int((changes[0] - EPOCH).total_seconds()) * SECOND + draw(st.integers(-DAY, DAY))


def on_the_wall(at: Micros, zone: str) -> datetime:
    return (EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(zone))


def runs(schedule: Schedule, after: Micros, count: int, *, share: float = 0, since: Micros = 0) -> list[Micros]:
    """The next runs, each behind the one before."""
    found: list[Micros] = []
    for _ in range(count):
        at = next_run(schedule, since, share, found[-1] if found else after)
        assert at is not None
        found.append(at)
    return found


@given(running, instants, instants, shares, st.integers(0, 3 * DAY))
def test_the_next_run_is_later_and_later_asked_for_never_earlier(schedule: Schedule, since: Micros, after: Micros, share: float, later: Micros) -> None:
    first, second = next_run(schedule, since, share, after), next_run(schedule, since, share, after + later)
    assert first is not None
    assert second is not None
    assert after < first <= second


@given(running, st.data(), shares)
def test_around_a_change_of_clocks_too(schedule: Schedule, data: st.DataObject, share: float) -> None:
    zone, after = data.draw(near_a_change_of_clocks())
    schedule = Schedule(schedule.every, schedule.cron, zone, schedule.window)
    found = runs(schedule, after, 5, share=share, since=after)
    assert found == sorted(set(found))


@given(running, instants, instants, shares)
def test_a_run_is_within_the_window(schedule: Schedule, since: Micros, after: Micros, share: float) -> None:
    at = next_run(schedule, since, share, after)
    assert at is not None
    assert opening(schedule, at) is None


@given(windows, zones, instants)
def test_a_window_opens_when_the_clock_on_the_wall_says_so(window: Window, zone: str, at: Micros) -> None:
    schedule = Schedule(window=window, time_zone=zone)
    opens = opening(schedule, at)
    here = on_the_wall(at, zone)
    unchanged = {on_the_wall(at + days * DAY, zone).utcoffset() for days in (-2, -1, 0, 1, 2)} == {here.utcoffset()}
    if unchanged:
        inside = window.opens <= here.time() < window.closes if window.opens < window.closes else not window.closes <= here.time() < window.opens
        assert (opens is None) == inside
    if opens is not None:
        assert opens > at
        assert opening(schedule, opens) is None, "When it opens it is open"
        assert opening(schedule, opens - 1) == opens, "A moment before it is closed"
        assert not unchanged or on_the_wall(opens, zone).time() == window.opens


@given(intervals, instants, instants, shares)
def test_an_interval_is_exact_however_often_it_is_asked(every: Micros, since: Micros, after: Micros, share: float) -> None:
    first, second, third = runs(Schedule(every=every), after, 3, share=share, since=since)
    assert third - second == second - first == every
    assert first - after <= every
    assert (since - first) % every == int(share * min(LONGEST_JITTER, every // 10)), "Nothing drifts"


@given(st.sampled_from(CRONS), zones, instants, shares)
def test_jitter_is_at_most_a_tenth_and_ten_minutes_and_never_makes_two_of_one(cron: str, zone: str, after: Micros, share: float) -> None:
    schedule = Schedule(cron=cron, time_zone=zone)
    exact = runs(schedule, after, 4)
    for (at, following), moved in zip(itertools.pairwise(exact), runs(schedule, exact[0] - 1, 3, share=share), strict=True):
        assert at <= moved <= at + min(LONGEST_JITTER, (following - at) // 10)


def test_data_sources_are_spread_and_each_stays_where_it_is() -> None:
    shares_ = [share_of(f"source {n}") for n in range(1000)]
    assert shares_ == [share_of(f"source {n}") for n in range(1000)]
    assert all(80 <= sum(tenth / 10 <= share < (tenth + 1) / 10 for share in shares_) <= 120 for tenth in range(10))


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        # 2026-03-29 in Berlin: 02:00 becomes 03:00
        ("30 2 * * *", "2026-03-28T12:00:00Z", ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]),
        ("0,30 2 * * *", "2026-03-28T12:00:00Z", ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]),
        ("*/30 * * * *", "2026-03-29T00:31:00Z", ["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]),
        # 2026-10-25: 03:00 becomes 02:00
        ("30 2 * * *", "2026-10-24T12:00:00Z", ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
        ("30 2 * * *", "2026-10-25T00:45:00Z", ["2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"]),
        ("*/30 * * * *", "2026-10-25T00:01:00Z", ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z"]),
    ],
)
def test_a_time_of_day_comes_once_a_day_also_when_clocks_change(cron: str, after: str, expected: list[str]) -> None:
    found = runs(Schedule(cron=cron, time_zone="Europe/Berlin"), parse_rfc3339(after), len(expected))
    assert [rfc3339(at) for at in found] == expected


@pytest.mark.parametrize(
    ("window", "at", "expected"),
    [
        (("02:30", "05:00"), "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"),  # 02:30 is skipped: it opens at 03:00
        (("02:15", "02:45"), "2026-03-28T12:00:00Z", "2026-03-30T00:15:00Z"),  # all of it is skipped
        (("02:15", "02:45"), "2026-10-25T01:20:00Z", "2026-10-26T01:15:00Z"),  # 02:20 comes twice: once is enough
        (("22:00", "05:00"), "2026-11-22T03:59:00Z", None),
        (("22:00", "05:00"), "2026-11-22T04:00:00Z", "2026-11-22T21:00:00Z"),
        (("20:00", "00:00"), "2026-11-22T22:59:00Z", None),
        (("20:00", "00:00"), "2026-11-22T23:00:00Z", "2026-11-23T19:00:00Z"),
    ],
)
def test_when_a_window_in_berlin_opens(window: tuple[str, str], at: str, expected: str | None) -> None:
    schedule = Schedule(window=Window(*(time.fromisoformat(edge) for edge in window)), time_zone="Europe/Berlin")
    opens = opening(schedule, parse_rfc3339(at))
    assert (None if opens is None else rfc3339(opens)) == expected


def test_slots_outside_the_window_are_one_run_when_it_opens() -> None:
    schedule = Schedule(every=HOUR, window=Window(time(1), time(3)))
    after = parse_rfc3339("2026-11-22T02:30:00Z")
    found = [rfc3339(at) for at in runs(schedule, after, 4)]
    assert found == ["2026-11-23T01:00:00Z", "2026-11-23T02:00:00Z", "2026-11-24T01:00:00Z", "2026-11-24T02:00:00Z"]


def test_a_schedule_that_starts_nothing_has_no_next_run() -> None:
    assert next_run(Schedule(fresh_within=HOUR), 0, 0.5, 0) is None
    assert next_run(Schedule(window=Window(time(1), time(3))), 0, 0.5, 0) is None


@given(st.builds(Schedule, st.none() | intervals, st.none() | st.sampled_from(CRONS), zones, st.none() | windows, st.none() | intervals))
def test_what_is_kept_is_what_was_given(schedule: Schedule) -> None:
    assert schedule_of(schedule.to_text()) == schedule


@given(st.text(st.sampled_from("0123456789*/,-#LW MONJAN?@"), max_size=40) | st.text(max_size=20), st.text(max_size=20) | zones)
def test_whatever_is_written_is_taken_or_refused(cron: str, zone: str) -> None:
    schedule = Schedule(cron=cron, time_zone=zone)
    try:
        check(schedule)
    except Invalid as error:
        assert {each.field for each in error.errors} <= {"schedule", "schedule.cron", "schedule.timeZone"}  # noqa: PT017 - either way is right
    else:
        first, second = runs(schedule, int((datetime(2026, 1, 1, tzinfo=UTC) - EPOCH).total_seconds()) * SECOND, 2)
        assert second - first >= MINUTE


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25), date(2026, 6, 1)])
def test_each_minute_is_a_slot_on_every_day(day: date) -> None:
    begin = int((datetime.combine(day, time(), UTC) - EPOCH).total_seconds()) * SECOND
    found = runs(Schedule(cron="* * * * *", time_zone="Europe/Berlin"), begin - 1, 5 * 60)
    assert found == [begin + n * MINUTE for n in range(5 * 60)]
