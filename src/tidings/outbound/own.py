"""Where this Tidings itself is reached. Nothing is sent there but webhooks to its inboxes, or a webhook could call our API and our trigger URLs."""

import asyncio
import re
import socket
from collections.abc import Collection
from contextlib import suppress
from ipaddress import IPv6Address, ip_address

from tidings.errors import RefusedAddress, RequestFailed
from tidings.outbound.guard import Target, check_url
from tidings.outbound.names import Lookup, Names, system_lookup

# A host and a port; the host is a lower-case name, or an address in its shortest form.
Place = tuple[str, int]

PROXY_PORTS = (80, 443)
LOOKUP_SECONDS = 3

# Where inboxes are, under the base URL: below it stands what nobody can guess, and nothing else.
INBOX_PATH = "/api/public/inbox/"
INBOX_SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


async def own_places(listener: Place | None, base_url: str | None, lookup: Lookup = system_lookup) -> frozenset[Place]:
    """The address that this process listens on, and the host of the base URL with the addresses that it has now.

    At ports 80 and 443 the base URL counts by its name alone: a proxy that stands there serves other names at the same address.
    """
    places = set() if listener is None else {listener}
    names = Names(lookup)
    # a base URL that the guard refuses can't be dialled in the first place; one whose name leads nowhere yet counts by its name
    with suppress(RefusedAddress, RequestFailed, TimeoutError):
        if base_url is not None:
            base = check_url(base_url)
            places.add((base.host, base.port))
            if base.address is None and base.port not in PROXY_PORTS:
                async with asyncio.timeout(LOOKUP_SECONDS):
                    places |= {(address, base.port) for address in await names.addresses(base.host)}
    await names.aclose()
    return frozenset(places)


def inboxes_at(base_url: str | None) -> str | None:
    """What the URLs of our inboxes begin with, in their normal form; None where there is no base URL that the guard takes."""
    with suppress(RefusedAddress):
        return None if base_url is None else check_url(f"{base_url}{INBOX_PATH}").url
    return None


def is_inbox(inboxes: str | None, target: Target) -> bool:
    """Whether a target is spelled as an inbox of ours, to the letter: whatever lies between us and the base URL makes nothing else of it."""
    url = target.url
    return inboxes is not None and url.startswith(inboxes) and INBOX_SECRET.fullmatch(url, len(inboxes)) is not None


def is_own(own: Collection[Place], host: str, port: int) -> bool:
    """Whether `host`, a name or an address, is our own at this port."""
    return any(port == our_port and _same(host, our_host) for our_host, our_port in own)


def check_own(own: Collection[Place], host: str, port: int, name: str | None = None) -> None:
    """Raises RefusedAddress where `is_own`. `name` is the name that led to `host`, for the sentence."""
    if is_own(own, host, port):
        subject = f"{host} at port {port} is" if name is None or name == host else f"{name} resolves to {host}, which at port {port} is"
        raise RefusedAddress(f"{subject} this Tidings itself. It sends nothing to itself but to its inboxes.")


def _same(host: str, ours: str) -> bool:
    """Whether who dials `host` reaches who listens on `ours`, given that the ports agree."""
    if host == ours:
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_unspecified or ours in {"0.0.0.0", "::"}:  # noqa: S104 - to dial it means this machine, to listen on it all of its addresses
        return is_of_this_machine(str(address))
    return str(address) == ours


def is_of_this_machine(address: str) -> bool:
    """Whether an address is one of this machine's own: only to those can a socket be bound. Sends nothing."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
