"""Holding an answer back until something has happened."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tidings.store.database import Database
from tidings.web.services import Services

T = TypeVar("T")
POLL = 1.0  # seconds; signals come first, this catches what they miss


async def held_back(services: Services, db: Database, what: str, seconds: float, *, look: Callable[[], Awaitable[T]], enough: Callable[[T], bool]) -> T:
    """What `look` finds as soon as it is `enough`, or what it finds after `seconds`, or when the server is to end. Looks again at each signal of `what`."""
    signal = db.listen(what) if seconds > 0 else None
    until = time.monotonic() + seconds
    while True:
        found = await look()
        left = until - time.monotonic()
        if signal is None or left <= 0 or enough(found) or services.stopping.is_set():
            return found
        await signal.wait(min(left, POLL))
