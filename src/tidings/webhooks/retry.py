"""What follows from an attempt, and when the next one is due. Pure: the time and the dice come in."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime

from tidings.clock import DAY, EPOCH, SECOND, Micros
from tidings.errors import RefusedAddress, RequestFailed

JITTER = 0.1
LONGEST_WAIT: Micros = DAY
GONE = 410


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The receiver does not have it, and why: a sentence. `disable`: it asked never to be called again; `permanent`: trying again can't help."""

    reason: str
    disable: bool = False
    permanent: bool = False


def judge(outcome: int | RequestFailed | RefusedAddress) -> Delivered | Failed:
    """What an attempt came to: `outcome` is the status of the answer, or what there is instead of one."""
    match outcome:
        case RefusedAddress():
            return Failed(str(outcome), permanent=True)
        case RequestFailed():
            return Failed(str(outcome))
        case int() if 200 <= outcome <= 299:
            return Delivered()
        case int() if outcome == GONE:
            return Failed("The endpoint answered 410 Gone: it wants no more webhooks, so the hook is disabled.", disable=True)
        case int() if 300 <= outcome <= 399:
            return Failed(f"The endpoint answered {outcome}, a redirect. Redirects are not followed: set the target URL to where it leads.")
    return Failed(f"The endpoint answered {outcome}; only 2xx counts as received.")


def next_attempt(schedule: Sequence[float], done: int, now: Micros, retry_after: Micros | None, dice: random.Random) -> Micros | None:
    """When the next attempt is due; None when the schedule is exhausted.

    `schedule`: seconds between attempts; `done`: attempts made in this round of the schedule (a redelivery by hand starts a new one);
    `retry_after`: what the receiver asked for, see `read_retry_after`. The later of both counts.
    """
    if done <= 0:
        return now
    if done > len(schedule):
        return None
    wait = int(schedule[done - 1] * (1 + JITTER * dice.random()) * SECOND)
    return now + max(wait, min(retry_after or 0, LONGEST_WAIT))


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
