"""Pages found by following links: breadth first, within bounds, each read once and only where it has changed.

A crawl has to read pages to know their links. So what it read stays at hand for `fetch`, and the links of a page are kept in its validator: where the
server says that the page has not changed, they are known without its body (docs/decisions).
"""

import asyncio
import base64
import hashlib
import zlib
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from posixpath import splitext
from time import monotonic
from typing import ClassVar
from urllib.parse import urlsplit

from tidings.connectors.base import MEGABYTE, UNCHANGED, Fetched, Found, Gone, Listed, Memory, Outcome, Remembered, Source, Unlistable, Wanted, several_at_once
from tidings.connectors.hosts import AT_ONCE
from tidings.connectors.markup import MOST_LINKS, SCANNED, Facts, facts_of
from tidings.connectors.pages import Site, asked_for
from tidings.connectors.robots import FORBIDDEN
from tidings.connectors.urls import DEEPEST, SAME_SEGMENT, at_home, has_text, is_trap, joined, place_of
from tidings.connectors.web import ROW_SECONDS, Page, refused_root, refused_row, root_error, row_error
from tidings.errors import RowError, RowNotFetched, SourceRejected, SourceUnreachable, Unanswered
from tidings.model.targets import Targets

AHEAD = 2  # pages asked for at once: as many as a host is asked for
BATCH = 16  # rows; a first sync works on some while the next ones are on their way
BATCH_SECONDS = 2.0  # a slow site's rows do not wait for so many
BATCH_BYTES = 4 * MEGABYTE
RECALLED = 64  # pages whose rows are looked up at once
AT_HAND = 32 * MEGABYTE  # of pages that were read and are not fetched yet; what is beyond is asked for again
QUERIES = 50  # pages of one path that differ in their query only: calendars and the like have no end
VISITS = 3  # requests for each row that is allowed, as redirects, duplicates and dead links are none
SHOWN = 200  # characters of an address in a sentence
PACKED = 16_000  # characters that the links of a page may take in its validator
STOPPED = "The crawl stopped after {most:,} pages, as many as the settings allow, and links lead to more. Allow more pages,"
WANDERED = "The crawl stopped after {visits:,} requests, as only {rows:,} of them came to a page to take, and links lead to more. Allow more pages,"
TOO_MANY = "Links lead to more than {most:,} addresses, and the others were not followed. Allow more pages,"
NARROW = "or leave some out by include and exclude. No rows were removed."
ENDLESS = (
    f"Of {{path}} only {QUERIES} addresses were followed that differ in what stands behind the ?, since calendars and the like have no end. Leave it out by "
    "exclude, or take the site by its sitemap. No rows were removed."
)
CUT = (
    f"{{url}} is larger than {SCANNED >> 20} MB or has more than {MOST_LINKS:,} links, and the others were not followed. Split it, or take the site by its "
    "sitemap. No rows were removed."
)
TOO_DEEP = "Pages more than {depth} links away from {start} were left out. Allow a greater depth if they are wanted."
TRAP = (
    f"{{url}}, to which {{page}} leads, was left out, as all is whose path has more than {DEEPEST} parts, or one of them more than {SAME_SEGMENT} times: "
    "links and redirects that are relative by mistake lead to such paths without an end. Mend what leads there, or leave them out by exclude."
)
USUAL_DEPTH = 5  # who allows less than is usual knows what is left out
CIRCLE = "This page redirects in a circle, so it was not read. Mend that at the site, or name the page in exclude."
_TAKEN = ("text/", "application/pdf", "application/xhtml+xml", "application/json", "application/vnd.", "application/msword", "application/epub+zip")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a validator of a crawled page says: how to ask for it again, what it was, where it led."""

    web: str | None
    digest: str
    links: tuple[str, ...] | None  # those that lead on, and one that looks like a trap; None: too many to be kept

    def text(self) -> str:
        """The validator."""
        packed = "" if self.links is None else base64.b64encode(zlib.compress("\n".join(self.links).encode())).decode()
        return "\n".join((self.web or "", self.digest, packed if len(packed) <= PACKED else ""))


def read_seen(validator: str) -> Seen | None:
    """What a validator says; None for one that no crawl wrote."""
    web, _, rest = validator.partition("\n")
    digest, found, packed = rest.partition("\n")
    if not found:
        return None
    links = tuple(zlib.decompress(base64.b64decode(packed)).decode().split("\n")) if packed else None
    return Seen(web or None, digest, None if links is None else tuple(filter(None, links)))


@dataclass(frozen=True, slots=True)
class Visit:
    """What came of one page: a row or none, where it leads, and where it is really found."""

    row: Listed | Unlistable | None = None
    links: tuple[str, ...] | None = ()  # None: not known
    instead: str | None = None
    read: bool = False  # it was a page, which names another one (`instead`) as the one to take
    digest: str | None = None
    stored: bool = False  # there is a row of it already


@dataclass(slots=True)
class _Frontier:
    """The pages to visit, in the order of their depth, each once."""

    max_depth: int
    most: int
    waiting: deque[tuple[str, int]] = field(default_factory=deque)
    seen: set[str] = field(default_factory=set)
    queries: Counter[str] = field(default_factory=Counter)
    cut: dict[str, str] = field(default_factory=dict)  # what was left out that may have been a page, a sentence for each kind of reason
    too_deep: bool = False  # pages were
    trap: str | None = None  # a sentence on the first address that looks like one

    def add(self, url: str, depth: int, *, first: bool = False) -> None:
        if url in self.seen:
            return
        if depth > self.max_depth:
            self.too_deep = True
        elif len(self.seen) >= self.most:
            self.cut.setdefault("addresses", f"{TOO_MANY.format(most=self.most)} {NARROW}")
        elif self._is_one_too_many(url):
            self.cut.setdefault("queries", ENDLESS.format(path=_shown(url.partition("?")[0])))
        else:
            self.seen.add(url)
            (self.waiting.appendleft if first else self.waiting.append)((url, depth))

    def again(self, url: str, depth: int) -> None:
        """Visits a page a second time, next."""
        self.waiting.appendleft((url, depth))

    def _is_one_too_many(self, url: str) -> bool:
        path, has_query, _ = url.partition("?")
        self.queries.update([path] if has_query else ())
        return self.queries[path] > QUERIES


class Crawl(Source):
    """The pages of one site that links lead to from `start`."""

    row_seconds: ClassVar[float | None] = ROW_SECONDS

    def __init__(self, site: Site, start: str, max_depth: int, remembered: Memory) -> None:
        self._site = site
        self._start = start
        self._remembered = remembered
        self._recalled: dict[str, Remembered | None] = {}
        self._recalling = asyncio.Lock()
        self._places = {place_of(start)}
        self._frontier = _Frontier(max_depth, 4 * site.max_pages + 1_000)
        self._led: dict[str, tuple[str, bool]] = {}  # from a page to the one found in its place (see `Visit`)
        self._circles: set[str] = set()  # pages that stand for one each
        self._visits: deque[tuple[str, int, asyncio.Task[Visit]]] = deque()
        self._at_hand: OrderedDict[str, Fetched] = OrderedDict()
        self._size_at_hand = 0

    async def list_rows(self) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        """The pages in the order of their distance from the first one, up to `max_pages`."""
        rows, visits, digests, known_all = 0, 0, set[str](), True
        batch: list[Listed | Unlistable] = []
        size, given_at = 0, monotonic()
        self._frontier.add(self._start, 0)
        while rows < self._site.max_pages and visits < VISITS * self._site.max_pages + 100 and self._set_out():
            url, depth, task = self._visits[0]
            visit = await task
            self._visits.popleft()
            visits += 1
            known_all &= visit.links is not None
            if visit.digest is not None and visit.digest in digests and not visit.stored:
                continue  # the same page under another name
            digests.update([visit.digest] if visit.digest is not None else [])
            self._follow(url, depth, visit)
            if visit.row is not None and self._site.wants(visit.row.key):
                batch.append(visit.row)
                rows += 1
                size += visit.row.size or 0 if isinstance(visit.row, Listed) else 0
            if len(batch) >= BATCH or size > BATCH_BYTES or monotonic() - given_at > BATCH_SECONDS:
                yield batch
                batch, size, given_at = [], 0, monotonic()
        yield batch
        if not rows:
            raise SourceRejected(f"The crawl from {self._start} came to no page that may be taken. See what it links to, and include and exclude.")
        if self._frontier.waiting or self._visits:
            stopped = STOPPED.format(most=rows) if rows == self._site.max_pages else WANDERED.format(visits=visits, rows=rows)
            self._frontier.cut["stopped"] = f"{stopped} {NARROW}"
        self.complete = known_all and not self._frontier.cut
        self.warnings = [*self._site.robots.cut, *self._frontier.cut.values(), *filter(None, (self._too_deep(), self._frontier.trap))]

    async def find_rows(self, targets: Targets) -> Sequence[Found] | None:
        """Pages that were found before, asked for again. None where one was not, or is now found elsewhere: only a crawl tells where links lead."""
        asked = asked_for(targets, self._start)
        urls = None if asked is None else dict.fromkeys(at_home(each, self._start) for each in asked)
        if urls is None or (await self._remembered([*urls])).keys() != urls.keys():
            return None
        found: list[Found] = []
        for url in urls:
            visit = await self._visit(url, first=url == self._start)
            if visit.instead is not None:
                return None
            found.append(visit.row if visit.row is not None and self._site.wants(url) else Gone(url))
        return found

    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        """What the listing has read; the rest is asked for again."""
        return await several_at_once(self._fetch, wanted, AT_ONCE)

    async def aclose(self) -> None:
        """Gives up what is being asked."""
        tasks = [task for _, _, task in self._visits]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._site.robots.aclose()

    def _too_deep(self) -> str | None:
        depth = self._frontier.max_depth
        return TOO_DEEP.format(depth=depth, start=self._start) if self._frontier.too_deep and depth >= USUAL_DEPTH else None

    def _set_out(self) -> bool:
        """Asks for the next pages; whether there is anything to wait for. Which are next follows from what came before, not from who is quicker."""
        while len(self._visits) < AHEAD and self._frontier.waiting:
            url, depth = self._frontier.waiting.popleft()
            self._visits.append((url, depth, asyncio.create_task(self._visit(url, first=depth == 0))))
        return bool(self._visits)

    def _follow(self, url: str, depth: int, visit: Visit) -> None:
        if visit.instead is not None:
            self._led[url] = visit.instead, visit.read
            if (one := self._one_of_circle(url)) is not None:
                self._circles.add(one)
                self._frontier.again(one, depth)
            if depth == 0:
                self._places.add(place_of(visit.instead))  # the site is where its address leads
            if self._is_of_site(visit.instead) and (depth == 0 or self._site.wants(visit.instead)) and not self._is_trap(visit.instead, url):
                self._frontier.add(visit.instead, depth, first=True)
        for link in visit.links or ():
            if self._is_of_site(link) and self._site.wants(link) and not self._is_trap(link, url):
                self._frontier.add(at_home(link, self._start), depth + 1)

    def _is_trap(self, url: str, page: str) -> bool:
        """Whether what a page leads to looks like one; the first that does is told of."""
        if is_trap(url):
            self._frontier.trap = self._frontier.trap or TRAP.format(url=_shown(url), page=_shown(page))
        return is_trap(url)

    def _one_of_circle(self, url: str) -> str | None:
        """Of pages that lead to each other in a circle, the one to take: one that has a text, whatever it names as the page to take. None: no circle."""
        members = [url]
        while (led := self._led.get(members[-1])) is not None and led[0] != url:
            members.append(led[0])
        if led is None or self._circles.intersection(members):
            return None
        return next((each for each in members if self._led[each][1]), url)

    def _is_of_site(self, url: str) -> bool:
        return place_of(url) in self._places and has_text(url)

    async def _visit(self, url: str, *, first: bool) -> Visit:
        if not await self._site.robots.allow(url):
            if first:
                raise SourceRejected(f"The crawl can't begin at {url}. {FORBIDDEN}")
            return Visit()
        stored = await self._recall(url)
        seen = read_seen(stored.validator) if stored is not None else None
        if stored is not None and stored.settled and seen is not None and seen.links is not None:
            return Visit(_listed(url, stored.validator), seen.links, digest=seen.digest, stored=True)
        try:
            page = await self._site.web.ask(url, seen.web if seen is not None and seen.links is not None else None, follow=False)
        except Unanswered as error:
            if first:
                raise root_error(error) from error
            return _failed(url, row_error(error), stored=stored is not None)
        if page.unchanged and stored is not None and seen is not None:
            return Visit(_listed(url, stored.validator), seen.links, digest=seen.digest, stored=True)
        return self._refused(page, first=first, stored=stored is not None) or await self._read(page, stored=stored is not None)

    async def _recall(self, url: str) -> Remembered | None:
        """What is stored of a page; asked for together with the pages that were set out for and those that come after them."""
        async with self._recalling:
            if url not in self._recalled:
                under_way = (each for each, _, _ in self._visits)
                to_come = (each for each, _ in islice(self._frontier.waiting, RECALLED))
                urls = [*dict.fromkeys((url, *under_way, *to_come))]
                self._recalled = dict.fromkeys(urls) | dict(await self._remembered(urls))
            return self._recalled[url]

    def _refused(self, page: Page, *, first: bool, stored: bool) -> Visit | None:
        """What an answer means that brought no page; None where it brought one."""
        if page.moved_to is not None and page.url not in self._circles:
            return Visit(instead=joined(page.url, page.moved_to))
        if page.moved_to is not None:
            if first:
                raise SourceUnreachable(f"The crawl can't begin at {page.url}. {CIRCLE} No rows were removed.")
            return _failed(page.url, RowNotFetched(CIRCLE), stored=stored)
        if first and (refusal := refused_root(page)) is not None:
            raise refusal
        if page.status in {404, 410}:
            return Visit()  # a dead link; the page that was there once is gone
        trouble = refused_row(page)
        return None if trouble is None else _failed(page.url, trouble, stored=stored)

    async def _read(self, page: Page, *, stored: bool) -> Visit:
        if not _can_be_read(page):
            return Visit()
        facts = await facts_of(page)
        if facts.cut:
            self._frontier.cut.setdefault("links", CUT.format(url=_shown(page.url)))
        if not facts.indexed:
            return Visit(links=facts.links)
        canonical = self._canonical(page.url, facts)
        if canonical is not None:
            return Visit(instead=canonical, read=True)
        seen = self._seen(page, facts)
        validator = seen.text()
        self._keep(page.url, self._site.fetched(page, validator))
        return Visit(_listed(page.url, validator, len(page.body)), facts.links, digest=seen.digest, stored=stored)

    def _seen(self, page: Page, facts: Facts) -> Seen:
        digest = base64.b64encode(hashlib.sha256(page.body).digest()[:18]).decode()
        links = [link for link in facts.links if self._is_of_site(link)]
        one_trap = max(filter(is_trap, links), key=self._site.wants, default=None)
        return Seen(page.validator, digest, None if facts.cut else tuple(link for link in links if link == one_trap or not is_trap(link)))

    def _canonical(self, url: str, facts: Facts) -> str | None:
        """Where a page says that it is really found. Not believed where it points elsewhere, or to the front page: with many sites all pages do that."""
        canonical = None if facts.canonical is None else at_home(facts.canonical, self._start)
        if canonical is None or canonical == url or url in self._circles or not self._is_of_site(canonical) or is_trap(canonical):
            return None
        return None if urlsplit(canonical).path == "/" != urlsplit(url).path else canonical

    def _keep(self, url: str, fetched: Fetched) -> None:
        self._at_hand[url] = fetched
        self._size_at_hand += len(fetched.content)
        while self._size_at_hand > AT_HAND:
            self._size_at_hand -= len(self._at_hand.popitem(last=False)[1].content)

    async def _fetch(self, one: Wanted) -> Outcome:
        kept = self._at_hand.pop(one.row.key, None)
        if kept is not None:
            self._size_at_hand -= len(kept.content)
            return kept
        seen = read_seen(one.known) if one.known is not None else None
        page = await self._site.web.get(one.row.key, seen.web if seen is not None else None)
        return UNCHANGED if page.unchanged else self._site.fetched(page, self._seen(page, await facts_of(page)).text())


def _failed(url: str, error: RowError, *, stored: bool) -> Visit:
    """A page that is there and was not had. Where it leads is not known if it may be had another time, or was had before."""
    return Visit(Unlistable(url, error), None if stored or isinstance(error, RowNotFetched) else ())


def _shown(url: str) -> str:
    return url if len(url) <= SHOWN else f"{url[:SHOWN]}…"


def _can_be_read(page: Page) -> bool:
    """Whether what came is of a kind that has text; what the server does not know is told by its name."""
    kind = (page.media_type or "").strip().lower()
    return kind.startswith(_TAKEN) or (kind.partition(";")[0] in {"", "application/octet-stream"} and bool(splitext(urlsplit(page.url).path)[1] or not kind))


def _listed(url: str, validator: str, size: int | None = None) -> Listed:
    return Listed(url, validator, title=url, url=url, size=size)
