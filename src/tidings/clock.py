"""The one place that time comes from, so that tests can hold it and every part means the same by it.

Instants are whole microseconds since 1970-01-01 UTC, everywhere: in the database, in memory, between processes.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Micros = int
SECOND: Micros = 1_000_000
DAY: Micros = 86_400 * SECOND
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_source: Callable[[], Micros] = lambda: time.time_ns() // 1_000  # noqa: E731 - replaced as a whole by `set_source`


def now() -> Micros:
    """The present instant, in microseconds since 1970 UTC."""
    return _source()


def set_source(source: Callable[[], Micros] | None) -> None:
    """Takes instants from `source` from now on; `None` goes back to the machine's clock. For tests."""
    global _source  # noqa: PLW0603 - the one thing about time that tests replace
    _source = source or (lambda: time.time_ns() // 1_000)


def rfc3339(at: Micros) -> str:
    """`2026-11-22T10:55:48.123456Z` (RFC 3339, UTC); without a fraction where it is zero."""
    return (EPOCH + timedelta(microseconds=at)).isoformat().replace("+00:00", "Z")


def parse_rfc3339(text: str) -> Micros:
    """The instant that an RFC 3339 text names. ValueError where it is none, or has no offset."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("an offset is missing: end it with Z or +00:00")
    return (at - EPOCH) // timedelta(microseconds=1)


def day(at: Micros) -> str:
    """The UTC day of an instant, `2026-11-22`."""
    return (EPOCH + timedelta(microseconds=at)).strftime("%Y-%m-%d")


def month(at: Micros) -> str:
    """The UTC month of an instant, `2026-11`."""
    return (EPOCH + timedelta(microseconds=at)).strftime("%Y-%m")
