"""Trying the settings of a data source out before they are kept: the first rows that its connector finds."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidings.bots.files import TYPE as UPLOADS
from tidings.connectors import registry
from tidings.connectors.base import Carried, Connector, Listed, Source, SourceContext, Unlistable, source_context
from tidings.connectors.home import drop_all
from tidings.errors import FieldError, Invalid, RowError, SourceError, TooMany
from tidings.model import credentials
from tidings.model.bots import DataSource
from tidings.model.ids import new_id
from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.settings import Settings
from tidings.store import data_sources
from tidings.store.database import Database

ROWS = 10
SECONDS = 20.0
CLOSING_SECONDS = 5.0
MOST_AT_ONCE = 4  # of one process: each reads from somebody's server, and keeps what it reads in memory


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A row as its source names it; `error` where it is there but can't be taken up."""

    key: str
    title: str | None = None
    url: str | None = None
    size: int | None = None  # bytes, where the source tells
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """The first rows; whether there are more, or may be. `reason`: why the source is not to be had, or why it was not looked at further."""

    rows: tuple[FoundRow, ...]
    more: bool
    reason: str | None = None


_under_way: set[str] = set()


async def try_out(
    db: Database,
    settings: Settings,
    secretbox: SecretBox,
    outbound: Outbound,
    *,
    workspace_id: str,
    kind: str,
    config: Mapping[str, Any],
    data_source_id: str | None = None,
    seconds: float = SECONDS,
) -> Trial:
    """What the connector of this kind finds under a config, within so many seconds; nothing of it is kept. Credentials that come masked are those of the
    data source that is named. Invalid, NotFound, TooMany."""
    connector = registry.connector(kind)
    if kind == UPLOADS:
        raise Invalid(FieldError("type", "There is nothing to try: its rows are the files that are uploaded to it."))
    if data_source_id is not None:
        config = _unmasked(await db.read(data_sources.get, workspace_id, data_source_id), secretbox, connector, config)
    parsed = connector.parse(config)
    if len(_under_way) >= MOST_AT_ONCE:
        raise TooMany("Other settings are being tried out at this moment. Try again in half a minute.")
    own_id = new_id()  # so that nothing of a data source that is there is touched
    _under_way.add(own_id)
    try:
        return await _found(connector, parsed, source_context(settings, outbound, own_id), seconds)
    finally:
        _under_way.discard(own_id)
        await asyncio.shield(drop_all(settings.home, own_id))


def _unmasked(there: DataSource, secretbox: SecretBox, connector: Connector[Any], config: Mapping[str, Any]) -> dict[str, Any]:
    if there.type != connector.kind:
        raise Invalid(FieldError("dataSourceId", f"This data source is of type {there.type}, and what is tried is of type {connector.kind}."))
    former = credentials.as_far_as_opened(secretbox, there.id, there.config, connector.secret_fields)
    return credentials.unmasked(config, former, connector.secret_fields)


async def _found(connector: Connector[Any], config: Any, context: SourceContext, seconds: float) -> Trial:
    rows: list[FoundRow] = []
    try:
        async with asyncio.timeout(seconds):
            await connector.check(config, context)
            source = await connector.open(config, context)
            try:
                await _list(source, rows)
            finally:
                await _closed(source)
    except SourceError as error:
        return Trial(tuple(rows), more=bool(rows), reason=str(error))
    except TimeoutError:
        reason = f"It took longer than {seconds:g} seconds, so it was not looked at further. A sync takes the time that it needs."
        return Trial(tuple(rows), more=True, reason=reason)
    return Trial(tuple(rows[:ROWS]), more=len(rows) > ROWS)


async def _list(source: Source, rows: list[FoundRow]) -> None:
    """Adds rows until there is one more than are shown."""
    async with contextlib.aclosing(source.list_rows()) as batches:  # type: ignore[type-var]  # generators all, though the protocol promises less
        async for batch in batches:
            rows += map(_row, batch[: ROWS + 1 - len(rows)])
            if len(rows) > ROWS:
                return


async def _closed(source: Source) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSING_SECONDS):
            await source.aclose()


def _row(listed: Listed | Unlistable) -> FoundRow:
    if isinstance(listed, Unlistable):
        return FoundRow(listed.key, error=str(listed.error))
    content = listed.content if isinstance(listed, Carried) else None
    size = len(content) if listed.size is None and isinstance(content, bytes) else listed.size
    return FoundRow(listed.key, listed.title, listed.url, size, str(content) if isinstance(content, RowError) else None)
