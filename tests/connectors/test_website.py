"""Websites, against a real site on loopback that has every trap in it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.connectors.site import Resource, Site, link, page
from tests.connectors.site_syncs import LIMIT, put, sync
from tidings.connectors.base import Fetched, Found, Gone, Listed, Remembered, SourceContext, Unlistable, Wanted
from tidings.connectors.crawl import Seen, read_seen
from tidings.connectors.markup import MOST_LINKS
from tidings.connectors.website import WebsiteConnector
from tidings.errors import Invalid, RowNotFetched, RowNotRead, SourceRejected, SourceUnreachable
from tidings.model.targets import Targets

HTML = "text/html"


async def test_a_crawl_follows_links_and_reads_each_page_once(context: SourceContext, site: Site) -> None:
    put(site, "/", "/a", "b", "/#top", "https://elsewhere.example/", "/logo.png", "mailto:x@y.z")
    put(site, "/a", "/b", "/a/deep", "/")
    put(site, "/b", "/missing")
    put(site, "/a/deep")
    found = await sync(context, {"url": site.url})
    assert (found.paths, found.complete) == ({"/", "/a", "/b", "/a/deep"}, True)
    assert sorted(site.paths()) == ["/", "/a", "/a/deep", "/b", "/missing", "/robots.txt"]
    for key, got in found.outcomes.items():
        assert isinstance(got, Fetched)
        assert got.content == site.pages["/" + key.split("/", 3)[3]].body  # type: ignore[union-attr]
        assert got.media_type == "text/html; charset=utf-8"


async def test_without_a_change_no_body_is_transferred_and_no_link_lost(context: SourceContext, site: Site) -> None:
    put(site, "/", "/a", "/b")
    put(site, "/a", "/c")
    put(site, "/b", tagged=False, modified=1_600_000_000)
    put(site, "/c", "/a")
    first = await sync(context, {"url": site.url})
    sent = site.sent
    again = await sync(context, {"url": site.url}, first.remembered)
    assert (again.paths, again.complete, again.outcomes) == (first.paths, True, {})
    assert site.sent == sent + len(site.pages.get("/robots.txt") or Site.otherwise("").body)  # type: ignore[arg-type]

    put(site, "/a", "/d")  # one page changes: it leads to a new one, and no more to /c
    put(site, "/d")
    changed = await sync(context, {"url": site.url}, first.remembered)
    assert (changed.paths, changed.complete) == ({"/", "/a", "/b", "/d"}, True)
    assert {key.rpartition("/")[2] for key in changed.outcomes} == {"a", "d"}


async def test_pages_that_a_crawl_found_are_asked_for_alone(context: SourceContext, site: Site) -> None:
    put(site, "/", "/a", "/b", "/c", "/moved")
    for path in ("/a", "/b", "/c", "/moved"):
        put(site, path)
    first = await sync(context, {"url": site.url})
    put(site, "/a", "/new")
    put(site, "/new")
    del site.pages["/b"]
    site.pages["/moved"] = Resource(status=301, headers=(("Location", "/a"),))

    async def remembered(keys: Sequence[str]) -> Mapping[str, Remembered]:
        return {key: first.remembered[key] for key in keys if key in first.remembered}

    async def look(config: dict[str, Any], *names: str) -> list[Found] | None:
        connector = WebsiteConnector()
        async with await connector.open(connector.parse({"url": site.url, **config}), replace(context, remembered=remembered)) as source:
            found = await source.find_rows(Targets(("/c",), names))
            if found is not None:
                wanted = [Wanted(one) for one in found if isinstance(one, Listed) and one.key.endswith("/a")]
                assert [one.content for one in await source.fetch(wanted) if isinstance(one, Fetched)] == [site.pages["/a"].body] * len(wanted)  # type: ignore[union-attr]
            return None if found is None else list(found)

    asked = len(site.asked)
    found = await look({}, f"{site.url}/a?utm_source=mail#top", f"{site.url}/b")
    assert found is not None
    assert [one.key for one in found] == [f"{site.url}{path}" for path in ("/c", "/a", "/b")]
    assert [type(one) for one in found] == [Listed, Listed, Gone]
    assert isinstance(found[0], Listed)
    assert found[0].validator == first.remembered[found[0].key].validator
    assert site.paths()[asked:] == ["/robots.txt", "/c", "/a", "/b"]
    assert await look({"exclude": ["/a"]}, f"{site.url}/a") == [found[0], Gone(f"{site.url}/a")]
    for unknown in ("/new", "/moved"):  # where links lead to them is for a crawl to tell
        assert await look({}, f"{site.url}{unknown}") is None
    assert await look({}, "https://elsewhere.example/a") is None


async def test_pages_that_are_named_are_looked_up_by_their_names(context: SourceContext, site: Site) -> None:
    for path in ("/a", "/c"):
        put(site, path)
    connector = WebsiteConnector()
    async with await connector.open(connector.parse({"url": site.url, "mode": "pages", "pages": ["/a", "/b", "/c"]}), context) as source:
        assert await source.find_rows(Targets((), (f"{site.url}/c", f"{site.url}/d"))) == [
            Listed(f"{site.url}/c", None, title=f"{site.url}/c", url=f"{site.url}/c"),
            Gone(f"{site.url}/d"),
        ]
        assert await source.find_rows(Targets((), ("https://elsewhere.example/c",))) is None
        assert site.asked == []


async def test_a_server_without_validators_is_read_again_and_nothing_is_fetched(context: SourceContext, site: Site) -> None:
    put(site, "/", "/a", tagged=False)
    put(site, "/a", tagged=False)
    first = await sync(context, {"url": site.url})
    again = await sync(context, {"url": site.url}, first.remembered)
    assert (again.paths, again.complete, again.outcomes) == ({"/", "/a"}, True, {})


async def test_what_this_sync_has_settled_is_not_asked_for_again(context: SourceContext, site: Site) -> None:
    put(site, "/", *(f"/{n}" for n in range(10)))
    for n in range(10):
        put(site, f"/{n}", tagged=False)
    first = await sync(context, {"url": site.url})
    settled = {key: Remembered(one.validator, settled=True) for key, one in first.remembered.items() if not key.endswith("/9")}
    site.asked.clear()
    resumed = await sync(context, {"url": site.url}, settled)
    assert (resumed.paths, resumed.complete) == (first.paths, True)
    assert site.paths() == ["/robots.txt", "/9"]


async def test_what_is_stored_of_pages_is_looked_up_for_many_at_once_and_for_each_once(context: SourceContext, site: Site) -> None:
    put(site, "/", *(f"/{n}" for n in range(50)))
    for n in range(50):
        put(site, f"/{n}")
    found = await sync(context, {"url": site.url})
    assert found.looked_up == [[f"{site.url}/"], [f"{site.url}/{n}" for n in range(50)]]


async def test_bounds_of_pages_and_of_depth(context: SourceContext, site: Site) -> None:
    for n in range(30):
        put(site, f"/{n}", f"/{n + 1}", f"/{n}/leaf")
        put(site, f"/{n}/leaf")
    few = await sync(context, {"url": f"{site.url}/0", "maxPages": 7, "maxDepth": 50})
    assert (len(few.rows), few.complete) == (7, False)
    assert [warning.partition(",")[0] for warning in few.warnings] == ["The crawl stopped after 7 pages"]
    usual = await sync(context, {"url": f"{site.url}/0"})
    assert (len(usual.rows), usual.complete) == (11, True)
    assert [warning.partition(" away")[0] for warning in usual.warnings] == ["Pages more than 5 links"]
    whole = await sync(context, {"url": f"{site.url}/0", "maxDepth": 50})
    assert (len(whole.rows), whole.complete, whole.warnings) == (60, True, [])
    shallow = await sync(context, {"url": f"{site.url}/0", "maxDepth": 2})
    assert shallow.warnings == []  # it was asked for
    assert (shallow.paths, shallow.complete) == ({"/0", "/1", "/0/leaf", "/2", "/1/leaf"}, True)


async def test_include_and_exclude(context: SourceContext, site: Site) -> None:
    put(site, "/", "/docs/", "/docs/a", "/blog/b", "/docs/print/a")
    for path in ("/docs/", "/docs/a", "/blog/b", "/docs/print/a"):
        put(site, path, "/")
    for include in ("/docs/**", f"{site.url}/docs/**", "docs"):
        found = await sync(context, {"url": site.url, "include": [include], "exclude": ["print"]})
        assert found.complete
        assert found.paths <= {"/docs/", "/docs/a"}
        assert "/docs/a" in found.paths
    assert "/blog/b" not in site.paths()


async def test_robots_rules_are_kept(context: SourceContext, site: Site) -> None:
    site.pages["/robots.txt"] = Resource(b"User-agent: *\nDisallow: /private\n\nUser-agent: Tidings\nDisallow: /ours\nCrawl-delay: 0.01\n", kind="text/plain")
    put(site, "/", "/private/a", "/ours/b", "/free")
    put(site, "/private/a")
    put(site, "/free")
    assert (await sync(context, {"url": site.url})).paths == {"/", "/private/a", "/free"}
    assert "/ours/b" not in site.paths()
    with pytest.raises(SourceRejected, match=r"robots\.txt does not let"):
        await sync(context, {"url": f"{site.url}/ours/b"})
    site.pages["/robots.txt"] = Resource(status=503)
    with pytest.raises(SourceUnreachable, match=r"robots\.txt"):
        await sync(context, {"url": site.url})


async def test_noindex_nofollow_and_canonical(context: SourceContext, site: Site) -> None:
    put(site, "/", "/noindex", "/nofollow", "/header", "/alias?from=mail", "/to-front")
    put(site, "/noindex", "/below-noindex", head='<meta name="robots" content="noindex">')
    put(site, "/nofollow", "/below-nofollow", head='<meta name="robots" content="nofollow">')
    put(site, "/header", "/below-header", headers=(("X-Robots-Tag", "noindex, nofollow"),))
    put(site, "/alias?from=mail", "/below-alias", head='<link rel="canonical" href="/alias">')
    put(site, "/alias", head='<link rel="canonical" href="/alias">')
    put(site, "/to-front", head='<link rel="canonical" href="/">')
    for path in ("/below-noindex", "/below-nofollow", "/below-header", "/below-alias"):
        put(site, path)
    found = await sync(context, {"url": site.url})
    assert found.paths == {"/", "/nofollow", "/below-noindex", "/alias", "/to-front"}
    assert found.complete


async def test_redirects_lead_to_one_row_and_a_circle_to_one_that_failed(context: SourceContext, site: Site) -> None:
    put(site, "/start", "/old", "/round", "/out")
    for path, to in (("/", "/start"), ("/old", "/new"), ("/round", "/round2"), ("/round2", "/round"), ("/out", "http://elsewhere.example/")):
        site.pages[path] = Resource(status=302, headers=(("Location", to),))
    put(site, "/new", "/old")
    found = await sync(context, {"url": site.url})
    assert (found.paths, found.complete) == ({"/start", "/new", "/round2"}, False)  # a site that is out of order has not removed its pages
    circle = found.rows[f"{site.url}/round2"]
    assert isinstance(circle, Unlistable)
    assert "redirects in a circle" in str(circle.error)
    site.pages["/"] = Resource(status=302, headers=(("Location", "/"),))
    with pytest.raises(SourceUnreachable, match="redirects in a circle"):
        await sync(context, {"url": site.url})


async def test_a_page_is_not_lost_where_it_names_another_one_that_leads_back(context: SourceContext, site: Site) -> None:
    """`/docs/` says that it is really `/docs`, which redirects to `/docs/`; two pages name each other; one names itself by http on a site with https."""
    put(site, "/", "/docs/", "/one")
    put(site, "/docs/", "/below", head='<link rel="canonical" href="/docs">')
    site.pages["/docs"] = Resource(status=301, headers=(("Location", "/docs/"),))
    put(site, "/one", head='<link rel="canonical" href="/two">')
    put(site, "/two", head='<link rel="canonical" href="/one">')
    put(site, "/below")
    found = await sync(context, {"url": site.url})
    assert found.paths - {"/one", "/two"} == {"/", "/docs/", "/below"}
    assert len(found.paths & {"/one", "/two"}) == 1
    assert found.complete


async def test_links_beyond_the_bound_leave_the_listing_open(context: SourceContext, site: Site) -> None:
    """A page that leads to very many others: those that are left out were not removed for that."""
    put(site, "/", *(f"/{n}" for n in range(MOST_LINKS + 1)))
    for n in (0, MOST_LINKS):
        put(site, f"/{n}")
    found = await sync(context, {"url": site.url, "exclude": [f"/[{digit}]?*" for digit in range(1, 10)]})
    assert (found.paths, found.complete) == ({"/", "/0"}, False)
    assert [warning.partition(" or ")[2].partition(",")[0] for warning in found.warnings] == ["has more than 2"]
    again = await sync(context, {"url": site.url, "exclude": [f"/[{digit}]?*" for digit in range(1, 10)]}, found.remembered)
    assert (again.paths, again.complete) == ({"/", "/0"}, False)


async def test_where_a_page_led_that_is_refused_now_is_not_known(context: SourceContext, site: Site) -> None:
    put(site, "/", "/index", "/private")
    put(site, "/index", "/below")
    put(site, "/below")
    site.pages["/private"] = Resource(status=403)
    first = await sync(context, {"url": site.url})
    assert (first.paths, first.complete) == ({"/", "/index", "/below", "/private"}, True)  # it was never read
    site.pages["/index"] = Resource(status=403)
    second = await sync(context, {"url": site.url}, first.remembered)
    assert (second.paths, second.complete) == ({"/", "/index", "/private"}, False)


async def test_a_server_that_says_unchanged_unasked_is_not_believed(context: SourceContext, site: Site) -> None:
    put(site, "/", "/a")
    site.pages["/a"] = Resource(status=304, tagged=False)
    for config in ({"url": site.url}, {"url": site.url, "mode": "pages", "pages": ["/a"]}):
        found = await sync(context, config)
        row, outcome = found.rows[f"{site.url}/a"], found.outcomes.get(f"{site.url}/a")
        said = row.error if isinstance(row, Unlistable) else outcome
        assert isinstance(said, RowNotFetched)
        assert "304 (unchanged) without having been asked" in str(said)
    site.pages["/"] = Resource(status=304, tagged=False)
    with pytest.raises(SourceUnreachable, match="304"):
        await sync(context, {"url": site.url})


async def test_traps_have_bounds(context: SourceContext, site: Site) -> None:
    """A calendar without an end, session ids, paths that get longer, one page under many names."""

    def made(path: str) -> Resource:
        if path.startswith("/calendar"):
            month = int(path.partition("=")[2] or 0)
            return Resource(page(*(link(f"/calendar?month={month + n}") for n in range(1, 9)), f"<p>Month {month}.</p>"), HTML)
        if path.startswith("/session"):
            return Resource(page(link(f"/session?PHPSESSID={len(site.asked):032}"), link("/session?sid=" + f"{len(site.asked):032}"), "Session."), HTML)
        if path.startswith("/more"):
            return Resource(page(link(f"{path}/more"), f"<p>{path}</p>"), HTML)
        if path.startswith("/same"):
            return Resource(page(*(link(f"/same/{n}") for n in range(20)), "<p>The same.</p>"), HTML)
        return Resource(status=404)

    put(site, "/", "/calendar", "/session", "/more", "/same", "/last")
    put(site, "/last")
    site.otherwise = made
    found = await sync(context, {"url": site.url, "maxDepth": 50})
    assert {"/last", "/same", "/session"} <= found.paths
    kinds = [path.strip("/").partition("?")[0].partition("/")[0] for path in found.paths]
    assert (kinds.count("session"), kinds.count("same"), kinds.count("more")) == (1, 1, 3)
    assert 20 < kinds.count("calendar") <= 51
    assert not found.complete  # of the calendar there may be more
    assert [warning.partition(" addresses")[0].partition(", as")[0] for warning in found.warnings] == [
        f"Of {site.url}/calendar only 50",
        f"{site.url}/more/more/more/more, to which {site.url}/more/more/more leads, was left out",
    ]
    assert len(site.asked) < 150


async def test_what_looks_like_a_trap_is_told_of_in_each_sync_until_it_is_excluded(context: SourceContext, site: Site) -> None:
    deep = "/" + "/".join(map(str, range(21)))
    put(site, "/", "/a", "https://elsewhere.example/b/b/b/b")
    put(site, "/a", f"{deep}/{'one' * 100}", f"{deep}/two")
    first = await sync(context, {"url": site.url})
    shown = f"{site.url}{deep}/{'one' * 100}"[:200]
    assert [warning.partition(", as")[0] for warning in first.warnings] == [f"{shown}…, to which {site.url}/a leads, was left out"]
    again = await sync(context, {"url": site.url}, first.remembered)
    assert (again.paths, again.outcomes, again.complete, again.warnings) == ({"/", "/a"}, {}, True, first.warnings)
    excluded = await sync(context, {"url": site.url, "exclude": ["/0/**"]})
    assert not excluded.warnings
    assert (await sync(context, {"url": site.url}, excluded.remembered)).warnings  # links are kept whatever the patterns were


async def test_a_redirect_to_what_looks_like_a_trap_is_told_of(context: SourceContext, site: Site) -> None:
    put(site, "/", "/moved")
    site.pages["/moved"] = Resource(status=301, headers=(("Location", "/a/a/a/a"),))
    found = await sync(context, {"url": site.url})
    assert (found.paths, found.complete) == ({"/"}, True)
    assert [warning.partition(", as")[0] for warning in found.warnings] == [f"{site.url}/a/a/a/a, to which {site.url}/moved leads, was left out"]


async def test_a_row_stays_a_row_where_its_page_becomes_like_another(context: SourceContext, site: Site) -> None:
    """A login wall answers with the same page everywhere: rows that are there are listed, for the guards of the sync to look at."""
    put(site, "/", "/a", "/b")
    put(site, "/a")
    put(site, "/b")
    first = await sync(context, {"url": site.url})
    for path in ("/a", "/b"):
        put(site, path, text="Please sign in.")
    site.pages["/b"] = site.pages["/a"]
    again = await sync(context, {"url": site.url}, first.remembered)
    assert again.paths == first.paths


async def test_a_page_that_fails_is_named_and_leaves_the_listing_open(context: SourceContext, site: Site) -> None:
    put(site, "/", "/broken", "/secret", "/fine", "/huge")
    put(site, "/fine")
    site.pages["/broken"], site.pages["/secret"] = Resource(status=500), Resource(status=403)
    site.pages["/huge"] = Resource(b"x" * (LIMIT + 1), HTML)
    found = await sync(context, {"url": site.url})
    failed = {key.rpartition("/")[2]: one.error for key, one in found.rows.items() if isinstance(one, Unlistable)}
    assert {name: type(error) for name, error in failed.items()} == {"broken": RowNotFetched, "secret": RowNotRead, "huge": RowNotRead}
    assert found.paths == {"/", "/broken", "/secret", "/fine", "/huge"}
    assert not found.complete
    del site.pages["/broken"]
    assert (await sync(context, {"url": site.url})).complete


@pytest.mark.parametrize(("status", "raised"), [(404, SourceUnreachable), (403, SourceRejected), (500, SourceUnreachable)])
async def test_a_start_page_that_cannot_be_had_fails_the_sync(context: SourceContext, site: Site, status: int, raised: type[Exception]) -> None:
    site.pages["/"] = Resource(status=status)
    with pytest.raises(raised) as caught:
        await sync(context, {"url": site.url})
    assert str(caught.value).endswith(".")


async def test_a_site_without_a_page_to_take_says_so(context: SourceContext, site: Site) -> None:
    put(site, "/", head='<meta name="robots" content="noindex">')
    with pytest.raises(SourceRejected, match="came to no page"):
        await sync(context, {"url": site.url})


async def test_linked_files_are_rows_and_what_has_no_text_is_not(context: SourceContext, site: Site) -> None:
    put(site, "/", "/guide.pdf", "/movie", "/data", "/feed")
    site.pages["/guide.pdf"] = Resource(b"%PDF-1.7", "application/pdf")
    site.pages["/movie"] = Resource(b"\0" * 100, "video/mp4")
    site.pages["/data"] = Resource(b'{"a": 1}', "application/json")
    site.pages["/feed"] = Resource(b"<rss/>", "application/rss+xml")
    found = await sync(context, {"url": site.url})
    assert found.paths == {"/", "/guide.pdf", "/data"}
    pdf = found.outcomes[f"{site.url}/guide.pdf"]
    assert isinstance(pdf, Fetched)
    assert (pdf.filename, pdf.media_type, pdf.url) == ("guide.pdf", "application/pdf", f"{site.url}/guide.pdf")


async def test_pages_that_are_not_fetched_at_once_are_asked_for_again_and_memory_has_a_bound(context: SourceContext, site: Site) -> None:
    big = 900_000
    put(site, "/", *(f"/{n}" for n in range(60)))
    for n in range(60):
        put(site, f"/{n}", text=f"{n} " + "word " * (big // 5))
    connector = WebsiteConnector()
    async with await connector.open(connector.parse({"url": site.url}), context) as source:
        rows = [row async for batch in source.list_rows() for row in batch if isinstance(row, Listed)]
        site.asked.clear()
        outcomes = await source.fetch([Wanted(row) for row in rows])
    assert all(isinstance(one, Fetched) for one in outcomes)
    assert [one.validator for one in outcomes if isinstance(one, Fetched)] == [row.validator for row in rows]
    assert 20 <= len(site.asked) <= 40  # of 54 MB, 32 were at hand


def test_links_are_kept_in_a_validator_and_too_many_are_not() -> None:
    few, many = tuple(f"https://example.com/{n}" for n in range(500)), tuple(f"https://example.com/{n * 7919:x}{n:x}" for n in range(9_000))
    assert read_seen(Seen("web", "digest", few).text()) == Seen("web", "digest", few)
    assert read_seen(Seen(None, "digest", ()).text()) == Seen(None, "digest", ())
    assert read_seen(Seen(None, "digest", many).text()) == Seen(None, "digest", None)
    assert read_seen('["a", null]') is None


def test_settings_are_taken_as_people_write_them_and_refused_in_sentences() -> None:
    connector = WebsiteConnector()
    assert connector.parse({"url": "https://example.com", "select": "main, article", "remove": "nav"}) == connector.parse(
        {"url": "https://example.com", "select": ["main, article"], "remove": ["nav"]}
    )
    with pytest.raises(Invalid) as caught:
        connector.parse({"url": 5, "include": "/docs/**", "maxPages": "many", "select": "main >> p", "mode": "all", "maxDepth": 99})
    assert {error.field.removeprefix("config."): error.message for error in caught.value.errors} == {
        "url": "It has to be text.",
        "mode": "It has to be 'crawl', 'sitemap' or 'pages'.",
        "maxPages": "It has to be a whole number.",
        "maxDepth": "It is too large: 50 is the most.",
        "include": "It has to be a list.",
        "select.0": "'main >> p' is not a CSS selector.",
    }
