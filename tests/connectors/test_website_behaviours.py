"""`website` does what every connector does, whether its pages are found by links or by a sitemap; and whole syncs of what only websites have."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from ipaddress import ip_network
from typing import Any, ClassVar, Self

import pytest

from tests.connectors.behaviours import Behaviours, Place, finds
from tests.connectors.site import Resource, Site, link, page, serving
from tests.flows.engine import engine_of
from tidings.connectors.website import WebsiteConnector
from tidings.settings import Settings
from tidings.store.database import Database

LOOPBACK = {"allowed_networks": (ip_network("127.0.0.0/8"),)}


class WebPlace(Place):
    """A site on loopback whose pages `index` names."""

    mode: ClassVar[str]
    index: ClassVar[str]

    at_once: ClassVar[int] = 2

    def __init__(self) -> None:
        super().__init__()
        self.connector = WebsiteConnector()
        self.site = _Held()
        self.names: dict[str, str] = {}
        self._serving = AsyncExitStack()

    @property
    def config(self) -> Mapping[str, Any]:  # type: ignore[override]  # known once the site has a port
        return {"url": self.site.url + self.index, "mode": self.mode}

    async def __aenter__(self) -> Self:
        await self._serving.enter_async_context(serving(self.site))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._serving.aclose()

    @property
    def reads(self) -> list[str]:
        return [self.site.url + one.path for one in self.site.asked if one.sent and one.path.endswith(".html")]

    def name(self) -> Resource:
        """What names the pages."""
        raise NotImplementedError

    def write(self, name: str, resource: Resource | None) -> str:
        """Puts a page there or takes it away, and names those that there are."""
        path = f"/{name}.html"
        self.site.pages.pop(path, None)
        if resource is not None:
            self.site.pages[path] = resource
        self.site.pages[self.index] = self.name()
        return self.site.url + path

    def paths(self) -> list[str]:
        return [path for path in self.site.pages if path.endswith(".html")]

    async def put(self, name: str, text: str) -> str:
        return self.write(name, Resource(page(f"<main><h1>{name}</h1><p>{text}</p></main>", title=name)))

    async def remove(self, name: str) -> None:
        self.write(name, None)

    async def spoil(self, name: str) -> None:
        self.write(name, Resource(b"%PDF-1.7 and nothing that a reader understands", "application/pdf"))

    async def take_down(self) -> None:
        await self._serving.aclose()

    async def bring_back(self) -> None:
        await self._serving.enter_async_context(serving(self.site, self.site.port))

    async def refuse(self) -> None:
        self.site.pages[self.index] = Resource(status=401)

    async def hold(self, after: int = 0) -> None:
        self.site.let_through = after
        self.site.open.clear()

    async def release(self) -> None:
        self.site.let_through = None
        self.site.open.set()

    @property
    def waiting(self) -> int:
        return self.site.waiting


class _Held(Site):
    """A site that can keep whoever asks for more pages waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.let_through: int | None = None
        self.waiting = 0

    async def admit(self, path: str) -> None:
        if not path.endswith(".html"):
            return
        if self.let_through is not None and self.let_through <= 0:
            self.waiting += 1
            try:
                await self.open.wait()
            finally:
                self.waiting -= 1
        elif self.let_through is not None:
            self.let_through -= 1


class CrawlPlace(WebPlace):
    """Pages that a front page links to, which is none itself."""

    mode, index = "crawl", "/"

    def name(self) -> Resource:
        return Resource(page(*map(link, self.paths()), head='<meta name="robots" content="noindex">'))


