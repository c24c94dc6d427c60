"""One spelling for each page: what makes no difference to a site is taken out of its URLs, and what leads round in circles is known by its looks.

Pure.
"""

import re
from collections import Counter
from functools import lru_cache
from posixpath import splitext
from urllib.parse import urljoin, urlsplit

from tidings.errors import RefusedAddress
from tidings.outbound import check_url

LONGEST = 1_000  # characters of a URL that can be a row's key
DEEPEST = 20  # segments of a path
SAME_SEGMENT = 3  # times that one segment may stand in a path: links that are relative by mistake repeat it without an end

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH_SESSION = re.compile(r";(?:jsessionid|phpsessid|sid)=[^/;]*", re.IGNORECASE)
# Where a visitor came from, and which visit this is. `sid` and the like count only with a value that looks drawn by lot.
_OF_THE_VISIT = re.compile(
    r"(?:utm_\w+|gclid|fbclid|msclkid|dclid|yclid|mc_cid|mc_eid|_ga|_gl|phpsessid|jsessionid|aspsessionid\w*|cftoken|cfid)", re.IGNORECASE
)
_MAY_BE_SESSION = re.compile(r"(?:s|sid|session|sessionid|session_id|sess)=[0-9a-zA-Z_-]{16,}", re.IGNORECASE)

# What has no text that could be read, by the ending of its name: not even asked for.
_WITHOUT_TEXT = frozenset(
    "7z apk avi avif bin bmp bz2 css dmg doc eot exe flac gif gz ico iso jar jpeg jpg js m4a m4v map mid mkv mov mp3 mp4 mpeg mpg msi ogg ogv otf png ppt "  # noqa: SIM905
    "psd rar rpm svg swf tar tgz tif tiff ttf wasm wav webm webmanifest webp wma wmv woff woff2 xz zip".split()
)


@lru_cache(maxsize=8192)  # the pages of a site link to the same ones again and again
def normal(url: str) -> str | None:
    """The one spelling of a URL; None for what is no http(s) URL, or longer than a key may be."""
    try:
        parts = urlsplit(check_url("".join(url.split("#", maxsplit=1)[0].strip().split("\n")).replace(" ", "%20").replace("\t", "").replace("\r", "")).url)
    except (RefusedAddress, ValueError):
        return None
    path = _PATH_SESSION.sub("", _ESCAPE.sub(_escape, parts.path))
    kept = [one for one in _ESCAPE.sub(_escape, parts.query).split("&") if one and not _of_the_visit(one)]
    whole = parts._replace(path=_without_dots(path), query="&".join(kept), fragment="").geturl()
    return whole if len(whole) <= LONGEST else None


def joined(base: str, reference: str) -> str | None:
    """Where a link on the page `base` leads, in its one spelling; None where it leads to no page."""
    reference = reference.strip()
    folder = base.partition("#")[0].partition("?")[0].rpartition("/")[0]
    if folder.count("/") > 1 and reference and reference[0] not in "?#;" and not reference.startswith("//"):
        base = folder + "/"  # all that such a link is resolved against: the pages of a folder share the answer
    return _resolved(base, reference)


@lru_cache(maxsize=8192)
def _resolved(base: str, reference: str) -> str | None:
    try:
        return normal(urljoin(base, reference))
    except ValueError:
        return None


def place_of(url: str) -> str:
    """Host and port of a URL in its one spelling, without `www.`: a site by whichever of both it is called."""
    return urlsplit(url).netloc.removeprefix("www.")


def at_home(url: str, start: str) -> str:
    """A URL on the site that begins at `start`, both in their one spelling: links by http on a site with https lead to the same pages."""
    if start.startswith("https:") and url.startswith("http:") and urlsplit(url).port is None:
        return f"https:{url.removeprefix('http:')}"
    return url


def segments_of(url: str) -> tuple[str, ...]:
    """The parts of its path, for patterns."""
    return tuple(segment for segment in urlsplit(url).path.split("/") if segment)


@lru_cache(maxsize=8192)
def is_trap(url: str) -> bool:
    """Whether a path looks like one of those that get longer with each link."""
    segments = segments_of(url)
    return len(segments) > DEEPEST or max(Counter(segments).values(), default=0) > SAME_SEGMENT


@lru_cache(maxsize=8192)
def has_text(url: str) -> bool:
    """Whether what is there can have text, as far as its name tells."""
    return splitext(urlsplit(url).path)[1].lstrip(".").lower() not in _WITHOUT_TEXT


def _of_the_visit(parameter: str) -> bool:
    return bool(_OF_THE_VISIT.fullmatch(parameter.partition("=")[0]) or _MAY_BE_SESSION.fullmatch(parameter))


def _escape(found: "re.Match[str]") -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0].upper()


def _without_dots(path: str) -> str:
    """RFC 3986, section 5.2.4."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            kept[-1:] = []
        elif segment != ".":
            kept.append(segment)
    if segments[-1:] in (["."], [".."]):
        kept.append("")
    return "/" + "/".join(kept)
