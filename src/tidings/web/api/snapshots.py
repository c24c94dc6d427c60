"""Snapshots: what was published when, what changed between two, and the way back."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from tidings.model.bots import DataSourceView
from tidings.store import data_sources, history
from tidings.store.history import Difference, DifferenceKind, Snapshot
from tidings.store.transactions import Tx
from tidings.web.api.calling import Db, Owner, Reader
from tidings.web.api.data_sources import DataSourceShape, shape_of_data_source
from tidings.web.api.shapes import Id, Input, Listed, Paging, PathId, Shape, Time, listed, time_of

router = APIRouter(prefix="/api/v1", tags=["Data sources"])

Number = Annotated[int, Field(ge=1, le=2**53, description="The number of a kept snapshot.")]


class SnapshotShape(Shape):
    """A snapshot that is kept."""

    number: int
    sync_id: Id = Field(description="The sync that published it.")
    published_at: Time
    rows: int
    documents: int
    tokens: int
    current: bool = Field(description="Whether it is the one that is published.")


class CompareQuery(Paging):
    """Which snapshots to compare."""

    from_: Number | None = Field(None, alias="from", description="Unless it is named, the one before `to`.")
    to: Number | None = Field(None, description="Unless it is named, the one that is published.")
    kind: DifferenceKind | None = None


class DifferenceShape(Shape):
    """A row that two snapshots show differently."""

    row_id: Id
    key: str
    title: str
    kind: DifferenceKind
    tokens: int = Field(description="Of the row in `to`; of a removed one, in `from`.")


class RollbackInput(Input):
    """Where to go back to."""

    snapshot: Number


@router.get("/data-sources/{data_source_id}/snapshots", summary="List the snapshots of a data source")
async def list_snapshots(data_source_id: PathId, paging: Annotated[Paging, Query()], caller: Reader, db: Db) -> Listed[SnapshotShape]:
    """The last `TIDINGS_KEEP_SNAPSHOTS` snapshots that were published, the latest first."""

    def page(tx: Tx) -> Listed[SnapshotShape]:
        data_sources.get(tx, caller.workspace_id, data_source_id)
        return listed(history.page(tx, data_source_id, limit=paging.limit, cursor=paging.cursor), _shape)

    return await db.read(page)


@router.get("/data-sources/{data_source_id}/snapshots/compare", summary="Compare two snapshots")
async def compare_snapshots(data_source_id: PathId, query: Annotated[CompareQuery, Query()], caller: Reader, db: Db) -> Listed[DifferenceShape]:
    """The rows that are not the same in both: what would have to happen to `from` to become `to`. 410 where one is not kept any more."""

    def page(tx: Tx) -> Listed[DifferenceShape]:
        data_sources.get(tx, caller.workspace_id, data_source_id)
        found = history.compare(tx, data_source_id, query.from_, query.to, kind=query.kind, limit=query.limit, cursor=query.cursor)
        return listed(found, _shape_of_difference)

    return await db.read(page)


@router.post("/data-sources/{data_source_id}/rollback", summary="Go back to an earlier snapshot")
async def roll_back(data_source_id: PathId, body: RollbackInput, caller: Owner, db: Db) -> DataSourceShape:
    """Publishes a kept snapshot again, drops the later ones, and pauses the data source. 409 while a sync runs, 410 where it is not kept any more."""

    def back(tx: Tx) -> DataSourceView:
        history.roll_back(tx, caller.workspace_id, data_source_id, body.snapshot)
        return data_sources.view(tx, caller.workspace_id, data_source_id)

    return shape_of_data_source(await db.write(back))


def _shape(one: Snapshot) -> SnapshotShape:
    return SnapshotShape(
        number=one.number,
        sync_id=one.sync_id,
        published_at=time_of(one.published_at),
        rows=one.rows,
        documents=one.documents,
        tokens=one.tokens,
        current=one.current,
    )


def _shape_of_difference(one: Difference) -> DifferenceShape:
    return DifferenceShape(row_id=one.row_id, key=one.key, title=one.title, kind=one.kind, tokens=one.tokens)
