"""What the guard lets pass, by table and by property. Nothing here touches a network."""

import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.guard_urls import NORMAL, REFUSED, REFUSED_BY, SPECIAL_SPELLINGS
from tidings.errors import RefusedAddress
from tidings.outbound import check_address, check_url
from tidings.outbound.guard import METADATA

EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))
LOOPBACK = (ip_network("127.0.0.0/8"),)
v4 = st.integers(0, 2**32 - 1).map(IPv4Address)
v6 = st.integers(0, 2**128 - 1).map(IPv6Address)
v6_near = st.sampled_from([0, 0x64FF9B << 96, 0x2001 << 112, 0x2002 << 112, 0x3FFF << 112, 0xFC << 120, 0xFE8 << 116, 0xFEC << 116, 0xFF << 120, 0x5F << 120])

PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1", "11.0.0.1", "223.255.255.255"]
PUBLIC += ["2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "2001:4860:4860::8888", "2400:cb00::1", "2620:fe::fe"]

SPECIAL = {
    "0.0.0.0": "0.0.0.0/8",  # noqa: S104 - refused, not bound
    "0.1.2.3": "0.0.0.0/8",
    "10.0.0.5": "10.0.0.0/8",
    "100.64.0.1": "100.64.0.0/10",
    "127.0.0.1": "127.0.0.0/8",
    "127.255.255.254": "127.0.0.0/8",
    "169.254.1.1": "169.254.0.0/16",
    "172.16.0.1": "172.16.0.0/12",
    "172.31.255.255": "172.16.0.0/12",
    "192.0.0.8": "192.0.0.0/24",
    "192.0.2.1": "192.0.2.0/24",
    "192.88.99.1": "192.88.99.0/24",
    "192.168.1.1": "192.168.0.0/16",
    "198.18.0.1": "198.18.0.0/15",
    "198.19.255.255": "198.18.0.0/15",
    "198.51.100.7": "198.51.100.0/24",
    "203.0.113.7": "203.0.113.0/24",
    "224.0.0.1": "224.0.0.0/4",
    "239.255.255.250": "224.0.0.0/4",
    "240.0.0.1": "240.0.0.0/4",
    "255.255.255.255": "240.0.0.0/4",
    "::": "::/128",
    "::1": "127.0.0.0/8",
    "100::1": "100::/64",
    "100:0:0:1::1": "100:0:0:1::1/128",
    "2001:2::1": "2001::/23",
    "2001:db8::1": "2001:db8::/32",
    "3fff::1": "3fff::/20",
    "5f00::1": "5f00::/16",
    "4000::1": "4000::1/128",
    "1000::1": "1000::1/128",
    "fc00::1": "fc00::/7",
    "fd12:3456::1": "fc00::/7",
    "fe80::1": "fe80::/10",
    "fec0::1": "fec0::/10",
    "ff02::1": "ff00::/8",
}
# Every network that the guard knows, by its lowest and its highest address.
NETWORKS = "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15"
NETWORKS += " 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32 ::/96 ::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64"
NETWORKS += " 2001::/32 2001::/23 2001:db8::/32 2002::/16 3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8 ::/3 4000::/2 8000::/1"
# The public addresses right beside them; where there is none, another network lies there.
BESIDE = "1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0"
BESIDE += " 191.255.255.255 192.0.1.0 192.0.1.255 192.0.3.0 192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255"
BESIDE += " 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255 168.63.129.15 168.63.129.17 2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2001:200::"
BESIDE += (
    " 2001:db7:ffff:ffff:ffff:ffff:ffff:ffff 2001:db9:: 2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2003:: 3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff 3fff:1000::"
)
BESIDE += " 2000:: 3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
CLOTHED = [
    "::ffff:10.0.0.5",
    "::ffff:8.8.8.8",
    "::10.0.0.5",
    "::8.8.8.8",
    "64:ff9b::a00:5",
    "64:ff9b::808:808",
    "64:ff9b:1::a00:5",
    "::ffff:0:10.0.0.5",
    "2002:a00:5::1",
]
CLOTHED += ["2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "::ffff:127.0.0.1", "0:0:0:0:0:ffff:7f00:1"]


@pytest.mark.parametrize("address", PUBLIC)
def test_global_unicast_passes(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize("network", NETWORKS.split())
def test_a_special_network_is_refused_from_its_lowest_to_its_highest_address(network: str) -> None:
    for address in (ip_network(network)[0], ip_network(network)[-1]):
        assert not passes(address)


@pytest.mark.parametrize("address", BESIDE.split())
def test_what_lies_beside_a_special_network_passes(address: str) -> None:
    assert passes(address)


@pytest.mark.parametrize(("address", "network"), SPECIAL.items())
def test_special_addresses_are_refused_and_the_operator_may_allow_them(address: str, network: str) -> None:
    with pytest.raises(RefusedAddress) as caught:
        check_address(address, (), "hooks.example.com")
    said = str(caught.value)
    assert said.startswith(f"hooks.example.com resolves to {address}, ")
    assert said.endswith(f"Ask the operator to add {network} to TIDINGS_ALLOWED_NETWORKS.")
    check_address(address, (ip_network(network),))
    with pytest.raises(RefusedAddress):
        check_address(address, (ip_network("203.0.113.128/25"),))


@pytest.mark.parametrize("address", CLOTHED)
def test_ipv4_in_the_clothes_of_ipv6_is_refused(address: str) -> None:
    with pytest.raises(RefusedAddress, match="Use the IPv4 address itself"):
        check_address(address)


@pytest.mark.parametrize("address", sorted(map(str, METADATA)))
def test_metadata_is_refused_whatever_is_allowed(address: str) -> None:
    spellings = [address]
    if "." in address:
        packed = int(IPv4Address(address))
        spellings += [f"::ffff:{address}", f"64:ff9b::{address}", f"::{address}", str(IPv6Address((0x2002 << 112) | (packed << 80)))]
    for spelling in spellings:
        with pytest.raises(RefusedAddress, match=r"metadata.*whatever the settings say"):
            check_address(spelling, EVERYTHING)


@pytest.mark.parametrize("address", ["64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::", "64:ff9b:1:0:a9:fea9:fe00:0", "64:ff9b:1::a9fe:a9fe"])
def test_metadata_behind_a_nat64_of_the_operators_own_is_refused_however_long_its_prefix_is(address: str) -> None:
    check_address("64:ff9b:1::808:808", (ip_network("64:ff9b:1::/48"),))
    with pytest.raises(RefusedAddress, match="metadata"):
        check_address(address, EVERYTHING)


@pytest.mark.parametrize("address", ["fe80::1%eth0", "::1%1", "1.2.3.4%x"])
def test_zones_are_refused_whatever_is_allowed(address: str) -> None:
    with pytest.raises(RefusedAddress, match="zone"):
        check_address(address, EVERYTHING)


@pytest.mark.parametrize("address", ["", "localhost", "127.1", "0177.0.0.1", "1.2.3.4/32", "[::1]"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(RefusedAddress, match="not an IP address"):
        check_address(address, EVERYTHING)


def test_who_allows_loopback_means_both_of_its_addresses() -> None:
    check_address("::1", LOOPBACK)
    check_address("127.0.0.1", LOOPBACK)
    with pytest.raises(RefusedAddress):
        check_address("::1", (ip_network("127.0.0.2/32"),))
    with pytest.raises(RefusedAddress):
        check_address("127.0.0.1", (ip_network("::1/128"),))


def test_an_address_by_itself_is_named_as_such() -> None:
    with pytest.raises(RefusedAddress) as caught:
        check_address("10.0.0.5")
    assert str(caught.value) == "10.0.0.5 is a private address. Ask the operator to add 10.0.0.0/8 to TIDINGS_ALLOWED_NETWORKS."
    with pytest.raises(RefusedAddress) as caught:
        check_address("10.0.0.5", (), "hooks.internal")
    assert str(caught.value).startswith("hooks.internal resolves to 10.0.0.5, a private address. Ask the operator")


def passes(address: object, *allowed: IPv4Network | IPv6Network) -> bool:
    try:
        check_address(str(address), allowed)
    except RefusedAddress:
        return False
    return True


@given(v4 | v6 | st.builds(lambda high, low: IPv6Address(high | low), v6_near, st.integers(0, 2**112 - 1)))
def test_whatever_passes_is_global_unicast(address: IPv4Address | IPv6Address) -> None:
    """Judged by the standard library, which is laxer than the guard, never stricter."""
    if passes(address):
        assert address.is_global
        named = ("multicast", "reserved", "loopback", "link_local", "unspecified", "private")
        assert not any(getattr(address, f"is_{name}") for name in named)
        assert address.version == 4 or address in ip_network("2000::/3")


@given(v4)
def test_most_of_ipv4_passes(address: IPv4Address) -> None:
    others = map(ip_network, ("192.88.99.0/24", "192.0.0.0/24", "168.63.129.16/32", "224.0.0.0/3", "100.64.0.0/10"))
    if address.is_global and not any(address in network for network in others):
        assert passes(address)


@given(v4, st.booleans())
def test_no_clothes_help_an_address(address: IPv4Address, outer_allowed: bool) -> None:  # noqa: FBT001 - drawn
    packed = int(address)
    clothed = [(0xFFFF << 32) | packed, (0x64FF9B << 96) | packed, (0x64FF9B0001 << 80) | packed, (0x2002 << 112) | (packed << 80)]
    clothed += [(0x2001 << 112) | (packed ^ 0xFFFFFFFF)] + ([packed] if packed > 1 else [])
    for number in clothed:
        outer = IPv6Address(number)
        assert not passes(outer)
        if outer_allowed and not passes(address):
            assert not passes(outer, IPv6Network(outer)), "the operator allowed the clothes, not the address"


@given(v4 | v6)
def test_what_is_allowed_passes(address: IPv4Address | IPv6Address) -> None:
    inner = address.version == 6 and (address.ipv4_mapped or address.sixtofour or address.teredo)
    if address not in METADATA and not inner:
        assert passes(address, *EVERYTHING)


@given(v4 | v6)
def test_spellings_do_not_matter(address: IPv4Address | IPv6Address) -> None:
    assert passes(address) == passes(address.exploded) == passes(address.compressed.upper())


# URLs -----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("url", "normal"), NORMAL.items())
def test_ordinary_urls_pass_in_their_normal_form(url: str, normal: str) -> None:
    target = check_url(url)
    assert target.url == normal
    assert check_url(normal) == target


def test_the_endpoint_is_scheme_host_and_port() -> None:
    assert check_url("https://Example.com/a").endpoint == check_url("https://example.com:443/b?c").endpoint == "https://example.com:443"
    assert check_url("http://[::1]/").endpoint == "http://[::1]:80"


@pytest.mark.parametrize(("reason", "url"), [(reason, url) for reason, urls in REFUSED_BY.items() for url in urls])
def test_odd_urls_are_refused_for_their_reason(reason: str, url: str) -> None:
    with pytest.raises(RefusedAddress, match=re.escape(reason)) as caught:
        check_url(url)
    assert str(caught.value).endswith(".")
    assert len(str(caught.value)) < 400
    str(caught.value).encode()  # lone surrogates are not passed on


@pytest.mark.parametrize(("url", "said"), SPECIAL_SPELLINGS.items())
def test_odd_spellings_of_special_addresses_are_seen_through(url: str, said: str) -> None:
    target = check_url(url)
    assert target.address is not None
    with pytest.raises(RefusedAddress, match=re.escape(said)):
        check_address(target.address)


def test_the_tables_are_long_enough_to_be_worth_something() -> None:
    assert len(NORMAL) + len(set(REFUSED)) + len(SPECIAL_SPELLINGS) > 250


def test_no_port_passes_that_browsers_block() -> None:
    """The list of "bad ports" in the WHATWG's Fetch standard, and every port that is not on it."""
    blocked = "0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 117 119 123 135 137 139 143 161 179 389 427"
    blocked += (
        " 465 512 513 514 515 526 530 531 532 540 548 554 556 563 587 601 636 989 990 993 995 1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 6566 6665"
    )
    blocked += " 6666 6667 6668 6669 6679 6697 10080"

    def refused(port: int) -> bool:
        try:
            check_url(f"http://example.com:{port}/")
        except RefusedAddress:
            return True
        return False

    assert [port for port in range(65537) if refused(port)] == [*map(int, blocked.split()), 65536]


@given(st.text(max_size=60) | st.text(st.sampled_from("htps:/@[]%.0x127\\#? \t1ａ。"), max_size=30).map("http://".__add__))
def test_any_text_is_a_target_or_refused(url: str) -> None:
    try:
        target = check_url(url)
    except RefusedAddress:
        return
    assert target.host.isascii()
    assert target.path.startswith("/")
    assert target.path.isascii()
    assert 0 < target.port < 65536
    assert check_url(target.url) == target


def spelt(number: int, base: str, zeros: int) -> str:
    """A number as inet_aton takes it: decimal, octal or hexadecimal."""
    return {"d": f"{number}", "o": f"0{'0' * zeros}{number:o}", "x": f"0x{'0' * zeros}{number:x}", "X": f"0X{'0' * zeros}{number:X}"}[base]


@given(v4 | st.sampled_from([IPv4Address("127.0.0.1"), IPv4Address("169.254.169.254")]), st.data())
def test_only_one_spelling_of_an_ipv4_address_is_taken(address: IPv4Address, data: st.DataObject) -> None:
    """All that inet_aton takes: one to four parts, the last one holding the rest, each in any base with any zeros before it."""
    parts = data.draw(st.integers(1, 4))
    numbers = [*address.packed[: parts - 1], int.from_bytes(address.packed[parts - 1 :], "big")]
    spelling = ".".join(spelt(number, data.draw(st.sampled_from("doxX")), data.draw(st.integers(0, 3))) for number in numbers)
    assert socket.inet_aton(spelling) == address.packed
    spelling += data.draw(st.sampled_from(["", "."]))
    if spelling.removesuffix(".") == str(address):
        assert check_url(f"http://{spelling}/").address == address
    else:
        with pytest.raises(RefusedAddress, match="ends in a number"):
            check_url(f"http://{spelling}/")


@given(v4, st.data())
def test_no_other_digits_or_dots_spell_an_ipv4_address(address: IPv4Address, data: st.DataObject) -> None:
    """Full width, circled, Arabic and the like, percent-encoded: whatever some library might take for a digit or a dot."""
    text = str(address)
    at = data.draw(st.integers(0, len(text) - 1))
    character = text[at]
    others = (
        ["\u3002", "\uff0e", "\uff61", "\u2024", "%2e"] if character == "." else [chr(0xFF10 + int(character)), chr(0x0660 + int(character)), f"%3{character}"]
    )
    with pytest.raises(RefusedAddress):
        check_url(f"http://{text[:at]}{data.draw(st.sampled_from(others))}{text[at + 1 :]}/")


@given(v6 | st.builds(lambda high, low: IPv6Address(high | low), v6_near, st.integers(0, 2**64 - 1)), st.data())
def test_all_spellings_of_an_ipv6_address_are_one(address: IPv6Address, data: st.DataObject) -> None:
    """Zeros before each group or not, upper or lower case, any run of empty groups left out, the end as IPv4 or not."""
    groups = address.exploded.split(":")
    dotted = data.draw(st.booleans())
    groups = [*groups[:6], str(IPv4Address(int(address) & 0xFFFFFFFF))] if dotted else groups
    runs = [(i, j) for i in range(len(groups)) for j in range(i + 1, len(groups) + 1) if set(groups[i:j]) == {"0000"}]
    written = [group if "." in group else group[data.draw(st.integers(0, len(group) - len(group.lstrip("0") or "0"))) :] for group in groups]
    written = [group.upper() if data.draw(st.booleans()) else group for group in written]
    run = data.draw(st.sampled_from([None, *runs]))
    spelling = ":".join(written) if run is None else ":".join(written[: run[0]]) + "::" + ":".join(written[run[1] :])
    assert socket.inet_pton(socket.AF_INET6, spelling) == address.packed
    target = check_url(f"http://[{spelling}]:8080/")
    assert (target.address, target.url) == (address, f"http://[{address}]:8080/")
    assert passes(spelling) == passes(address)
