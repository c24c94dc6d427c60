"""Every kind of data source, by name: those that come with Tidings, and those of packages that are installed beside it (docs/connectors.md)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import structlog

from tidings.connectors.base import Config, Connector
from tidings.connectors.feed import FeedConnector
from tidings.connectors.files import FilesConnector
from tidings.connectors.folder import FolderConnector
from tidings.connectors.git import GitConnector
from tidings.connectors.notion import NotionConnector
from tidings.connectors.sql import SqlConnector
from tidings.connectors.website import WebsiteConnector
from tidings.connectors.youtube import YouTubeConnector
from tidings.errors import FieldError, Invalid

GROUP = "tidings.connectors"  # of the entry points by which packages name their connectors
BUILT_IN: tuple[Connector[Any], ...] = (  # what is most asked for first
    WebsiteConnector(),
    FilesConnector(),
    FolderConnector(),
    FeedConnector(),
    NotionConnector(),
    GitConnector(),
    SqlConnector(),
    YouTubeConnector(),
)

_log = structlog.get_logger("tidings.connectors")


@dataclass(frozen=True, slots=True)
class Unusable:
    """A connector of another package that can't be used; the reason is a sentence."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """What there is: connectors by kind, the packages that those come from which are not built in, and what can't be used."""

    kinds: Mapping[str, Connector[Any]]
    packages: Mapping[str, str]
    unusable: tuple[Unusable, ...]


def kinds() -> tuple[Connector[Any], ...]:
    """All kinds that can be used, in the order in which they are offered: those of other packages after those that come with Tidings."""
    return tuple(found().kinds.values())


def connector(kind: str) -> Connector[Any]:
    """The connector of a kind; `Invalid` on `type` where there is none."""
    there = found()
    if kind in there.kinds:
        return there.kinds[kind]
    broken = next((one.reason for one in there.unusable if one.kind == kind), None)
    unknown = f"There is no type of data source called {kind[:100]!r}; there are: {', '.join(there.kinds)}."
    raise Invalid(FieldError("type", broken or unknown))


@cache
def found() -> Found:
    """The connectors of this process: looked for when first asked for, for as long as it lives. What can't be used is logged."""
    there = find(entry_points(group=GROUP))
    for one in there.unusable:
        _log.warning("a connector can't be used", kind=one.kind, reason=one.reason)
    return there


def find(points: Iterable[EntryPoint]) -> Found:
    """The built-in connectors, and those that the entry points lead to. Whatever foreign code does here costs that connector alone."""
    usable: dict[str, Connector[Any]] = {one.kind: one for one in BUILT_IN}
    packages: dict[str, str] = {}
    unusable: list[Unusable] = []
    for point in sorted(points, key=lambda one: (one.name, one.value)):
        package = f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value
        try:
            made = _made(point, usable)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - see above
            why = f"{type(error).__name__}: {error}" if not isinstance(error, _Unfit) else str(error)
            happened = f"The connector {point.name!r} of the package {package} can't be used: {why.strip()[:500].rstrip('.')}."
            unusable.append(Unusable(point.name, f"{happened} Install a version of it that fits this Tidings, or uninstall it."))
        else:
            usable[made.kind], packages[made.kind] = made, package
    return Found(usable, packages, tuple(unusable))


class _Unfit(Exception):
    """What an entry point leads to is no connector that could be offered."""


def _made(point: EntryPoint, taken: Mapping[str, Connector[Any]]) -> Connector[Any]:
    kind = point.load()
    if not (isinstance(kind, type) and issubclass(kind, Connector)):
        raise _Unfit(f"{point.value} is no subclass of tidings.connectors.base.Connector")
    made: Connector[Any] = kind()
    texts = {name: getattr(made, name, None) for name in ("kind", "title", "description")}
    if lacking := [name for name, text in texts.items() if not isinstance(text, str) or not text]:
        raise _Unfit(f"{point.value} does not say its {' and '.join(lacking)}")
    if made.kind != point.name:
        raise _Unfit(f"its kind is {made.kind!r}, and its entry point has another name")
    if made.kind in taken:
        raise _Unfit("another connector has that name already")
    if not (isinstance(getattr(made, "config_type", None), type) and issubclass(made.config_type, Config)):
        raise _Unfit(f"config_type of {point.value} is no subclass of tidings.connectors.base.Config")
    return made
