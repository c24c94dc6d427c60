"""Remembers the calls of trigger hooks for people, without any call having to wait for it.

Calls are collected in memory and written down once a second in a few short writes, and at a clean stop. A `kill -9` takes the last second
of this log with it, and nothing else: an accepted call is durable in its sync before it is answered.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator

import structlog

from tidings.errors import Unavailable
from tidings.model.trigger_calls import TriggerCall
from tidings.store import trigger_log
from tidings.store.database import Database

EVERY_SECONDS = 1.0
COLLECTED = 500  # calls of each kind that wait to be written; the newest stay
WRITTEN = 50  # calls in one write

_log = structlog.get_logger()


class CallLog:
    """Accepted calls, those refused to somebody who knew the secret, and all others wait in three rooms of bounded size: a flood of
    one kind pushes out none of another. Whether a hook has the id that a stranger called is only looked up when it is written down, so
    that no answer depends on it. What can't be written is dropped."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._accepted, self._refused, self._strangers = (deque[TriggerCall](maxlen=COLLECTED) for _ in range(3))
        self._turn = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None

    def add(self, call: TriggerCall, *, stranger: bool = False) -> None:
        """Remembers a call. `stranger`: whoever called did not show the hook's secret."""
        room = self._accepted if call.accepted else self._strangers if stranger else self._refused
        room.append(call)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_on())

    async def write(self) -> None:
        """Writes down what was collected."""
        async with self._turn:
            calls = sorted(self._taken(), key=lambda call: call.at)
            for start in range(0, len(calls), WRITTEN):
                try:
                    await self._db.write_bulk(trigger_log.add, calls[start : start + WRITTEN])
                except Unavailable as error:
                    _log.warning("calls of trigger hooks are missing in their lists", calls=len(calls) - start, reason=str(error))
                    return

    async def _write_on(self) -> None:
        """Every now and then, until nobody calls any more."""
        try:
            while self._accepted or self._refused or self._strangers:
                await asyncio.sleep(EVERY_SECONDS)
                await self.write()
        finally:
            self._writing = None

    def _taken(self) -> Iterator[TriggerCall]:
        """What was collected, but for what newer calls of the same write would push out again."""
        counted: Counter[tuple[str, bool]] = Counter()
        for room in (self._accepted, self._refused, self._strangers):
            while room:
                call = room.pop()
                counted[call.webhook_id, call.accepted] += 1
                if counted[call.webhook_id, call.accepted] <= trigger_log.KEPT:
                    yield call
