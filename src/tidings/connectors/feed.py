"""The kind `feed`: the entries of an RSS, Atom or JSON feed.

Feeds name their latest entries only, so entries that have left a feed stay. A feed that its server says is unchanged is not transferred: what it was last
known by is the cursor of the data source.
"""

import asyncio
import hashlib
import html
import io
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Annotated, Any, ClassVar
from urllib.parse import urljoin
from xml.parsers import expat

import feedparser
import orjson
from pydantic import Field

from tidings.connectors.base import (
    MEGABYTE,
    Carried,
    Config,
    Connector,
    Fetched,
    Listed,
    Outcome,
    Source,
    SourceContext,
    Unlistable,
    Wanted,
    fetch_carried,
    several_at_once,
    storable,
)
from tidings.connectors.markup import CHARSET, KNOWN_CHARSETS
from tidings.connectors.web import Page, Web
from tidings.errors import FieldError, Invalid, RowNotRead, SourceRejected

LARGEST_FEED = 5 * MEGABYTE
MOST_ENTRIES = 5_000  # the first ones of a feed, which by custom are the latest
LONGEST_KEY = 1_000  # characters; of longer ids, a hash
LONGEST_TITLE = 500
ARTICLES_AT_ONCE = 8  # of all hosts together; each host is asked for two
NO_FEED = "There is no feed at {url}: what it answers is neither RSS nor Atom nor JSON Feed. Correct the address, perhaps to what the site links to as feed."
TOO_LONG = f"The feed has more than {MOST_ENTRIES:,} entries: the first {MOST_ENTRIES:,} were read, and the others were not. Name a feed with fewer."
TOO_MUCH = "The feed at {url} has more markup in it than Tidings reads (250,000 tags, 200 attributes of one). Name a feed with fewer entries."

DEEPEST = 1_000  # elements in each other: the time of the parser grows with the square of that
MOST_ATTRIBUTES = 200  # of one element, likewise
MOST_TAGS, MOST_ENTITIES = 250_000, 1_250_000

