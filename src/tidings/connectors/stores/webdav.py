"""Folders of a WebDAV server (RFC 4918)."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from lxml import etree

from tidings.connectors.base import SourceContext
from tidings.connectors.stores.base import PAGE, Content, Entry, look_up_each, version_of
from tidings.connectors.stores.over_http import LISTING_BYTES, HttpStore, quoted
from tidings.connectors.stores.places import Place

DAV = "{DAV:}"
WANTED = b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/><getlastmodified/><getetag/></prop></propfind>'
LONGEST_SIZE = 20  # digits
NO_LISTING = "What it answers to PROPFIND is no listing of a folder. Name the address of a WebDAV folder."


class WebdavStore(HttpStore):
    """A collection, and those in it."""

    at_once: ClassVar[int] = 4  # many of these servers are small

    async def list_folder(self, path: str) -> AsyncIterator[Sequence[Entry]]:
        """One request for each folder: servers may refuse to list them all at once."""
        page = await self.ask(f"{self._at(path)}/", LISTING_BYTES, "PROPFIND", WANTED)
        entries = await asyncio.to_thread(listed, page.body, unquote(urlsplit(page.url).path, errors="surrogateescape").rstrip("/"), path)
        for start in range(0, len(entries), PAGE):
            yield entries[start : start + PAGE]

    async def find(self, paths: Sequence[str]) -> Mapping[str, Entry]:
        """By a PROPFIND of each file; it has nothing below it that could be listed too."""
        return await look_up_each(self._look_up, paths, self.at_once)

    async def read(self, path: str, version: str | None, limit: int) -> Content:
        """The file. Its version is what both listing and answer say; where the answer says nothing, that of the listing."""
        page = await self.ask(self._at(path), limit)
        now = version_of(page.headers.get("etag"), _time(page.headers.get("last-modified")), len(page.body))
        return Content(page.body, version if now is None and "last-modified" not in page.headers else now, page.media_type)

    async def _look_up(self, path: str) -> Entry:
        page = await self.ask(self._at(path), LISTING_BYTES, "PROPFIND", WANTED)
        return described(page.body, unquote(urlsplit(page.url).path, errors="surrogateescape").rstrip("/"), path)

    def _at(self, path: str) -> str:
        return f"{self.place.endpoint}/{quoted(path)}" if path else self.place.endpoint


async def open_store(place: Place, context: SourceContext) -> WebdavStore:
    """Says who it is with each request (Basic), and lists one level at a time."""
    headers = {"Depth": "1", "Content-Type": "application/xml"}
    if place.options.username is not None or place.options.password is not None:
        credential = f"{place.options.username or ''}:{place.options.password or ''}"
        headers["Authorization"] = f"Basic {b64encode(credential.encode()).decode()}"
    return WebdavStore(place, context, headers)


def listed(answer: bytes, at: str, path: str) -> list[Entry]:
    """What a multistatus names directly below the collection `at` (its path on the server), which is the folder `path`. OSError where it is no listing."""
    entries: list[Entry] = []
    is_folder = False
    for there, properties in _responses(answer):
        name = there.removeprefix(f"{at}/")
        if there == at:
            is_folder = _entry("", properties).folder
        elif there.startswith(f"{at}/") and "/" not in name and name not in {".", ".."}:
            entries.append(_entry(f"{path}/{name}" if path else name, properties))
    if not is_folder:
        raise OSError(NO_LISTING)
    return entries


def described(answer: bytes, at: str, path: str) -> Entry:
    """What a multistatus says of what lies at `at`, which is `path`. OSError where it says nothing of it."""
    for there, properties in _responses(answer):
        if there == at:
            return _entry(path, properties)
    raise OSError(NO_LISTING)


def _responses(answer: bytes) -> Iterator[tuple[str, etree._Element | None]]:
    """What a multistatus tells of, by its path on the server, and what it says of it."""
    try:
        responses = etree.fromstring(answer, etree.XMLParser(resolve_entities=False, no_network=True)).findall(f"{DAV}response")
    except etree.XMLSyntaxError as error:
        raise OSError(NO_LISTING) from error
    for response in responses:
        there = unquote(urlsplit((response.findtext(f"{DAV}href") or "").strip()).path, errors="surrogateescape").rstrip("/")
        yield there, response.find(f"{DAV}propstat/{DAV}prop")


def _entry(path: str, properties: etree._Element | None) -> Entry:
    folder = properties is None or properties.find(f"{DAV}resourcetype/{DAV}collection") is not None
    return Entry(path, folder=True) if folder or properties is None else _file(path, properties)


def _file(path: str, properties: etree._Element) -> Entry:
    length = properties.findtext(f"{DAV}getcontentlength") or ""
    size = int(length) if length.isdecimal() and len(length) < LONGEST_SIZE else None
    return Entry(path, version_of(properties.findtext(f"{DAV}getetag"), _time(properties.findtext(f"{DAV}getlastmodified")), size), size)


def _time(text: str | None) -> datetime | None:
    try:
        modified = parsedate_to_datetime(text or "")
        return modified if modified.tzinfo is not None else modified.replace(tzinfo=UTC)  # "-0000" is UTC too
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
