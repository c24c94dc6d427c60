"""Data sources."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from tidings.bots import data_sources, trying
from tidings.bots.data_sources import DataSourceChange, NewDataSource
from tidings.model.bots import DataSourceView
from tidings.model.syncs import Requested
from tidings.model.targets import LONGEST, MOST, Targets
from tidings.store import bots as bots_stored
from tidings.store import data_sources as stored
from tidings.store.transactions import Tx
from tidings.web.api.calling import Db, House, Owner, Reader
from tidings.web.api.schedules import GivenSchedule, ScheduleShape, schedule_given, shape_of_schedule
from tidings.web.api.shapes import Id, Input, Listed, Name, Paging, PathId, Reference, Shape, Time, listed, maybe_time_of, time_of
from tidings.web.api.syncs import SyncShape, shape_of_sync

router = APIRouter(prefix="/api/v1", tags=["Data sources"])

MAX_REFS = 100
ConfigInput = Annotated[dict[str, Any], Field(description="Settings of the connector; `GET /api/v1/connectors` has the JSON Schema of each.")]
Target = Annotated[str, Field(min_length=1, max_length=LONGEST)]
Ref = Annotated[str, Field(min_length=1, max_length=200)]


class DataSourceInput(Input):
    """A new data source."""

    name: Name
    type: str = Field(min_length=1, max_length=50, description="The kind of connector.", examples=["folder"])
    config: ConfigInput = Field(default_factory=dict)
    schedule: GivenSchedule = None
    sync_now: bool = Field(default=True, description="Whether a first sync starts at once.")


class DataSourcePatch(Input):
    """What can be changed of a data source. `config` is replaced as a whole; a credential that comes back as `"********"` stays what it is."""

    name: Name = Field(default_factory=str)
    config: ConfigInput = Field(default_factory=dict)
    schedule: GivenSchedule = None
    paused: bool = Field(default_factory=bool, description="A paused data source starts no syncs.")


class TrialInput(Input):
    """Settings to be tried out."""

    type: str = Field(min_length=1, max_length=50, description="The kind of connector.", examples=["folder"])
    config: ConfigInput = Field(default_factory=dict)
    data_source_id: Reference | None = Field(default=None, description='Whose credentials are meant by `"********"`.')


class FoundRowShape(Shape):
    """A row as its source names it."""

    key: str
    title: str | None
    url: str | None
    size: int | None = Field(description="Bytes; null where the source does not tell.")
    error: str | None = Field(description="Why it can't be taken up.")


class TrialShape(Shape):
    """What was found under some settings."""

    rows: list[FoundRowShape] = Field(description=f"The first {trying.ROWS}.")
    more: bool = Field(description="Whether there are more, or may be.")
    reason: str | None = Field(description="Why the source is not to be had, or was not looked at further.")


class SyncRequest(Input):
    """How to sync."""

    refs: list[Ref] = Field(default_factory=list, max_length=MAX_REFS, description="Marks that are kept on the sync and go out with its webhooks.")
    force: bool = Field(default=False, description="Extracts every row again.")
    approve_removals: bool = Field(
        default=False,
        description="Approves the removals and the texts held back that are listed by the latest sync which a guard stopped, or which held any back.",
    )
    dry_run: bool = Field(
        default=False,
        description="Tells what a sync would change and charge, and does nothing of it: its end and its changes say so. Real requests go before it.",
    )
    keys: list[Target] = Field(default_factory=list, max_length=MOST, description="Syncs the rows with these keys only, and those of `urls`.")
    urls: list[Target] = Field(default_factory=list, max_length=MOST, description="Syncs the rows with these URLs only, and those of `keys`.")
    ignore_window: bool = Field(default=False, description="Starts although the window of the data source's schedule is closed.")


class RequestedShape(Shape):
    """The sync that will carry the caller's change."""

    sync_id: Id
    state: Literal["queued", "merged"]


class StaleShape(Shape):
    """No sync has succeeded for longer than was promised."""

    since: Time
    reason: str


class DataSourceShape(Shape):
    """A data source with how it stands."""

    id: Id
    bot_id: Id
    name: str
    type: str
    config: dict[str, Any] = Field(description='Credentials are shown as "********".')
    schedule: ScheduleShape | None
    paused: bool
    state: Literal["new", "ok", "failing", "paused"] = Field(description="`new` until a first sync has ended.")
    last_sync: SyncShape | None = Field(description="The latest sync that has ended.")
    rows: int
    documents: int
    storage_tokens: int
    created_at: Time
    next_sync_at: Time | None = Field(description="When the schedule starts the next sync; null without one, and while it is paused.")
    fresh_until: Time | None = Field(description="When the promise of `freshWithin` is broken, unless a sync succeeds before.")
    stale: StaleShape | None = Field(description="The promise is broken: since when, and why.")


@router.post("/bots/{bot_id}/data-sources", status_code=201, summary="Create a data source")
async def create_data_source(bot_id: PathId, body: DataSourceInput, caller: Owner, db: Db, house: House) -> DataSourceShape:
    """A new data source of a bot; its first sync is queued unless `syncNow` is false."""
    new = NewDataSource(body.name, body.type, body.config, body.sync_now, schedule_given(body.schedule))
    return shape_of_data_source(
        await data_sources.create(db, house.settings, house.secretbox, house.outbound, workspace_id=caller.workspace_id, bot_id=bot_id, new=new)
    )


