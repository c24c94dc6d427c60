"""The uploaded files of a data source of type `files`: each change of them asks for a sync."""

from collections.abc import AsyncIterable, Sequence

from tidings.connectors import uploads
from tidings.connectors.base import MEGABYTE
from tidings.connectors.uploads import UploadBatch, UploadedFile
from tidings.errors import Conflict, Invalid, NotFound, TooLarge
from tidings.model.syncs import TriggeredBy
from tidings.settings import Settings
from tidings.store import data_sources, syncs
from tidings.store.database import Database
from tidings.store.transactions import Tx

TYPE = "files"


async def all_of_them(db: Database, settings: Settings, workspace_id: str, data_source_id: str) -> list[UploadedFile]:
    """The files of a data source, by name. NotFound; Conflict where it is of another type."""
    await db.read(_there, workspace_id, data_source_id)
    return await uploads.list_uploads(settings.home, data_source_id)


async def keep(
    db: Database, settings: Settings, workspace_id: str, data_source_id: str, files: Sequence[tuple[str, AsyncIterable[bytes]]], *, by: TriggeredBy
) -> list[UploadedFile]:
    """Keeps all files (name and content), or none, and asks for a sync (`by`: how); one that comes to a paused data source starts when it is resumed.
    TooLarge, Invalid, NotFound, Conflict."""
    await db.read(_there, workspace_id, data_source_id)
    async with UploadBatch(settings.home, data_source_id, int(settings.max_file_mb * MEGABYTE)) as batch:
        for name, content in files:
            await batch.add(name, content)
        kept = await batch.keep()
    await _request(db, settings, workspace_id, data_source_id, by)
    return kept


async def keep_each(
    db: Database, settings: Settings, workspace_id: str, data_source_id: str, files: Sequence[tuple[str, AsyncIterable[bytes]]], *, by: TriggeredBy
) -> tuple[list[UploadedFile], dict[str, str]]:
    """Keeps those files that can be kept, and asks for a sync if there are any; of each other one, what is wrong with it. NotFound, Conflict."""
    await db.read(_there, workspace_id, data_source_id)
    refused: dict[str, str] = {}
    async with UploadBatch(settings.home, data_source_id, int(settings.max_file_mb * MEGABYTE)) as batch:
        for name, content in files:
            try:
                await batch.add(name, content)
            except (Invalid, TooLarge) as error:
                refused[name] = error.errors[0].message if isinstance(error, Invalid) else str(error)
        kept = await batch.keep()
    if kept:
        await _request(db, settings, workspace_id, data_source_id, by)
    return kept, refused


async def delete(db: Database, settings: Settings, workspace_id: str, data_source_id: str, name: str, *, by: TriggeredBy) -> None:
    """Deletes one file and asks for a sync. NotFound, Conflict."""
    await db.read(_there, workspace_id, data_source_id)
    await uploads.delete_upload(settings.home, data_source_id, name)
    await _request(db, settings, workspace_id, data_source_id, by)


def _there(tx: Tx, workspace_id: str, data_source_id: str, *, lock: bool = False) -> None:
    kind = data_sources.get(tx, workspace_id, data_source_id, lock=lock).type
    if kind != TYPE:
        raise Conflict(f"This data source is of type {kind}. Files are uploaded to data sources of type {TYPE}.")


async def _request(db: Database, settings: Settings, workspace_id: str, data_source_id: str, by: TriggeredBy) -> None:
    def request(tx: Tx) -> None:
        _there(tx, workspace_id, data_source_id, lock=True)
        syncs.request(tx, data_source_id, by)

    try:
        await db.write(request)
    except NotFound:  # it was deleted meanwhile, and its files with it, but for those that came later
        await uploads.drop_uploads(settings.home, data_source_id)
        raise
