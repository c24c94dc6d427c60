"""Host names to addresses, by the system's resolver in threads that nobody waits for."""

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from tidings.errors import RequestFailed

LOOKUPS_AT_ONCE = 512  # more than a dispatcher has requests to slow and fresh endpoints, and those that have given up besides: never do all of them hang

# The addresses of a host, as texts; OSError (socket.gaierror) where there are none. Runs in a thread.
Lookup = Callable[[str], Sequence[str]]


def system_lookup(host: str) -> list[str]:
    """What the machine's own resolver says, in its order."""
    return list(dict.fromkeys(str(address[0]) for *_, address in socket.getaddrinfo(host.encode(), None, type=socket.SOCK_STREAM)))


class Names:
    """Looks names up anew for each connection. Requests that ask for one name at the same time share one lookup, so a slow name holds one thread."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._slots = asyncio.Semaphore(LOOKUPS_AT_ONCE)
        self._running: dict[str, asyncio.Task[Sequence[str]]] = {}

    async def addresses(self, host: str) -> Sequence[str]:
        """At least one address. Raises RequestFailed where the name leads nowhere."""
        task = self._running.get(host)
        if task is None:
            task = self._running[host] = asyncio.create_task(self._look_up(host))
            task.add_done_callback(lambda done: self._forget(host, done))
        try:
            found = await asyncio.shield(task)
        except socket.gaierror as error:
            again = error.errno == socket.EAI_AGAIN
            raise RequestFailed(f"The name servers gave no answer for {host}." if again else f"The name {host} was not found.", code="dns") from None
        except (OSError, UnicodeError) as error:
            raise RequestFailed(f"The name {host} could not be looked up: {error}.", code="dns") from None
        if not found:
            raise RequestFailed(f"The name {host} has no address.", code="dns")
        return found

    async def aclose(self) -> None:
        """Waits for no lookup: their threads end by themselves, and end with the process."""
        for task in list(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _forget(self, host: str, task: asyncio.Task[Sequence[str]]) -> None:
        del self._running[host]
        if not task.cancelled():
            task.exception()  # seen: those who asked may all have run out of time

    async def _look_up(self, host: str) -> Sequence[str]:
        async with self._slots:
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[Sequence[str]] = loop.create_future()
            threading.Thread(target=_answer, args=(loop, answer, self._lookup, host), name=f"lookup {host}", daemon=True).start()
            return await answer


def _answer(loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Sequence[str]], lookup: Lookup, host: str) -> None:
    def settle(found: Sequence[str] | Exception) -> None:
        if answer.done():
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    try:
        found: Sequence[str] | Exception = lookup(host)
    except (OSError, UnicodeError) as error:
        found = error
    with suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(settle, found)
