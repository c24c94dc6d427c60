"""Pages that are named: by a sitemap, or by the owner of the data source. And what all sources of pages share."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar
from urllib.parse import urljoin, urlsplit

from tidings.connectors.base import UNCHANGED, Fetched, Found, Gone, Listed, Outcome, Source, Unlistable, Wanted, several_at_once
from tidings.connectors.globs import Selection
from tidings.connectors.hosts import AT_ONCE
from tidings.connectors.markup import facts_of
from tidings.connectors.robots import FORBIDDEN, Robots
from tidings.connectors.sitemap import LARGEST, MOST, Sitemap, read_sitemap
from tidings.connectors.urls import has_text, joined, place_of, segments_of
from tidings.connectors.web import ROW_SECONDS, Page, Web, refused_root, refused_row, row_error
from tidings.errors import RowError, RowNotFetched, RowNotRead, SourceRejected, SourceUnreachable, Unanswered
from tidings.model.targets import Targets

BATCH = 100
MOST_SITEMAPS = 1_000
TOO_MANY = f"The site has more than {MOST_SITEMAPS} sitemaps, and the others were not read. Name one of them as the URL."
TOO_LONG = f"This sitemap names more than {MOST:,} pages, which the protocol does not allow, and the others were not read. Split it."
STOPPED = (
    "The listing stopped after {most:,} pages, as many as the settings allow, and more are named; so no rows were removed either. Allow more pages, or leave "
    "some out by include and exclude."
)
SITEMAP_NAMES = (".xml", ".xml.gz", ".gz", ".txt")
NOT_INDEXED = "This page asks not to be indexed (noindex). Take that out of the page, or leave the page out."


@dataclass(frozen=True, slots=True)
class Site:
    """How a site is asked, and what is wanted of it."""

    web: Web
    robots: Robots
    selection: Selection
    max_pages: int
    select: tuple[str, ...]
    remove: tuple[str, ...]

    def wants(self, url: str) -> bool:
        """Whether the patterns take a page."""
        return self.selection.takes(segments_of(url))

    def fetched(self, page: Page, validator: str | None) -> Fetched:
        """A page as the bytes of its row."""
        name = page.url.partition("?")[0].rpartition("/")[2]
        return Fetched(page.body, validator, name or None, page.media_type, url=page.url, select=self.select, remove=self.remove)


class Pages(Source):
    """Pages by name; without names, those that the sitemap at `start`, or of its site, names."""

    row_seconds: ClassVar[float | None] = ROW_SECONDS

    def __init__(self, site: Site, start: str, names: Sequence[str] | None) -> None:
        self._site = site
        self._start = start
        self._names = names

    async def list_rows(self) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        """The pages in the order in which they are named, up to `max_pages`."""
        self.complete = True
        listed: set[str] = set()
        async for names in self._sitemaps() if self._names is None else _once([each for each in self._names if self._site.wants(each)]):
            if isinstance(names, Unlistable):
                self.complete = False  # what it names is not known
                yield [names]
                continue
            fresh = [name for name in names if name not in listed]
            taken = fresh[: self._site.max_pages - len(listed)]
            listed.update(taken)
            for start in range(0, len(taken), BATCH):
                yield [Listed(name, None, title=name, url=name) for name in taken[start : start + BATCH]]
            if len(taken) < len(fresh):
                self.complete = False
                self.warnings = [*self._site.robots.cut, STOPPED.format(most=self._site.max_pages)]
                return
        self.complete = self.complete and not self._site.robots.cut  # it may have named more sitemaps
        self.warnings = self._site.robots.cut
        if not listed and self.complete:
            raise SourceRejected(f"There is not one page to take: {self._start} names none, or include and exclude leave out all of them.")

    async def find_rows(self, targets: Targets) -> Sequence[Found] | None:
        """Pages by URL, as the names tell: no page is asked. None for what is no page of this site, or where the names are not all known."""
        urls = asked_for(targets, self._start)
        if urls is None:
            return None
        named = {row.key: row async for rows in self.list_rows() for row in rows if row.key in urls}
        return [named.get(url, Gone(url)) for url in urls] if self.complete or named.keys() == urls.keys() else None

    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        """The pages, those that have not changed without their bodies."""
        return await several_at_once(self._fetch, wanted, AT_ONCE)

    async def aclose(self) -> None:
        """Gives up what is being asked."""
        await self._site.robots.aclose()

    async def _fetch(self, one: Wanted) -> Outcome:
        url = one.row.key
        try:
            if not await self._site.robots.allow(url):
                raise RowNotRead(FORBIDDEN)
        except SourceUnreachable as error:
            raise RowNotFetched(str(error)) from error
        page = await self._site.web.get(url, one.known)
        if page.unchanged:
            return UNCHANGED
        if not (await facts_of(page)).indexed:
            raise RowNotRead(NOT_INDEXED)
        return self._site.fetched(page, page.validator)

    async def _sitemaps(self) -> AsyncIterator[Sequence[str] | Unlistable]:
        """The pages that each sitemap names; those that could not be had. SourceUnreachable or SourceRejected where no sitemap can be had at all."""
        roots = await self._roots()
        waiting = deque(roots[:MOST_SITEMAPS])
        seen = set(waiting)
        if len(roots) > MOST_SITEMAPS:
            yield Unlistable(urljoin(self._start, "/robots.txt"), RowNotRead(TOO_MANY))
        read = 0
        while waiting:
            url = waiting.popleft()
            try:
                found = await self._read(url)
            except (RowError, Unanswered) as error:
                trouble = error if isinstance(error, RowError) else row_error(error)
                if not read and not waiting:
                    raise SourceUnreachable(f"No sitemap could be read, so no rows were removed. {url}: {trouble}") from error
                yield Unlistable(url, trouble)
                continue
            read += 1
            yield found.pages
            if not found.whole:
                yield Unlistable(url, RowNotRead(TOO_LONG))
            more = [each for each in found.sitemaps if each not in seen]
            if len(seen) + len(more) > MOST_SITEMAPS:
                yield Unlistable(url, RowNotRead(TOO_MANY))
                more = more[: MOST_SITEMAPS - len(seen)]
            seen.update(more)
            waiting.extend(more)

    async def _roots(self) -> list[str]:
        """The URL itself where it looks like a sitemap; else what robots.txts names, else where a sitemap is by custom."""
        if urlsplit(self._start).path.endswith(SITEMAP_NAMES):
            return [self._start]
        named = [whole for each in await self._site.robots.sitemaps(self._start) if (whole := joined(self._start, each))]
        return list(dict.fromkeys(named)) or [urljoin(self._start, "/sitemap.xml")]

    async def _read(self, url: str) -> Sitemap:
        page = await self._site.web.ask(url, limit=LARGEST)
        if page.status in {401, 403} and url == self._start:
            raise refused_root(page) or AssertionError
        if page.status != 200:
            raise refused_row(page) or AssertionError
        return await asyncio.to_thread(self._found, page)

    def _found(self, page: Page) -> Sitemap:
        """What a sitemap names of this site."""
        found, place = read_sitemap(page.body, page.url), place_of(self._start)
        return replace(found, pages=[each for each in found.pages if place_of(each) == place and has_text(each) and self._site.wants(each)])


def asked_for(targets: Targets, start: str) -> dict[str, None] | None:
    """The pages that are asked for, each once, in their one spelling: by a URL, or by a key, which is one. None where one is no page of the site."""
    urls = [joined(start, name) for name in (*targets.keys, *targets.urls)]
    return dict.fromkeys(url for url in urls if url) if all(url and place_of(url) == place_of(start) for url in urls) else None


async def _once(names: Sequence[str]) -> AsyncIterator[Sequence[str] | Unlistable]:
    yield list(dict.fromkeys(names))
