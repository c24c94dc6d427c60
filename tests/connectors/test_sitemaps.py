"""Pages that a sitemap names, or the owner does; and the settings of websites."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.connectors.site import Resource, Site
from tests.connectors.site_syncs import put, sync
from tidings.connectors.base import UNCHANGED, Fetched, SourceContext, Unlistable
from tidings.connectors.pages import MOST_SITEMAPS
from tidings.connectors.robots import LARGEST, READ
from tidings.connectors.sitemap import MOST, read_sitemap
from tidings.connectors.website import WebsiteConnector
from tidings.errors import Invalid, RowNotRead, SourceRejected, SourceUnreachable


def sitemap(*urls: str, kind: str = "urlset", entry: str = "url") -> bytes:
    inner = "".join(f"<{entry}><loc>\n {url} </loc><lastmod>2026-01-01</lastmod></{entry}>" for url in urls)
    return f'<?xml version="1.0"?><{kind} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{inner}</{kind}>'.encode()


@asynccontextmanager
async def site_with_sitemaps(site: Site) -> AsyncIterator[None]:
    """An index of a plain, a packed and a text sitemap, named by robots.txt; nine pages."""
    site.pages["/robots.txt"] = Resource(f"User-agent: *\nDisallow: /3\nSitemap: {site.url}/index.xml\n".encode(), "text/plain")
    maps = [f"{site.url}/{name}" for name in ("one.xml", "two.xml.gz", "three.txt")]
    site.pages["/index.xml"] = Resource(sitemap(*maps, kind="sitemapindex", entry="sitemap"), "application/xml")
    pages = [f"{site.url}/{n}" for n in range(9)]
    site.pages["/one.xml"] = Resource(sitemap(*pages[:3], "https://elsewhere.example/", f"{site.url}/logo.png"), "application/xml")
    site.pages["/two.xml.gz"] = Resource(gzip.compress(sitemap(*pages[2:6]), mtime=0), "application/gzip")
    site.pages["/three.txt"] = Resource("\n".join(pages[6:]).encode(), "text/plain")
    for n in range(9):
        put(site, f"/{n}", "/not-in-the-sitemap")
    yield


async def test_a_sitemap_names_the_pages(context: SourceContext, site: Site) -> None:
    async with site_with_sitemaps(site):
        for url in (site.url, f"{site.url}/index.xml"):
            found = await sync(context, {"url": url, "mode": "sitemap"})
            assert (found.paths, found.complete) == ({f"/{n}" for n in range(9)}, True)
            assert isinstance(found.outcomes[f"{site.url}/3"], RowNotRead)  # as robots.txt has it
        assert "/not-in-the-sitemap" not in site.paths()
        sent = site.sent
        again = await sync(context, {"url": site.url, "mode": "sitemap"}, found.remembered)
        assert [one for key, one in again.outcomes.items() if not key.endswith("/3")] == [UNCHANGED] * 8
        assert {one.path for one in site.asked if one.sent and site.asked.index(one) > len(site.asked) - 14} <= {*site.pages, "/robots.txt"}
        assert site.sent - sent < 2_000  # the sitemaps alone
        few = await sync(context, {"url": site.url, "mode": "sitemap", "maxPages": 4, "exclude": ["0"]})
        assert (few.paths, few.complete) == ({"/1", "/2", "/3", "/4"}, False)
        assert [warning.partition(",")[0] for warning in few.warnings] == ["The listing stopped after 4 pages"]
        assert found.warnings == []


async def test_a_sitemap_that_is_missing_or_broken_removes_nothing(context: SourceContext, site: Site) -> None:
    async with site_with_sitemaps(site):
        site.pages["/two.xml.gz"] = Resource(gzip.compress(sitemap("x"), mtime=0)[:-12], "application/gzip")
        found = await sync(context, {"url": site.url, "mode": "sitemap"})
        assert not found.complete
        assert found.paths == {"/two.xml.gz", *(f"/{n}" for n in (0, 1, 2, 6, 7, 8))}
        site.pages["/index.xml"] = Resource(sitemap("x")[:-20], "application/xml")
        with pytest.raises(SourceUnreachable, match="not well-formed"):
            await sync(context, {"url": site.url, "mode": "sitemap"})
        del site.pages["/index.xml"], site.pages["/robots.txt"]
        with pytest.raises(SourceUnreachable, match="404"):
            await sync(context, {"url": site.url, "mode": "sitemap"})
        site.pages["/sitemap.xml"] = Resource(sitemap(f"{site.url}/1"), "application/xml")  # where it is by custom
        assert (await sync(context, {"url": site.url, "mode": "sitemap"})).paths == {"/1"}
        site.pages["/sitemap.xml"] = Resource(sitemap(), "application/xml")
        with pytest.raises(SourceRejected, match="not one page"):
            await sync(context, {"url": site.url, "mode": "sitemap"})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><urlset><url><loc>&b;</loc></url></urlset>", None),
        (b"<html><body>Not found</body></html>", "not a sitemap"),
        (b"<urlset><url>", "not well-formed"),
        (b"\x1f\x8b\x08 junk", "packed, and damaged"),
        (gzip.compress(bytes(51 << 20)), "larger than 50 MB"),
    ],
    ids=["entities", "html", "cut", "junk", "bomb"],
)
def test_a_sitemap_comes_from_a_stranger(body: bytes, said: str | None) -> None:
    if said is None:
        assert read_sitemap(body, "https://example.com/sitemap.xml").pages in ([], ["https://example.com/sitemap.xml"])
        return
    with pytest.raises(RowNotRead, match=said):
        read_sitemap(body, "https://example.com/sitemap.xml")


async def test_more_than_a_sitemap_may_name_is_told_and_removes_nothing(context: SourceContext, site: Site) -> None:
    many = [*[f"{site.url}/first"] * MOST, f"{site.url}/last"]
    for body in ("\n".join(many).encode(), sitemap(*many)):
        site.pages["/sitemap.xml"] = Resource(body, "application/xml")
        connector = WebsiteConnector()
        async with await connector.open(connector.parse({"url": site.url, "mode": "sitemap"}), context) as source:
            rows = [row async for batch in source.list_rows() for row in batch]
        assert [row.key for row in rows] == [f"{site.url}/first", f"{site.url}/sitemap.xml"]
        assert isinstance(rows[1], Unlistable)
        assert "more than 50,000 pages" in str(rows[1].error)
        assert not source.complete


async def test_more_sitemaps_than_are_read_are_told(context: SourceContext, site: Site) -> None:
    site.pages["/robots.txt"] = Resource(b"\n".join(b"Sitemap: /%d.txt" % n for n in range(MOST_SITEMAPS + 10)), "text/plain")
    site.otherwise = lambda path: Resource(f"{site.url}{path}/page".encode(), "text/plain")
    connector = WebsiteConnector()
    async with await connector.open(connector.parse({"url": site.url, "mode": "sitemap", "maxPages": 5_000}), context) as source:
        rows = [row async for batch in source.list_rows() for row in batch]
    assert [str(row.error).split(",")[0] for row in rows if isinstance(row, Unlistable)] == ["The site has more than 1000 sitemaps"]
    assert len(rows) == MOST_SITEMAPS + 1
    assert not source.complete


async def test_of_a_long_robots_txt_the_first_part_counts(context: SourceContext, site: Site) -> None:
    put(site, "/", "/secret", "/open")
    put(site, "/secret")
    put(site, "/open")
    rules = b"User-agent: *\nDisallow: /secret\n" + b"# words\n" * (READ // 8) + b"Disallow: /\n"
    site.pages["/robots.txt"] = Resource(rules, "text/plain")
    found = await sync(context, {"url": site.url})
    assert found.paths == {"/", "/open"}
    assert [warning.partition(" were")[0] for warning in found.warnings] == [f"Of {site.url}/robots.txt only the first 512 KB"]
    site.pages["/robots.txt"] = Resource(rules + bytes(LARGEST), "text/plain")
    with pytest.raises(SourceUnreachable, match=r"robots.txt is larger than 8 MB"):
        await sync(context, {"url": site.url})


async def test_pages_by_name(context: SourceContext, site: Site) -> None:
    for path in ("/docs/", "/docs/a", "/b"):
        put(site, path, "/not-named")
    site.pages["/moved"] = Resource(status=301, headers=(("Location", "/b"),))
    put(site, "/hidden", head='<meta name="robots" content="noindex">')
    names = ["a", "/b", f"{site.url}/b#again", "/gone", "/moved", "/hidden"]
    found = await sync(context, {"url": f"{site.url}/docs/", "mode": "pages", "pages": names})
    assert (found.paths, found.complete) == ({"/docs/a", "/b", "/gone", "/moved", "/hidden"}, True)
    read = {key.rpartition("/")[2]: one for key, one in found.outcomes.items()}
    assert isinstance(read["moved"], Fetched)
    assert (read["moved"].url, read["moved"].content) == (f"{site.url}/b", site.pages["/b"].body)  # type: ignore[union-attr]
    assert isinstance(read["gone"], RowNotRead)
    assert "no such page" in str(read["gone"])
    assert "noindex" in str(read["hidden"])


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "config.url"),
        ({"url": "ftp://example.com/"}, "config.url"),
        ({"url": "https://u:p@example.com/"}, "config.url"),
        ({"url": "http://127.0.0.2/", "mode": "all"}, "config.mode"),
        ({"url": "http://127.0.0.2/", "maxPages": 0}, "config.maxPages"),
        ({"url": "http://127.0.0.2/", "maxPages": 10**9}, "config.maxPages"),
        ({"url": "http://127.0.0.2/", "maxDepth": -1}, "config.maxDepth"),
        ({"url": "http://127.0.0.2/", "select": ["div["]}, "config.select.0"),
        ({"url": "http://127.0.0.2/", "remove": 7}, "config.remove"),
        ({"url": "http://127.0.0.2/", "include": ["!a"]}, "config.include.0"),
        ({"url": "http://127.0.0.2/", "max_pages": 3}, "config.max_pages"),
        ({"url": "http://127.0.0.2/", "mode": "pages"}, "config.pages"),
        ({"url": "http://127.0.0.2/", "pages": ["/a"]}, "config.pages"),
        ({"url": "http://127.0.0.2/", "mode": "pages", "pages": ["mailto:a@b.c"]}, "config.pages"),
        ({"url": "http://10.0.0.1/"}, "config.url"),
        ({"url": "http://169.254.169.254/"}, "config.url"),
    ],
)
async def test_what_cannot_work_is_refused_at_its_field(context: SourceContext, config: dict[str, Any], field: str) -> None:
    connector = WebsiteConnector()
    with pytest.raises(Invalid) as caught:
        await connector.check(connector.parse(config), context)
    assert field in [error.field for error in caught.value.errors]


async def test_settings_that_touch_the_text_are_told(context: SourceContext) -> None:
    connector = WebsiteConnector()
    plain, other = ({"url": "http://127.0.0.2/", **more} for more in ({}, {"maxPages": 3, "exclude": ["x"]}))
    assert connector.text_settings(connector.parse(plain)) == connector.text_settings(connector.parse(other)) == ()
    marks = [connector.text_settings(connector.parse({**plain, **more})) for more in ({"select": ["a"]}, {"remove": ["a"]}, {"select": ["a", "remove"]})]
    assert len({*marks, ()}) == 4
    await connector.check(connector.parse(plain), context)
