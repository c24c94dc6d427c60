"""What connectors that read over HTTP share: polite, patient, conditional requests, and what goes wrong as sentences.

A connector makes one `Web` for each source that it opens, and asks it for the source as a whole by `get_root` and for rows by `get`.
"""

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

from tidings import __version__, clock
from tidings.connectors.base import SourceContext
from tidings.connectors.hosts import AT_ONCE, hosts_of
from tidings.errors import RefusedAddress, RequestFailed, RowError, RowNotFetched, RowNotRead, SourceError, SourceRejected, SourceUnreachable, Unanswered
from tidings.model.retry_after import read_retry_after
from tidings.outbound import Got, check_url

AGENT = f"Tidings/{__version__}"
SECONDS = 30.0  # for one request, with all of its answer
TRIES = 3
ROW_SECONDS = 180.0  # that all tries of a row may take, with a rest that its host asks for
PAUSES = (0.5, 2.0)  # seconds before the second and the third try
REDIRECTS = 10
SILENT = 5  # requests in a row that nobody answered: then the source is away, not a row
FRESH_SECONDS = 2  # a page may change again within the second that Last-Modified names
LONGEST_VALIDATOR = 1_000  # characters

_FINAL = frozenset({"too_large", "unsendable", "busy"})  # trying again does not help
_MOVED = frozenset({301, 302, 303, 307, 308})
_TO_OTHERS = frozenset({"accept", "accept-language", "user-agent", "if-none-match", "if-modified-since"})  # what another origin may be told


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: `url` is where it was found in the end, `body` whole, after decompression; a 304 has none. `headers` by lower-case name."""

    url: str
    status: int
    headers: dict[str, str]
    body: bytes
    conditional: bool = False  # whether it was asked for only where it has changed

    @property
    def unchanged(self) -> bool:
        """Whether the server vouches that the page is what it was at the validator that was sent."""
        return self.status == 304 and self.conditional

    @property
    def media_type(self) -> str | None:
        """What the server says the body is, `text/html; charset=utf-8`."""
        return self.headers.get("content-type")

    @property
    def moved_to(self) -> str | None:
        """Where a redirect leads, as a whole URL, unchecked."""
        location = self.headers.get("location")
        if self.status not in _MOVED or not location:
            return None
        try:
            return urljoin(self.url, location.strip().replace(" ", "%20"))
        except ValueError:
            return None

    @property
    def validator(self) -> str | None:
        """What a later request can be made conditional with; None where the server gave nothing that is sure."""
        etag, modified = self.headers.get("etag"), self.headers.get("last-modified")
        if not etag and not _settled(modified, self.headers.get("date")):
            modified = None
        text = json.dumps([etag, modified]) if etag or modified else None
        return text if text is not None and len(text) <= LONGEST_VALIDATOR else None


class Web:
    """The door as connectors use it: at most `at_once` requests at a time to a host, 3 tries for each, redirects followed through the guard."""

    def __init__(self, context: SourceContext, headers: Mapping[str, str] | None = None, at_once: int = AT_ONCE) -> None:
        self.pauses: dict[str, float] = {}  # host -> seconds that it wants between two requests
        self._outbound = context.outbound
        self._hosts = hosts_of(context.outbound)
        self._limit = context.max_file_bytes
        self._headers = {"User-Agent": AGENT, "Accept": "*/*", **(headers or {})}
        self._at_once = at_once
        self._silent = 0

    async def get(self, url: str, known: str | None = None) -> Page:
        """The page of one row, or a 304 where it is what it was at the validator `known`. RowNotFetched, RowNotRead; SourceUnreachable where nothing
        has answered for a while."""
        try:
            page = await self.ask(url, known)
        except Unanswered as error:
            raise row_error(error) from error
        if (refusal := refused_row(page)) is not None:
            raise refusal
        return page

    async def get_root(self, url: str, known: str | None = None) -> Page:
        """What the whole source hangs on, or a 304. SourceUnreachable, SourceRejected."""
        try:
            page = await self.ask(url, known)
        except Unanswered as error:
            raise root_error(error) from error
        if (refusal := refused_root(page)) is not None:
            raise refusal
        return page

    async def ask(self, url: str, known: str | None = None, *, follow: bool = True, limit: int | None = None, method: str = "GET", body: bytes = b"") -> Page:
        """The answer, whatever its status; redirects are followed (up to 10) unless told otherwise. `limit`: bytes, of the body. Unanswered,
        SourceUnreachable where nothing has answered for a while. `method` is one that only reads."""
        headers = {**self._headers, **_conditions(known)}
        for _ in range(REDIRECTS + 1):
            got = await self._insist(url, headers, limit or self._limit, method, body)
            page = Page(url, got.status, got.headers, got.body, "If-None-Match" in headers or "If-Modified-Since" in headers)
            if not follow or page.moved_to is None:
                return page
            if check_url(page.moved_to).endpoint != check_url(url).endpoint:
                headers = {name: value for name, value in headers.items() if name.lower() in _TO_OTHERS}
            url = page.moved_to
        raise RequestFailed(f"{check_url(url).host} redirects more than {REDIRECTS} times. Name the address that it should lead to.", code="unsendable")

    async def _insist(self, url: str, headers: Mapping[str, str], limit: int, method: str, body: bytes) -> Got:
        """Up to 3 tries, while that can help."""
        host = check_url(url).host
        for pause in (*PAUSES, None):
            try:
                async with self._hosts.turn(host, self.pauses.get(host, 0.0), self._at_once):
                    got = await self._outbound.get(url, headers, limit=limit, timeout=SECONDS, method=method, body=body)
            except RequestFailed as error:
                if error.code in _FINAL:
                    raise
                if pause is None:
                    self._note_silence(error)
                    raise
            else:
                self._silent = 0
                if got.status != 429 and got.status < 500:
                    return got
                wait = read_retry_after(got.headers.get("retry-after"), clock.now())
                if wait is not None and got.status in {429, 503}:
                    self._hosts.rest(host, wait / clock.SECOND)
                if pause is None:
                    return got
            await asyncio.sleep(pause * random.uniform(1, 1.5))  # noqa: S311 - for all who wait not to come back at once
        raise AssertionError

    def _note_silence(self, error: RequestFailed) -> None:
        self._silent += 1
        if self._silent >= SILENT:
            raise SourceUnreachable(
                f"The source is silent: {error} So went the last {self._silent} requests, and the sync was stopped. Try again later."
            ) from error


def refused_row(page: Page) -> RowError | None:
    """Why an answer is not the page of a row; None where it is (200), or is unchanged (304)."""
    if page.status == 200 or page.unchanged:
        return None
    match page.status:
        case 404 | 410:
            return RowNotRead(f"The server answers {page.status}: there is no such page any more. Put it back, or take out what names it.")
        case 401 | 403:
            return RowNotRead(f"The server does not show this page to Tidings (it answers {page.status}). Open it to the agent Tidings, or leave it out.")
        case 304 | 429 | 503:
            said = "answers 304 (unchanged) without having been asked" if page.status == 304 else f"was too busy (it answers {page.status}), {TRIES} times"
            return RowNotFetched(f"The server {said}. Sync again later.")
        case status if status >= 500:
            return RowNotFetched(f"The server failed (it answers {status}), {TRIES} times. Look into its log, then sync again.")
    return RowNotRead(f"The server answers {page.status} instead of the page. Correct the address, or leave it out.")


def refused_root(page: Page) -> SourceError | None:
    """The same for what the whole source hangs on."""
    if page.status == 200 or page.unchanged:
        return None
    match page.status:
        case 401 | 403:
            return SourceRejected(f"The server refuses to show {page.url} to Tidings (it answers {page.status}). Give Tidings access to it, then sync again.")
        case 404 | 410:
            return SourceUnreachable(f"There is nothing at {page.url} (it answers {page.status}). Correct the address, or put it back; no rows were removed.")
    return SourceUnreachable(f"The server answers {page.status} for {page.url}. Sync again when it is well; no rows were removed.")


def row_error(error: Unanswered) -> RowError:
    """What a request without a whole answer means for one row."""
    if isinstance(error, RefusedAddress):
        return RowNotRead(f"The page was not asked for: {error}")
    if error.code == "too_large":
        return RowNotRead(f"{error} So it was not read. Split it, or ask the operator to raise TIDINGS_MAX_FILE_MB.")
    return RowNotFetched(f"The page could not be fetched: {error} Sync again later.")


def root_error(error: Unanswered) -> SourceError:
    """What it means for the whole source."""
    if isinstance(error, RefusedAddress) or error.code == "too_large":
        return SourceRejected(f"The source can't be read: {error}")
    return SourceUnreachable(f"The source can't be reached: {error} No rows were removed. Sync again when it can be reached.")


def _conditions(known: str | None) -> dict[str, str]:
    """The headers that ask for a page only where it has changed. A validator that we did not write asks for all of it."""
    if known is None:
        return {}
    try:
        etag, modified = json.loads(known)
    except (ValueError, TypeError):
        return {}
    wanted = {"If-None-Match": etag, "If-Modified-Since": modified}
    return {name: value for name, value in wanted.items() if isinstance(value, str) and value.isascii() and value.isprintable()}


def _settled(modified: str | None, date: str | None) -> bool:
    """Whether a time of modification is far enough behind the server's clock for a later change to show (RFC 9110, section 8.8.2.2)."""
    try:
        before = parsedate_to_datetime(modified or "").timestamp()
        now = parsedate_to_datetime(date).timestamp() if date else clock.now() / clock.SECOND
    except (ValueError, TypeError, IndexError, OverflowError):
        return False
    return before + FRESH_SECONDS <= now
