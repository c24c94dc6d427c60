"""Containers of Azure's blob storage, by its REST interface: with a shared access signature, or what is public."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import ClassVar
from urllib.parse import quote, unquote

from lxml import etree

from tidings.connectors.base import SourceContext
from tidings.connectors.stores.base import PAGE, Content, Entry, look_up_each, version_of
from tidings.connectors.stores.over_http import LISTING_BYTES, HttpStore, quoted
from tidings.connectors.stores.places import Place

VERSION = "2021-12-02"  # of the interface
NO_LISTING = "What it answers is no listing of a container."


class AzureStore(HttpStore):
    """The blobs below a prefix of a container."""

    at_once: ClassVar[int] = 16

    async def list_folder(self, path: str) -> AsyncIterator[Sequence[Entry]]:  # noqa: ARG002 - a container has no folders
        """All blobs, page by page. A prefix that nothing lies below is a folder that is not there."""
        prefix = f"{self.place.path}/" if self.place.path else ""
        empty = True
        async for entries in self._pages(prefix):
            empty = empty and not entries
            yield entries
        if empty and prefix:
            raise FileNotFoundError

    async def find(self, paths: Sequence[str]) -> Mapping[str, Entry]:
        """By a listing of what begins with each path."""
        return await look_up_each(self._look_up, paths, self.at_once)

    async def read(self, path: str, version: str | None, limit: int) -> Content:  # noqa: ARG002 - the answer tells it
        """The blob, with the ETag that came with its bytes."""
        page = await self.ask(self._at(f"/{self.place.path}/{path}" if self.place.path else f"/{path}"), limit)
        return Content(page.body, version_of(page.headers.get("etag"), None, None), page.media_type)

    async def _look_up(self, path: str) -> Entry:
        """Names come in their order, so that none comes before the very one that others begin with."""
        whole = f"{self.place.path}/{path}" if self.place.path else path
        async for entries in self._pages(whole):
            if entries and not entries[0].path:
                return replace(entries[0], path=path)
            if entries:
                break
        raise FileNotFoundError

    async def _pages(self, prefix: str) -> AsyncIterator[list[Entry]]:
        """What begins with a prefix, by what follows it."""
        marker = ""
        while True:
            query = f"restype=container&comp=list&maxresults={PAGE}&prefix={quote(prefix, safe='')}&marker={quote(marker, safe='')}"
            page = await self.ask(self._at("", query), LISTING_BYTES)
            before = marker
            entries, marker = listed(page.body, prefix)
            yield entries
            if not marker:
                break
            if marker == before:  # it would go on for ever
                raise OSError(NO_LISTING)

    def _at(self, path: str, query: str = "") -> str:
        signature = (self.place.options.token or "").removeprefix("?")
        return f"{self.place.endpoint}/{self.place.host}{quoted(path)}?{'&'.join(part for part in (query, signature) if part)}"


async def open_store(place: Place, context: SourceContext) -> AzureStore:
    """The signature goes into the URLs, which are shown to nobody."""
    return AzureStore(place, context, {"x-ms-version": VERSION})


def listed(answer: bytes, prefix: str) -> tuple[list[Entry], str]:
    """The blobs of one page of a listing, and where the next page begins ("": there is none). OSError where it is none."""
    try:
        found = etree.fromstring(answer, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as error:
        raise OSError(NO_LISTING) from error
    try:
        return [entry for blob in found.iterfind("Blobs/Blob") if (entry := _entry(blob, prefix)) is not None], found.findtext("NextMarker") or ""
    except ValueError as error:
        raise OSError(NO_LISTING) from error


def _entry(blob: etree._Element, prefix: str) -> Entry | None:
    """The blob, or None where it stands for a folder. ValueError where a number or a time is none."""
    name, size = blob.findtext("Name") or "", int(blob.findtext("Properties/Content-Length") or 0)
    if blob.find("Name[@Encoded='true']") is not None:
        name = unquote(name)
    if blob.findtext("Properties/ResourceType") == "directory" or name.endswith("/"):
        return None
    modified = parsedate_to_datetime(blob.findtext("Properties/Last-Modified") or "")
    return Entry(name.removeprefix(prefix), version_of(blob.findtext("Properties/Etag"), modified, size), size)
