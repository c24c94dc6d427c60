"""Work that is short for most things and long for a few: of those, it is done where it holds nobody up."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SMALL = 256 << 10  # bytes or characters, which take about a millisecond


async def aside(size: int, work: Callable[[], T]) -> T:
    """What `work`, on something of this size, returns: in a thread where it is large, else at once."""
    return work() if size <= SMALL else await asyncio.to_thread(work)
