"""What follows from an attempt, and when the next one is due."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.clock import DAY, SECOND
from tidings.errors import RefusedAddress, RequestFailed
from tidings.model.retry_after import read_retry_after
from tidings.webhooks.retry import Delivered, Failed, judge, next_attempt

schedules = st.lists(st.floats(0, 200_000), max_size=12)
instants = st.integers(0, 4_000_000_000 * SECOND)
waits = st.none() | st.integers(0, DAY)
dice = st.integers().map(random.Random)


@given(schedules, st.integers(0, 20), instants, waits, dice)
def test_the_next_attempt_is_the_later_of_schedule_and_retry_after(schedule: list[float], done: int, now: int, asked: int | None, rng: random.Random) -> None:
    due = next_attempt(schedule, done, now, asked, rng)
    if done == 0:
        assert due == now
    elif done > len(schedule):
        assert due is None
    else:
        wait = schedule[done - 1] * SECOND
        assert due is not None
        assert due >= now + max(int(wait), asked or 0)
        assert due <= now + max(wait * 1.1, asked or 0)


@given(schedules, instants, dice)
def test_a_schedule_of_n_waits_allows_n_more_attempts(schedule: list[float], now: int, rng: random.Random) -> None:
    attempts, due = 0, next_attempt(schedule, 0, now, None, rng)
    while due is not None:
        attempts += 1
        now, due = due, next_attempt(schedule, attempts, due, None, rng)
    assert attempts == len(schedule) + 1


@given(st.floats(1, 200_000), instants)
def test_jitter_spreads(wait: float, now: int) -> None:
    dues = {next_attempt([wait], 1, now, None, random.Random(seed)) for seed in range(50)}
    assert len(dues) > 40


def test_more_than_a_day_is_never_waited_for_a_receiver() -> None:
    assert next_attempt([5], 1, 0, 30 * DAY, random.Random(1)) == DAY
    assert next_attempt([200_000], 1, 0, 30 * DAY, random.Random(1)) == pytest.approx(210_000 * SECOND, rel=0.05), "but the schedule may"


@given(st.integers(0, 10**30), instants)
def test_retry_after_in_seconds(seconds: int, now: int) -> None:
    assert read_retry_after(f" {seconds} ", now) == min(seconds * SECOND, DAY)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2090, 1, 1)), instants)  # noqa: DTZ001 - the zone is put on below
def test_retry_after_as_a_date(at: datetime, now: int) -> None:
    at = at.replace(tzinfo=UTC, microsecond=0)
    expected = min(max(int(at.timestamp()) * SECOND - now, 0), DAY)
    spellings = [format_datetime(at, usegmt=True), at.strftime("%a %b %e %H:%M:%S %Y")]
    if 1970 <= at.year <= 2068:
        spellings.append(at.strftime("%A, %d-%b-%y %H:%M:%S GMT"))
    for spelling in spellings:
        assert read_retry_after(spelling, now) == expected, spelling


def test_dates_with_an_offset_count_from_utc() -> None:
    at = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    now = int((at - timedelta(minutes=5)).timestamp()) * SECOND
    assert read_retry_after("Sun, 22 Nov 2026 14:00:00 +0200", now) == 300 * SECOND
    assert read_retry_after("Sun, 22 Nov 2026 12:00:00 -0000", now) == 300 * SECOND


@given(st.text(max_size=120))
def test_garbage_is_ignored(value: str) -> None:
    wait = read_retry_after(value, 0)
    assert wait is None or 0 <= wait <= DAY


@pytest.mark.parametrize(
    "value", [None, "", "soon", "-5", "1.5", "5 minutes", "٣", "Thu, 99 Nov 2026 99:00:00 GMT", "9" * 101, "0x10", "Mon, 01 Jan 99999 00:00:00 GMT"]
)
def test_what_is_no_retry_after(value: str | None) -> None:
    assert read_retry_after(value, 0) is None


@given(st.integers(100, 999))
def test_only_2xx_is_delivered(status: int) -> None:
    verdict = judge(status)
    assert isinstance(verdict, Delivered) is (200 <= status <= 299)
    if isinstance(verdict, Failed):
        assert str(status) in verdict.reason
        assert verdict.disable is (status == 410)
        assert not verdict.permanent


def test_a_redirect_says_what_to_do() -> None:
    verdict = judge(302)
    assert isinstance(verdict, Failed)
    assert "set the target URL to where it leads" in verdict.reason


def test_what_can_never_succeed_is_not_tried_again() -> None:
    assert judge(RefusedAddress("10.0.0.5 is a private address.")) == Failed("10.0.0.5 is a private address.", permanent=True)
    assert judge(RequestFailed("Nobody answered within 15 s.", code="timeout")) == Failed("Nobody answered within 15 s.")
