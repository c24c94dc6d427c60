"""Data sources: create, change, delete, ask for a sync. What a connector has to look at, it looks at before the transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tidings import clock
from tidings.connectors import registry
from tidings.connectors.base import Connector, source_context
from tidings.connectors.home import drop_all
from tidings.errors import Conflict
from tidings.model import credentials
from tidings.model.activity import Activity, ActivityKind
from tidings.model.bots import DataSource, DataSourceView
from tidings.model.ids import new_id
from tidings.model.names import cleaned_name
from tidings.model.schedules import Schedule, check
from tidings.model.syncs import Requested, TriggeredBy
from tidings.model.targets import Targets
from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.settings import Settings
from tidings.store import activity, bots, plans, syncs, windows
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
    schedule: Schedule | None = None


@dataclass(frozen=True, slots=True)
class DataSourceChange:
    """The members to change; None leaves one as it is, but for `schedule`, where None means that there is none any more."""

    name: str | None = None
    config: Mapping[str, Any] | None = None
    paused: bool | None = None
    schedule: Schedule | Literal["as it is"] | None = "as it is"


async def create(
    db: Database, settings: Settings, secretbox: SecretBox, outbound: Outbound, *, workspace_id: str, bot_id: str, new: NewDataSource
) -> DataSourceView:
    """A new data source of a bot, its first sync requested in the same transaction. Invalid, NotFound."""
    await db.read(bots.get, workspace_id, bot_id)
    name = cleaned_name(new.name)
    if new.schedule is not None:
        check(new.schedule)
    connector = registry.connector(new.type)
    data_source_id = new_id()
    config = await _checked(connector, settings, outbound, data_source_id, new.config)
    sealed = credentials.sealed(secretbox, data_source_id, config, connector.secret_fields)
    made = DataSource(data_source_id, workspace_id, bot_id, name, connector.kind, sealed, paused=False, created_at=clock.now())
    return await db.write(_create, made, new.schedule, sync_now=new.sync_now)


async def change(
    db: Database, settings: Settings, secretbox: SecretBox, outbound: Outbound, *, workspace_id: str, data_source_id: str, wanted: DataSourceChange
) -> DataSourceView:
    """Changes what is named. Another config is checked, and requests a sync (product rule 9) unless the data source is paused. Invalid, NotFound."""
    name = None if wanted.name is None else cleaned_name(wanted.name)
    if isinstance(wanted.schedule, Schedule):
        check(wanted.schedule)
    while True:  # once more where somebody else gives it another config meanwhile: a credential that came masked is the one that there is then
        before, sealed = await db.read(stored.get, workspace_id, data_source_id), None
        if wanted.config is not None:
            connector = registry.connector(before.type)
            former = credentials.as_far_as_opened(secretbox, data_source_id, before.config, connector.secret_fields)
            config = await _checked(connector, settings, outbound, data_source_id, credentials.unmasked(wanted.config, former, connector.secret_fields))
            if config != former:
                sealed = credentials.sealed(secretbox, data_source_id, config, connector.secret_fields)
        changed = await db.write(_change, before, replace(wanted, name=name, config=sealed))
        if changed is not None:
            return changed


async def delete(db: Database, settings: Settings, workspace_id: str, data_source_id: str) -> None:
    """Deletes a data source: its syncs are cancelled, its trigger hooks stay and say so, its uploads are dropped. NotFound."""
    await db.write(_delete, workspace_id, data_source_id)
    await drop_all(settings.home, data_source_id)


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
    ignore_window: bool = False,
) -> Requested:
    """Asks for a sync. Conflict when the data source is paused, NotFound."""
    data_source = stored.get(tx, workspace_id, data_source_id, lock=True)
    if data_source.paused:
        raise Conflict("This data source is paused, so it starts no syncs. Resume it (PATCH it with paused false), then ask again.")
    how = {"force": force, "approve_removals": approve_removals, "dry_run": dry_run, "ignore_window": ignore_window}
    return syncs.request(tx, data_source_id, triggered_by, refs=refs, targets=targets, **how)


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


def _create(tx: Tx, new: DataSource, schedule: Schedule | None, *, sync_now: bool) -> DataSourceView:
    bots.get(tx, new.workspace_id, new.bot_id, lock=True)
    stored.create(tx, new)
    _tell(tx, new, "data_source_created", f"The data source {new.name} was added.")
    if schedule is not None:
        plans.make(tx, new.id, schedule)
    if sync_now:
        syncs.request(tx, new.id, "created")
    return stored.view(tx, new.workspace_id, new.id)


def _change(tx: Tx, before: DataSource, wanted: DataSourceChange) -> DataSourceView | None:
    """The data source, changed; None where its config is another one than before."""
    workspace_id, data_source_id = before.workspace_id, before.id
    now = stored.get(tx, workspace_id, data_source_id, lock=True)
    if now.config != before.config:
        return None
    stays_paused = now.paused if wanted.paused is None else wanted.paused
    stored.change(
        tx,
        data_source_id,
        name=now.name if wanted.name is None else wanted.name,
        config=now.config if wanted.config is None else wanted.config,
        paused=stays_paused,
    )
    schedule, former = wanted.schedule, None if now.plan is None else now.plan.schedule
    if not isinstance(schedule, str) and schedule != former:
        plans.make(tx, data_source_id, schedule, now.plan)
        windows.look_again(tx, data_source_id)
    if done := _done(now, wanted):
        _tell(tx, now, "data_source_changed", f"The data source {now.name} {', '.join(done)}.")
    if now.paused and not stays_paused:
        tx.wake("syncs")  # what was queued before it was paused can run now
    if wanted.config is not None and not stays_paused:
        syncs.request(tx, data_source_id, "manual")
    return stored.view(tx, workspace_id, data_source_id)


def _delete(tx: Tx, workspace_id: str, data_source_id: str) -> None:
    source = stored.get(tx, workspace_id, data_source_id, lock=True)
    _tell(tx, source, "data_source_deleted", f"The data source {source.name} was deleted with its rows.")
    stored.delete(tx, data_source_id)
    syncs.cancel_all(tx, [data_source_id])


def _done(before: DataSource, wanted: DataSourceChange) -> list[str]:
    """What a change does, in words."""
    done = []
    if wanted.name is not None and wanted.name != before.name:
        done.append(f"is called {wanted.name} now")
    if wanted.paused is not None and wanted.paused != before.paused:
        done.append("was paused" if wanted.paused else "was resumed")
    if wanted.config is not None:
        done.append("has other settings")
    if not isinstance(wanted.schedule, str) and wanted.schedule != (None if before.plan is None else before.plan.schedule):
        done.append("has another schedule" if wanted.schedule else "has no schedule any more")
    return done


def _tell(tx: Tx, source: DataSource, kind: ActivityKind, sentence: str) -> None:
    activity.add(tx, source.workspace_id, Activity(clock.now(), kind, sentence, source.bot_id, source.id))
