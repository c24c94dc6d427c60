"""What the guard lets pass, by table and by property. Nothing here touches a network."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
CLOTHED = ["::ffff:10.0.0.5", "::ffff:8.8.8.8", "::10.0.0.5", "::8.8.8.8", "64:ff9b::a00:5", "64:ff9b::808:808", "64:ff9b:1::a00:5", "2002:a00:5::1"]
CLOTHED += ["2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "::ffff:127.0.0.1", "0:0:0:0:0:ffff:7f00:1"]


@pytest.mark.parametrize("address", PUBLIC)
def test_global_unicast_passes(address: str) -> None:
    check_address(address)


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

NORMAL = {
    "https://hooks.example.com/a?b=c": "https://hooks.example.com/a?b=c",
    "HTTPS://Hooks.EXAMPLE.com:443": "https://hooks.example.com/",
    "http://example.com:80/x#fragment": "http://example.com/x",
    "http://example.com:8080": "http://example.com:8080/",
    "http://example.com:": "http://example.com/",
    "https://example.com./x": "https://example.com/x",
    "https://example.com?x=1": "https://example.com/?x=1",
    "https://bücher.example/ü?ö": "https://xn--bcher-kva.example/%C3%BC?%C3%B6",
    "https://xn--bcher-kva.example/": "https://xn--bcher-kva.example/",
    "http://localhost:9000/hook": "http://localhost:9000/hook",
    "http://receiver:9000/": "http://receiver:9000/",
    "http://my_service.internal/": "http://my_service.internal/",
    "http://127.0.0.1:8080/": "http://127.0.0.1:8080/",
    "http://127.0.0.1./": "http://127.0.0.1/",
    "http://[::1]:8080/": "http://[::1]:8080/",
    "http://[0:0:0:0:0:0:0:1]/": "http://[::1]/",
    "http://[::FFFF:127.0.0.1]/": "http://[::ffff:7f00:1]/",
    "https://example.com/%2e%2e/a%20b": "https://example.com/%2e%2e/a%20b",
    "https://1password.com/": "https://1password.com/",
    "https://example.com/a@b:c": "https://example.com/a@b:c",
    "https://example.com:65535/": "https://example.com:65535/",
}


@pytest.mark.parametrize(("url", "normal"), NORMAL.items())
def test_ordinary_urls_pass(url: str, normal: str) -> None:
    target = check_url(url)
    assert target.url == normal.replace("[::ffff:7f00:1]", f"[{ip_address('::ffff:7f00:1')}]")
    assert check_url(target.url) == target


def test_the_endpoint_is_scheme_host_and_port() -> None:
    assert check_url("https://Example.com/a").endpoint == check_url("https://example.com:443/b?c").endpoint == "https://example.com:443"
    assert check_url("http://[::1]/").endpoint == "http://[::1]:80"


REFUSED = [
    "", "example.com", "//example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "javascript:alert(1)", "data:,x", "ws://example.com/",
    "unix:///var/run/docker.sock", "http:", "http:/", "http://", "http:///x", "http:example.com", "http:/example.com", "https://?x", "https://#x", "http://./", "http://../",
    "http://user@example.com/", "http://user:pass@example.com/", "http://@example.com/", "http://example.com@127.0.0.1/", "http://127.0.0.1#@example.com\\/",
    "http://example.com\\@127.0.0.1/", "http:\\\\127.0.0.1\\", "http://exa mple.com/", " http://example.com/", "http://example.com/ ", "http://example.com/a b",
    "http://example.com/\r\nHost: x", "http://exam\tple.com/", "http://exam\nple.com/", "http://example.com/\x00", "http://example.com/\x7f", "http://example.com/\ud800",
    "http://example.com/\u3000", "http://example.com/\u2028", "http://2130706433/", "http://0x7f000001/", "http://017700000001/", "http://0177.0.0.1/", "http://0x7f.0.0.1/",
    "http://127.1/", "http://127.0.1/", "http://127.0.0.01/", "http://127.0.0.1.1/", "http://256.1.1.1/", "http://127.0.0.0x1/", "http://0/", "http://0x/", "http://0x7f.1/",
    "http://1.2.3.4..", "http://1..2/", "http://foo.1/", "http://foo.0x1/", "http://127.0.0.1%00/", "http://127%2e0.0.1/", "http://%31%32%37.0.0.1/", "http://localhost%2f/",
    "http://[::1/", "http://::1/", "http://[::1]x/", "http://[::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[127.0.0.1]/", "http://[]/", "http://[::1]]/", "http://[[::1]]/",
    "http://[v1.x]/", "http://[::ffff:127.0.0.1:80]/", "http://[1:2:3:4:5:6:7:8:9]/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54/",
    "http://\u24c1ocalhost/", "http://127\u30020\u30020\u30021/", "http://example\uff0ecom/", "http://\u212aiosk.example/", "http://exam\u00adple.com/", "http://exam\u200bple.com/",
    "http://BÜCHER.example/", "http://xn--/", "http://xn--a-ecp.ru/", "http://xn--localhost-/", "http://-a.example/", "http://a-.example/", "http://a..b/", "http://.a/",
    f"http://{'a' * 64}.example/", f"http://{'a.' * 127}example/",
    "http://a!b/", "http://a$b/", "http://a'b/", "http://a,b/", "http://a;b/", "http://a|b/", "http://a^b/", "http://a<b/",
    "http://example.com:0/", "http://example.com:22/", "http://example.com:25/", "http://example.com:6667/", "http://example.com:10080/", "http://example.com:65536/",
    "http://example.com:99999/", "http://example.com:000080/", "http://example.com:-1/", "http://example.com:+80/", "http://example.com:8o/", "http://example.com:80:80/",
    "http://example.com:\u0668\u0660/", "http://example.com:80 /", "https://" + "a" * 9000,
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED)
def test_odd_urls_are_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(RefusedAddress) as caught:
        check_url(url)
    assert str(caught.value).endswith(".")
    assert len(str(caught.value)) < 600
    str(caught.value).encode()


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


@given(v4, st.sampled_from(["{0}", "0x{0:x}", "0{0:o}", "{1:#x}.{2}.{3}.{4}", "{1:#o}.{2}.{3}.{4}", "{1}.{5}", "{1}.{2}.{6}", "0{1}.{2}.{3}.{4}"]))
def test_only_one_spelling_of_an_ipv4_address_is_taken(address: IPv4Address, form: str) -> None:
    a, b, c, d = address.packed
    spelling = form.format(int(address), a, b, c, d, int(address) & 0xFFFFFF, int(address) & 0xFFFF).replace("0o", "0")
    with pytest.raises(RefusedAddress, match="ends in a number"):
        check_url(f"http://{spelling}/")
    assert check_url(f"http://{address}/").address == address
