"""Data sources: create, change, delete, ask for a sync. What a connector has to look at, it looks at before the transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidings import clock
from tidings.connectors import registry
from tidings.connectors.base import Connector, source_context
from tidings.connectors.uploads import drop_uploads
from tidings.errors import Conflict
from tidings.model import credentials
from tidings.model.bots import DataSource, DataSourceView
from tidings.model.ids import new_id
from tidings.model.names import cleaned_name
from tidings.model.syncs import Requested, TriggeredBy
from tidings.model.targets import Targets
from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.settings import Settings
from tidings.store import bots, syncs
from tidings.store import data_sources as stored
from tidings.store.database import Database
from tidings.store.transactions import Tx


@dataclass(frozen=True, slots=True)
class NewDataSource:
    """What a data source is made from."""

    name: str
    type: str
    config: Mapping[str, Any]
    sync_now: bool = True


@dataclass(frozen=True, slots=True)
class DataSourceChange:
    """The members to change; None leaves one as it is."""

    name: str | None = None
    config: Mapping[str, Any] | None = None
    paused: bool | None = None


async def create(
    db: Database, settings: Settings, secretbox: SecretBox, outbound: Outbound, *, workspace_id: str, bot_id: str, new: NewDataSource
) -> DataSourceView:
    """A new data source of a bot, its first sync requested in the same transaction. Invalid, NotFound."""
    await db.read(bots.get, workspace_id, bot_id)
    name = cleaned_name(new.name)
    connector = registry.connector(new.type)
    data_source_id = new_id()
    config = await _checked(connector, settings, outbound, data_source_id, new.config)
    sealed = credentials.sealed(secretbox, data_source_id, config, connector.secret_fields)
    made = DataSource(data_source_id, workspace_id, bot_id, name, connector.kind, sealed, paused=False, created_at=clock.now())
    return await db.write(_create, made, sync_now=new.sync_now)


async def change(
    db: Database, settings: Settings, secretbox: SecretBox, outbound: Outbound, *, workspace_id: str, data_source_id: str, wanted: DataSourceChange
) -> DataSourceView:
    """Changes what is named. Another config is checked, and requests a sync (product rule 9) unless the data source is paused. Invalid, NotFound."""
    name = None if wanted.name is None else cleaned_name(wanted.name)
    sealed: dict[str, Any] | None = None
    if wanted.config is not None:
        before = await db.read(stored.get, workspace_id, data_source_id)
        connector = registry.connector(before.type)
        former = credentials.opened(secretbox, data_source_id, before.config, connector.secret_fields)
        config = await _checked(connector, settings, outbound, data_source_id, credentials.unmasked(wanted.config, former, connector.secret_fields))
        if config != former:
            sealed = credentials.sealed(secretbox, data_source_id, config, connector.secret_fields)
    return await db.write(_change, workspace_id, data_source_id, name=name, config=sealed, paused=wanted.paused)


async def delete(db: Database, settings: Settings, workspace_id: str, data_source_id: str) -> None:
    """Deletes a data source: its syncs are cancelled, its trigger hooks stay and say so, its uploads are dropped. NotFound."""
    await db.write(_delete, workspace_id, data_source_id)
    await drop_uploads(settings.home, data_source_id)


def request_sync(
    tx: Tx,
    workspace_id: str,
    data_source_id: str,
    triggered_by: TriggeredBy,
    *,
    refs: Sequence[str] = (),
    force: bool = False,
    approve_removals: bool = False,
    targets: Targets | None = None,
    dry_run: bool = False,
) -> Requested:
    """Asks for a sync. Conflict when the data source is paused, NotFound."""
    data_source = stored.get(tx, workspace_id, data_source_id, lock=True)
    if data_source.paused:
        raise Conflict("This data source is paused, so it starts no syncs. Resume it (PATCH it with paused false), then ask again.")
    return syncs.request(tx, data_source_id, triggered_by, refs=refs, force=force, approve_removals=approve_removals, targets=targets, dry_run=dry_run)


def shown_config(data_source: DataSource) -> dict[str, Any]:
    """The config of a data source as anybody of its workspace may see it."""
    there = registry.found().kinds.get(data_source.type)
    secret = frozenset(data_source.config) if there is None else there.secret_fields  # without its package, nobody can tell what is secret
    return credentials.masked(data_source.config, secret)


async def _checked(connector: Connector[Any], settings: Settings, outbound: Outbound, data_source_id: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The config as it is kept: what was given, no defaults, so that a later default counts for it too. Invalid."""
    parsed = connector.parse(config)
    await connector.check(parsed, source_context(settings, outbound, data_source_id))
    kept: dict[str, Any] = parsed.model_dump(mode="json", exclude_unset=True)
    return kept


def _create(tx: Tx, new: DataSource, *, sync_now: bool) -> DataSourceView:
    bots.get(tx, new.workspace_id, new.bot_id, lock=True)
    stored.create(tx, new)
    if sync_now:
        syncs.request(tx, new.id, "created")
    return stored.view(tx, new.workspace_id, new.id)


def _change(tx: Tx, workspace_id: str, data_source_id: str, *, name: str | None, config: Mapping[str, Any] | None, paused: bool | None) -> DataSourceView:
    now = stored.get(tx, workspace_id, data_source_id, lock=True)
    stays_paused = now.paused if paused is None else paused
    stored.change(
        tx,
        data_source_id,
        name=now.name if name is None else name,
        config=now.config if config is None else config,
        paused=stays_paused,
    )
    if now.paused and not stays_paused:
        tx.wake("syncs")  # what was queued before it was paused can run now
    if config is not None and not stays_paused:
        syncs.request(tx, data_source_id, "manual")
    return stored.view(tx, workspace_id, data_source_id)


def _delete(tx: Tx, workspace_id: str, data_source_id: str) -> None:
    stored.get(tx, workspace_id, data_source_id, lock=True)
    stored.delete(tx, data_source_id)
    syncs.cancel_all(tx, [data_source_id])