@router.get("/bots/{bot_id}/data-sources", summary="List a bot's data sources")
async def list_data_sources(bot_id: PathId, paging: Annotated[Paging, Query()], caller: Reader, db: Db) -> Listed[DataSourceShape]:
    """The data sources of a bot, the oldest first."""

    def page(tx: Tx) -> Listed[DataSourceShape]:
        bots_stored.get(tx, caller.workspace_id, bot_id)
        return listed(stored.page(tx, bot_id, limit=paging.limit, cursor=paging.cursor), shape_of_data_source)

    return await db.read(page)


@router.post("/data-sources/try", summary="Try the settings of a data source out")
async def try_data_source(body: TrialInput, caller: Owner, db: Db, house: House) -> TrialShape:
    """The first rows that the connector finds, within 20 seconds; nothing is kept. Settings that can't work are refused like those of a new data source."""
    found = await trying.try_out(
        db,
        house.settings,
        house.secretbox,
        house.outbound,
        workspace_id=caller.workspace_id,
        kind=body.type,
        config=body.config,
        data_source_id=body.data_source_id,
    )
    shapes = [FoundRowShape(key=row.key, title=row.title, url=row.url, size=row.size, error=row.error) for row in found.rows]
    return TrialShape(rows=shapes, more=found.more, reason=found.reason)


@router.get("/data-sources/{data_source_id}", summary="One data source")
async def get_data_source(data_source_id: PathId, caller: Reader, db: Db) -> DataSourceShape:
    """One data source."""
    return shape_of_data_source(await db.read(stored.view, caller.workspace_id, data_source_id))


@router.patch("/data-sources/{data_source_id}", summary="Change a data source")
async def change_data_source(data_source_id: PathId, body: DataSourcePatch, caller: Owner, db: Db, house: House) -> DataSourceShape:
    """Changes the members that are named. Another config queues a sync."""
    named = body.model_fields_set
    wanted = DataSourceChange(
        name=body.name if "name" in named else None,
        config=body.config if "config" in named else None,
        paused=body.paused if "paused" in named else None,
        schedule=schedule_given(body.schedule) if "schedule" in named else "as it is",
    )
    place = {"workspace_id": caller.workspace_id, "data_source_id": data_source_id}
    return shape_of_data_source(await data_sources.change(db, house.settings, house.secretbox, house.outbound, **place, wanted=wanted))


@router.delete("/data-sources/{data_source_id}", status_code=204, summary="Delete a data source")
async def delete_data_source(data_source_id: PathId, caller: Owner, db: Db, house: House) -> None:
    """Deletes a data source with its rows and uploads. What is queued or running for it is cancelled; its trigger URLs answer 410."""
    await data_sources.delete(db, house.settings, caller.workspace_id, data_source_id)


@router.post("/data-sources/{data_source_id}/sync", status_code=202, summary="Start a sync")
async def start_sync(data_source_id: PathId, caller: Reader, db: Db, body: SyncRequest | None = None) -> RequestedShape:
    """Queues a sync, or merges into the one that is queued already. 409 while the data source is paused. With `keys` or `urls` it brings only those rows up
    to date, if the connector can look them up; else, with too many of them, or where the sync before left something to do, it brings all."""
    wanted = SyncRequest() if body is None else body
    return shape_of_requested(
        await db.write(
            data_sources.request_sync,
            caller.workspace_id,
            data_source_id,
            "api",
            refs=wanted.refs,
            force=wanted.force,
            approve_removals=wanted.approve_removals,
            targets=Targets(tuple(dict.fromkeys(wanted.keys)), tuple(dict.fromkeys(wanted.urls))),
            dry_run=wanted.dry_run,
            ignore_window=wanted.ignore_window,
        )
    )


def shape_of_requested(requested: Requested) -> RequestedShape:
    """A requested sync as an answer."""
    return RequestedShape(sync_id=requested.sync_id, state=requested.state)


def shape_of_data_source(view: DataSourceView) -> DataSourceShape:
    """A data source as an answer."""
    of = view.data_source
    plan = of.plan
    return DataSourceShape(
        id=of.id,
        bot_id=of.bot_id,
        name=of.name,
        type=of.type,
        config=data_sources.shown_config(of),
        schedule=None if plan is None else shape_of_schedule(plan.schedule),
        paused=of.paused,
        state=view.state,
        last_sync=None if view.last_sync is None else shape_of_sync(view.last_sync),
        rows=view.rows,
        documents=view.documents,
        storage_tokens=view.tokens,
        created_at=time_of(of.created_at),
        next_sync_at=None if plan is None or of.paused else maybe_time_of(plan.next_run_at),
        fresh_until=None if plan is None else maybe_time_of(plan.fresh_until),
        stale=None if view.stale is None else StaleShape(since=time_of(view.stale.since), reason=view.stale.reason),
    )
