"""The kind `feed` against a real server: RSS, Atom and JSON Feed, conditional requests, articles, and what is no feed."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from html import escape
from ipaddress import ip_network
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.connectors.behaviours import Behaviours, Lack, Place, counted, engine_at, finds
from tests.connectors.local_files import rows_of
from tests.connectors.site import Resource, Site, serving
from tests.connectors.web_place import WebPlace
from tidings.connectors.base import Carried, Fetched, SourceContext, Unlistable, Wanted
from tidings.connectors.feed import MOST_ENTRIES, Feed, FeedConnector
from tidings.errors import Invalid, SourceError, SourceRejected
from tidings.outbound import Outbound
from tidings.settings import Settings
from tidings.store.database import Database


def rss(items: Mapping[str, tuple[str, str]]) -> bytes:
    """A feed with these items: guid -> (link, description)."""
    made = [
        f"<item><guid isPermaLink='false'>{guid}</guid><title>{guid}</title><link>{link}</link><description>{escape(text)}</description></item>"
        for guid, (link, text) in items.items()
    ]
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>News</title>{"".join(made)}</channel></rss>'.encode()


class FeedPlace(WebPlace):
    """A feed, and the articles that it links to."""

    lacks: ClassVar[Mapping[Lack, str]] = {
        "sees removals": "a feed names its latest entries; those that left it stay",
        "looks rows up": "the feed is one request, and names all that it has",
    }
    full: ClassVar[bool] = True
    at_once: ClassVar[int] = 2

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.connector = FeedConnector()
        self.config = {"url": f"{site.url}/feed.xml", "fullArticle": self.full}

    def laid_out(self) -> dict[str, Resource]:
        feed = rss({name: (self.path(name), f"<p>{text}</p>") for name, text in self.texts.items()})
        articles = {self.path(name): Resource(f"<p>{text}</p>".encode()) for name, text in self.texts.items() if name not in self.spoilt}
        return {"/feed.xml": Resource(feed, kind="application/rss+xml"), **articles}

    def key(self, name: str) -> str:
        return name

    def path(self, name: str) -> str:
        return f"/articles/{name}"

    def uncounted(self) -> frozenset[str]:
        return frozenset({"/feed.xml"}) if self.full else frozenset()

    async def spoil(self, name: str) -> None:
        await super().spoil(name)
        self.texts[name] += " And more."


class PlainPlace(FeedPlace):
    """A feed without its articles."""

    full: ClassVar[bool] = False
    at_once: ClassVar[int] = 0


class TestFeedWithArticles(Behaviours):
    @pytest.fixture
    async def place(self) -> AsyncIterator[Place]:
        async with serving(Site()) as site:
            yield FeedPlace(site)


async def test_a_feed_that_is_unchanged_is_not_transferred_and_what_left_it_stays(database: Database, settings: Settings) -> None:
    async with serving(Site()) as site:
        place = PlainPlace(site)
        await place.put("one", "It tells of a redstart.")
        await place.put("two", "It tells of a whinchat.")
        async with engine_at(place, database, settings) as engine:
            assert counted(await engine.sync()) == (2, 0, 0)
            sent = site.sent
            assert counted(await engine.sync()) == (0, 0, 0)
            assert site.sent == sent
            await place.remove("one")
            await place.put("two", "It tells of a dunnock.")
            assert counted(await engine.sync()) == (0, 1, 0)
            assert [await finds(engine, word) for word in ("redstart", "whinchat", "dunnock")] == [True, False, True]
            assert counted(await engine.sync(force=True)) == (0, 0, 0)  # not even then is anything removed
            assert len(await engine.rows()) == 2


async def test_a_new_title_alone_is_a_change(database: Database, settings: Settings) -> None:
    async with serving(Site()) as site:
        place = PlainPlace(site)
        items = [{"id": "a", "title": "Before", "content_text": "The same text as ever."}]
        site.pages["/feed.xml"] = Resource(jsonfeed(items), kind="application/feed+json")
        async with engine_at(place, database, settings) as engine:
            await engine.sync()
            items[0]["title"] = "After"
            site.pages["/feed.xml"] = Resource(jsonfeed(items), kind="application/feed+json")
            assert counted(await engine.sync()) == (0, 1, 0)
            assert (await engine.rows())["a"].title == "After"


def jsonfeed(items: list[dict[str, Any]]) -> bytes:
    return json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "News", "items": items}).encode()


ATOM = b"""<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://news.example.com/">
<title>News</title><entry><id>tag:example.com,2026:1</id><title type="html">A &lt;em&gt;first&lt;/em&gt; &amp;amp; last</title><link href="/one"/>
<summary>Short.</summary><content type="html">&lt;p&gt;The whole text, which is longer.&lt;/p&gt;</content></entry></feed>"""
CASES = {
    "rss": (rss({"g 1": ("/one", "<p>Of Übergrößen.</p>")}), "g 1", "g 1", "/one", "<p>Of Übergrößen.</p>"),
    "atom": (ATOM, "tag:example.com,2026:1", "A first & last", "https://news.example.com/one", "<p>The whole text, which is longer.</p>"),
    "json html": (jsonfeed([{"id": 7, "url": "/one", "title": "T", "content_html": "<p>x</p>", "content_text": "x"}]), "7", "T", "/one", "<p>x</p>"),
    "json text": (jsonfeed([{"id": "8", "external_url": "/one", "content_text": "1 < 2"}]), "8", None, "/one", "1 < 2"),
    "no guid": (rss({"": ("/one", "x")}), "/one", None, "/one", "x"),
    "title only": (rss({"t": ("/one", "")}), "t", "t", "/one", "t"),
    "broken": (rss({"b": ("/one", "x & y")}).replace(b"&amp;", b"&").removesuffix(b"</channel></rss>"), "b", "b", "/one", "x & y"),
    "twice": (rss({"d": ("/one", "first")}).replace(b"</channel>", b"<item><guid>d</guid><title>z</title></item></channel>"), "d", "d", "/one", "first"),
}


@pytest.mark.parametrize("name", CASES)
async def test_entries_are_read(name: str) -> None:
    body, key, title, path, text = CASES[name]
    async with feed_at(body) as (source, url):
        rows = await rows_of(source)
        assert not source.complete
        absolute = path if path.startswith("https:") else f"{url}{path}"
        row = rows[absolute if key.startswith("/") else key]
        assert isinstance(row, Carried)
        assert len(rows) == 1
        (got,) = await source.fetch([Wanted(row)])
        assert isinstance(got, Fetched)
        assert (got.title, got.url, got.content.decode()) == (title, absolute, text)


@pytest.mark.parametrize(
    "body", [b"", b"<html><body>Not found, but 200</body></html>", b"{}", b'{"version": "x", "items": []}', b"{broken", b"\x89PNG\r\n\x1a\n"]
)
async def test_what_is_no_feed_fails_the_sync_with_a_sentence(body: bytes) -> None:
    async with feed_at(body) as (source, url):
        with pytest.raises(SourceRejected, match="There is no feed at") as caught:
            await rows_of(source)
        assert f"{url}/feed" in str(caught.value)


@pytest.mark.parametrize("body", [b"<rss>" + b"<a>" * 300_000, b"<rss>" + b"<a>" * 300_000 + b"</a>" * 300_000])
async def test_what_would_keep_the_parser_busy_for_minutes_is_no_feed(body: bytes) -> None:
    async with feed_at(body) as (source, _):
        with pytest.raises(SourceRejected, match="There is no feed at"):
            await rows_of(source)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-32-be", "utf-8-sig", "windows-1252"])
async def test_no_encoding_gets_past_the_bounds_nor_spoils_a_feed(encoding: str) -> None:
    plain = '<?xml version="1.0" encoding="{}"?><rss version="2.0"><channel><item><guid>ü</guid><title>{}</title></item></channel></rss>'
    async with feed_at(plain.format(encoding, "Übergröße").encode(encoding)) as (source, _):
        assert [(key, row.title) for key, row in (await rows_of(source)).items() if isinstance(row, Carried)] == [("ü", "Übergröße")]
    async with feed_at(plain.format(encoding, "<a>" * 2_000 + "</a>" * 2_000).encode(encoding)) as (source, _):
        with pytest.raises(SourceRejected, match="There is no feed at"):
            await rows_of(source)


@pytest.mark.parametrize(
    "inner",
    [b"<b/>" * 300_000, b"&" * 1_300_000, b"<b " + b" ".join(b"a%d='>'" % n for n in range(20_000)) + b"/>", b"<" * 300_000],
    ids=["tags", "entities", "attributes", "brackets"],
)
async def test_markup_beyond_all_bounds_is_not_parsed(inner: bytes) -> None:
    async with feed_at(b"<rss version='2.0'><channel><item><guid>a</guid>" + inner + b"</item></channel></rss>") as (source, _):
        with pytest.raises(SourceRejected, match="has more markup in it than Tidings reads"):
            await rows_of(source)


async def test_what_databases_do_not_take_is_left_out() -> None:
    item = "<item><guid>a&#xD800;b&#0;</guid><title>t&#55296;</title><link>/x&#xDFFF;</link><description>d&#xd83d;</description></item>"
    async with feed_at(f"<rss version='2.0'><channel>{item}</channel></rss>".encode()) as (source, url):
        assert [(row.key, row.title, row.url) for row in (await rows_of(source)).values() if isinstance(row, Carried)] == [("a?b", "t?", f"{url}/x")]
    async with feed_at(jsonfeed([{"id": "a\0b", "title": "t\0t", "url": "/x\0", "content_text": "d"}])) as (source, url):
        assert [(row.key, row.title, row.url) for row in (await rows_of(source)).values() if isinstance(row, Carried)] == [("ab", "tt", f"{url}/x")]


async def test_odd_members_and_titles_of_entries_are_no_trouble() -> None:
    odd: list[Any] = [{"id": {"a": 1}, "url": ["x"], "title": 5, "content_html": [1]}, {"id": "tags", "title": "<" * 300_000}, {"id": 0, "content_text": True}]
    async with feed_at(jsonfeed(odd)) as (source, _):
        rows = await rows_of(source)
    assert {"tags", "0"} < rows.keys()
    assert len(rows) == 3
    unclosed = rss({"a": ("/a", "<p>one<br>two" * 2_000)}).replace(b"<description>", b"<description><![CDATA[").replace(b"</description>", b"]]></description>")
    async with feed_at(unclosed.replace(b"&lt;", b"<").replace(b"&gt;", b">")) as (source, _):
        assert len(await rows_of(source)) == 1  # texts may be as they like


async def test_an_empty_feed_is_a_feed() -> None:
    async with feed_at(rss({})) as (source, _):
        assert await rows_of(source) == {}


async def test_bounds() -> None:
    async with feed_at(rss({f"{n:05}" + "k" * 2000 * (n == 0): ("/x", "x") for n in range(MOST_ENTRIES + 10)})) as (source, url):
        rows = await rows_of(source)
        more = rows.pop(f"{url}/feed")
        assert isinstance(more, Unlistable)
        assert "has more than 5,000 entries" in str(more.error)
        assert len(rows) == MOST_ENTRIES
        assert max(map(len, rows)) == 64
    async with feed_at(rss({"a": ("/x", "x" * 6_000_000)})) as (source, _):
        with pytest.raises(SourceError, match="larger than 5 MB"):
            await rows_of(source)


async def test_an_entity_leads_to_no_file_and_no_server(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("never to be read")
    body = rss({"a": ("/x", "before &xxe; after")}).replace(b"&amp;xxe;", b"&xxe;")
    body = body.replace(b"<rss", f'<!DOCTYPE rss [<!ENTITY xxe SYSTEM "file://{tmp_path}/secret">]><rss'.encode(), 1)
    async with feed_at(body) as (source, _):
        row = (await rows_of(source))["a"]
        assert isinstance(row, Carried)
        assert isinstance(row.content, bytes)
        assert b"never to be read" not in row.content


async def test_an_address_that_the_guard_refuses_is_refused_at_once() -> None:
    connector, outbound = FeedConnector(), Outbound()
    context = SourceContext("x", Path("/nonexistent"), (), 1 << 20, outbound)
    with pytest.raises(Invalid, match=r"config\.url"):
        await connector.check(connector.parse({"url": "http://127.0.0.1/feed"}), context)
    await outbound.aclose()


@asynccontextmanager
async def feed_at(body: bytes) -> AsyncIterator[tuple[Feed, str]]:
    """The source of a feed with this body, and the address of its site."""
    connector, outbound = FeedConnector(), Outbound([ip_network("127.0.0.0/8")])
    async with serving(Site({"/feed": Resource(body, kind="application/octet-stream")})) as site:
        context = SourceContext("x", Path("/nonexistent"), (), 50 << 20, outbound)
        yield await connector.open(connector.parse({"url": f"{site.url}/feed"}), context), site.url
        await outbound.aclose()
