"""Politeness towards other people's servers: over all syncs of this process, few requests at a time, and none while a host asks to be left alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from weakref import WeakKeyDictionary

from tidings.errors import RequestFailed
from tidings.outbound import Outbound

AT_ONCE = 2
LONGEST_REST = 60.0  # seconds that a request waits where its host asks for patience; for longer ones it is not even tried
REMEMBERED = 1_000  # hosts


class _Host:
    """What is known of one host. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.slots: dict[int, asyncio.Semaphore] = {}  # by how many requests whoever asks may have under way
        self.users = 0
        self.next_at = 0.0


class Hosts:
    """Whose turn it is at each host."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def turn(self, name: str, pause: float = 0.0, at_once: int = AT_ONCE) -> AsyncIterator[None]:
        """Waits until a request may be sent; `pause`: seconds that the host wants between the beginnings of two; `at_once`: how many may be
        under way, more than two of a host that is made for it. RequestFailed (`busy`)."""
        self._forget()
        host = self._hosts.setdefault(name, _Host())
        host.users += 1
        try:
            async with host.slots.setdefault(at_once, asyncio.Semaphore(at_once)):
                while (wait := host.next_at - monotonic()) > 0:
                    if wait > LONGEST_REST:
                        raise RequestFailed(f"{name} asks to be left alone for another {wait / 60:.0f} minutes. Sync again after that.", code="busy")
                    await asyncio.sleep(wait)
                host.next_at = max(host.next_at, monotonic() + pause)
                yield
        finally:
            host.users -= 1

    def rest(self, name: str, seconds: float) -> None:
        """Nothing more is asked of this host for so long."""
        host = self._hosts.setdefault(name, _Host())
        host.next_at = max(host.next_at, monotonic() + seconds)

    def _forget(self) -> None:
        if len(self._hosts) > REMEMBERED:
            now = monotonic()
            self._hosts = {name: host for name, host in self._hosts.items() if host.users or host.next_at > now}


_hosts: WeakKeyDictionary[Outbound, Hosts] = WeakKeyDictionary()


def hosts_of(outbound: Outbound) -> Hosts:
    """The turns at all hosts beyond this door, of which a process has one."""
    return _hosts.setdefault(outbound, Hosts())
