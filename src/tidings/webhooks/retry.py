"""What follows from an attempt, and when the next one is due. Pure: the time and the dice come in."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tidings.clock import SECOND, Micros
from tidings.errors import RefusedAddress, RequestFailed
from tidings.model.retry_after import LONGEST_WAIT

JITTER = 0.1
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
            return Failed("The endpoint answered 410 Gone: it wants no more webhooks.", disable=True)
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
