"""Where the network begins: addresses are looked up and checked, and each socket is made for a checked one."""

import asyncio
import socket
from collections.abc import Collection, Sequence
from ipaddress import ip_network
from time import monotonic

from tidings.outbound.answer import Journey
from tidings.outbound.guard import Network, Target, check_address
from tidings.outbound.names import Lookup, Names
from tidings.outbound.own import Place, check_own, is_inbox, is_own

ANYWHERE: tuple[Network, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class Seam:
    """All transports dial through it."""

    def __init__(self, allowed: Sequence[Network], own: Collection[Place], inboxes: str | None, lookup: Lookup) -> None:
        self._allowed = tuple(allowed)
        self._own = own
        self._inboxes = inboxes
        self._names = Names(lookup)

    async def aclose(self) -> None:
        """Gives up all lookups."""
        await self._names.aclose()

    def admit(self, target: Target) -> bool:
        """Whether a POST is one to an inbox of ours, for which alone our own address is not refused. Raises RefusedAddress where the target is our own and
        none. Asked for every POST: on a connection that was kept, nothing else would tell one path from another."""
        if is_inbox(self._inboxes, target):
            return True
        check_own(self._own, target.host, target.port)
        return False

    async def addresses(self, target: Target, *, inbox: bool = False) -> Sequence[str]:
        """Where a target is, unchecked. Raises RequestFailed where its name leads nowhere, RefusedAddress where it is our own and no `inbox`."""
        if not inbox:
            check_own(self._own, target.host, target.port)
        return (str(target.address),) if target.address is not None else await self._names.addresses(target.host)

    def check(self, address: str, port: int, host: str | None = None, *, inbox: bool = False) -> None:
        """Raises RefusedAddress unless the address may be dialled; for an `inbox`, where we ourselves are reached needs no allowed network."""
        if inbox and is_own(self._own, address, port):
            check_address(address, ANYWHERE, host)
        else:
            check_own(self._own, address, port, host)
            check_address(address, self._allowed, host)

    async def checked_addresses(self, target: Target, journey: Journey) -> Sequence[str]:
        """Where a target is; where one of a name's addresses is special, the whole name is refused."""
        journey.phase, since = "lookup", monotonic()
        addresses = await self.addresses(target, inbox=journey.inbox)
        if target.address is None:
            journey.passed("lookup", since)
        for address in addresses:
            self.check(address, target.port, target.host, inbox=journey.inbox)
        return addresses

    async def dial(self, target: Target, deadline: float, journey: Journey) -> socket.socket:
        """A socket connected to the first address of a target that accepts, until `deadline` (monotonic seconds). Raises OSError where none does, and as
        `checked_addresses` and `socket` do.
        """
        addresses = await self.checked_addresses(target, journey)
        since = monotonic()
        for left, address in zip(range(len(addresses) - 1, -1, -1), addresses, strict=True):
            sock = self.socket(address, target.port, journey)
            try:
                sock.setblocking(False)  # noqa: FBT003 - its own signature
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # an address where nobody answers leaves time for the next
                async with asyncio.timeout((deadline - monotonic()) / (left + 1)):
                    await asyncio.get_running_loop().sock_connect(sock, (address, target.port))
                break
            except OSError:
                sock.close()
                if not left:
                    raise
            except BaseException:
                sock.close()
                raise
        journey.passed("connect", since)
        return sock

    def socket(self, address: str, port: int, journey: Journey, protocol: int = 0) -> socket.socket:
        """A socket for the very address that is about to be connected; every connect passes here, so here the guard has the last word."""
        self.check(address, port, inbox=journey.inbox)
        journey.phase, journey.dialled, journey.address = "connect", True, address
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.socket(family=family, type=socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0), proto=protocol)
