"""Connections between requests, and the time that requests have."""

import asyncio
import math
from collections import OrderedDict
from time import monotonic

from tidings.outbound.connection import Connection

KEEP_ALIVE_SECONDS = 90
IDLE_CONNECTIONS = 256


class Kept:
    """Idle connections: for each endpoint the one used last goes first; of all, those idle for longest are closed first."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, seconds: float = KEEP_ALIVE_SECONDS, most: int = IDLE_CONNECTIONS) -> None:
        self._loop = loop
        self._seconds, self._most = seconds, most
        self._idle: OrderedDict[Connection, float] = OrderedDict()  # since when, the oldest first
        self._by_endpoint: dict[str, list[Connection]] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    def take(self, endpoint: str) -> Connection | None:
        """A connection that can be used."""
        stack = self._by_endpoint.get(endpoint)
        while stack:
            connection = stack.pop()
            if not stack:
                del self._by_endpoint[endpoint]
            del self._idle[connection]
            if connection.usable:
                return connection
        return None

    def put(self, connection: Connection) -> None:
        """Keeps a connection, if it can be used again."""
        if self._closed:
            connection.close()
        if not connection.usable:
            return
        self._idle[connection] = monotonic()
        self._by_endpoint.setdefault(connection.endpoint, []).append(connection)
        if len(self._idle) > self._most:
            self._close_oldest()
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._seconds / 3, self._sweep)

    def forget(self, connection: Connection) -> None:
        """A connection is idle no more, if it was."""
        if self._idle.pop(connection, None) is None:
            return
        stack = self._by_endpoint[connection.endpoint]
        stack.remove(connection)
        if not stack:
            del self._by_endpoint[connection.endpoint]

    def close(self) -> None:
        """Closes what is idle; what is in use is closed when it comes back."""
        self._closed = True
        while self._idle:
            self._close_oldest()
        if self._sweeping is not None:
            self._sweeping.cancel()

    def _close_oldest(self) -> None:
        oldest = next(iter(self._idle))
        self.forget(oldest)
        oldest.close()

    def _sweep(self) -> None:
        now = monotonic()
        while self._idle and now - next(iter(self._idle.values())) >= self._seconds:
            self._close_oldest()
        self._sweeping = self._loop.call_later(self._seconds / 3, self._sweep) if self._idle else None


class Deadlines:
    """One timer for all exchanges under way; one each would cost a fifth of a request."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ends: dict[Connection, float] = {}
        self._at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, connection: Connection, at: float) -> None:
        """Lets the connection fail at this time (monotonic seconds) unless it is forgotten before."""
        self._ends[connection] = at
        if at < self._at:
            self._wind(at)

    def forget(self, connection: Connection) -> None:
        """Its exchange is over."""
        del self._ends[connection]

    def _wind(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        self._timer = self._loop.call_later(max(0, at - monotonic()) + 0.001, self._ring)

    def _ring(self) -> None:
        now, self._timer, self._at = monotonic(), None, math.inf
        for connection in [connection for connection, at in self._ends.items() if at <= now]:
            connection.fail(TimeoutError())
        to_come = min((at for at in self._ends.values() if at > now), default=math.inf)
        if to_come < math.inf:
            self._wind(to_come)
