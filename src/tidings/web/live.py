"""Parts of pages that change by themselves: HTML over server-sent events, again whenever the database signals that something may have changed.

A browser that loses the connection opens it again by itself, and is sent the present state first.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tidings.errors import NotFound, Unavailable
from tidings.model.workspaces import Visitor
from tidings.store.signals import Signal
from tidings.web import sessions
from tidings.web.services import Services
from tidings.workspaces import sign_in

MOST = 200  # streams of one process
MOST_OF_SESSION = 12
LOOKS_APART = 0.5  # seconds between two looks at least, however much happens
LOOKS_EVERY = 2.0  # seconds between two looks at most: progress wakes nobody
HEARTBEAT = 15.0  # seconds of silence after which something is said, so that proxies keep the connection
_RELATIVE = re.compile(r"(<time [^>]*data-relative>)[^<]*")
LONGEST = 3600.0  # seconds; then the browser connects again


class Streams:
    """How many are open, of this process and of each session."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def enter(self, session_id: str) -> None:
        """One more. Unavailable where there are too many."""
        if sum(self._open.values()) >= MOST or self._open.get(session_id, 0) >= MOST_OF_SESSION:
            raise Unavailable("Too many pages are open that show what happens as it happens. Close some, or reload this one now and then.")
        self._open[session_id] = self._open.get(session_id, 0) + 1

    def leave(self, session_id: str) -> None:
        """One less."""
        self._open[session_id] -= 1
        if not self._open[session_id]:
            del self._open[session_id]


class _Stream(StreamingResponse):
    """Leaves `streams` when it is over, also where the browser was gone before it began."""

    def __init__(self, events: AsyncIterator[str], streams: Streams, session_id: str) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._streams = streams
        self._session_id = session_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.leave(self._session_id)


async def stream(request: Request, signals: Sequence[str], look: Callable[[], Awaitable[str]]) -> Response:
    """Sends what `look` finds (HTML) as the event `fragment`, at once and whenever it is another; looks again at each of `signals`, and every
    LOOKS_EVERY seconds. Ends when Tidings stops, the session does or leads elsewhere, or what is shown was deleted. Unavailable, and what `look` raises."""
    services: Services = request.state.services
    streams: Streams = request.state.streams
    listening = [services.db.listen(what) for what in signals]  # before the first look, so that nothing falls between them
    first = await look()  # what is wrong with the address is said before the stream begins
    session_id = request.state.visitor.session_id
    streams.enter(session_id)
    return _Stream(_events(request, listening, first, look), streams, session_id)


async def _events(request: Request, listening: Sequence[Signal], first: str, look: Callable[[], Awaitable[str]]) -> AsyncIterator[str]:
    services: Services = request.state.services
    until = time.monotonic() + LONGEST
    shown, said_at = "", time.monotonic()
    yield "retry: 2000\n\n"
    while not services.stopping.is_set() and time.monotonic() < until:
        try:
            if not await _still_looks(request, services):
                return
            found, first = first or await look(), ""
        except NotFound:
            return  # deleted; a browser that connects again is told so
        except Unavailable:
            await _woken([], services.stopping, LOOKS_EVERY)  # the database is away; what was shown stays until it is back
            continue
        if lasting(found) != shown:
            shown, said_at = lasting(found), time.monotonic()
            yield _event(found)
        elif time.monotonic() - said_at > HEARTBEAT:
            said_at = time.monotonic()
            yield ": still here\n\n"
        await asyncio.sleep(LOOKS_APART)
        await _woken(listening, services.stopping, LOOKS_EVERY)


async def _still_looks(request: Request, services: Services) -> bool:
    """Whether the session goes on, in the same workspace and with the same role. Unavailable."""
    began: Visitor = request.state.visitor
    now = await sign_in.visitor_of(services.db, sessions.kept(request, services, sessions.SESSION) or "")
    return now is not None and (now.workspace_id, now.role) == (began.workspace_id, began.role)


def lasting(html: str) -> str:
    """A part of a page without what changes as time goes by; the browser keeps that true by itself."""
    return _RELATIVE.sub(r"\1", html)


def _event(html: str) -> str:
    lines = "".join(f"data: {line}\n" for line in html.splitlines())
    return f"event: fragment\n{lines}\n"


async def _woken(listening: Sequence[Signal], stopping: asyncio.Event, seconds: float) -> None:
    """Until one of the signals is set, Tidings stops, or the time is over."""
    waits = [asyncio.create_task(signal.wait(seconds)) for signal in listening]
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({*waits, stop}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for wait in (*waits, stop):
        wait.cancel()
    await asyncio.gather(*waits, stop, return_exceptions=True)
