"""Which URLs and addresses may be reached. Pure: names are resolved elsewhere, the verdict on every address falls here.

Only global unicast addresses pass (IANA special-purpose registries, RFC 6890), and what the operator allowed. Refusals are sentences.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import idna

from tidings.errors import RefusedAddress

SETTING = "TIDINGS_ALLOWED_NETWORKS"
LONGEST_URL = 8192
LONGEST_NAME = 253

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Where cloud machines find their credentials and configuration; nobody's webhook is there. Refused whatever the operator allows.
METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # most clouds
        "169.254.170.2",  # AWS, tasks in containers
        "169.254.170.23",  # AWS, pods
        "169.254.42.42",  # Scaleway
        "169.254.0.23",  # Tencent
        "168.63.129.16",  # Azure, in the midst of public addresses
        "100.100.100.200",  # Alibaba
        "fd00:100::100:200",  # Alibaba
        "192.0.0.192",  # Oracle
        "fd00:c1::a9fe:a9fe",  # Oracle
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",  # AWS, pods
        "fd20:ce::254",  # Google
        "fd00:42::42",  # Scaleway
        "fd00:a9fe:a9fe::1",  # Akamai
        "fe80::a9fe:a9fe",  # OpenStack
    )
)

SPECIAL_V4 = [
    (IPv4Network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "an address of this machine"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "an address shared behind a provider's NAT"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "an address of the IETF's own protocols"),
        ("192.0.2.0/24", "an address for documentation"),
        ("192.88.99.0/24", "a 6to4 relay's address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "an address for benchmarks"),
        ("198.51.100.0/24", "an address for documentation"),
        ("203.0.113.0/24", "an address for documentation"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
]
COMPATIBLE = IPv6Network("::/96")
LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
ENDS_IN_V4 = (IPv6Network("::ffff:0:0/96"), IPv6Network("::ffff:0:0:0/96"), IPv6Network("64:ff9b::/96"), LOCAL_NAT64)
GLOBAL_V6 = IPv6Network("2000::/3")
SPECIAL_V6 = [
    (IPv6Network(network), kind)
    for network, kind in (
        ("::1/128", "a loopback address"),
        ("::/128", "an address of this machine"),
        ("::ffff:0:0/96", "an IPv4 address in the clothes of IPv6"),
        ("::ffff:0:0:0/96", "an IPv4 address in the clothes of IPv6"),
        ("::/96", "an IPv4 address in the clothes of IPv6"),
        ("64:ff9b::/96", "an IPv4 address behind NAT64"),
        ("64:ff9b:1::/48", "an IPv4 address behind NAT64"),
        ("100::/64", "an address that discards everything"),
        ("2001::/32", "an IPv4 address behind Teredo"),
        ("2001::/23", "an address of the IETF's own protocols"),
        ("2001:db8::/32", "an address for documentation"),
        ("2002::/16", "an IPv4 address behind 6to4"),
        ("3fff::/20", "an address for documentation"),
        ("5f00::/16", "an address for segment routing"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private address"),
        ("ff00::/8", "a multicast address"),
    )
]
LOOPBACK_V4, LOOPBACK_V6 = IPv4Address("127.0.0.1"), IPv6Address("::1")

# Ports that no browser dials, so that no request is mistaken for mail, chat and the like (WHATWG Fetch, "bad port").
# fmt: off
BLOCKED_PORTS = frozenset({
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123,
    135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995,
    1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
})
# fmt: on

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://(?P<authority>[^/?#]*))?(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?:#.*)?", re.ASCII)
_NEVER_IN_URL = re.compile(r"[\x00-\x20\\\x7f\s\ud800-\udfff]")
_AUTHORITY = re.compile(r"(?:\[(?P<literal>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[0-9]{0,5}))?", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_UPPER_TO_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart; what is dialled is built from these parts, never from the text that was checked."""

    scheme: str  # http, https
    host: str  # lower-case ASCII, without brackets or trailing dot
    port: int
    path: str  # path and query, ASCII, beginning with a slash
    address: Address | None  # where the host is an address itself

    @property
    def endpoint(self) -> str:
        """`scheme://host:port`: what is slow, dead or hostile together."""
        return f"{self.scheme}://{self._bracketed}:{self.port}"

    @property
    def url(self) -> str:
        """The URL in its normal form."""
        standard = self.port == (443 if self.scheme == "https" else 80)
        return f"{self.scheme}://{self._bracketed}{'' if standard else f':{self.port}'}{self.path}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


@lru_cache(maxsize=4096)
def check_url(url: str) -> Target:
    """The parts of an http(s) URL. Raises RefusedAddress for what no well-meant URL has in it; says nothing yet on where its name leads."""
    if len(url) > LONGEST_URL:
        raise RefusedAddress(f"The URL is longer than {LONGEST_URL} characters.")
    if _NEVER_IN_URL.search(url):
        raise RefusedAddress("The URL has a space, a backslash or a control character in it. Write it percent-encoded.")
    parts = _URL.fullmatch(url)
    if parts is None or parts["scheme"].lower() not in {"http", "https"}:
        raise RefusedAddress("The URL has to begin with https:// or http://.")
    authority = parts["authority"] or ""
    if "@" in authority:
        raise RefusedAddress("The URL has a user name or a password in it. Leave them out; a webhook can send credentials in a custom header.")
    pieces = _AUTHORITY.fullmatch(authority)
    if pieces is None:
        raise RefusedAddress(f"{_shown(authority)} is not a host and a port.")
    scheme = parts["scheme"].lower()
    port = int(pieces["port"] or (443 if scheme == "https" else 80))
    if port in BLOCKED_PORTS or port > 65535:
        raise RefusedAddress(f"Port {port} is not for HTTP; browsers refuse it too. Serve the endpoint at another port.")
    host, address = _literal(pieces["literal"]) if pieces["literal"] is not None else _name(pieces["name"])
    return Target(scheme, host, port, _ascii(parts["path"] or "/") + _ascii(parts["query"] or ""), address)