class SitemapPlace(WebPlace):
    """Pages that a sitemap names."""

    mode, index = "sitemap", "/sitemap.xml"

    def name(self) -> Resource:
        urls = "".join(f"<url><loc>{self.site.url}{path}</loc></url>" for path in self.paths())
        return Resource(f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{urls}</urlset>'.encode(), "application/xml")


class TestCrawl(Behaviours):
    @pytest.fixture
    async def place(self) -> AsyncIterator[Place]:
        async with CrawlPlace() as place:
            yield place


class TestSitemap(Behaviours):
    @pytest.fixture
    async def place(self) -> AsyncIterator[Place]:
        async with SitemapPlace() as place:
            yield place


async def test_what_is_selected_becomes_text_and_a_change_of_that_reads_everything_anew(database: Database, settings: Settings, site: Site) -> None:
    menu = "<nav>Menu with a walrus</nav><div class=ad>An otter for sale</div>"
    site.pages["/"] = Resource(page(menu, "<div class=text>A beaver builds.</div>", link("/a"), title="Front"))
    site.pages["/a"] = Resource(page(menu, "<div class=text>A marten climbs. <i class=ad>A stoat for sale</i></div>", title="Second"))
    reached = settings.model_copy(update=LOOPBACK)
    config = {"url": site.url, "select": [".text"], "remove": [".ad"]}
    async with engine_of(database, reached, WebsiteConnector(), config) as engine:
        assert (await engine.sync()).counts.added == 2
        assert [word for word in ("beaver", "marten", "walrus", "otter", "stoat") if await finds(engine, word)] == ["beaver", "marten"]
        unchanged = await engine.sync()
        assert (unchanged.counts.changed, unchanged.counts.failed) == (0, 0)
        await engine.configure({**config, "remove": []})
        assert (await engine.sync()).counts.changed == 1
        assert await finds(engine, "stoat")
        await engine.configure({**config, "select": [".no-such"]})
        failed = await engine.sync()
        assert (failed.state, failed.counts.failed) == ("succeeded", 2)
        assert all("matched by `select`" in (row.error or "") for row in (await engine.rows()).values())


async def test_pages_that_need_javascript_are_named_as_such(database: Database, settings: Settings, site: Site) -> None:
    site.pages["/"] = Resource(page("<p>A badger digs.</p>", link("/app"), title="Front"))
    site.pages["/app"] = Resource(page('<div id="root"></div><script src="/app.js"></script>', "<noscript>Please enable JavaScript.</noscript>", title="App"))
    async with engine_of(database, settings.model_copy(update=LOOPBACK), WebsiteConnector(), {"url": site.url}) as engine:
        sync = await engine.sync()
        assert (sync.state, sync.counts.added, sync.counts.failed) == ("succeeded", 1, 1)
        row = (await engine.rows())[f"{site.url}/app"]
        assert row.error is not None
        assert "JavaScript" in row.error
        sent = site.sent
        again = await engine.sync()
        assert again.counts.failed == 1
        assert site.sent - sent < 600  # the page without text, and robots.txt, which is none


async def test_a_crawl_that_was_bounded_removes_nothing(database: Database, settings: Settings, site: Site) -> None:
    site.pages["/"] = Resource(page(*(link(f"/{n}") for n in range(5)), "<p>The front page.</p>"))
    for n in range(5):
        site.pages[f"/{n}"] = Resource(page(f"<p>Page {n}.</p>"))
    reached = settings.model_copy(update=LOOPBACK)
    async with engine_of(database, reached, WebsiteConnector(), {"url": site.url}) as engine:
        assert (await engine.sync()).counts.added == 6
        await engine.configure({"url": site.url, "maxPages": 3})
        bounded = await engine.sync()
        assert (bounded.state, bounded.counts.removed) == ("succeeded", 0)
        (warning,) = bounded.warnings
        assert (warning.code, warning.message.partition(",")[0]) == ("left_out", "The crawl stopped after 3 pages")
        assert len(await engine.rows()) == 6
        await engine.configure({"url": site.url})
        site.pages["/4"] = Resource(status=500)
        del site.pages["/3"]
        broken = await engine.sync()
        assert (broken.state, broken.counts.failed, broken.counts.removed) == ("succeeded", 1, 0)  # what hangs on /4 is not known
        site.pages["/4"] = Resource(page("<p>Page 4.</p>"))
        assert (await engine.sync()).counts.removed == 1
