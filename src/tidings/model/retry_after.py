"""The header by which a server says when to come back."""

import re
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime

from tidings.clock import DAY, EPOCH, SECOND, Micros

LONGEST_WAIT: Micros = DAY


def read_retry_after(value: str | None, now: Micros) -> Micros | None:
    """The wait that a `Retry-After` header asks for, 0 to 24 h (RFC 9110, section 10.2.3: seconds or a date). None where there is no sense in it."""
    if value is None or len(value) > 100:
        return None
    value = value.strip()
    if re.fullmatch(r"[0-9]+", value):
        return min(int(value) * SECOND, LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(value)
        wait = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - EPOCH) // timedelta(microseconds=1) - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(wait, 0), LONGEST_WAIT)