def check_address(address: Address | str, allowed: Sequence[Network] = (), host: str | None = None) -> None:
    """Raises RefusedAddress unless `address` is global unicast or in one of the allowed networks. `host` is the name that led there, for the sentence."""
    text = str(address)
    subject = f"{text} is" if host is None or host == text else f"{host} resolves to {text},"
    if "%" in text:
        raise RefusedAddress(f"{subject} an address with a zone, which means something on one machine only. Use an address without one.")
    try:
        ip = ip_address(text)
    except ValueError:
        raise RefusedAddress(f"{text!r} is not an IP address.") from None
    inner = _embedded(ip)
    if not METADATA.isdisjoint({ip, inner, *_translations(ip)}):
        raise RefusedAddress(f"{subject} the address where a cloud keeps its machines' credentials (metadata). It is refused whatever the settings say.")
    for candidate in (ip,) if inner is None else (ip, inner):
        special = _special(candidate)
        if special is not None and not _is_allowed(candidate, allowed):
            network, kind = special
            if inner is not None:
                raise RefusedAddress(f"{subject} {kind}, namely {inner}. Use the IPv4 address itself.")
            advised = "127.0.0.0/8" if ip == LOOPBACK_V6 else network
            raise RefusedAddress(f"{subject} {kind}. Ask the operator to add {advised} to {SETTING}.")


def _special(ip: Address) -> tuple[Network, str] | None:
    """The special-purpose network of an address and what it is for; None for global unicast."""
    if isinstance(ip, IPv4Address):
        return next(((network, kind) for network, kind in SPECIAL_V4 if ip in network), None)
    found = next(((network, kind) for network, kind in SPECIAL_V6 if ip in network), None)
    if found is None and ip not in GLOBAL_V6:
        return IPv6Network(ip), "not a global unicast address"
    return found


def _is_allowed(ip: Address, allowed: Sequence[Network]) -> bool:
    """Whoever allows IPv4's loopback means this machine: `localhost` resolves to both."""
    return any(ip in network for network in allowed) or (ip == LOOPBACK_V6 and _is_allowed(LOOPBACK_V4, allowed))


def _embedded(ip: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for in one of the ways of transition."""
    if isinstance(ip, IPv4Address):
        return None
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip.teredo is not None:
        return ip.teredo[1]
    if any(ip in network for network in ENDS_IN_V4) or (ip in COMPATIBLE and int(ip) > 1):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return None


def _translations(ip: Address) -> list[IPv4Address]:
    """What a NAT64 of the operator's own may make of an address: where it looks depends on how long its prefix is (RFC 6052, section 2.2)."""
    if ip not in LOCAL_NAT64:
        return []
    n = int(ip)
    return [IPv4Address(m) for m in ((n >> 64 & 0xFFFF) << 16 | n >> 40 & 0xFFFF, (n >> 64 & 0xFF) << 24 | n >> 32 & 0xFFFFFF, n >> 24 & 0xFFFFFFFF)]


def _literal(text: str) -> tuple[str, Address]:
    """The address between brackets, in its shortest form."""
    if "%" in text:
        raise RefusedAddress(f"{_shown(text)} is an address with a zone, which means something on one machine only. Use an address without one.")
    try:
        address = IPv6Address(text)
    except ValueError:
        raise RefusedAddress(f"{_shown(text)} is not an IPv6 address.") from None
    return str(address), address


@lru_cache(maxsize=4096)
def _name(text: str) -> tuple[str, Address | None]:
    """A host name in lower-case ASCII, or an IPv4 address in its one proper spelling (WHATWG URL: a host that ends in a number is one)."""
    host = text.translate(_UPPER_TO_LOWER).removesuffix(".")
    if not host:
        raise RefusedAddress("The URL has no host.")
    if len(host) <= LONGEST_NAME:
        host = _international(host)
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            address = IPv4Address(host)
        except ValueError:
            raise RefusedAddress(f"{_shown(text)} ends in a number, so it has to be an IPv4 address: four decimal numbers like 192.0.2.1.") from None
        return host, address
    if len(host) > LONGEST_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise RefusedAddress(f"{_shown(text)} is not a host name.")
    return host, None


def _international(host: str) -> str:
    """A name in ASCII, what is international in it checked."""
    try:
        encoded = host if host.isascii() else idna.encode(host, strict=True).decode()
        for label in encoded.split("."):
            if label.startswith("xn--"):
                idna.decode(label)
    except idna.IDNAError as error:
        raise RefusedAddress(f"{_shown(host)} is not an international host name: {error}. Write it in lower case, or in its xn-- form.") from None
    return encoded


def _shown(text: str) -> str:
    """What somebody wrote, as it may stand in a sentence."""
    return repr(text if len(text) <= 100 else f"{text[:100]}…")


def _ascii(text: str) -> str:
    """What is not ASCII, percent-encoded as UTF-8; everything else stays as it was written."""
    return text if text.isascii() else "".join(c if c.isascii() else "".join(f"%{byte:02X}" for byte in c.encode()) for c in text)
