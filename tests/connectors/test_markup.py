"""What a crawler reads off a page, and that it reads strangers' pages in time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.site import link, page
from tidings.connectors.markup import MOST_LINKS, SCANNED, read_facts

URL = "https://example.com/docs/index.html"


def test_links_are_those_that_a_reader_could_follow() -> None:
    body = page(
        link("a.html"), link("/b?x=1&amp;y=2"), link("a.html#again"), link("c", rel="nofollow"), link("d", rel='"me NOFOLLOW"'),
        '<!-- <a href="/comment"> --><script>"<a href=/script>"</script><style><a href=/style></style><a href=/unquoted><area href=\'/area\'>',
        '<a name=x>no link</a><a href="mailto:a@b.c">', '<a\nclass="x"\nhref = "/spread"\n>',
    )  # fmt: skip
    found = ["docs/a.html", "b?x=1&y=2", "unquoted", "area", "spread"]
    assert list(read_facts(body, URL).links) == [f"https://example.com/{path}" for path in found]
    assert read_facts(page(link("x"), head='<base href="/other/">'), URL).links == ("https://example.com/other/x",)


def test_links_to_places_of_one_page_count_once() -> None:
    facts = read_facts(page(*(link(f"x#{n}") for n in range(MOST_LINKS + 1)), link("#top")), URL)
    assert (facts.links, facts.cut) == (("https://example.com/docs/x", URL), False)


@pytest.mark.parametrize(
    ("head", "tag", "indexed", "followed"),
    [
        ("", None, True, True),
        ('<meta name="robots" content="noindex">', None, False, True),
        ('<meta content="NOFOLLOW, noarchive" name="ROBOTS">', None, True, False),
        ('<meta name="tidings" content="none">', None, False, False),
        ('<meta name="googlebot" content="noindex,nofollow">', None, True, True),
        ("", "noindex", False, True),
        ("", "googlebot: noindex, nofollow", True, True),
        ("", "tidings: noindex, nofollow", False, False),
        ("", "unavailable_after: 25 Jun 2030 15:00:00 PST, nofollow", True, False),
        ('<!-- <meta name="robots" content="noindex"> -->', None, True, True),
    ],
)
def test_wishes_of_the_page(head: str, tag: str | None, indexed: bool, followed: bool) -> None:  # noqa: FBT001 - a table
    facts = read_facts(page(link("x"), head=head), URL, robots_tag=tag)
    assert (facts.indexed, bool(facts.links)) == (indexed, followed)


def test_the_canonical_address_and_the_charset() -> None:
    assert read_facts(page(head='<link rel="canonical" href="/docs/">'), URL).canonical == "https://example.com/docs/"
    for media_type, head in (("text/html; charset=windows-1251", ""), ("text/html", '<meta charset="windows-1251">')):
        body = page(link("/страница"), head=head).decode().encode("windows-1251")
        assert read_facts(body, URL, media_type).links == ("https://example.com/%D1%81%D1%82%D1%80%D0%B0%D0%BD%D0%B8%D1%86%D0%B0",)
    for odd in ("no-such", "idna", "punycode", "undefined", "unicode_escape", "zlib"):  # Python knows most of these as codecs; some fail, one takes hours
        assert read_facts(page(link("/x"), "ü"), URL, f"text/html; charset={odd}").links == ("https://example.com/x",)


@pytest.mark.parametrize(
    "piece",
    [b"<div>", b"<a href=x>", b"<a ", b"<!--", b"<script", b"<b><p></b>", b"<a href='", b'<link rel="canonical', b"<", b"&", b"<a " + b"a" * 4_990 + b">"],
)
def test_a_hostile_page_is_read_to_its_end(piece: bytes) -> None:
    """In time that grows with the page: a scan that goes back and back would not end before the time limit of the test."""
    assert len(read_facts(piece * (2 * SCANNED // len(piece)), URL).links) <= 1


@given(st.binary(max_size=3000))
def test_whatever_comes_is_read(body: bytes) -> None:
    facts = read_facts(body, URL)
    assert all(one.startswith("http") for one in facts.links)
