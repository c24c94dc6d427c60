"""How long a source may take, and how a run goes on without one that does not end even when it is told to."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

CALL_GRACE = 0.25  # seconds for a call of a connector to end, once it was cancelled
RUN_GRACE = 1.0  # the same for a whole run, which closes its source then: a cancelled sync has let go within two seconds

T = TypeVar("T")

_log = structlog.get_logger()
_left_behind: set[asyncio.Task[Any]] = set()  # held here, or the loop would forget them in the midst


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a call of a connector may take; after that it has stalled."""

    open: float = 60.0
    batch: float = 600.0  # until a listing gives its next batch, which may be empty
    row: float = 60.0  # for each row of a fetch
    close: float = 10.0


class Stalled(Exception):
    """A call did not come back in time."""


async def within(seconds: float, call: Coroutine[Any, Any, T]) -> T:
    """What the call returns or raises; `Stalled` where that takes longer. One that does not end when it is cancelled is left behind."""
    task = asyncio.ensure_future(call)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        in_time = task.done()
        if not in_time:
            await let_go(task, CALL_GRACE)
    if not in_time:
        raise Stalled
    return task.result()


async def let_go(task: asyncio.Task[Any], seconds: float) -> None:
    """Cancels a task, and waits for its end no longer than `seconds`. Whatever it still wants to write then, its lease refuses."""
    task.cancel()
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        _log.warning("a call of a connector does not end although it was cancelled; it is left behind", call=str(task.get_coro()))
        _left_behind.add(task)
    task.add_done_callback(_forget)


def _forget(task: asyncio.Task[Any]) -> None:
    _left_behind.discard(task)
    if not task.cancelled():
        task.exception()  # nobody waits for it
