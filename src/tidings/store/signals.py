"""Waking up those who wait for due work: no promise, only speed. A slow poll beside it catches what is lost."""

import asyncio
import weakref
from collections.abc import Iterable


class Signal:
    """What one waiter listens on. A wake between two waits is kept, so that none falls in the gap."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wakes the waiter; from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, timeout: float) -> bool:  # noqa: ASYNC109 - the poll beside the signal is the point
        """Returns when woken (True), or after `timeout` seconds (False)."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Signals:
    """Who waits for what, within this process. A tuple of waiters is never changed: a thread that wakes them may be going through it."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[weakref.ref[Signal], ...]] = {}

    def listen(self, what: str) -> Signal:
        """A signal that is set by every later `wake(what)`, for as long as it is held. From the event loop."""
        signal = Signal()
        there = [waiter for waiter in self._waiting.get(what, ()) if waiter() is not None]
        self._waiting[what] = (*there, weakref.ref(signal))
        return signal

    def wake(self, woken: Iterable[str]) -> None:
        """Sets the signals of all names in `woken`; from any thread."""
        for what in woken:
            for waiter in self._waiting.get(what, ()):
                signal = waiter()
                if signal is not None:
                    signal.set()

    def names(self) -> list[str]:
        """Everything that somebody has listened for."""
        return list(self._waiting)
