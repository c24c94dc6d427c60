"""What a crawler has to know of a page: where it links to, what it is called canonically, whether it wants to be indexed.

Pages come from strangers, and this runs beside the server: so it is a scan that takes time in proportion to the page's length, whatever the page
(the parser of the text processes took minutes for a megabyte of `<div>`). Pure.
"""

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from tidings.aside import aside
from tidings.connectors.urls import joined
from tidings.connectors.web import Page

SCANNED = 4 << 20  # bytes of a page that are looked at
MOST_LINKS = 2_000

# Some of Python's codecs (punycode, idna) fail on other text whatever they are told, or take hours.
KNOWN_CHARSETS = re.compile(r"utf[-_]?(?:8|16|32)|(?:us-)?ascii|iso|latin|windows|cp\d|koi|gb|big5|euc|shift|sjis|x-|mac|tis|hz|ks|ms|l\d", re.IGNORECASE)
CHARSET = re.compile(r"""charset\s*=\s*["']?([a-zA-Z0-9_:.-]{2,40})""", re.IGNORECASE)
_META_CHARSET = re.compile(rb"""<meta[^>]{1,500}charset=["' ]*([a-zA-Z0-9_:.-]{2,40})""", re.IGNORECASE)
_UNSEEN = re.compile(r"<!--|<(script|style|template)\b", re.IGNORECASE)
_ENDS = {name: re.compile(rf"</{name}[^<>]*>" if name else "-->", re.IGNORECASE) for name in ("", "script", "style", "template")}
_TAG = re.compile(r"<(a|area|base|link|meta)\s([^<>]{1,5000})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""(?<![a-zA-Z-])([a-zA-Z-]++)\s*+=\s*+(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_AGENT = re.compile(r"[a-z0-9_ *-]+", re.ASCII)
_DIRECTIVES = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")  # those that have a colon of their own


@dataclass(frozen=True, slots=True)
class Facts:
    """What a page says about itself, URLs whole and in their one spelling."""

    links: tuple[str, ...] = ()  # in their order, each once; none of those that are not to be followed
    canonical: str | None = None
    indexed: bool = True
    cut: bool = False  # it has more, or may have, than these links


async def facts_of(page: Page) -> Facts:
    """The facts of a page; of what is no HTML, its X-Robots-Tag header tells."""
    return await aside(len(page.body), lambda: _facts_of(page))


def _facts_of(page: Page) -> Facts:
    tag = page.headers.get("x-robots-tag")
    if _is_html(page.media_type, page.body):
        return read_facts(page.body, page.url, page.media_type, tag)
    return Facts(indexed=not _wishes_of_header(tag) & {"noindex", "none"})


def read_facts(body: bytes, url: str, media_type: str | None = None, robots_tag: str | None = None) -> Facts:
    """The facts of the HTML page that came from `url`; `robots_tag` is its X-Robots-Tag header."""
    wishes, base, canonical = _wishes_of_header(robots_tag), url, None
    hrefs: dict[str, None] = {}
    for name, attributes in _tags(_seen(_decoded(body[:SCANNED], media_type))):
        href = attributes.get("href", "")
        match name:
            case "base":
                base = joined(url, href) or url
            case "link" if "canonical" in _words(attributes, "rel"):
                canonical = joined(base, href) if href else None
            case "meta" if attributes.get("name", "").lower() in {"robots", "tidings"}:
                wishes |= _words(attributes, "content")
            case "a" | "area" if href and "nofollow" not in _words(attributes, "rel") and len(hrefs) <= MOST_LINKS:
                hrefs[href.partition("#")[0]] = None  # places of one page are one link
    followed = not wishes & {"nofollow", "none"}
    found = dict.fromkeys(joined(base, href) for href in islice(hrefs, MOST_LINKS)) if followed else {}
    cut = followed and (len(body) > SCANNED or len(hrefs) > MOST_LINKS)
    return Facts(tuple(filter(None, found)), canonical, not wishes & {"noindex", "none"}, cut)


def _is_html(media_type: str | None, body: bytes) -> bool:
    kind = (media_type or "").partition(";")[0].strip().lower()
    return kind in {"text/html", "application/xhtml+xml"} or (not kind and body[:1000].lstrip()[:1] == b"<")


def _wishes_of_header(value: str | None) -> set[str]:
    """The words of an X-Robots-Tag that speak to everybody or to us: `googlebot: noindex` is for another."""
    wishes: set[str] = set()
    ours = True
    for part in (value or "").lower().split(","):
        agent, colon, rest = part.partition(":")
        if colon and agent.strip() not in _DIRECTIVES and _AGENT.fullmatch(agent.strip()):
            ours, part = agent.strip() in {"tidings", "*"}, rest  # noqa: PLW2901 - what is left of it
        if ours:
            wishes.add(part.strip())
    return wishes


def _decoded(body: bytes, media_type: str | None) -> str:
    inside = _META_CHARSET.search(body[:2048])
    outside = CHARSET.search(media_type or "")
    charset = outside[1] if outside else inside[1].decode("ascii") if inside else "utf-8"
    try:
        return body.decode(charset if KNOWN_CHARSETS.match(charset) else "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def _seen(text: str) -> str:
    """Without comments, scripts and styles; what is never closed reaches to the end."""
    kept: list[str] = []
    position = 0
    while opening := _UNSEEN.search(text, position):
        kept.append(text[position : opening.start()])
        closing = _ENDS[(opening[1] or "").lower()].search(text, opening.end())
        position = closing.end() if closing else len(text)
    kept.append(text[position:])
    return "".join(kept)


def _tags(text: str) -> Iterable[tuple[str, Mapping[str, str]]]:
    for tag in _TAG.finditer(text):
        yield tag[1].lower(), _attributes(tag[2])


@lru_cache(maxsize=512)  # the pages of a site have the same menus
def _attributes(text: str) -> Mapping[str, str]:
    return {name.lower(): html.unescape(double or single or bare) for name, double, single, bare in _ATTRIBUTE.findall(text)}


def _words(attributes: Mapping[str, str], name: str) -> set[str]:
    value = attributes.get(name)  # most links have none
    return set(value.lower().replace(",", " ").split()) if value else set()
