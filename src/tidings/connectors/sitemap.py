"""Sitemaps (sitemaps.org): lists of pages, lists of such lists, packed or not."""

import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree

from tidings.connectors.urls import joined
from tidings.errors import RowNotRead

LARGEST = 50 << 20  # bytes, unpacked, as the protocol has it
MOST = 50_000  # entries, likewise
GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Sitemap:
    """What a sitemap names: pages, and other sitemaps; URLs whole and in their one spelling."""

    pages: Sequence[str]
    sitemaps: Sequence[str]
    whole: bool = True  # else it names more than MOST, and these are the first


def read_sitemap(body: bytes, url: str) -> Sitemap:
    """The sitemap that came from `url`. RowNotRead where it is none, or is damaged: half a list would look like pages that vanished."""
    body = _unpacked(body)
    if body.lstrip()[:1] != b"<":
        lines = body.decode("utf-8-sig", "replace").split(maxsplit=MOST)
        return Sitemap(_whole(lines[:MOST], url), (), len(lines) <= MOST)
    pages: list[str] = []
    sitemaps: list[str] = []
    depth_of_list = {"urlset": pages, "sitemapindex": sitemaps}
    found: list[str] | None = None
    try:
        # no entities, no network, no huge trees: a sitemap comes from a stranger
        for event, element in etree.iterparse(io.BytesIO(body), events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False):
            name = etree.QName(element).localname if isinstance(element.tag, str) else ""
            if event == "start":
                if element.getparent() is None:
                    found = depth_of_list.get(name)
                continue
            parent = element.getparent()
            if name == "loc" and found is not None and parent is not None and etree.QName(parent).localname in {"url", "sitemap"} and len(found) <= MOST:
                found.append((element.text or "").strip())
            if name in {"url", "sitemap"}:
                element.clear()
                while element.getprevious() is not None and parent is not None:
                    del parent[0]
    except etree.XMLSyntaxError as error:
        raise RowNotRead(f"The sitemap {url} is not well-formed XML ({error.msg}). Mend it, then sync again.") from error
    if found is None:
        raise RowNotRead(f"What is at {url} is not a sitemap: it has neither <urlset> nor <sitemapindex>. Name the sitemap itself.")
    return Sitemap(_whole(pages, url), _whole(sitemaps, url), max(len(pages), len(sitemaps)) <= MOST)


def _whole(found: Sequence[str], url: str) -> list[str]:
    return list(dict.fromkeys(whole for each in found[:MOST] if each and (whole := joined(url, each))))


def _unpacked(body: bytes) -> bytes:
    """What a packed file has in it: the server says nothing of it, since it serves the file as it is."""
    if not body.startswith(GZIP):
        return body
    try:
        with gzip.open(io.BytesIO(body)) as packed:
            unpacked = packed.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise RowNotRead("The sitemap is packed, and damaged or cut off. Make it again, then sync again.") from error
    if len(unpacked) > LARGEST:
        raise RowNotRead(f"The sitemap is larger than {LARGEST >> 20} MB, which the protocol does not allow. Split it.")
    return unpacked
