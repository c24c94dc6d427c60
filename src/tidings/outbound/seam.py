"""Where the network begins: addresses are looked up and checked, and each socket is made for a checked one."""

import asyncio
import socket
from collections.abc import Collection, Sequence
from time import monotonic

from tidings.outbound.answer import Journey
from tidings.outbound.guard import Network, Target, check_address
from tidings.outbound.names import Lookup, Names
from tidings.outbound.own import Place, check_own


class Seam:
    """All transports dial through it."""

    def __init__(self, allowed: Sequence[Network], own: Collection[Place], lookup: Lookup) -> None:
        self._allowed = tuple(allowed)
        self._own = own
        self._names = Names(lookup)

    async def aclose(self) -> None:
        """Gives up all lookups."""
        await self._names.aclose()

    async def addresses(self, target: Target) -> Sequence[str]:
        """Where a target is, unchecked. Raises RequestFailed where its name leads nowhere, RefusedAddress where it is our own."""
        check_own(self._own, target.host, target.port)
        return (str(target.address),) if target.address is not None else await self._names.addresses(target.host)

    def check(self, address: str, port: int, host: str | None = None) -> None:
        """Raises RefusedAddress unless the address may be dialled."""
        check_own(self._own, address, port, host)
        check_address(address, self._allowed, host)

    async def checked_addresses(self, target: Target, journey: Journey) -> Sequence[str]:
        """Where a target is; where one of a name's addresses is special, the whole name is refused."""
        journey.phase, since = "lookup", monotonic()
        addresses = await self.addresses(target)
        if target.address is None:
            journey.passed("lookup", since)
        for address in addresses:
            self.check(address, target.port, target.host)
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
        self.check(address, port)
        journey.phase, journey.dialled, journey.address = "connect", True, address
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.socket(family=family, type=socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0), proto=protocol)
