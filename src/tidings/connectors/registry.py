"""Every kind of data source, by name."""

from typing import Any

from tidings.connectors.base import Connector
from tidings.connectors.files import FilesConnector
from tidings.connectors.folder import FolderConnector
from tidings.connectors.notion import NotionConnector
from tidings.errors import FieldError, Invalid

_KINDS: dict[str, Connector[Any]] = {one.kind: one for one in (FolderConnector(), FilesConnector(), NotionConnector())}


def kinds() -> tuple[Connector[Any], ...]:
    """All kinds, in the order in which they are offered."""
    return tuple(_KINDS.values())


def connector(kind: str) -> Connector[Any]:
    """The connector of a kind; `Invalid` on `type` where there is none."""
    found = _KINDS.get(kind)
    if found is None:
        raise Invalid(FieldError("type", f"There is no type of data source called {kind[:100]!r}; there are: {', '.join(_KINDS)}."))
    return found
