"""How pages write times, numbers and kinds."""

import re
from datetime import timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from tidings import clock
from tidings.clock import DAY, EPOCH, SECOND, Micros
from tidings.connectors import registry
from tidings.model.freshness import HOUR, MINUTE

# The icon of each type of data source; others have that of a database.
_ICONS = {
    "folder": "folder",
    "files": "upload",
    "website": "globe",
    "feed": "rss",
    "api": "link",
    "notion": "notebook-text",
    "youtube": "clapperboard",
    "sql": "database",
    "git": "git-branch",
}

# What stands in the name that a browser gives itself; the first that is found counts, since most say that they are others as well.
_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"), ("curl/", "curl"))
_SYSTEMS = (("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS X", "macOS"), ("Linux", "Linux"))


def relative(at: Micros, now: Micros) -> str:
    """`4 min ago`, `in 2 h`; after a month the day itself, `2 Oct 2026`."""
    distance = abs(now - at)
    if distance < 10 * SECOND:
        return "just now" if at <= now else "in a moment"
    for unit, name, below in ((SECOND, "s", MINUTE), (MINUTE, "min", HOUR), (HOUR, "h", DAY), (DAY, "days", 30 * DAY)):
        if distance < below:
            count = distance // unit if at <= now else (distance + unit // 2) // unit
            said = f"{count} {'day' if name == 'days' and count == 1 else name}"
            return f"{said} ago" if at <= now else f"in {said}"
    day = EPOCH + timedelta(microseconds=at)
    return f"{day.day} {day:%b %Y}"


def capital(text: str) -> str:
    """As a sentence begins."""
    return text[:1].upper() + text[1:]


def ago(at: Micros) -> Markup:
    """A time as people say it, with the exact one on hover."""
    return _time(at, relative(at, clock.now()))


def due(at: Micros) -> Markup:
    """The same of what is yet to come: when its time is there, it waits for its turn."""
    now = clock.now()
    return _time(at, relative(at, now) if at > now else "any moment now", " data-due")


def _time(at: Micros, words: str, more: str = "") -> Markup:
    day, _, second = (EPOCH + timedelta(microseconds=at)).isoformat(timespec="seconds").removesuffix("+00:00").partition("T")
    # nothing of it needs escaping, which costs more than all else
    return Markup(f'<time datetime="{day}T{second}Z" title="{day} {second} UTC" data-relative{more}>{words}</time>')  # noqa: S704


def exact(at: Micros, zone: str = "UTC") -> str:
    """`Mon 23 Nov 2026, 03:04 (Europe/Berlin)`."""
    there = (EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(zone))
    return f"{there:%a} {there.day} {there:%b %Y, %H:%M} ({zone})"


def planned(plan: str, limit: int | None) -> str:
    """`Unlimited`; `Enterprise, no limit`; `Team, 40,000 storage tokens a month`."""
    if limit is None:
        return "Unlimited" if plan.lower() == "unlimited" else f"{plan}, no limit"
    return f"{plan}, {limit:,} storage tokens a month"


def share(part: int, whole: int) -> str:
    """`80%`; `<1%` of what is little, but something."""
    rounded = round(100 * part / max(whole, 1))
    return "<1%" if part and not rounded else f"{rounded}%"


def grouped(number: int) -> str:
    """`21,448`."""
    return f"{number:,}"


def tokens(number: int) -> str:
    """`999`, `160 k`, `2.4 M`, `1.3 G`: three figures at the most."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= unit:
            scaled = number / unit
            return f"{scaled:.0f} {name}" if scaled >= 9.95 else f"{scaled:.1f} {name}"
    return str(number)


def size(of: int) -> str:
    """`820 B`, `14 KB`, `2.4 MB`."""
    for unit, name in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")):
        if of >= unit:
            return f"{of / unit:.0f} {name}" if of >= 9.95 * unit else f"{of / unit:.1f} {name}"
    return f"{of} B"


def took(duration: Micros) -> str:
    """`12 ms`, `1.4 s`, `42 s`, `3 min 20 s`, `2 h 5 min`."""
    seconds = duration / SECOND
    if seconds < 1:
        return f"{duration // 1000} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if rest else f"{minutes} min"


def host(url: str) -> str:
    """Where a URL leads, without what may be secret in it."""
    return urlsplit(url).hostname or "elsewhere"


def for_people(sentence: str) -> str:
    """A sentence of a guard without what it tells programs: how to approve over the API. Pages have a button for that."""
    return re.sub(r"(approve it): .*", r"\1.", sentence, flags=re.DOTALL)


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 bot`, `1,284 rows`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def browser(agent: str | None) -> str:
    """`Firefox on Linux`, out of what a browser says of itself; what it says where that is none of the usual."""
    if not agent:
        return "Unknown browser"
    name = next((name for mark, name in _BROWSERS if mark in agent), None)
    system = next((name for mark, name in _SYSTEMS if mark in agent), None)
    return f"{name} on {system}" if name and system else name or agent[:60]


def source_icon(kind: str) -> str:
    """The icon of a type of data source."""
    return _ICONS.get(kind, "database")


def source_kind(kind: str) -> str:
    """What people call a type of data source; its own name where its connector is gone."""
    known = registry.found().kinds.get(kind)
    return known.title if known else kind


def coded(sentence: str) -> Markup:
    """A sentence of ours with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(sentence))))  # noqa: S704 - escaped before