_TAG = re.compile(r"<[^<>]*>")
_ELEMENT = re.compile(rb"<(/?)[A-Za-z][^<>]*(?<!/)>")
_END_OF_ENTRY = re.compile(rb"</(?:[A-Za-z][\w.-]*:)?(?:item|entry)\s*>|<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)", re.DOTALL)
_DECLARATION = re.compile(r"\s*<\?xml[^<>]*>")
_REFERENCE = re.compile(r"&#(?:[xX]([0-9a-fA-F]{1,20})|([0-9]{1,20}));")
_DECLARED = re.compile(rb"""\s*<\?xml[^<>]{1,200}encoding=["' ]*([a-zA-Z0-9_:.-]{2,40})""")
# How an encoding shows in the first bytes, with a mark or without; of those that begin alike the longer one first.
_STARTS = (
    (BOM_UTF8, "utf-8"), (BOM_UTF32_LE, "utf-32-le"), (BOM_UTF32_BE, "utf-32-be"), (BOM_UTF16_LE, "utf-16-le"), (BOM_UTF16_BE, "utf-16-be"),
    (b"<\0\0\0", "utf-32-le"), (b"\0\0\0<", "utf-32-be"), (b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"),
)  # fmt: skip


class FeedConfig(Config):
    """The settings of a `feed` data source."""

    url: Annotated[str, Field(min_length=1, max_length=2048)] = Field(description="Address of the RSS, Atom or JSON feed.")
    fullArticle: bool = Field(default=False, description="Whether to read the page that an entry links to, instead of what the feed says of it.")  # noqa: N815 - as in JSON


class FeedConnector(Connector[FeedConfig]):
    """Entries of a feed; a row's key is the entry's id, else its link."""

    kind: ClassVar[str] = "feed"
    title: ClassVar[str] = "Feed"
    description: ClassVar[str] = "The entries of an RSS, Atom or JSON feed, or the articles behind them."
    sees_changes: ClassVar[str] = "By ETag or Last-Modified of the feed, then by a hash of each entry; an article is read again when its entry changes."
    looks_up: ClassVar[str] = "None: the feed itself is one request, and names all that it has."
    cannot: ClassVar[str] = (
        "Remove entries: those that left the feed stay. Follow a feed from page to page. See an article's edit that leaves its entry as it is."
    )
    tried: ClassVar[str] = "Feeds of ours on a real server; never live."
    config_type: ClassVar[type[Config]] = FeedConfig

    def text_settings(self, config: FeedConfig) -> tuple[str, ...]:
        """Where the text comes from."""
        return ("article",) if config.fullArticle else ()

    async def check(self, config: FeedConfig, context: SourceContext) -> None:
        """The address has to pass the guard; nothing is fetched yet."""
        explanation = await context.outbound.explain(config.url)
        if explanation.refused:
            raise Invalid(FieldError("config.url", str(explanation.reason)))

    async def open(self, config: FeedConfig, context: SourceContext) -> "Feed":
        """Nothing is fetched before it is listed."""
        return Feed(config, context)


class Feed(Source):
    """A feed, and the articles behind it where those are wanted."""

    def __init__(self, config: FeedConfig, context: SourceContext) -> None:
        self.cursor = context.cursor
        self._config = config
        self._feeds = Web(replace(context, max_file_bytes=min(context.max_file_bytes, LARGEST_FEED)))
        self._articles = Web(context)

    async def list_rows(self) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        """The entries, if the feed has changed. `complete` stays False: what it does not name may well be there."""
        page = await self._feeds.get_root(self._config.url, self.cursor)
        if not page.unchanged:
            yield await asyncio.to_thread(entries, page)
            self.cursor = page.validator

    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        """What came with the feed, or the articles."""
        return await several_at_once(self._article, wanted, ARTICLES_AT_ONCE) if self._config.fullArticle else fetch_carried(wanted)

    async def _article(self, one: Wanted) -> Outcome:
        row = one.row
        if row.url is None:
            return fetch_carried([one])[0]
        page = await self._articles.get(row.url)
        return Fetched(page.body, row.validator, media_type=page.media_type, title=row.title, url=row.url)


def entries(page: Page) -> list[Carried | Unlistable]:
    """The first entries of a feed, each id once, and word of it where there are more. SourceRejected where it is no feed."""
    body = None if page.body.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{") else _as_utf8(page)
    found = _json_entries(page.body) if body is None else _xml_entries(_first_entries(body), page.url)
    if found is None:
        raise SourceRejected(NO_FEED.format(url=page.url))
    rows = _rows(islice(found, MOST_ENTRIES), page)
    more = next(iter(found), None) is not None or (body is not None and _first_entries(body) is not body)
    return [*rows.values(), *([Unlistable(page.url[:LONGEST_KEY], RowNotRead(TOO_LONG))] if more else ())]


def _rows(found: Iterator["Entry"], page: Page) -> dict[str, Carried]:
    rows: dict[str, Carried] = {}
    for entry_id, link, title, media_type, text in (map(storable, entry) for entry in found):
        url = _absolute(page.url, link)
        heading = " ".join(html.unescape(_TAG.sub(" ", title)).split())[:LONGEST_TITLE] or None
        body = (text or html.escape(heading or "")).encode("utf-8", "replace")
        key = entry_id.strip() or url or hashlib.sha256(body).hexdigest()
        mark = hashlib.sha256(b"\0".join((str(heading).encode("utf-8", "replace"), str(url).encode(), body))).hexdigest()[:32]
        if len(key) > LONGEST_KEY:
            key = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
        rows.setdefault(key, Carried(key, mark, heading, url, len(body), content=body, media_type=f"{media_type}; charset=utf-8"))
    return rows


Entry = tuple[str, str, str, str, str]  # id, link, title, media type, text


def _as_utf8(page: Page) -> bytes:
    """A document of XML as UTF-8, without the declaration that names another encoding: what is looked at here is what the parser sees then."""
    inside, outside = _DECLARED.match(page.body), CHARSET.search(page.media_type or "")
    shown = next((encoding for start, encoding in _STARTS if page.body.startswith(start)), None)
    for charset in filter(None, (shown, outside and outside[1], inside and inside[1].decode(), "utf-8")):
        if KNOWN_CHARSETS.match(charset):
            with suppress(LookupError, UnicodeError):
                text = page.body.decode(charset)
                break
    else:
        text = page.body.decode("windows-1252", "replace")
    return _REFERENCE.sub(_whole_character, _DECLARATION.sub("", storable(text.lstrip("\ufeff")), count=1)).encode()


def _whole_character(reference: re.Match[str]) -> str:
    """What stays of a reference to a character: the parser fails on halves of surrogate pairs."""
    number = int(reference[1] or reference[2], 16 if reference[1] else 10)
    return "?" if 0xD800 <= number <= 0xDFFF else reference[0]


def _first_entries(body: bytes) -> bytes:
    """The feed without what comes behind the first MOST_ENTRIES entries: the parser takes a third of a millisecond for each."""
    ends = [found.end() for found in _END_OF_ENTRY.finditer(body) if found[0].startswith(b"</")]
    return body if len(ends) <= MOST_ENTRIES else body[: ends[MOST_ENTRIES - 1]] + body[ends[-1] :]


def _xml_entries(body: bytes, url: str) -> Iterator[Entry] | None:
    """Of RSS and Atom, as far as feedparser can make sense of it; it is handed bytes, and fetches nothing."""
    if not _shallow(body):
        return None
    if body.count(b"<") > MOST_TAGS or body.count(b"&") > MOST_ENTITIES or _has_too_many_attributes(body):
        raise SourceRejected(TOO_MUCH.format(url=url))
    headers = {"content-type": "application/xml; charset=utf-8"}
    try:
        parsed = feedparser.parse(io.BytesIO(body), response_headers=headers, resolve_relative_uris=False, sanitize_html=False)
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError):  # whatever it comes upon in what is no feed
        return None
    return map(_xml_entry, parsed.entries) if parsed.get("version") or parsed.entries else None


def _has_too_many_attributes(body: bytes) -> bool:
    """Of one element, as far as the document is well-formed, which is as far as it matters."""
    most = 0

    def started(_name: str, attributes: Sequence[str]) -> None:
        nonlocal most
        most = max(most, len(attributes) // 2)

    parser = expat.ParserCreate()
    parser.ordered_attributes = True
    parser.StartElementHandler = started
    with suppress(expat.ExpatError):
        parser.Parse(body, True)  # noqa: FBT003 - by position in the library: there is no more
    return most > MOST_ATTRIBUTES


def _shallow(body: bytes) -> bool:
    """Whether no more than DEEPEST elements are open at once; what is in CDATA is text."""
    first, *others = body.split(b"<![CDATA[")
    depth = 0
    for part in (first, *(other.partition(b"]]>")[2] for other in others)):
        for found in _ELEMENT.finditer(part):
            depth += -1 if found[1] else 1
            if depth > DEEPEST:
                return False
    return True


def _xml_entry(entry: Mapping[str, Any]) -> Entry:
    parts = [*entry.get("content", ()), *([entry["summary_detail"]] if "summary_detail" in entry else ())]
    longest = max((part.get("value") or "" for part in parts), key=len, default="")
    return entry.get("id") or "", entry.get("link") or "", entry.get("title") or "", "text/html", longest


def _json_entries(body: bytes) -> Iterator[Entry] | None:
    """Of a JSON Feed (jsonfeed.org, 1.0 and 1.1)."""
    try:
        feed = orjson.loads(body.lstrip(b"\xef\xbb\xbf"))
    except ValueError:
        return None
    items = feed.get("items")
    if not str(feed.get("version")).startswith("https://jsonfeed.org/version/") or not isinstance(items, list):
        return None
    return (_json_entry(item) for item in items if isinstance(item, dict))


def _json_entry(item: Mapping[str, Any]) -> Entry:
    def of(*names: str) -> str:
        return next((str(item[name]) for name in names if isinstance(item.get(name), str | int | float) and item[name] != ""), "")

    marked = of("content_html")
    return of("id"), of("url", "external_url"), of("title"), "text/html" if marked else "text/plain", marked or of("content_text", "summary")


def _absolute(base: str, link: str) -> str | None:
    try:
        url = urljoin(base, link.strip()) if link.strip() else ""
    except ValueError:
        return None
    return url if url.startswith(("https://", "http://")) and len(url) <= LONGEST_KEY else None
